"""Typed strategy parameters with one clear message for each mistake."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from qts.codes import UsageError, nearest

_UNIT_NS: Final = {
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,
}
_DURATION: Final = re.compile(r"([1-9][0-9]*)(ms|s|m|h|d)")


def duration_ns(text: str) -> int:
    """Return a duration such as `250ms`, `1s`, `5m`, `1h` or `1d` in nanoseconds.

    Raises:
        ValueError: the text is no such duration.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError("expected a number and a unit, for example 250ms, 1s, 5m, 1h or 1d")
    return int(match[1]) * _UNIT_NS[match[2]]


def _checked_duration(text: str) -> str:
    duration_ns(text)
    return text


Duration = Annotated[str, AfterValidator(_checked_duration)]
"""A duration in text; `duration_ns` counts it."""

Weight = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
"""A share of equity: more than 0, at most 1."""


def weight_ppm(weight: float) -> int:
    """Return a share in parts per million."""
    return round(weight * 1_000_000)


class StrategyParams(BaseModel):
    """Base of a strategy's parameters: immutable, unknown names refused, numbers taken from text."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Params = TypeVar("Params", bound=StrategyParams)


def load_params(model: type[Params], strategy: str, values: Mapping[str, Any]) -> Params:
    """Return `values` as parameters of `strategy`.

    Raises:
        UsageError: a name is unknown or a value does not fit; the message names both and what would.
    """
    known = sorted(model.model_fields)
    for name in values:
        if name not in model.model_fields:
            near = nearest(name, known)
            raise UsageError(
                found=f"parameter {name!r} for strategy {strategy!r}",
                expected=f"one of {', '.join(known) or 'none: it has no parameters'}",
                hint=f"did you mean {near!r}?" if near else "set one with --set name=value",
            )
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(str(part) for part in first["loc"]) or "parameters"
        raise UsageError(
            found=f"{name}={first['input']!r} for strategy {strategy!r}",
            expected=first["msg"].removeprefix("Value error, "),
            hint=_describe(model, name),
        ) from None


def _describe(model: type[StrategyParams], name: str) -> str:
    field = model.model_fields.get(name)
    if field is None:
        return "look at the parameters together"
    return f"{name}: {field.description or 'see the strategy'} (default {field.default!r})"
