"""Storage on a PostgreSQL server, with or without TimescaleDB."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from qts.codes import UsageError
from qts.data.contracts import InstrumentRow
from qts.data.exceptions import AdapterError
from qts.data.postgres.maintenance import Maintenance, Retention
from qts.data.postgres.migrate import check_schema
from qts.data.postgres.outbox import OutboxRows
from qts.data.postgres.pools import Pools
from qts.data.postgres.runs import Runs
from qts.data.postgres.series import Series
from qts.data.postgres.tables import Tables
from qts.data.records import Capabilities, Health

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractAsyncContextManager

    from qts.clock import Clock
    from qts.data.contracts import CurrencyRow
    from qts.data.postgres.link import Link
    from qts.data.postgres.probe import Profile
    from qts.data.settings import ServerSettings

_MS: Final = 1_000_000
_LAG_MAX_S: Final = 10.0
_OWNER_LOCK: Final = 0x515454
"""Class of the advisory locks by which one process at a time owns an account."""

_INSTRUMENT: Final = (
    "INSERT INTO instruments (symbol, name, currency, price_scale, qty_scale, money_scale)"
    " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING"
)
_INSTRUMENT_OF: Final = (
    "SELECT symbol, name, currency, price_scale, qty_scale, money_scale FROM instruments WHERE symbol = $1"
)
_LAG: Final = "SELECT max(extract(epoch FROM replay_lag))::float8 FROM pg_stat_replication"


class TimescaleDBAdapter(Runs, Series, Tables, OutboxRows):
    """`DataSourceAdapter`, `Outbox` and `RunBooks` on a server of either profile.

    Args:
        settings: where it is.
        clock: dates what is written and measures what is waited for.
        report: is told (code, message): GR100 the server does not answer, FS120 for too long, GR101 connections nearly
            used up, GR102 slow, or its clock differs from ours, GR103 its disk is full, GR104 a replica lags behind,
            FS070 more sold than held, FS122 a fill that contradicts the ledger, FS123 another structure.
    """

    def __init__(
        self, settings: ServerSettings, clock: Clock, report: Callable[[str, str], None] | None = None
    ) -> None:
        self.settings = settings
        self._clock = clock
        self._report = report if report is not None else _nobody
        self._pools = Pools(settings, clock, self._report)
        self._instruments: dict[str, InstrumentRow] = {}
        self._numbers: dict[str, int] = {}
        self._capabilities: Capabilities | None = None
        self._claims: dict[str, tuple[AbstractAsyncContextManager[Any], Any]] = {}
        self.clock_skew_ms = 0
        """By how much the server's clock was ahead of ours when it was opened."""

    @property
    def capabilities(self) -> Capabilities:
        """What the server can do; known once it is open."""
        if self._capabilities is None:
            raise UsageError(
                found="capabilities of a server that was never opened", expected="open first", hint="call open()"
            )
        return self._capabilities

    @property
    def outage_ms(self) -> int:
        """For how long the server has not answered; 0 while it does."""
        return self._pools.outage_ms

    async def open(self) -> None:
        """Connect and check version, structure, profile and clock.

        Raises:
            SourceUnavailable: the server cannot be reached or does not let us in.
            SchemaMismatch: FS123, its version, profile or structure is not the one expected.
        """
        if self._pools.is_open:
            return
        await self._pools.open()
        try:
            profile, version = await self._pools.run(
                "analytics", lambda link: check_schema(link, self.settings.profile)
            )
            await self._pools.run("trading", self._check_clock)
            await self._load_instruments()
        except BaseException as error:
            await self._pools.close()
            if isinstance(error, AdapterError) and error.code == "FS123":
                self._report("FS123", str(error))
            raise
        is_timescale = profile == "timescale"
        self._capabilities = Capabilities(profile, True, True, is_timescale, is_timescale, version)  # noqa: FBT003

    async def _check_clock(self, link: Link) -> None:
        before = self._clock.now_ns()
        theirs = int(await link.fetchval("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")) * 1_000
        after = self._clock.now_ns()
        self.clock_skew_ms = (theirs - (before + after) // 2) // _MS
        if abs(self.clock_skew_ms) > self.settings.clock_skew_max_ms:
            self._report(
                "GR102",
                f"the clock of {self.settings.shown} is {self.clock_skew_ms} ms ahead of this host's;"
                f" expected at most {self.settings.clock_skew_max_ms} ms; set both by NTP",
            )

    async def close(self) -> None:
        """Let go of every connection and account. Calling it again does nothing."""
        for account_id in list(self._claims):
            await self.release_account(account_id)
        await self._pools.close()

    async def health_check(self) -> Health:
        """Return how the server is; never raises."""
        used, size = self._pools.usage()
        started = self._clock.monotonic_ns()
        try:
            await self._pools.run("trading", lambda link: link.fetchval("SELECT 1"), repeats=False)
            latency_ms = (self._clock.monotonic_ns() - started) / _MS
            lag_s = await self._pools.run("analytics", lambda link: link.fetchval(_LAG), repeats=False)
        except AdapterError as error:
            return Health(healthy=False, latency_ms=None, detail=str(error), pool_in_use=used, pool_size=size)
        if lag_s is not None and lag_s > _LAG_MAX_S:
            self._report("GR104", f"a replica of {self.settings.shown} is {lag_s:.1f} s behind")
        detail = f"PostgreSQL {self.capabilities.server_version}, profile {self.capabilities.profile}"
        return Health(True, latency_ms, detail, used, size, lag_s)  # noqa: FBT003 - a named tuple

    async def register(self, currencies: Iterable[CurrencyRow], instruments: Iterable[InstrumentRow]) -> None:
        """Make currencies and instruments known; a scale that is known already must agree.

        Raises:
            UsageError: one does not; nothing was registered.
        """
        given_currencies, given = list(currencies), list(instruments)

        async def put(link: Link) -> None:
            for currency in given_currencies:
                await link.execute("INSERT INTO currencies VALUES ($1, $2) ON CONFLICT DO NOTHING", *currency)
                scale = await link.fetchval("SELECT scale FROM currencies WHERE code = $1", currency.code)
                if scale != currency.scale:
                    raise self._other_scale(currency.code, f"scale {currency.scale}", f"scale {scale}")
            for row in given:
                await link.execute(
                    "INSERT INTO instruments VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING", *row
                )
                known = InstrumentRow(*await link.fetchrow("SELECT * FROM instruments WHERE symbol = $1", row.symbol))
                if known[2:] != row[2:]:
                    raise self._other_scale(row.symbol, f"currency and scales {row[2:]}", str(known[2:]))
                await link.execute(
                    "UPDATE instruments SET name = $2 WHERE symbol = $1 AND name <> $2", row.symbol, row.name
                )

        await self._in_transaction("trading", put)
        self._instruments.update({row.symbol: row for row in given})

    def _other_scale(self, what: str, found: str, expected: str) -> UsageError:
        return UsageError(
            found=f"{what} with {found}",
            expected=f"{expected}, with which {self.settings.shown} counts it",
            hint="put the old scale back into reference/instruments.yaml, or use another database",
        )

    async def claim_account(self, account_id: str) -> None:
        """Own an account until it is released or this process ends, so that one engine trades on it.

        A connection is kept for it. What is booked is safe from two writers without this as well.

        Raises:
            UsageError: another process owns it.
        """
        if account_id in self._claims:
            return
        context = self._pools.connection("ingest")
        link = await context.__aenter__()
        taken = await link.fetchval("SELECT pg_try_advisory_lock($1::int, hashtext($2))", _OWNER_LOCK, account_id)
        if not taken:
            await context.__aexit__(None, None, None)
            raise UsageError(
                found=f"account {account_id!r} is owned by another process on {self.settings.shown}",
                expected="one engine for an account",
                hint="stop the other engine, or give this one an account of its own",
            )
        self._claims[account_id] = (context, link)

    async def release_account(self, account_id: str) -> None:
        """Give an account back; nothing happens if it is not ours."""
        context, link = self._claims.pop(account_id, (None, None))
        if context is None:
            return
        if link is not None and not link.is_closed():
            await link.execute("SELECT pg_advisory_unlock($1::int, hashtext($2))", _OWNER_LOCK, account_id)
        await context.__aexit__(None, None, None)

    def maintenance(self, retention: Retention | None = None) -> Maintenance:
        """Return the job that keeps partitions, aggregates and retention in order."""
        profile: Profile = "timescale" if self.capabilities.profile == "timescale" else "postgres"
        return Maintenance(self._pools, self._clock, self._report, profile, retention)

    def owns_account(self, account_id: str) -> bool:
        """Whether an account is ours; it is lost with the connection that holds it."""
        claim = self._claims.get(account_id)
        return claim is not None and not claim[1].is_closed()


def _nobody(_code: str, _message: str) -> None:
    """Is told and does nothing."""
