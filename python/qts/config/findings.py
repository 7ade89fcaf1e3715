"""What is wrong with a configuration, place by place."""

from typing import NamedTuple

from qts.codes import ConfigError
from qts.config.messages import say


class Finding(NamedTuple):
    """One thing that is wrong: where, what is there, what should be there, what to do."""

    file: str
    line: int | None
    key: str
    found: str
    expected: str
    hint: str

    def __str__(self) -> str:
        """Return the finding as a terminal shows it."""
        return self.as_error().render()

    def as_error(self, hint: str | None = None) -> ConfigError:
        """Return the finding as an error, with another hint if one is given."""
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        return ConfigError(
            found=self.found,
            expected=self.expected,
            hint=self.hint if hint is None else hint,
            where=where,
            code="FS003",
        )


class InvalidConfig(Exception):  # noqa: N818 - internal signal, becomes a ConfigError at the edge
    """Files that do not validate, with everything that was found."""

    def __init__(self, findings: list[Finding]) -> None:
        super().__init__(f"{len(findings)} findings")
        self.findings = findings

    def as_error(self) -> ConfigError:
        """Return the first finding as the error that a user sees, with the number of the others."""
        first, *others = self.findings
        return first.as_error(say("more", hint=first.hint, count=len(others)) if others else None)
