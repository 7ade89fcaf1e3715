"""Who may acknowledge, approve and release: local accounts with a role and a hashed credential."""

import base64
import hashlib
import hmac
import json
import os
import stat
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from qts.safety.exceptions import Refusal
from qts.safety.files import replace_file

# scrypt of the standard library: memory-hard, and no further dependency for a handful of checks a year. 16 MiB each.
_N, _R, _P, _LENGTH = 1 << 14, 8, 1, 32
_SALT_BYTES: Final = 16
SECRET_LENGTH: Final = 12


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

    def add(self, operator_id: str, role: Role, secret: str) -> None:
        """Add an account, or replace the one of the same id.

        Raises:
            Refusal: the id or secret is too short, or the file cannot be trusted.
        """
        if not operator_id.strip() or len(secret) < SECRET_LENGTH:
            raise Refusal("weak_secret", operator=operator_id, least=SECRET_LENGTH)
        others = tuple(row for row in self._rows() if row.id != operator_id)
        salt = os.urandom(_SALT_BYTES)
        row = _Row(id=operator_id, role=role, salt=_text(salt), digest=_text(_scrypt(secret, salt)))
        replace_file(self._path, _File(operators=(*others, row)).model_dump_json(indent=2).encode())

    def authenticate(self, credential: Credential) -> Authority:
        """Return who it is. Takes some 50 ms on purpose, whether or not there is such an operator.

        Raises:
            Refusal: unknown operator, wrong secret, or a file that others can read.
        """
        row = next((row for row in self._rows() if row.id == credential.operator_id), None)
        salt = base64.b64decode(row.salt) if row else bytes(_SALT_BYTES)
        digest = _scrypt(credential.secret, salt)
        if row is None:
            raise Refusal("unknown_operator", operator=credential.operator_id, path=self._path)
        if not hmac.compare_digest(digest, base64.b64decode(row.digest)):
            raise Refusal("wrong_secret", operator=credential.operator_id)
        return Authority(row.id, row.role)

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


def _scrypt(secret: str, salt: bytes) -> bytes:
    return hashlib.scrypt(secret.encode(), salt=salt, n=_N, r=_R, p=_P, dklen=_LENGTH)


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
