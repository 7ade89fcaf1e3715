"""Tells what a server says in the words of this project. No message carries a password."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final

import asyncpg

from qts.data.exceptions import (
    AdapterError,
    DeadlineExceeded,
    RowInvalid,
    SchemaMismatch,
    SourceUnavailable,
)

if TYPE_CHECKING:
    from qts.data.settings import ServerSettings

CONNECTION_LOST: Final = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a call was cut off half-way; the connection is of no use any more
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.IdleInTransactionSessionTimeoutError,
)
"""The connection is gone: what it was doing was rolled back, or has been committed without our hearing of it."""

TRANSIENT: Final = (
    *CONNECTION_LOST,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
    asyncpg.TooManyConnectionsError,
    TimeoutError,
)
"""The same statement may go through the next time."""

DRIVER: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
"""Everything that the driver raises."""


def told(error: BaseException, settings: ServerSettings) -> AdapterError:
    """Return an error of this project for one of the driver."""
    where = f"PostgreSQL {settings.shown}"
    if isinstance(error, AdapterError):
        return error
    for kinds, make in _KNOWN:
        if isinstance(error, kinds):
            return make(error, where)
    return SourceUnavailable(
        found=f"the server refuses: {_first_line(error)}",
        expected="a server that takes what the engine asks",
        hint="look at the log of the server",
        where=where,
        code="GR100",
    )


def _password(_error: BaseException, where: str) -> AdapterError:
    return SourceUnavailable(
        found="the server does not accept the user or the password",
        expected="a role of the server with the password in DB_PASSWORD",
        hint="check DB_USER and DB_PASSWORD, and the role on the server",
        where=where,
        code="GR100",
    )


def _database(_error: BaseException, where: str) -> AdapterError:
    return SourceUnavailable(
        found="the server has no such database",
        expected="a database that exists",
        hint="check DB_NAME, or create it: createdb NAME, then qts-engine db init",
        where=where,
        code="GR100",
    )


def _encryption(error: BaseException, where: str) -> AdapterError:
    return SourceUnavailable(
        found=f"no encrypted connection can be made ({_first_line(error)})",
        expected="a server that speaks TLS with a certificate that is trusted, as every server on another host must",
        hint="switch TLS on at the server, or mend its certificate",
        where=where,
        code="GR100",
    )


def _table(error: BaseException, where: str) -> AdapterError:
    return SchemaMismatch(
        found=_first_line(error),
        expected="the tables of this version of qts-engine",
        hint="run `qts-engine db migrate`",
        where=where,
        code="FS123",
    )


def _privilege(error: BaseException, where: str) -> AdapterError:
    return SourceUnavailable(
        found=f"the server does not allow it: {_first_line(error)}",
        expected="a role with the rights that the migration gives",
        hint="run `qts-engine db migrate` as the owner of the tables, with the role of DB_USER",
        where=where,
    )


def _row(error: BaseException, where: str) -> AdapterError:
    return RowInvalid(
        found=_first_line(error),
        expected="a row that keeps the rules of its table",
        hint="mend the row where it comes from",
        where=where,
    )


def _full(error: BaseException, where: str) -> AdapterError:
    return SourceUnavailable(
        found=f"the server cannot write any more: {_first_line(error)}",
        expected="free disk space at the server",
        hint="free disk space; nothing of this call was written",
        where=where,
        code="GR103",
    )


def _late(error: BaseException, where: str) -> AdapterError:
    return DeadlineExceeded(
        found=f"no answer in time ({_first_line(error)})",
        expected="an answer within the deadline of the call",
        hint="look for locks and slow statements at the server; what can be repeated by its key may be repeated",
        where=where,
        code="GR100",
    )


def _away(error: BaseException, where: str) -> AdapterError:
    if "SSL" in str(error):
        return _encryption(error, where)
    return SourceUnavailable(
        found=f"the server cannot be reached ({_first_line(error)})",
        expected="a PostgreSQL server that runs and listens there",
        hint="check DB_HOST and DB_PORT, and whether the server runs",
        where=where,
        code="GR100",
    )


def _first_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0]


_KNOWN: Final = (
    ((asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError), _password),
    ((asyncpg.InvalidCatalogNameError,), _database),
    ((ssl.SSLError,), _encryption),
    ((asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError, asyncpg.UndefinedFunctionError), _table),
    ((asyncpg.InsufficientPrivilegeError,), _privilege),
    ((asyncpg.DiskFullError, asyncpg.OutOfMemoryError), _full),
    ((asyncpg.IntegrityConstraintViolationError, asyncpg.DataError), _row),
    ((asyncpg.QueryCanceledError, asyncpg.LockNotAvailableError, TimeoutError), _late),
    (CONNECTION_LOST, _away),
)
