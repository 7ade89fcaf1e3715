"""What a server without policies leaves to the engine: partitions ahead, aggregates, and the end of what has expired.

With TimescaleDB the server does most of it by itself; the same job then only keeps the statistics of feedback and holds
retention back while there is no good backup.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from operator import methodcaller
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from qts.clock import Clock
    from qts.data.postgres.link import Link
    from qts.data.postgres.pools import Pools
    from qts.data.postgres.probe import Profile

Unit = Literal["day", "week", "month"]

AHEAD: Final = timedelta(days=7)
"""For how long in advance partitions are made."""

PARTITIONED: Final[dict[str, Unit]] = {
    "tick_data": "day",
    "execution_logs": "day",
    "feedback_data": "week",
    "ohlcv_1d": "month",
}
"""Tables of time series and what one partition of each holds."""

_AGGREGATE_OF: Final = {"tick_data": "ohlcv_1m", "execution_logs": "hourly_execution_metrics"}

_LOCK: Final = 0x515453_4D4B
"""Number of the advisory lock under which one process at a time does this job."""

_BARS: Final = """
INSERT INTO ohlcv_1m_kept AS k (bucket, symbol, open, high, low, close, volume)
SELECT date_trunc('minute', time, 'UTC'), symbol, (array_agg(price ORDER BY event_ns, seq))[1], max(price), min(price),
       (array_agg(price ORDER BY event_ns DESC, seq DESC))[1], sum(volume)
FROM tick_data WHERE kind = 'T' AND time >= $1 AND time < $2 GROUP BY 1, 2
ON CONFLICT (symbol, bucket) DO UPDATE SET open = excluded.open, high = excluded.high, low = excluded.low,
    close = excluded.close, volume = excluded.volume
"""

_METRICS: Final = """
INSERT INTO hourly_execution_metrics_kept AS k
    (hour, stage, avg_latency_ms, p99_latency_ms, success_count, failure_count)
SELECT date_trunc('hour', time, 'UTC'), stage, round(avg(latency_ms), 3),
       percentile_disc(0.99) WITHIN GROUP (ORDER BY latency_ms),
       count(*) FILTER (WHERE success), count(*) FILTER (WHERE NOT success)
FROM execution_logs WHERE time >= $1 AND time < $2 GROUP BY 1, 2
ON CONFLICT (stage, hour) DO UPDATE SET avg_latency_ms = excluded.avg_latency_ms,
    p99_latency_ms = excluded.p99_latency_ms, success_count = excluded.success_count,
    failure_count = excluded.failure_count
"""

_FEEDBACK: Final = """
INSERT INTO {name} AS k (bucket, symbol, strategy_tag, order_type, metric, count, mean, p50, p90, p95, p99)
SELECT date_trunc('{unit}', f.time, 'UTC'), f.symbol, f.strategy_tag, f.order_type, m.metric, count(*),
       round(avg(m.value), 6), percentile_disc(0.5) WITHIN GROUP (ORDER BY m.value),
       percentile_disc(0.9) WITHIN GROUP (ORDER BY m.value), percentile_disc(0.95) WITHIN GROUP (ORDER BY m.value),
       percentile_disc(0.99) WITHIN GROUP (ORDER BY m.value)
FROM (SELECT DISTINCT ON (execution_id) * FROM feedback_data WHERE time >= $1 AND time < $2
      ORDER BY execution_id, revision DESC) f
CROSS JOIN LATERAL (VALUES ('total_slippage_bps', f.total_slippage_bps), ('market_impact_bps', f.market_impact_bps),
    ('implementation_shortfall_bps', f.implementation_shortfall_bps), ('avg_fill_latency_ms', f.avg_fill_latency_ms),
    ('execution_quality_score', f.execution_quality_score)) AS m (metric, value)
WHERE m.value IS NOT NULL GROUP BY 1, 2, 3, 4, 5
ON CONFLICT (symbol, bucket, strategy_tag, order_type, metric) DO UPDATE SET count = excluded.count,
    mean = excluded.mean, p50 = excluded.p50, p90 = excluded.p90, p95 = excluded.p95, p99 = excluded.p99
