"""Shapes of what crosses the border to the compiled core.

Prices, quantities and money are integers in the instrument's scales, times UTC nanoseconds.
"""

from collections.abc import Sequence
from typing import Literal, TypeAlias, TypedDict

SideName: TypeAlias = Literal["BUY", "SELL"]
TrackName: TypeAlias = Literal["SCALP", "SWING", "PORTFOLIO"]
CauseName: TypeAlias = Literal["INTERVAL", "EVENT", "REPLAY", "MANUAL"]
KindName: TypeAlias = Literal["LIMIT", "MARKET"]
TifName: TypeAlias = Literal["DAY", "IOC"]
HolderName: TypeAlias = Literal["LOOP", "OPERATOR", "EXECUTION", "STRATEGY"]


class InstrumentSpec(TypedDict):
    """One instrument. Dated rows take effect at their first value, UTC nanoseconds; rates are fractions times 1e8."""

    symbol: str
    currency: str
    price_scale: int
    qty_scale: int
    money_scale: int
    lot: int
    price_increment: int
    ladder: Sequence[tuple[int, Sequence[tuple[int, int]]]]
    costs: Sequence[tuple[int, int, int, int]]
    limit_rate: Sequence[tuple[int, int | None]]


class JournalSummary(TypedDict):
    """What a journal holds; `torn` is (segment, byte, bytes) of what a crash left behind.

    It begins with `first_seq`; `retired_*` tell what stood in front of that, all zero if nothing did.
    """

    segments: int
    records: int
    groups: int
    last_seq: int
    last_ts_ns: int
    uncommitted: int
    bytes: int
    quota_bytes: int
    first_seq: int
    retired_segments: int
    retired_bytes: int
    retired_last_ts_ns: int
    retired_at_ns: int
    torn: list[tuple[str, int, int]]


class TickSpoolFigures(TypedDict):
    """What became of the records of a spool."""

    taken: int
    """Handed over so far, lost ones among them."""
    written: int
    pending: int
    """Waiting in memory."""
    lost: int
    used_bytes: int
    quota_bytes: int
    trouble: str | None
    """What keeps the spool from being written."""


class JournalRetired(TypedDict):
    """Segments that were retired or would be: files, bytes, the first record left, and what keeps the next segment.

    What keeps it is a P0 event that is not done or the first record that is needed, with its number, or that it is
    young or in use, with zero.
    """

    segments: list[str]
    bytes: int
    first_seq: int
    kept_because: tuple[Literal["event", "keep_from", "young", "in_use"], int]


class SynthSymbolConfig(TypedDict):
    """How one symbol of a synthetic market trades."""

    symbol: str
    base_price: int
    daily_volume: int
    daily_events: int
    annual_vol_ppm: int


class SynthConfig(TypedDict):
    """A synthetic market: sessions as (open, end of continuous trading, close), each from the close before it."""

    seed: int
    sessions: Sequence[tuple[int, int, int]]
    symbols: Sequence[SynthSymbolConfig]


class LevelCounters(TypedDict):
    """What became of the events of one level."""

    admitted: int
    handled: int
    dropped: int
    merged: int
    sampled_out: int


class LatencyRow(TypedDict):
    """A latency distribution in nanoseconds."""

    n: int
    p50: int
    p99: int
    p999: int
    max: int


class InputRow(TypedDict):
    """What an input has delivered so far."""

    path: str
    rows: int
    bad_rows: int
    first_ts_ns: int | None
    last_ts_ns: int | None
    bad_row_samples: list[str]


ListedRow: TypeAlias = tuple[str, str, str, SideName, KindName, int, int, int, int, bool, int]
"""Number, original number, symbol, side, kind, qty, limit, filled, remaining, live, time: `ListedOrder`."""

WorkingRow: TypeAlias = tuple[
    int, tuple[int, TrackName, SideName, KindName, TifName], tuple[int, int, int], str, str, tuple[int, int, int]
]
"""Id; instrument, track, side, kind, tif; limit, qty, filled; state; newest number; hold, lease, sent at."""

PoolRow: TypeAlias = tuple[int, int, int, bool]
"""Cash of a pool (free, held and set aside), held for working buys, set aside, whether entries are refused."""

