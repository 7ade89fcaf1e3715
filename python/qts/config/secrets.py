"""Keys of brokers, passwords of servers: from the environment or a file of mode 0600, never from a configuration file.

A secret is a `SecretStr`: it shows as stars wherever it is printed, and is read by `get_secret_value()` where it is
used. Errors name a secret, never its value.
"""

import os
import re
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from qts.codes import ConfigError
from qts.config.findings import Finding, InvalidConfig
from qts.config.messages import say

BROKERS: Final = ("KIS", "KIWOOM")
CLASSES: Final = ("VTS", "REAL")
"""The simulated environment of a broker, and the real one."""
_FIELDS: Final = ("APP_KEY", "APP_SECRET", "ACCOUNT_NO", "ACNT_PRDT_CD")
DB_PASSWORD: Final = "DB_PASSWORD"  # noqa: S105 - the name of it
"""Of the database server."""
REDIS_PASSWORD: Final = "REDIS_PASSWORD"  # noqa: S105 - the name of it
"""Of the cache server."""
NAMES: Final = (
    *(f"{broker}_{kind}_{field}" for broker in BROKERS for kind in CLASSES for field in _FIELDS),
    DB_PASSWORD,
    REDIS_PASSWORD,
)
"""Every secret there is."""
_FILE: Final = "secrets.env"
_LINE: Final = re.compile(r"(?:export\s+)?([A-Z][A-Z0-9_]*)=(.*)")


class Secrets:
    """The secrets that were given, by name."""

    def __init__(self, values: Mapping[str, SecretStr], path: Path) -> None:
        self._values = dict(values)
        self._path = path

    def __repr__(self) -> str:
        return f"Secrets({', '.join(sorted(self._values))})"

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def require(self, names: Iterable[str]) -> dict[str, SecretStr]:
        """Return these secrets.

        Raises:
            ConfigError: FS003, one of them is not there; an empty one is not there either.
        """
        wanted = list(names)
        missing = [name for name in wanted if name not in self._values]
        if missing:
            raise ConfigError(
                found=say("secrets_missing", names=", ".join(missing)),
                expected=say("secrets_missing_expected", path=self._path),
                code="FS003",
            )
        return {name: self._values[name] for name in wanted}


def secrets_file(home: Path, environ: Mapping[str, str] | None = None) -> Path:
    """Return where the file of secrets lies: `QTS_SECRETS_FILE`, by default `QTS_HOME/secrets.env`."""
    named = (os.environ if environ is None else environ).get("QTS_SECRETS_FILE", "").strip()
    return Path(named).expanduser() if named else home / _FILE


def load_secrets(home: Path, environ: Mapping[str, str] | None = None) -> Secrets:
    """Read the secrets of the environment and of the file of secrets.

    Raises:
        ConfigError: FS003. The file can be used by others, is malformed, or is named and not there; a secret stands
            in two places; keys for live and for simulated trading of a broker come together.
    """
    environ = os.environ if environ is None else environ
    path = secrets_file(home, environ)
    try:
        return Secrets(_collect(path, environ), path)
    except InvalidConfig as invalid:
        raise invalid.as_error() from None


def secrets_findings(home: Path, environ: Mapping[str, str] | None = None) -> list[Finding]:
    """Return what `load_secrets` would refuse, empty if nothing."""
    environ = os.environ if environ is None else environ
    try:
        _collect(secrets_file(home, environ), environ)
    except InvalidConfig as invalid:
        return invalid.findings
    return []


def _collect(path: Path, environ: Mapping[str, str]) -> dict[str, SecretStr]:
    is_named = bool(environ.get("QTS_SECRETS_FILE", "").strip())
    values = _read(path) if is_named or os.path.lexists(path) else {}
    for name in NAMES:
        value = environ.get(name, "").strip()
        if value and name in values:
            raise _wrong(str(path), None, say("secrets_twice", name=name, path=path), say("secrets_twice_expected"))
        if value:
            values[name] = SecretStr(value)
    for broker in BROKERS:
        if all(any(name.startswith(f"{broker}_{kind}_") for name in values) for kind in CLASSES):
            found = say("secrets_mixed", broker=broker)
            raise _wrong(str(path), None, found, say("secrets_mixed_expected"))
    return values


def _read(path: Path) -> dict[str, SecretStr]:
    """Read a file through one descriptor, so that what is checked is what is read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        reason = error.strerror or str(error)
        raise _wrong(
            str(path), None, say("unreadable", reason=reason), say("secrets_kind_expected"), say("readable_hint")
        ) from None
    try:
        _check(os.fstat(descriptor), path)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return _parse(file.read(), path)
    finally:
        os.close(descriptor)


def _check(state: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(state.st_mode):
        raise _wrong(str(path), None, say("secrets_kind", path=path), say("secrets_kind_expected"))
    if state.st_uid not in {os.geteuid(), 0}:
        found = say("secrets_owner", path=path, uid=state.st_uid)
        raise _wrong(str(path), None, found, say("secrets_owner_expected"))
    mode = stat.S_IMODE(state.st_mode)
    if mode & 0o077:
        found = say("secrets_mode", path=path, mode=f"{mode:04o}")
        raise _wrong(str(path), None, found, say("secrets_mode_expected"), say("secrets_mode_hint", path=path))


def _parse(content: bytes, path: Path) -> dict[str, SecretStr]:
    values: dict[str, SecretStr] = {}
    for number, line in enumerate(content.decode("utf-8", errors="replace").splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        match = _LINE.fullmatch(stripped)
        if match is None or match[1] not in NAMES or match[1] in values:
            # The line is not repeated: it may hold a secret.
            expected = say("secrets_line_expected", known=", ".join(NAMES))
            raise _wrong(str(path), number, say("secrets_line"), expected, say("correct_value"))
        value = match[2].strip().strip("'\"")
        if value:
            values[match[1]] = SecretStr(value)
    return values


def _wrong(where: str, line: int | None, found: str, expected: str, hint: str = "") -> InvalidConfig:
    return InvalidConfig([Finding(where, line, "", found, expected, hint)])