"""


class Aggregate(NamedTuple):
    """How an aggregate is kept up to date."""

    source: str
    statement: str
    look_back: timedelta
    """How far back what was kept is computed again, for rows that came late."""
    delay: timedelta
    """How far from now it ends: what is younger may still change."""
    step: timedelta
    """What is computed in one transaction."""


AGGREGATES: Final = {
    "ohlcv_1m": Aggregate("tick_data", _BARS, timedelta(hours=1), timedelta(minutes=1), timedelta(hours=6)),
    "hourly_execution_metrics": Aggregate(
        "execution_logs", _METRICS, timedelta(days=3), timedelta(hours=1), timedelta(days=1)
    ),
}


class Retention(NamedTuple):
    """For how many days time series are kept."""

    tick_data: int = 7
    execution_logs: int = 90
    feedback_data: int = 180


class Done(NamedTuple):
    """What the job has done."""

    added: list[str]
    """Partitions that were made."""
    strays: dict[str, int]
    """Table to the rows that had come before their partition was made; they lie in one now."""
    dropped: list[str]
    """Partitions that had expired."""
    held_back: list[str]
    """Partitions that have expired and stay, each with the reason."""
    expired: int
    """Rows of other tables that had expired."""


class Maintenance:
    """The job of keeping a server in order; run it every minute.

    Args:
        pools: connections.
        clock: what is late and what has expired.
        report: is told (code, message).
        profile: of the server.
        retention: for how long time series are kept; with TimescaleDB its policies say so.
    """

    def __init__(
        self,
        pools: Pools,
        clock: Clock,
        report: Callable[[str, str], None],
        profile: Profile,
        retention: Retention | None = None,
    ) -> None:
        self._pools = pools
        self._clock = clock
        self._report = report
        self._profile = profile
        self._retention = Retention() if retention is None else retention

    async def run(self, *, backup_is_good: bool) -> Done:
        """Do what is due. Nothing expires while the latest backup is not good.

        Raises:
            SourceUnavailable: the server does not answer; what was done stays done, and the rest is done the next time.
        """
        added: list[str] = []
        strays: dict[str, int] = {}
        dropped: list[str] = []
        held_back: list[str] = []
        if self._profile == "postgres":
            strays = await self._move_strays()
            added = await self._make_partitions()
            for name in AGGREGATES:
                await self._refresh(name)
        await self._refresh_feedback()
        if self._profile == "postgres":
            dropped, held_back = await self._drop_expired(backup_is_good=backup_is_good)
        else:
            await self._do(lambda link: link.fetchval("SELECT qts_schedule_retention($1)", backup_is_good))
        expired = await self._expire() if backup_is_good else 0
        return Done(added, strays, dropped, held_back, expired)

    async def _do(self, work: Callable[[Any], Any]) -> Any:  # noqa: ANN401 - what the work returns
        async def locked(link: Link) -> Any:  # noqa: ANN401
            async with link.transaction():
                await link.execute("SELECT pg_advisory_xact_lock($1::bigint)", _LOCK)
                return await work(link)

        return await self._pools.run("analytics", locked)

    async def _make_partitions(self) -> list[str]:
        now = self._clock.now_utc()
        added = []
        for parent, unit in PARTITIONED.items():
            for start, end in _spans(unit, now, now + AHEAD):
                if await self._add(parent, start, end):
                    added.append(partition_name(parent, start))
        return added

    async def _move_strays(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for parent, unit in PARTITIONED.items():
            query = f"SELECT date_trunc($1, time, 'UTC'), count(*) FROM {parent}_default GROUP BY 1"  # noqa: S608 - ours
            rows = await self._pools.run("analytics", methodcaller("fetch", query, unit))
            for start, number in rows:
                await self._add(parent, start, _next(unit, start))
                found[parent] = found.get(parent, 0) + number
        for parent, number in found.items():
            self._report("GR107", f"{number} rows of {parent} came before their partition was made; they are in it now")
        return found

    async def _add(self, parent: str, start: datetime, end: datetime) -> bool:
        return bool(
            await self._do(lambda link: link.fetchval("SELECT qts_add_partition($1, $2, $3)", parent, start, end))
        )

    async def _refresh(self, name: str) -> None:
        """Keep an aggregate up to its delay from now, a step at a time."""
        aggregate = AGGREGATES[name]
        unit: Literal["minute", "hour"] = "minute" if name == "ohlcv_1m" else "hour"
        end = _floor(unit, self._clock.now_utc() - aggregate.delay)

        async def step(link: Link) -> bool:
            mark = await _watermark(link, name)
            if mark is None:  # the first time: from the first row on
                mark = await link.fetchval(f"SELECT min(time) FROM {aggregate.source}")  # noqa: S608 - ours
                if mark is None or mark >= end:
                    return False
            start = min(_floor(unit, mark), end - aggregate.look_back)
            until = min(end, start + max(aggregate.step, aggregate.look_back))
            await link.execute(aggregate.statement, start, until)
            await link.execute(
                "UPDATE aggregate_watermark SET watermark = greatest(watermark, $2) WHERE name = $1", name, until
            )
            return until < end

        while await self._do(step):
            pass

    async def _refresh_feedback(self) -> None:
        now = self._clock.now_utc()
        for name, unit, back in (("hourly_feedback_stats", "hour", 3), ("daily_feedback_stats", "day", 3)):
            start = _floor("day", now) - timedelta(days=back)
            statement = _FEEDBACK.format(name=name, unit=unit)
            await self._do(methodcaller("execute", statement, start, now))

    async def _drop_expired(self, *, backup_is_good: bool) -> tuple[list[str], list[str]]:
        now = self._clock.now_utc()
        dropped: list[str] = []
        held_back: list[str] = []
        for parent, days in self._retention._asdict().items():
            for name, end in await self._partitions(parent):
                if end > now - timedelta(days=days):
                    continue
                reason = await self._reason_to_keep(parent, end, backup_is_good=backup_is_good)
                if reason:
                    held_back.append(f"{name}: {reason}")
                elif await self._drop(parent, name):
                    dropped.append(name)
        return dropped, held_back

    async def _partitions(self, parent: str) -> list[tuple[str, datetime]]:
        """Names and ends of the partitions of a table, oldest first."""
        rows = await self._pools.run(
            "analytics",
            lambda link: link.fetch(
                "SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
                " WHERE i.inhparent = to_regclass($1) AND c.relname <> $2 ORDER BY 1",
                parent,
                f"{parent}_default",
            ),
        )
        unit = PARTITIONED[parent]
        starts = [(row[0], datetime.strptime(row[0][-8:], "%Y%m%d").replace(tzinfo=UTC)) for row in rows]
        return [(name, _next(unit, start)) for name, start in starts]

    async def _reason_to_keep(self, parent: str, end: datetime, *, backup_is_good: bool) -> str:
        if not backup_is_good:
            return "the latest backup is not good"
        aggregate = _AGGREGATE_OF.get(parent)
        if aggregate is None:
            return ""
        mark = await self._pools.run("analytics", lambda link: _watermark(link, aggregate))
        return "" if mark is not None and mark >= end else f"{aggregate} is kept up to {mark} only"

    async def _drop(self, parent: str, name: str) -> bool:
        return bool(await self._do(lambda link: link.fetchval("SELECT qts_drop_partition($1, $2)", parent, name)))

    async def _expire(self) -> int:
        now = self._clock.now_utc()
        number = await self._do(lambda link: link.fetchval("SELECT qts_expire($1)", now))
        if self._profile == "postgres":
            number += await self._do(lambda link: link.fetchval("SELECT qts_expire_aggregates($1)", now))
        return int(number)


async def _watermark(link: Link, name: str) -> datetime | None:
    """Up to where an aggregate is kept; None before the first time."""
    mark: datetime | None = await link.fetchval(
        "SELECT nullif(watermark, '-infinity') FROM aggregate_watermark WHERE name = $1", name
    )
    return mark


def partition_name(parent: str, start: datetime) -> str:
    """Return the name of the partition that begins at a moment."""
    return f"{parent}_{start:%Y%m%d}"


def _spans(unit: Unit, first: datetime, last: datetime) -> Iterator[tuple[datetime, datetime]]:
    start = _floor(unit, first)
    while start <= last:
        end = _next(unit, start)
        yield start, end
        start = end


def _floor(unit: Literal["minute", "hour", "day", "week", "month"], moment: datetime) -> datetime:
    """Return the beginning of the unit in UTC; a week begins on Monday, as in the server."""
    if unit == "minute":
        return moment.replace(second=0, microsecond=0)
    if unit == "hour":
        return moment.replace(minute=0, second=0, microsecond=0)
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if unit == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if unit == "month" else day


def _next(unit: Unit, start: datetime) -> datetime:
    if unit == "month":
        return _floor("month", start + timedelta(days=31))
    return start + timedelta(days=7 if unit == "week" else 1)
