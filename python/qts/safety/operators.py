"""Who may acknowledge, approve and release: local accounts with a role and a hashed credential."""

import base64
import hashlib
import hmac
import json
import os
import stat
from collections.abc import Callable, Iterable
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from qts.safety.exceptions import Refusal
from qts.safety.files import replace_file

# scrypt of the standard library: memory-hard, and no further dependency for a handful of checks a year. 16 MiB each.
_N, _R, _P, _LENGTH = 1 << 14, 8, 1, 32
_SALT_BYTES: Final = 16
SECRET_LENGTH: Final = 12
_MAX_LENGTH: Final = 500
"""As long as an id or a secret may be on the operator's socket."""


class Role(StrEnum):
    """What an operator may do: acknowledge, or also release from LOCKDOWN and from the kill switch."""

    OPERATOR = "operator"
    SAFETY_OFFICER = "safety_officer"


class Channel(StrEnum):
    """Where an operator acts from. Chat may engage protection and never release it."""

    CLI = "CLI"
    UI = "UI"
    CHAT = "CHAT"


class Credential(NamedTuple):
    """What an operator proves themselves with. The secret is never stored, shown or recorded."""

    operator_id: str
    secret: str

    def __repr__(self) -> str:
        return f"Credential(operator_id={self.operator_id!r})"


class Authority(NamedTuple):
    """Proof that an operator has authenticated. Nothing but `OperatorBook.authenticate` makes one."""

    operator_id: str
    role: Role


class Account(NamedTuple):
    """An operator as the file names them."""

    operator_id: str
    role: Role


Recorded = Callable[[Account], object]
"""Puts a change of an account on record before it is made; what it raises prevents the change."""


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(min_length=1)
    role: Role
    salt: str
    digest: str


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    operators: tuple[_Row, ...] = ()


class OperatorBook:
    """The accounts in a file that nobody but its owner may read or write (0600).

    One person who is operator and safety officer has two ids with a secret each.

    Args:
        path: the file; without one nobody can authenticate.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @classmethod
    def at(cls, home: Path) -> Self:
        """Return the book of a home, `QTS_HOME/state/operators.json`."""
        return cls(home / "state" / "operators.json")

    def accounts(self) -> tuple[Account, ...]:
        """Return who there is, in the order of their ids.

        Raises:
            Refusal: the file cannot be trusted.
        """
        return tuple(sorted(Account(row.id, row.role) for row in self._rows()))

    def add(self, operator_id: str, role: Role, secret: str, *, recorded: Recorded = bool) -> None:
        """Add an account. Blocks for the syncs, and 50 ms for each account that is there.

        Raises:
            Refusal: there is such an operator, the id or secret will not do, or the file cannot be trusted.
            OSError: the disk did not take it; nothing has changed.
        """
        rows = self._rows()
        if any(row.id == operator_id for row in rows):
            raise Refusal("operator_exists", operator=operator_id, path=self._path)
        row = _new_row(operator_id, role, secret, rows)
        recorded(Account(operator_id, role))
        self._save((*rows, row))

    def change_secret(self, operator_id: str, secret: str, *, recorded: Recorded = bool) -> None:
        """Give an account another secret; the old one is worth nothing from then on. Blocks as `add`.

        Raises:
            Refusal: there is no such operator, the secret will not do, or the file cannot be trusted.
            OSError: the disk did not take it; nothing has changed.
        """
        rows, old = self._found(operator_id)
        row = _new_row(operator_id, old.role, secret, rows)
        recorded(Account(operator_id, old.role))
        self._save(row if one is old else one for one in rows)

    def remove(self, operator_id: str, *, recorded: Recorded = bool) -> None:
        """Remove an account.

        Raises:
            Refusal: there is no such operator, or the file cannot be trusted.
            OSError: the disk did not take it; nothing has changed.
        """
        rows, old = self._found(operator_id)
        recorded(Account(operator_id, old.role))
        self._save(one for one in rows if one is not old)

    def authenticate(self, credential: Credential) -> Authority:
        """Return who it is. Takes some 50 ms on purpose, whether or not there is such an operator.

        Raises:
            Refusal: unknown operator, wrong secret, or a file that others can read.
        """
        row = next((row for row in self._rows() if row.id == credential.operator_id), None)
        if row is None:
            _scrypt(credential.secret, bytes(_SALT_BYTES))
            raise Refusal("unknown_operator", operator=credential.operator_id, path=self._path)
        if not _knows(row, credential.secret):
            raise Refusal("wrong_secret", operator=credential.operator_id)
        return Authority(row.id, row.role)

    def _found(self, operator_id: str) -> tuple[tuple[_Row, ...], _Row]:
        rows = self._rows()
        row = next((row for row in rows if row.id == operator_id), None)
        if row is None:
            raise Refusal("unknown_operator", operator=operator_id, path=self._path)
        return rows, row

    def _save(self, rows: Iterable[_Row]) -> None:
        replace_file(self._path, _File(operators=tuple(rows)).model_dump_json(indent=2).encode())

    def _rows(self) -> tuple[_Row, ...]:
        try:
            with self._path.open("rb") as file:
                found = os.fstat(file.fileno())
                if found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                    raise Refusal("open_credentials", path=self._path, mode=f"{stat.S_IMODE(found.st_mode):04o}")
                return _File.model_validate_json(file.read()).operators
        except FileNotFoundError:
            return ()
        except (OSError, ValidationError) as error:
            reason = (
                error.strerror if isinstance(error, OSError) else json.dumps(error.errors(include_url=False)[0]["msg"])
            )
            raise Refusal("unreadable_credentials", path=self._path, error=reason) from None


def _new_row(operator_id: str, role: Role, secret: str, rows: Iterable[_Row]) -> _Row:
    if not (_is_plain(operator_id) and _is_plain(secret) and len(secret) >= SECRET_LENGTH):
        raise Refusal("weak_secret", operator=operator_id, least=SECRET_LENGTH)
    if any(_knows(row, secret) for row in rows):
        raise Refusal("secret_in_use")
    salt = os.urandom(_SALT_BYTES)
    return _Row(id=operator_id, role=role, salt=_text(salt), digest=_text(_scrypt(secret, salt)))


def _is_plain(text: str) -> bool:
    """Whether a text arrives over the operator's socket as it was typed."""
    return 0 < len(text) <= _MAX_LENGTH and text.isprintable() and text == text.strip()


def _knows(row: _Row, secret: str) -> bool:
    return hmac.compare_digest(_scrypt(secret, base64.b64decode(row.salt)), base64.b64decode(row.digest))


def _scrypt(secret: str, salt: bytes) -> bytes:
    return hashlib.scrypt(secret.encode(), salt=salt, n=_N, r=_R, p=_P, dklen=_LENGTH)


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