SplitRow: TypeAlias = tuple[TrackName, int, int, int, int, int]
"""Track, quantity before and after, cost after, cost of a holding that vanished (else 0), and what made no whole lot.

That rest counts in parts of a quantity unit: as many make one as the split's denominator says.
"""


EventRow: TypeAlias = tuple[int, int, bytes, bytes, int, str, int, bytes, list[str] | None, bool]
"""Kind, source, id, correlation, ts_ns, scope, shard, payload, symbols, whether it may be dropped."""

EventRowOut: TypeAlias = tuple[int, int, int, int, int, bytes, str, int, int, bytes, list[str]]
"""Kind, source, seq, ts_ns, t_enqueue_ns, id, scope, merged count, sampled weight, payload, symbols."""

DeadLetterRow: TypeAlias = tuple[int, int, int, int, bytes, bytes, str, str, int]
"""Kind, source, seq, ts_ns, id, payload, handler, error, attempts."""


class QueueCounters(TypedDict):
    """What became of the events of one queue."""

    admitted: int
    handled: int
    dropped: int
    merged: int
    sampled_out: int
    refused: int
    spilled: int
    expired: int


class BusCounters(QueueCounters):
    """What became of the events of one level; `python_...` of those on their way to Python.

    `signals_discarded` counts lost signals that went because nobody fetched them in time.
    """

    python_dropped: int
    python_merged: int
    python_sampled_out: int
    python_refused: int
    python_expired: int
    python_spilled: int
    signals_discarded: int
    python_signals_discarded: int


Scheduling: TypeAlias = Literal["real-time", "high", "normal"]
"""How the system runs a thread."""


class BesideRows(TypedDict):
    """P0 and the bare wake-up of a thread, each from the put and from the moment at which it was due."""

    p0: LatencyRow
    p0_due: LatencyRow
    bare: LatencyRow
    bare_due: LatencyRow
    p0_scheduling: Scheduling
    p1_scheduling: Scheduling


class TypeLatencies(TypedDict):
    """Latencies of one event type in nanoseconds: until handling, in native handlers, and both."""

    wait: LatencyRow
    handle: LatencyRow
    total: LatencyRow


class StopRow(TypedDict):
    """What stopping left behind: events by level, and threads that did not come back."""

    p0_left: int
    p2_discarded: int
    p3_discarded: int
    stuck_threads: int


class BusSettings(TypedDict, total=False):
    """Settings of the live dispatcher; pairs are (warning, critical) or (size, timeout in milliseconds)."""

    p0_capacity: int
    p0_spill_capacity: int
    p0_protected_producers: int
    p0_ordinary_producers: int
    p0_max_attempts: int
    p0_poll_ms: int
    p0_latency_ms: tuple[int, int]
    p1_capacity: int
    p1_shards: int
    p1_batch: tuple[int, int]
    p2_capacity: int
    p2_batch: tuple[int, int]
    p2_max_event_age_ms: int
    p3_capacity: int
    p3_sample_period: int
    p3_batch: tuple[int, int]
    p3_handler_timeout_ms: int
    workers: int
    p3_max_workers: int
    check_interval_ms: int
    depth_alerts: Sequence[tuple[int, int]]
    backpressure: Sequence[tuple[float, float]]
    isolation_window_s: int
    isolation_p99_ms: tuple[int, int]
    batch_max_factor: int
    recover_ms: int
    dead_letters: int
    p0_drain_ms: int
    p3_drain_ms: int
    p0_core: int | None
    p1_core: int | None
    journal_segment_bytes: int
    journal_quota_bytes: int
    journal_keep_days: int


class CodeRow(TypedDict):
    """One row of the table of codes; a text is (English, Korean)."""

    code: str
    name: tuple[str, str]
    owner: str
    emitter: str
    stage: str
    effect: str
    escalations: list[tuple[str, tuple[str, str]]]
    level: str | None
    counted: bool
    trigger: tuple[str, str]
    action: tuple[str, str]
    release: tuple[str, str]
    next: tuple[str, str]
    origin: str


class LockdownRow(TypedDict):
    """What one room does in LOCKDOWN, and the code by which it tells so; a text is (English, Korean)."""

    room: tuple[str, str]
    owner: str
    code: str | None
    does: tuple[str, str]
