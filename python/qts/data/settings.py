"""Where a database server is and how long it may take."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pydantic import SecretStr


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSizes:
    """Connections, apart for trading, for ticks and for reports, so that none starves another."""

    trading: int = 8
    ingest: int = 4
    analytics: int = 4
    trading_min: int = 1
    """Connections for trading that are kept open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long a call may take, in milliseconds."""

    acquire: int = 250
    connect: int = 3_000
    statement: int = 500
    analytics: int = 30_000
    lock: int = 200
    idle_in_transaction: int = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """What is tried again, and when nothing is tried any more."""

    attempts: int = 3
    pause_min_ms: int = 20
    pause_max_ms: int = 200
    breaker_failures: int = 5
    """Failures in a row after which the server is left alone."""
    breaker_open_ms: int = 30_000
    fail_ms: int = 300_000
    """Outage after which it is a fault, FS120; until then it is GR100."""
    slow_ms: int = 500
    """99th percentile of a query from which it is GR102."""
    seed: int = 0
    """Of the pauses, so that a run can be repeated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """One database of one server. The password is never shown."""

    host: str = "localhost"
    """Host, or directory of a Unix socket."""
    port: int = 5432
    database: str = "qts"
    user: str = "qts_user"
    password: SecretStr = field(default_factory=lambda: SecretStr(""))
    ssl: Literal["auto", "disable", "require", "verify-full"] = "auto"
    """auto: required unless the server is on this host."""
    profile: Literal["auto", "postgres", "timescale"] = "auto"
    mirror: bool = False
    """Whether changes of the books are put into the outbox."""
    pool: PoolSizes = field(default_factory=PoolSizes)
    timeouts: Timeouts = field(default_factory=Timeouts)
    retries: Retries = field(default_factory=Retries)
    clock_skew_max_ms: int = 1_000

    @property
    def is_local(self) -> bool:
        """Whether the server is on this host."""
        return self.host.startswith("/") or self.host in {"localhost", "127.0.0.1", "::1"}

    @property
    def ssl_mode(self) -> str:
        """Encryption as the driver names it."""
        if self.ssl == "auto":
            return "disable" if self.is_local else "require"
        return self.ssl

    @property
    def shown(self) -> str:
        """The address without secrets."""
        return f"{self.user}@{self.host}:{self.port}/{self.database}"
