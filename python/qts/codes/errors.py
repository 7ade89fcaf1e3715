"""Errors that a user is told about: what was found, what was expected, what to do next."""

from typing import ClassVar

from qts.codes.messages import Lang, text
from qts.codes.table import lookup


class QtsError(Exception):
    """Base of all errors of this project that are reported without a traceback.

    Args:
        found: what is there, as a statement ("unknown strategy 'emacross'").
        expected: what should be there instead.
        hint: what to do next.
        where: file and line or column, if there is a place.
        code: FS, GR or SE code, if one belongs to it.
    """

    exit_code: ClassVar[int] = 2

    def __init__(self, *, found: str, expected: str = "", hint: str = "", where: str = "", code: str = "") -> None:
        super().__init__(found)
        if code:
            lookup(code)
        self.found = found
        self.expected = expected
        self.hint = hint
        self.where = where
        self.code = code

    def __str__(self) -> str:
        """Return the message on one line, in the user's language."""
        place = f"{self.where}: " if self.where else ""
        code = f"{self.code}: " if self.code else ""
        expected = f"; {text('expected')}: {self.expected}" if self.expected else ""
        hint = f"; {text('do_next')}: {self.hint}" if self.hint else ""
        return f"{code}{place}{self.found}{expected}{hint}"

    def render(self, lang: Lang | None = None) -> str:
        """Return the message as a terminal shows it: one line for each of found, expected and what to do."""
        place = f"{self.where}: " if self.where else ""
        code = f"[{self.code}]" if self.code else ""
        lines = [f"{text('error', lang)}{code}: {place}{self.found}"]
        if self.expected:
            lines.append(f"  {text('expected', lang)}: {self.expected}")
        if self.hint:
            lines.append(f"  {text('do_next', lang)}: {self.hint}")
        return "\n".join(lines)


class UsageError(QtsError):
    """The command or call asks for something that does not exist or makes no sense."""


class ConfigError(QtsError):
    """A configuration or reference file is at fault."""


class DataError(QtsError):
    """Input data are at fault."""


class EngineFault(QtsError):  # noqa: N818 - a fault is what it is called everywhere else
    """The run ended in a fault; `code` is that of the fault."""

    exit_code: ClassVar[int] = 1

    def __init__(self, code: str, *, found: str, expected: str = "", hint: str = "", where: str = "") -> None:
        super().__init__(found=found, expected=expected, hint=hint, where=where, code=lookup(code).code)
