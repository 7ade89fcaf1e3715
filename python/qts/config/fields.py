"""Types of configuration values and the strict rules by which they are read.

Each parser accepts the value as a file gives it (typed) or as the command line gives it (text), and nothing
that could be meant in two ways.
"""

import re
from collections.abc import Callable
from datetime import date, time
from decimal import Decimal
from typing import Annotated, Final, TypeAlias

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from qts.money import parse_decimal, plain

_TRUE: Final = frozenset({"true", "1", "y", "yes", "on"})
_FALSE: Final = frozenset({"false", "0", "n", "no", "off"})
_WHOLE: Final = re.compile(r"[+-]?[0-9]+\Z")
_TIME: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])\Z")
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")


def refuse(kind: str, **context: object) -> PydanticCustomError:
    """Return the error that `kind`, a key of the phrasebook, describes as expected."""
    return PydanticCustomError("qts_value", "expected {kind}", {"kind": kind, **context})


def _flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    word = str(value).strip().casefold() if isinstance(value, int | str) else ""
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise refuse("flag")


def as_flag(value: object) -> bool | None:
    """Return what a switch outside of the configuration says, None for anything that is no clear yes or no."""
    try:
        return _flag(value)
    except PydanticCustomError:
        return None


def _whole(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and _WHOLE.match(value.strip()):
        return int(value.strip())
    raise refuse("whole")


def _number(value: object) -> Decimal:
    if isinstance(value, Decimal) and value.is_finite():
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value)
    if isinstance(value, str):
        try:
            return parse_decimal(value.strip())
        except ValueError:
            pass
    raise refuse("number")


def _fraction(value: object) -> Decimal:
    number = _number(value)
    if number > 1:
        raise refuse("fraction", suggestion=plain(number / 100) if number <= 100 else "0..1")
    if number < 0:
        raise refuse("fraction")
    return number


def _portion(value: object) -> Decimal:
    number = _fraction(value)
    exponent = number.normalize().as_tuple().exponent
    if isinstance(exponent, int) and exponent < -4:
        raise refuse("portion")
    return number


def _word(value: object) -> str:
    if isinstance(value, str) and value.strip():
        return value.strip()
    raise refuse("word")


def _clock_time(value: object) -> time:
    if isinstance(value, time):
        return value
    match = _TIME.match(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise refuse("clock_time")
    return time(int(match[1]), int(match[2]))


def _day(value: object) -> date:
    if type(value) is date:
        return value
    if isinstance(value, str) and _DAY.match(value.strip()):
        try:
            return date.fromisoformat(value.strip())
        except ValueError:
            pass
    raise refuse("day")


def _words(value: object) -> object:
    """Split "a,b" from the command line; lists pass."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    if isinstance(value, list | tuple):
        return tuple(value)
    raise refuse("symbols")


Flag: TypeAlias = Annotated[bool, BeforeValidator(_flag)]
Whole: TypeAlias = Annotated[int, BeforeValidator(_whole)]
Number: TypeAlias = Annotated[Decimal, BeforeValidator(_number)]
Fraction: TypeAlias = Annotated[Decimal, BeforeValidator(_fraction)]
Portion: TypeAlias = Annotated[Decimal, BeforeValidator(_portion)]
"""A share of the capital: a fraction of at most four decimals."""
Word: TypeAlias = Annotated[str, BeforeValidator(_word)]
ClockTime: TypeAlias = Annotated[time, BeforeValidator(_clock_time)]
Day: TypeAlias = Annotated[date, BeforeValidator(_day)]
Words: TypeAlias = Annotated[tuple[Word, ...], BeforeValidator(_words), Field(min_length=1)]

split_words: Final[Callable[[object], object]] = _words
