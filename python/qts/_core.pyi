"""The compiled core. Prices, quantities and money are integers in the instrument's scales, times UTC nanoseconds."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from os import PathLike
from typing import Any, Final, Literal, final

from typing_extensions import Buffer

from qts._shapes import (
    BesideRows,
    BusCounters,
    BusSettings,
    CauseName,
    CodeRow,
    DeadLetterRow,
    EventRowOut,
    HolderName,
    InputRow,
    InstrumentSpec,
    JournalRetired,
    JournalSummary,
    KindName,
    LatencyRow,
    LevelCounters,
    ListedRow,
    LockdownRow,
    PoolRow,
    QueueCounters,
    Scheduling,
    SideName,
    SplitRow,
    StopRow,
    SynthConfig,
    TickSpoolFigures,
    TifName,
    TrackName,
    TypeLatencies,
    WorkingRow,
)

__all__ = [
    "ACTION_CLASSES",
    "EVENT_TYPES",
    "PROTECTIVE_EXITS",
    "RECORD_KINDS",
    "SAFETY_FLAGS",
    "SAFETY_STATES",
    "TICK_FIELDS",
    "TICK_SPOOL_FIELDS",
    "CsvStream",
    "EngineError",
    "FillEvent",
    "Gateway",
    "Instruments",
    "JournalDamageError",
    "JournalRecords",
    "JournalWriter",
    "LiveBus",
    "OrderEvent",
    "OrderRefused",
    "Outgoing",
    "P0Queue",
    "P1Queue",
    "P2Queue",
    "P3Queue",
    "PermitRefused",
    "Quote",
    "RaiseLog",
    "SafetyWord",
    "SendPermit",
    "SimExchange",
    "SourceError",
    "StepEngine",
    "TickSpool",
    "TickView",
    "WireEvent",
    "__version__",
    "code_table",
    "execution_may_go",
    "format_decimal",
    "journal_plan",
    "journal_records",
    "journal_verify",
    "lockdown_table",
    "measure_p0",
    "measure_p1",
    "parse_decimal",
    "synth_daily_csv",
    "synth_ticks_csv",
]

__version__: Final[str]
EVENT_TYPES: Final[list[tuple[str, int]]]
"""Name and level of each event type, in the order of the specification."""

TICK_SPOOL_FIELDS: Final[list[tuple[str, str]]]
"""Name and numpy type of each field of a record of a `TickSpool`, in their order; 80 bytes.

`seq` rises and never comes twice. Prices and sizes are integers in the scales of the instrument, 0 where absent. `kind`
is 0 for a quote and 1 for a trade; `side` is 1 for BUY, 2 for SELL, 0 where it is not told.
"""

TICK_FIELDS: Final[list[tuple[str, str]]]
"""Name and numpy type of each field of a tick as a record, in their order."""

RECORD_KINDS: Final[list[str]]
"""Names of the kinds of journal records."""

ACTION_CLASSES: Final[list[tuple[str, int]]]
"""Name and number of each class of action that the safety word permits or not."""

SAFETY_STATES: Final[list[tuple[str, int]]]
"""Name and number of each safety state, weakest first."""

SAFETY_FLAGS: Final[list[tuple[str, int]]]
"""Name and mask of each flag of the safety word; a kill level holds the bits of those below it."""

PROTECTIVE_EXITS: Final[list[str]]
"""The settings of `lockdown.protective_exits`."""

class SourceError(Exception):
    """Input data is at fault. `args`: path, line, column or None, found, expected."""

    args: tuple[str, int, str | None, str, str]

class EngineError(Exception):
    """The engine found its own state inconsistent; it must not be used further."""

def parse_decimal(text: str, scale: int) -> int:
    """Return exact decimal text as an integer of `scale` decimals; ValueError if digits would be lost."""

def format_decimal(value: int, scale: int) -> str:
    """Return an integer of `scale` decimals as plain decimal text without trailing zeros."""

def synth_ticks_csv(instruments: Instruments, config: SynthConfig) -> CsvStream:
    """Return the tick rows of a synthetic market as CSV text in chunks, header first."""

def synth_daily_csv(instruments: Instruments, config: SynthConfig) -> CsvStream:
    """Return the daily bars of a synthetic market as CSV text in chunks, header first."""

def measure_p0(probes: int, flooded: bool) -> BesideRows:
    """Measure P0 and the bare wake-up of a thread scheduled like P0 in turns, `probes` times each, 0.8 ms for both.

    With `flooded` the lower levels are flooded meanwhile. Returns `p0`, `p0_due`, `bare`, `bare_due`, each a latency in
    nanoseconds; `due` counts from the moment at which a probe was due. Blocks without the interpreter lock.
    """

def measure_p1(events: int) -> float:
    """Measure how many events per second one thread hands to another through the P1 ring; blocks without the lock."""

class JournalDamageError(Exception):
    """Durable bytes of a journal are not what was written (FS125). `args`: path, first bad byte, found, expected."""

    args: tuple[str, int, str, str]

def journal_verify(path: str | PathLike[str]) -> JournalSummary:
    """Return what the journal in a directory holds, having read all of it; JournalDamageError if it is damaged."""

def journal_plan(path: str | PathLike[str], keep_from: int, keep_days: int) -> JournalRetired:
    """Return what JournalWriter.retire would retire in the journal in a directory, which nobody writes."""

def journal_records(path: str | PathLike[str]) -> JournalRecords:
    """Return the records of the journal in a directory, in their order, commits among them."""

@final
class JournalRecords:
    """Records of a journal, checked as they are asked for: number, UTC nanoseconds, kind, version and payload."""

    def __iter__(self) -> JournalRecords: ...
    def __next__(self) -> tuple[int, int, str, int, bytes]: ...

@final
class TickSpool:
    """Market records on their way to a store: written before any queue can drop them, read back once they are durable.

    Threads may share it; one process at a time.
    """

    def __new__(
        cls,
        path: str | PathLike[str],
        *,
        quota_bytes: int = ...,
        segment_bytes: int = 67_108_864,
        group_ms: int = 20,
        pending_blocks: int = 1_024,
    ) -> TickSpool:
        """Open or make the spool and repair what a crash left behind.

        Args:
            path: its directory, of its own.
            quota_bytes: most that its files may take up.
            segment_bytes: size of a file, a multiple of 4,096.
            group_ms: milliseconds until what has been written is durable and can be read.
            pending_blocks: blocks of up to 256 records that may wait in memory for the disk.

        Raises:
            JournalDamageError: durable bytes are not what was written.
            OSError: the directory cannot be made or read.
            ValueError: a setting that cannot work, or another process has the spool.
        """
    def keep_table(self, rows: Sequence[tuple[str, int, int]]) -> int:
        """Note a table of symbols durably: (symbol, decimals of prices, of quantities); return its number."""
    def table(self, number: int) -> list[tuple[str, int, int]]:
        """Return the table of that number; OSError if it is not there, ValueError if it has been changed."""
    def append(self, table: int, records: Buffer) -> None:
        """Append records (`TICK_SPOOL_FIELDS` without `seq`) whose instruments are numbered in a table.

        Never waits for the disk: what cannot be written waits in memory, and is lost and counted if that is full.
        """
    def read(self, after_seq: int, max_records: int) -> tuple[bytes, int, int, int]:
        """Read durable records behind `after_seq`, all of one table of symbols, without the interpreter lock.

        Returns:
            Their bytes (`TICK_SPOOL_FIELDS`), the table's number, the number of the last one (`after_seq` if there is
            none), and how many records were lost in front of them.
        """
    @property
    def last_seq(self) -> int:
        """Number that no record written so far is above."""
    @property
    def lag(self) -> int:
        """Blocks that have been written and are not durable yet, about; 0 if everything is."""
    def keep_behind(self, seq: int) -> None:
        """Say that records up to this one are kept elsewhere; the bound only rises."""
    def retire(self) -> JournalRetired:
        """Remove the files in which nothing is needed any more. Blocks for syncs, without the lock."""
    def figures(self) -> TickSpoolFigures:
        """Return what became of the records."""
    def shut(self, is_shut: bool) -> None:
        """Take nothing any more, or take records again; what comes meanwhile is counted as lost."""
    def flush(self) -> None:
        """Try again to write what waits in memory; never waits for the disk."""
    def close(self) -> None:
        """Write what can be written and end the spool; ValueError if it could not be synced."""

@final
class JournalWriter:
    """A journal that is open for appends. Threads may share it."""

    def __new__(
        cls, path: str | PathLike[str], *, sync: bool = True, keep_from: int = 0, keep_days: int = 30
    ) -> JournalWriter:
        """Open or make the journal and repair what a crash left behind.

        Args:
            path: its directory.
            sync: whether to sync, by a thread of its own.
            keep_from: the first record that somebody still needs; 0 keeps everything. Raised by keep_from().
            keep_days: days that a segment is kept at least, unless the quota of 2 GiB is reached.
        """
    def unfinished(self) -> list[tuple[int, int, int, bytes]]:
        """Return the P0 events found unhandled at the start: number, UTC nanoseconds, version, payload."""
    def append(self, kind: str, payload: bytes, *, version: int = 1) -> int:
        """Append a record and return its number; KeyError names an unknown kind."""
    def wait_durable(self, seq: int, timeout_s: float = 1.0) -> None:
        """Wait until a record is durable; TimeoutError if it takes too long, ValueError if a sync failed."""
    def keep_from(self, seq: int) -> None:
        """Say that every record in front of `seq` is acknowledged and in a verified backup; the bound only rises."""
    def retire(self) -> JournalRetired:
        """Retire whole segments, oldest first, as far as they are old enough, done and not needed.

        Blocks for syncs, without the lock; appends go on.

        Raises:
            OSError: a file cannot be written or removed. The journal is good all the same.
        """
    @property
    def usage(self) -> tuple[int, int]:
        """Bytes of the journal, and how many it may have. From four fifths on: GR103."""
    @property
    def durable_seq(self) -> int:
        """Number of the last durable record."""
    @property
    def lag(self) -> int:
        """Records that are not durable yet."""
    @property
    def failure(self) -> str | None:
        """What is wrong with the journal."""
    def close(self) -> None:
        """Sync what has been appended and end the journal."""

@final
class CsvStream:
    """CSV text, produced as it is asked for."""

    def __iter__(self) -> CsvStream: ...
    def __next__(self) -> bytes: ...

@final
class Instruments:
    """Every instrument of a run, by dense id."""

    def __new__(cls) -> Instruments: ...
    def __len__(self) -> int: ...
    def add(self, spec: InstrumentSpec) -> int:
        """Add an instrument and return its id; ValueError names what is wrong with the spec."""
    def find(self, symbol: str) -> int | None:
        """Return the id of `symbol`, or None."""
    def symbol(self, instrument: int) -> str:
        """Return the symbol of `instrument`."""
    def tick_size(self, instrument: int, price: int, ts_ns: int) -> int:
        """Return the tick size that binds an order at `price` at that time."""
    def floor_to_tick(self, instrument: int, price: int, ts_ns: int) -> int:
        """Return `price` rounded down to the ladder."""
    def ceil_to_tick(self, instrument: int, price: int, ts_ns: int) -> int:
        """Return `price` rounded up to the ladder."""
    def step(self, instrument: int, price: int, ticks: int, ts_ns: int) -> int:
        """Return `price` moved by `ticks` steps; each step uses the tick of the band it lands in."""
    def price_limits(self, instrument: int, base: int, ts_ns: int) -> tuple[int, int] | None:
        """Return lower and upper limit of a day with this base price, or None where no limit binds."""
    def amount(self, instrument: int, price: int, qty: int) -> int:
        """Return price times quantity in money units, exact."""
    def fee(self, instrument: int, side: SideName, amount: int, ts_ns: int) -> int:
        """Return the commission on `amount`, truncated as booked."""
    def tax(self, instrument: int, side: SideName, amount: int, ts_ns: int) -> int:
        """Return the transaction tax on `amount`, truncated as booked; zero for purchases."""

@final
class TickView:
    """One market-data event. The engine reuses a single view: copy out what has to outlive the call."""

    @property
    def ts_ns(self) -> int:
        """Engine (receive) time."""
    @property
    def ts_event_ns(self) -> int:
        """Exchange time; may run backwards."""
    @property
    def symbol(self) -> str: ...
    @property
    def instrument(self) -> int: ...
    @property
    def kind(self) -> Literal["Q", "T", "A", "B"]:
        """Q quote, T trade, A auction print, B bar close."""
    @property
    def price(self) -> int:
        """Price of the print; for a quote 0."""
    @property
    def qty(self) -> int:
        """Size of the print; for a quote 0."""
    @property
    def side(self) -> SideName | None:
        """Aggressor of a trade, if told."""
    @property
    def bid(self) -> int:
        """Best bid, 0 = none."""
    @property
    def bid_qty(self) -> int: ...
    @property
    def ask(self) -> int:
        """Best ask, 0 = none."""
    @property
    def ask_qty(self) -> int: ...
    @property
    def position_qty(self) -> int:
        """Quantity that the strategy's track holds."""
    @property
    def working_buy(self) -> int:
        """Unfilled quantity of the track's working buys."""
    @property
    def working_sell(self) -> int:
        """Unfilled quantity of the track's working sells."""

@final
class FillEvent:
    """A fill that has been booked."""

    kind: Literal["FILL_CONFIRMED", "FILL_PARTIAL"]
    order_id: int
    exec_seq: int
    instrument: int
    symbol: str
    track: TrackName
    side: SideName
    qty: int
    price: int
    cumulative: int
    remaining: int
    amount: int
    fee: int
    tax: int
    ts_exec_ns: int
    ts_recv_ns: int

@final
class OrderEvent:
    """The end of an order that did not come from its last fill."""

    kind: Literal["ORDER_REJECTED", "ORDER_CANCELLED"]
    order_id: int
    instrument: int
    symbol: str
    track: TrackName
    side: SideName
    reason: str
    remaining: int
    ts_exec_ns: int
    ts_recv_ns: int

@final
class Quote:
    """Latest prices of an instrument; 0 = not known."""

    last: int
    volume: int
    """Traded so far in this run."""
    bid: int
    bid_qty: int
    ask: int
    ask_qty: int
    ts_ns: int

class OrderRefused(Exception):  # noqa: N818 - named for what is known
    """A gate said no. `args`: reason, and when asking again may help (UTC nanoseconds; 0 = waiting does not help)."""

    args: tuple[str, int]

class PermitRefused(Exception):  # noqa: N818 - named for what is known
    """Nothing may be written on this permit any more. `args`: reason."""

    args: tuple[str]

def execution_may_go(from_state: str, to_state: str) -> bool:
    """Return whether the table of an execution's states has a way from one to the other; ValueError for no state."""

@final
class Outgoing:
    """What goes to the broker. Prices and quantities in the instrument's units."""

    order_id: int
    action: str
    instrument: int
    symbol: str
    track: TrackName
    side: SideName
    kind: KindName
    tif: TifName
    limit: int
    qty: int
    broker_no: str

@final
class SendPermit:
    """A one-shot right to send one message. Dropped unused, it is void."""

    @property
    def order_id(self) -> int:
        """The order it is about."""
    @property
    def action(self) -> str:
        """PLACE, AMEND or CANCEL."""
    def redeem(self, now_ns: int) -> Outgoing:
        """Return the message to write now; the order counts as sent.

        PermitRefused if it has been used, has expired, or what stood at its issue no longer does: what was reserved is
        released then.
        """
    def void(self) -> None:
        """Give it back unused."""

@final
class Gateway:
    """The account's one way out: orders, positions, cash, holds, blocks, the rate budget, exits and permits.

    Threads may share it. Each call is atomic and takes microseconds.
    """

    def __new__(
        cls,
        instruments: Instruments,
        *,
        cash: int,
        safety: SafetyWord | None = None,
        config: Mapping[str, int] | None = None,
    ) -> Gateway:
        """Return the gateway of an account with `cash`.

        Args:
            instruments: every instrument; no more can be added afterwards.
            cash: in money units.
            safety: what every message is held against.
            config: orders_per_s (8; 0 = no limit), exit_reserve (2), cancel_reserve (2), permit_ttl_ms (1000),
                price_age_ms (100), shadow_capacity (100).
        """
    def attach_safety(self, safety: SafetyWord) -> None:
        """Hold every message against `safety` from now on."""
    def configure(self, config: Mapping[str, int]) -> None:
        """Set limits from now on; the rate budget starts full."""
    def precheck(
        self,
        instrument: int,
        track: TrackName,
        side: SideName,
        qty: int,
        hold_price: int,
        action: str,
        now_ns: int,
        *,
        quote_ts_ns: int,
        max_age_ns: int,
        link_up: bool,
        market_open: bool,
        state_open: bool,
    ) -> tuple[str, int, int, int]:
        """Ask the gates SAFETY, POSITION, CAPITAL, BROKER, MARKET, PRICE and hold what the quantity may cost.

        A purchase shrinks to the lots that can be paid. Returns the reason (a name of `Refusal`, empty if it passes),
        what may go, the hold (0 = none), and how many gates were asked. `max_age_ns` 0 = as configured.
        """
    def close_hold(self, hold_id: int, keep_qty: int = 0) -> None:
        """Shrink a hold to what live orders still need plus `keep_qty` not yet sent.

        With nothing kept it is closed: what of its orders ends unfilled is released instead of coming back to it.
        """
    def hold(self, hold_id: int) -> tuple[int, int, int] | None:
        """Return money held, quantity not filled, and what of it live orders may fill; None if the hold is gone."""
    def request(
        self,
        instrument: int,
        track: TrackName,
        side: SideName,
        kind: KindName,
        tif: TifName,
        limit: int,
        qty: int,
        *,
        action: str,
        now_ns: int,
        hold_id: int = 0,
        lease: int = 0,
        holder: HolderName = "EXECUTION",
    ) -> SendPermit:
        """Take an order through the gates and reserve what it needs; VALIDATED. OrderRefused names the gate.

        `limit` is the worst price accepted, also for a market order.
        """
    def request_amend(self, order_id: int, limit: int, qty: int, *, action: str, now_ns: int) -> SendPermit:
        """Return the right to change an order's price and total quantity. One in flight per order."""
    def request_cancel(self, order_id: int, *, now_ns: int) -> SendPermit:
        """Return the right to cancel.

        OrderRefused: RATE_LIMIT for the shortest time, NO_NUMBER until the broker has answered, NOT_WORKING if the
        order has ended or never left.
        """
    def on_ack(self, order_id: int, broker_no: str, now_ns: int) -> str:
        """Note that the broker holds an order; return its state. One that has ended stays as it ended.

        This and the others: LookupError for an order that is not known, ValueError for what cannot answer anything.
        """
    def on_reject(self, order_id: int, now_ns: int, *, not_received: bool = False) -> str:
        """Note that the broker refused an order, or has proven never to have had it."""
    def on_lost(self, order_id: int, now_ns: int) -> str:
        """Note that an answer is lost: a new order is UNKNOWN, any other stays as it was, in doubt."""
    def on_amended(self, order_id: int, broker_no: str, now_ns: int) -> str:
        """Note that the amendment went through, under a new number."""
    def on_amend_refused(self, order_id: int, now_ns: int) -> str:
        """Note that the amendment was refused: the old terms hold."""
    def on_cancel_refused(self, order_id: int, now_ns: int) -> str:
        """Note that the cancel was refused: the order works on."""
    def on_end(self, order_id: int, kind: Literal["CANCELLED", "EXPIRED"], now_ns: int) -> str:
        """Note that an order is off the book."""
    def on_fill(
        self, order_id: int, event_id: str, qty: int, price: int, fee: int | None, tax: int | None, now_ns: int
    ) -> tuple[str, int, int, int]:
        """Book a fill once and return what it was, cumulative and remaining quantity, and the position afterwards.

        What it was: the order's state, DUPLICATE (nothing booked), OVERFILL, OVERSOLD (see `oversold`), or LATE (the
        order had ended). `fee` and `tax` None: as the instrument says.
        """
    def order_state(self, order_id: int) -> tuple[str, int, int, str]:
        """Return state, filled, remaining and the newest broker number; LookupError if the order is not known."""
    def order_doubts(self, order_id: int) -> tuple[bool, bool, bool, bool]:
        """Return: amendment in flight, its answer lost, the answer to the cancel lost, never received."""
    def working_orders(self) -> list[WorkingRow]:
        """Return every order that may still fill, oldest first."""
    def find(self, broker_no: str) -> int | None:
        """Return the order that a broker knows by a number, or knew before an amendment."""
    def numbers(self, order_id: int) -> list[str]:
        """Return every number of an order, oldest first."""
    def resolve(self, order_id: int, rows: Sequence[ListedRow], now_ns: int) -> tuple[str, str]:
        """Match an order without a number with a list: (FOUND, number), (ABSENT, ""), (AMBIGUOUS, "")."""
    def claim_exit(
        self, instrument: int, track: TrackName, holder: HolderName, qty: int, now_ns: int
    ) -> tuple[int, int]:
        """Take the exit of a position: (lease, quantity it may sell now).

        Taken from a weaker holder, it may be 0 until what that one has in flight has ended. OrderRefused: EXIT_TAKEN,
        NOTHING_TO_SELL.
        """
    def release_exit(self, lease: int) -> None:
        """Give a lease back."""
    def block_exit(self, lease: int, blocked: bool) -> None:
        """Note whether the venue takes no orders of an exit now; the lease stays."""
    def exit_of(self, instrument: int, track: TrackName) -> tuple[str, int, int] | None:
        """Return holder, lease and quantity in flight of the exit that is outstanding, if one is."""
    def is_exit_blocked(self, instrument: int, track: TrackName) -> bool:
        """Return whether the outstanding exit is noted as blocked."""
    def freeze(self, instrument: int, *, reason: str, frozen: bool) -> None:
        """Refuse entries of an instrument, or take them again; each reason has to be taken back by itself."""
    def freezes(self, instrument: int) -> list[str]:
        """Return why entries of an instrument are refused."""
    def position(self, instrument: int, track: TrackName) -> tuple[int, int, int]:
        """Return quantity, cost without fees and opening time of a track's holding."""
    def positions(self) -> list[tuple[int, TrackName, int, int, int]]:
        """Return every holding: instrument, track, quantity, cost without fees, opening time."""
    def exposure(self, instrument: int, track: TrackName) -> tuple[int, int]:
        """Return most and least that may come to be held once every order that may be live has been answered."""
    def working(self, instrument: int, track: TrackName) -> tuple[int, int]:
        """Return unfilled quantities of a track's working buys and sells."""
    def oversold(self) -> list[tuple[int, TrackName, int]]:
        """Return what was sold beyond what was held and is not explained: instrument, track, quantity."""
    def explain_oversold(self, instrument: int, track: TrackName) -> None:
        """Forget what was sold beyond a holding: it has been reconciled."""
    @property
    def cash(self) -> int: ...
    @property
    def reserved_cash(self) -> int:
        """Cash held for purchases, by orders and holds."""
    @property
    def open_permits(self) -> int:
        """Permits that have neither been redeemed nor voided."""
    def flows(self) -> tuple[int, int, int]:
        """Return fees, taxes and realised profit (net of the sales' own costs) so far."""
    def hold_of(self, order_id: int) -> int:
        """Return what is held for an order: its own reservation or its share of its hold; 0 once it has ended."""
    def fund_pools(self, scalp: int, swing: int, portfolio: int) -> None:
        """Split the account's cash among the pools, as `StepEngine.fund_pools`."""
    @property
    def pools_funded(self) -> bool: ...
    def pool_money(self, track: TrackName) -> PoolRow:
        """Return cash, cash held for purchases, cash set aside, and whether entries are refused."""
    def unallocated(self) -> int:
        """Return cash of the account that belongs to no pool."""
    def move_pool_cash(self, from_pool: TrackName | None, to_pool: TrackName | None, amount: int) -> None:
        """Move free cash between pools; None stands for what is unallocated."""
    def set_aside(self, track: TrackName, amount: int) -> None:
        """Keep `amount` of a pool from orders and transfers, in place of what was kept so far."""
    def block_entries(self, track: TrackName, blocked: bool) -> None:
        """Refuse orders that buy for a track, or take them again."""
    def credit(self, track: TrackName | None, amount: int) -> None:
        """Book external cash to the account and to a pool, or to what is unallocated; negative = taken away."""
    def split(self, instrument: int, numerator: int, denominator: int) -> list[SplitRow]:
        """Turn every `denominator` of an instrument held into `numerator`, as `StepEngine.split`."""
    def restore_order(
        self,
        order_id: int,
        instrument: int,
        track: TrackName,
        side: SideName,
        kind: KindName,
        tif: TifName,
        limit: int,
        qty: int,
        *,
        action: str,
        broker_nos: Sequence[str],
        submitted_ns: int,
        now_ns: int,
        amend: tuple[int, int] | None = None,
        lease: int = 0,
    ) -> str:
        """Take in an order of the process before this one, as its journal knew it; no gate is asked. Return its state.

        It is ACCEPTED if it has numbers, `broker_nos`, oldest first, else UNKNOWN. `amend` are price and quantity of an
        amendment without an answer. Its fills and its end follow as from a broker. ValueError: it is known already.
        """
    def restore_position(self, instrument: int, track: TrackName, qty: int, cost_total: int, opened_ns: int) -> None:
        """Take over a holding of the day before, as `position` told it."""
    def new_day(self) -> None:
        """Forget the orders that have ended, with their numbers and fills."""

@final
class StepEngine:
    """A simulated account on a simulated venue, driven by market data on one thread."""

    def __new__(
        cls,
        instruments: Instruments,
        *,
        cash: int,
        latency_out_ns: int = 0,
        latency_in_ns: int = 0,
        latency_jitter_ns: int = 0,
        seed: int = 0,
        cycle_interval_ns: int = 0,
        queues: Mapping[str, int] | None = None,
        limits: Mapping[str, int] | None = None,
    ) -> StepEngine:
        """Return an engine that has not started.

        Args:
            instruments: every instrument; no more can be added afterwards.
            cash: in money units.
            latency_out_ns: time of a message to the venue.
            latency_in_ns: time of an answer.
            latency_jitter_ns: most that either may take longer.
            seed: of the jitter.
            cycle_interval_ns: grid of the cycles; 0 = none.
            queues: capacities and batch sizes of the levels.
            limits: those of the gateway (see `Gateway`), here without a rate limit unless `orders_per_s` is given.
        """
    def add_ticks(self, path: str, *, skip_bad_rows: bool = False) -> None:
        """Add a tick file (.csv or .csv.gz); SourceError if it cannot be opened or its header is wrong."""
    def add_bars(
        self,
        path: str,
        sessions: Sequence[tuple[int, int, int]],
        *,
        skip_bad_rows: bool = False,
        bridge: tuple[int, int] | None = None,
    ) -> None:
        """Add a bar file.

        Args:
            path: .csv or .csv.gz.
            sessions: (effective_from_ns, open_s, close_s), seconds of the KST day.
            skip_bad_rows: count bad rows instead of ending at the first one.
            bridge: seed (0 to 2**64 - 1) and trades a day (4 to 23,400): bars of a day are played as that many made-up
                trades with quotes between their prices, instead of as three. Bars of a minute and daily bars themselves
                stay as they are.

        Raises:
            SourceError: it cannot be opened or its header is wrong.
            ValueError: sessions or a bridge that cannot be.
        """
    def add_chunks(self, name: str, chunks: Iterable[bytes], *, skip_bad_rows: bool = False) -> None:
        """Add tick rows that arrive as CSV text in chunks, header first."""
    def add_synthetic(self, config: SynthConfig) -> None:
        """Add a synthetic market."""
    def record_ticks(self, spool: TickSpool) -> None:
        """Keep every quote and trade in `spool`, before anything else is done with it; before the first `run`."""
    def wait_for_prints(self) -> None:
        """Have timers wait for the next record of their instrument: between prints of a bar nothing is known."""
    def add_bar_series(self, interval_ns: int) -> None:
        """Build bars of `interval_ns` for every instrument."""
    def set_tick_handlers(
        self, handlers: Sequence[tuple[Callable[[TickView], object], TrackName, Sequence[int] | None]]
    ) -> None:
        """Set who sees each tick: (callable returning an intent or None, track, instrument ids or None for all)."""
    def set_cycle_handler(self, call: Callable[[CauseName, int, list[tuple[int, Any]]], object]) -> None:
        """Set who runs pipeline cycles: callable(cause, scheduled_ns, [(handler number, intent), ...])."""
    def set_p0_handler(self, call: Callable[[FillEvent | OrderEvent], object]) -> None:
        """Set who hears of booked fills and ended orders."""
    def set_answer_handler(
        self, call: Callable[[Literal["ACCEPTED", "AMENDED", "AMEND_REFUSED", "CANCEL_REFUSED"], int, int], object]
    ) -> None:
        """Set who hears what the venue says of orders sent with `send`: callable(what, order id, now_ns).

        Fills and ends come to the P0 handler. The gateway knows it already.
        """
    def set_timer_handler(self, call: Callable[[int], object]) -> None:
        """Set who is called when timers are due: callable(now_ns), once for all that are due at one moment."""
    def set_timer(self, instrument: int, at_ns: int) -> None:
        """Have the timer handler called at `at_ns`, or as soon as time moves on if that is past.

        At one moment the venue comes first, then records, timers and cycles. An instrument that has never shown a quote
        gives no market to wait in between its records: its timer fires behind its first record at or after `at_ns`,
        once what that did to orders is known. What is pending when the data end fires then, each at its time, as do
        timers set meanwhile for no later than the last of them; the end of the session and the last cycle follow.
        """
    def run(self, until_ns: int | None = None, *, max_records: int | None = None) -> Literal["until", "pause", "end"]:
        """Run until `until_ns`, for about `max_records` records, or until nothing is left.

        Blocks; lets go of the interpreter lock except while handlers run; raises what a handler raises.
        """
    def stop(self) -> None:
        """End the input here; the next `run` ends day orders, runs one last cycle and returns "end"."""
    @property
    def now_ns(self) -> int | None:
        """Engine time, or None before the first record."""
    @property
    def cash(self) -> int: ...
    @property
    def reserved_cash(self) -> int:
        """Cash held for working buys."""
    @property
    def records(self) -> int:
        """Market records handled so far."""
    def flows(self) -> tuple[int, int, int]:
        """Return fees, taxes and realised profit (net of the sales' own costs) so far."""
    def submit(
        self,
        instrument: int,
        track: TrackName,
        side: SideName,
        kind: Literal["LIMIT", "MARKET"],
        tif: Literal["DAY", "IOC"],
        limit: int,
        qty: int,
        action: str | None = None,
    ) -> int:
        """Send an order through the gate and return its id; a refusal arrives as an ORDER_REJECTED event.

        `limit` is the worst price accepted, also for a market order. `action` is what the safety word is asked for;
        ENTRY or STRATEGY_EXIT by the side if it is not given.
        """
    def cancel(self, order_id: int) -> bool:
        """Send a cancel; False if the order no longer works."""
    @property
    def gateway(self) -> Gateway:
        """The account of the engine; what is done there is done here."""
    def send(self, permit: SendPermit) -> int:
        """Send what a permit of this engine's gateway permits and return the order's id.

        Raises:
            PermitRefused: it permits nothing any more.
            ValueError: another gateway issued it.
        """
    def fund_pools(self, scalp: int, swing: int, portfolio: int) -> None:
        """Split the account's cash among the pools, in money units; they are virtual sub-accounts from then on.

        A purchase then needs what it may cost both from its track's pool (cash, less what is set aside and held for
        working buys) and from the account; fills move the cash of the track. Sales are never held back by a pool.

        Raises:
            ValueError: they are funded, an order has been sent, an amount is negative, or the sum is not the cash.
        """
    @property
    def pools_funded(self) -> bool:
        """Whether the pools are funded; until then they bind nothing."""
    def pool_money(self, track: TrackName) -> PoolRow:
        """Return cash, cash held for working buys, cash set aside, and whether entries are refused.

        Cash is everything that is not invested, what is held and set aside among it. ValueError without pools.
        """
    def unallocated(self) -> int:
        """Return cash of the account that belongs to no pool; may be negative. Without pools, all of it."""
    def move_pool_cash(self, from_pool: TrackName | None, to_pool: TrackName | None, amount: int) -> None:
        """Move free cash (neither held nor set aside) between pools; None stands for what is unallocated.

        Raises:
            ValueError: the amount is not above 0 or not there, or both are the same; nothing moves then.
        """
    def set_aside(self, track: TrackName, amount: int) -> None:
        """Keep `amount` of a pool from orders and transfers, in place of what was kept so far; 0 keeps nothing.

        ValueError if that much is not there beside what is held for working buys.
        """
    def block_entries(self, track: TrackName, blocked: bool) -> None:
        """Refuse orders that buy for a track (end reason POOL_BLOCKED), or take them again; working ones go on."""
    def credit(self, track: TrackName | None, amount: int) -> None:
        """Book external cash to the account and to a pool, or to what is unallocated; negative = taken away.

        Needs no pools for None. `flows` does not count it. ValueError if what goes away is not free.
        """
    def hold_of(self, order_id: int) -> int:
        """Return what a working order may still cost, fee included; 0 for a sale, and once it has ended."""
    def split(self, instrument: int, numerator: int, denominator: int) -> list[SplitRow]:
        """Turn every `denominator` of an instrument held into `numerator`, a row for each track that holds it.

        Quantities are rounded down to whole lots and the cost stays; if nothing is left, its cost leaves the books and
        is told. No cash moves, and prices seen so far stay as they are.

        Raises:
            ValueError: orders of the instrument work, or the ratio is not above 0; nothing changes then.
        """
    def position(self, instrument: int, track: TrackName) -> tuple[int, int, int]:
        """Return quantity, cost without fees and opening time of a track's holding."""
    def positions(self) -> list[tuple[int, TrackName, int, int, int]]:
        """Return every holding: instrument, track, quantity, cost without fees, opening time."""
    def working(self, instrument: int, track: TrackName) -> tuple[int, int]:
        """Return unfilled quantities of a track's working buys and sells."""
    def quote(self, instrument: int) -> Quote:
        """Return the latest prices of an instrument."""
    def take_closed_bars(self) -> list[tuple[int, int, int, int, int, int, int, int]]:
        """Return bars closed since the last call: instrument, interval_ns, start_ns, open, high, low, close, volume."""
    def record_metric(self, stage: int, value_ns: int) -> None:
        """Record how long pipeline stage `stage` took."""
    def counters(self) -> dict[str, LevelCounters]:
        """Return the counters of each level, "P0" to "P3"."""
    def latency(self) -> dict[str, LatencyRow]:
        """Return latencies by level ("P0".."P3") and by stage number (as text)."""
    def order_counts(self) -> dict[str, int]:
        """Return the number of orders that ended in each state, and "SUBMITTED_TOTAL"."""
    def inputs(self) -> list[InputRow]:
        """Return what each input has delivered so far."""

@final
class WireEvent:
    """An event that has been checked and is ready to enter its level, as often as one likes."""

    def __new__(
        cls,
        kind: int,
        source: int,
        id: bytes,  # noqa: A002 - it is called so
        correlation: bytes,
        ts_ns: int,
        scope: str,
        shard: int,
        payload: bytes,
        symbols: list[str] | None,
        can_drop: bool,
    ) -> WireEvent:
        """Return an event from its parts; ValueError for numbers that do not exist and payloads that are too long."""

@final
class LiveBus:
    """The four queues with their threads. Every method may be called from any Python thread.

    None of its threads enters Python. What Python listens to waits in an outbox of each level until it is drained; P0
    loses nothing there, P1 gives up the oldest, P2 merges, P3 samples.
    """

    def __new__(
        cls,
        settings: BusSettings | None = None,
        journal: str | PathLike[str] | None = None,
        safety: SafetyWord | None = None,
    ) -> LiveBus:
        """Return a dispatcher that has not started; `safety` is raised with each fault of its own.

        With a `journal` directory P0 events are written there before they are admitted, and those that are not done
        there are handled first after the start.

        Raises:
            ValueError: an unknown setting, an empty queue, or a journal that another process writes.
            OSError: the journal cannot be read or written.
            JournalDamageError: the journal is not what was written.
        """
    def ack(self, seqs: list[int]) -> None:
        """Say that the P0 events of these numbers have been handled; they will not come again after a restart."""
    def close_journal(self) -> None:
        """End the journal, after the stop: what it holds is durable then. Blocks for a sync, without the lock."""
    @property
    def raised_codes(self) -> list[str]:
        """Codes with which the safety word is raised, once for each alert of theirs; none without a word."""
    @property
    def is_journaled(self) -> bool:
        """Whether P0 events are written to a journal."""
    def dispatch(self, event: WireEvent, timeout_ms: int = 0) -> int:
        """Admit one event and return the number of the result.

        P0 waits for room up to `timeout_ms` without the interpreter lock: 0 = it does not, negative = without end.
        Other levels never wait.
        """
    def dispatch_many(self, events: list[WireEvent], timeout_ms: int = 0) -> bytes:
        """Admit events in their order and return the number of each result, one byte each.

        Nothing is admitted if one of them is none.
        """
    def dispatch_ticks(self, batch: Buffer, symbols: int, source: int, first_id: bytes) -> tuple[int, int, int, int]:
        """Admit ticks as records (`TICK_FIELDS`) without the interpreter lock.

        Symbols have numbers below `symbols`; identities count up from `first_id`. Returns how many were admitted, how
        many older ones they displaced, and how many were refused and found it closed. Nothing is admitted if one record
        is at fault: ValueError with its number, field, found and expected.
        """
    def record_ticks(self, spool: TickSpool, symbols: Sequence[tuple[str, int, int]]) -> None:
        """Keep the records of `dispatch_ticks` in `spool`, before the ring can drop any.

        `symbols` has a row for each number: symbol, decimals of prices, decimals of quantities.
        """
    def subscribe_ticks(self) -> int:
        """Listen to ticks as records, before the start; return the descriptor that becomes readable when some wait."""
    def drain_ticks(self, max: int) -> bytes:  # noqa: A002 - it is called so
        """Take up to `max` ticks as records, oldest first; never waits."""
    def start(self) -> None:
        """Start the threads; EngineError if nobody listens to P0 or it has been started before."""
    def stop(self) -> StopRow:
        """Stop in order, without the interpreter lock: up to `p0_drain_ms` plus twice `p3_drain_ms`.

        What P0 and the protected part of P3 hold for Python can be drained afterwards.
        """
    def set_slot(self, slot: int, level: int) -> None:
        """Set the degradation level that a slot asks for: 0 safety, 1 back-pressure, 2 operator."""
    def level(self) -> int:
        """Return the number of the degradation level in force."""
    def state(self) -> Literal["STOPPED", "RUNNING", "DRAINING", "CLOSED"]:
        """Return where it is in its life."""
    def depths(self) -> list[tuple[int, int]]:
        """Return the events waiting, by level: in the queue, and for Python."""
    def counters(self) -> list[BusCounters]:
        """Return what became of the events, by level."""
    def failures(self) -> tuple[int, int]:
        """Return how often native handlers failed, and how many events nobody handled."""
    def holds(self) -> list[str]:
        """Return the codes for which entries are blocked now: FS063, FS095, FS096, FS097, FS098."""
    def release(self, code: str) -> bool:
        """Take a cause away by its code; False if it still stands. ValueError for a code that blocks nothing here."""
    def scheduling(self) -> tuple[Scheduling, Scheduling]:
        """Return how the threads of P0 and P1 run; "normal" before they have started."""
    def faults(self) -> tuple[int, int, int]:
        """Return the windows in which P0 and P1 were too slow, and the journal's failures."""
    def latencies(self) -> dict[str, TypeLatencies]:
        """Return latencies in nanoseconds by event type."""
    def alerts(self) -> list[tuple[str, dict[str, int]]]:
        """Take the alerts given since the last call, oldest first; at most 1,024 are kept."""
    def dead_letters(self) -> list[DeadLetterRow]:
        """Return the events that native handlers gave up, oldest first."""
    def lost_signals(self) -> list[EventRowOut]:
        """Take the signals that were refused, purged or expired since the last call."""
    def subscribe(self, level: int) -> int:
        """Listen to a level, before the start; return the descriptor that becomes readable when events wait."""
    def drain(self, level: int, max: int) -> list[EventRowOut]:  # noqa: A002 - it is called so
        """Take up to `max` events of a level, in their order; never waits."""
    def wake(self, level: int) -> None:
        """Make the descriptor of a level readable, as if an event had come."""

@final
class P0Queue:
    """P0: refuses when it is full, so that nothing is lost."""

    def __new__(cls, capacity: int) -> P0Queue: ...
    def __len__(self) -> int: ...
    def put(self, event: WireEvent) -> int:
        """Put one event and return the number of the result; never waits."""
    def take(self, max: int) -> list[EventRowOut]:  # noqa: A002 - it is called so
        """Take up to `max` events, oldest first."""
    def close(self) -> None:
        """Let no more events in; what is in can still be taken."""
    def counters(self) -> QueueCounters:
        """Return what became of the events so far."""

@final
class P1Queue:
    """P1: the oldest event gives way."""

    def __new__(cls, capacity: int) -> P1Queue: ...
    def __len__(self) -> int: ...
    def put(self, event: WireEvent) -> int:
        """Put one event and return the number of the result; never waits."""
    def take(self, max: int) -> list[EventRowOut]:  # noqa: A002 - it is called so
        """Take up to `max` events, oldest first."""
    def close(self) -> None:
        """Let no more events in; what is in can still be taken."""
    def counters(self) -> QueueCounters:
        """Return what became of the events so far."""

@final
class P2Queue:
    """P2: events of one type and scope merge."""

    def __new__(cls, capacity: int) -> P2Queue: ...
    def __len__(self) -> int: ...
    def put(self, event: WireEvent) -> int:
        """Put one event and return the number of the result; never waits."""
    def take(self, max: int) -> list[EventRowOut]:  # noqa: A002 - it is called so
        """Take up to `max` events, oldest first."""
    def close(self) -> None:
        """Let no more events in; what is in can still be taken."""
    def counters(self) -> QueueCounters:
        """Return what became of the events so far."""

@final
class P3Queue:
    """P3: keeps one in `period` of a type when it is full; protected events bypass that, up to 4,096."""

    def __new__(cls, capacity: int, period: int) -> P3Queue: ...
    def __len__(self) -> int: ...
    def put(self, event: WireEvent) -> int:
        """Put one event and return the number of the result; never waits."""
    def take(self, max: int) -> list[EventRowOut]:  # noqa: A002 - it is called so
        """Take up to `max` events, oldest first."""
    def close(self) -> None:
        """Let no more events in; what is in can still be taken."""
    def counters(self) -> QueueCounters:
        """Return what became of the events so far."""

def code_table() -> list[CodeRow]:
    """Return every row of the table of codes, by family."""

def lockdown_table() -> list[LockdownRow]:
    """Return what each room does in LOCKDOWN."""

@final
class SafetyWord:
    """Safety state, flags and policy in one atomic word (spec 01 §1). Any thread may call anything; nothing waits.

    Raising never lowers anything. Lowering takes the word that was seen and fails if it has been raised since, even if
    that raise changed neither state nor flags.
    """

    def __new__(cls, protective_exits: str = "TRUSTED_ONLY") -> SafetyWord:
        """Return a word in NORMAL without flags; `protective_exits` is fixed for its life."""
    @property
    def state(self) -> int:
        """State: 0 NORMAL, 1 WARNING, 2 FAIL, 3 LOCKDOWN. An engaged kill switch does not show here."""
    @property
    def value(self) -> int:
        """The whole word, to be handed back to `release` or `clear_flags`."""
    @property
    def flags(self) -> int:
        """The flags that are set, a mask of `SAFETY_FLAGS`."""
    @property
    def kill_level(self) -> int:
        """Engaged level of the kill switch, 0 to 3. From 1 on everything but the state is that of LOCKDOWN."""
    @property
    def raises_lost(self) -> int:
        """How many raises, ever, found 256 waiting to be taken: counted, not kept. Their state stands all the same."""
    def raise_state(self, state: int, code: str, at_ns: int) -> bool:
        """Raise the state to at least `state` (1 to 3) and return whether it changed.

        Recorded in either case. ValueError names a state out of range or a code that is not in the table.
        """
    def release(self, seen: int, to_state: int) -> bool:
        """Lower the state from what was seen to `to_state`; return whether that happened.

        False, with nothing changed, if the word is no longer `seen`, or if there are raises that nobody has fetched by
        `take_raises`, whoever raised them: no fault is released unheard. ValueError if `to_state` is not below the
        state that was seen, or if the kill switch is engaged in it.
        """
    def set_flags(self, mask: int) -> bool:
        """Set flags and return whether one of them was not set before; ValueError for bits that are no flag."""
    def clear_flags(self, seen: int, mask: int) -> bool:
        """Clear flags if the word is still `seen`; return whether that happened.

        Any kill level in the mask clears the kill switch as a whole.
        """
    def permits(self, action: int) -> bool:
        """Return whether a class of action is permitted now, by its number in `ACTION_CLASSES`; spec 01 §1.5."""
    def strengthen(self, state: int) -> bool:
        """Raise the state to at least `state` for one who records it himself, and return whether it changed.

        No raise is kept, so nobody hears of it; a release of what was seen before fails all the same.
        """
    @property
    def taken_seq(self) -> int:
        """Number of the last raise when they were taken last, those that were not kept among them."""
    def take_raises(self) -> list[tuple[str, int, int, int, int]]:
        """Return the raises since this was asked last, oldest first.

        Of each: code, state before, state after, `at_ns`, and its number, which is higher than those before it.
        """

@final
class RaiseLog:
    """The log of the raises of a `SafetyWord`, written by a thread of the core while Python hears of nothing."""

    def __new__(cls, path: str | PathLike[str]) -> RaiseLog:
        """Open a log, or begin one, and read it; a record that was not written to its end is cut.

        Raises:
            ValueError: it is not what was written; nothing of it is touched.
            OSError: it cannot be read or written.
        """
    @property
    def left(self) -> list[tuple[int, str, int, int, int, int, int]]:
        """The raises that were in it when it was opened, oldest first.

        Of each: number, code, state before, state after, flags, UTC nanoseconds when it was written, `at_ns`.
        """
    @property
    def cut_bytes(self) -> int:
        """Bytes of a record that was not written to its end: there was a raise that nobody knows."""
    def attach(self, word: SafetyWord, heard: int) -> None:
        """Write every raise of a word from now on; those up to the number `heard` are recorded elsewhere.

        What it cannot write raises FAIL with FS063 and sets JOURNAL_FAILED, once until it can write again.
        ValueError if the word has a log or the log a word.
        """
    def acknowledge(self, through: int) -> None:
        """Say that the raises up to that number are recorded elsewhere for good: they are dropped here. Never waits."""
    def close(self) -> None:
        """Write what is left to write and end the thread. Blocks for a sync, without the interpreter lock."""

@final
class SimExchange:
    """A broker as Korean ones are, with an exchange behind it: the world that adapters and fault plans are tried on.

    One account; holdings by symbol, for it knows of no tracks. Nothing is recognised as a repetition: two equal
    requests are two orders. An instrument is given by its number or its symbol. No method reads a clock: each call says
    when it happens, and a time that goes back stands still. `place`, `amend`, `cancel` and `charge` answer with (taken,
    number, code, words) or (not taken, kind of refusal, code, words); the kinds are those of
    `qts.broker.asynchronous.RejectKind`.
    """

    def __new__(
        cls,
        instruments: Instruments,
        *,
        cash: int,
        base_prices: Mapping[int, int] | None = None,
        config: Mapping[str, object] | None = None,
    ) -> SimExchange:
        """Open a broker.

        Args:
            instruments: what can be traded; their fees and taxes are charged.
            cash: in money units.
            base_prices: base of the day's limits by instrument number; one without has no limits.
            config: `sessions`, list of (open_ns, close_ns) in UTC nanoseconds in which orders are taken and executed,
                none = always; `requests_per_s`, 18, in any second, 0 = any number; `exchange_delay_ns`, 0, time from
                the broker's answer until the exchange has the request; `first_order_no`, 1; `notices_max`, 65,536.

        Raises:
            ValueError: a setting that there is not, or sessions that overlap.
        """
    def place(
        self,
        instrument: int | str,
        side: SideName,
        kind: Literal["LIMIT", "MARKET"],
        tif: Literal["DAY", "IOC"],
        limit: int,
        qty: int,
        now_ns: int,
    ) -> tuple[bool, str, str, str]:
        """Hand in an order; `limit` is 0 for a market order without a bound. A purchase holds what it may cost at most.

        A number says that it was taken: what becomes of it is told by `notices` and `orders`.
        """
    def amend(self, broker_no: str, limit: int, qty: int, now_ns: int) -> tuple[bool, str, str, str]:
        """Ask for a new limit and a new quantity of the order that goes by `broker_no` now.

        `qty` is that of the whole order with everything filled under all its numbers: it may not rise and must leave
        something to trade. When it goes through, what is left goes over to the number given here.
        """
    def cancel(self, broker_no: str, now_ns: int) -> tuple[bool, str, str, str]:
        """Ask to take off what is left. It may still fill; the final status comes by `notices` and `orders`."""
    def charge(self, now_ns: int) -> tuple[bool, str, str, str]:
        """Count a query against the requests of the second; the lists themselves are not counted."""
    def advance(self, now_ns: int) -> None:
        """Let what is due by `now_ns` reach the exchange."""
    def next_due_ns(self) -> int | None:
        """Return when something next reaches the exchange; None if nothing is on the way."""
    def orders(
        self, open_only: bool = False
    ) -> list[tuple[str, str, str, SideName, Literal["LIMIT", "MARKET"], int, int, int, int, bool, int]]:
        """Return the orders of the day by number, complete: the fields of `qts.broker.asynchronous.BrokerOrder`.

        An amendment that went through has a row of its own, with the quantity that it took over; the row it names keeps
        what was filled under it. Cancels have no row.
        """
    def status(self, broker_no: str) -> str | None:
        """Return LIVE, FILLED, AMENDED, CANCELLED, REJECTED or EXPIRED; None if no row has that number."""
    def fills(self, since_ns: int = 0) -> list[tuple[str, str, str, SideName, int, int, int, int, int, int]]:
        """Return the executions of the day, oldest first: the fields of `qts.broker.asynchronous.FillEvent`.

        The number is the one that the order went by; the cumulative quantity is that under all its numbers.
        """
    def positions(self) -> list[tuple[str, int, int, int]]:
        """Return what is held: the fields of `qts.broker.asynchronous.BrokerPosition`."""
    def cash(self) -> tuple[int, int]:
        """Return the fields of `qts.broker.asynchronous.BrokerCash`."""
    def notices(
        self,
    ) -> list[
        tuple[Literal["FILL"], str, str, str, SideName, int, int, int, int, int, int]
        | tuple[
            Literal["ORDER"], str, Literal["ACCEPTED", "AMENDED", "CANCELLED", "REJECTED", "EXPIRED"], str, int, int
        ]
    ]:
        """Fetch what the stream has said since the last call, in its order.

        After the first field come those of `FillEvent` or of `OrderNotice`. REJECTED with an original number is a
        cancel or an amendment that the exchange refused: the order it names goes on as it is. `remaining_qty` is what
        works on: 0 at an end.
        """
    @property
    def notices_lost(self) -> int:
        """How many notices were dropped because nobody fetched them, oldest first."""
    def on_quote(self, instrument: int | str, bid: int, bid_qty: int, ask: int, ask_qty: int, ts_ns: int) -> None:
        """Show new best prices; a price of 0 is an empty side."""
    def on_trade(
        self,
        instrument: int | str,
        price: int,
        qty: int,
        ts_ns: int,
        *,
        aggressor: SideName | None = None,
        auction: bool = False,
    ) -> None:
        """Print a trade of others, or the single price of an auction."""
    def end_session(self, ts_ns: int) -> None:
        """End the session: what works expires, what is on its way is refused, the last quotes are no more."""
    def start_day(self, base_prices: Mapping[int, int] | None = None) -> bool:
        """Begin a day with empty lists and the first order number; False, with nothing changed, while one is live."""
    def halt(self, instrument: int | str, halted: bool) -> None:
        """Halt trading, or let it go on: while halted, orders and amendments are refused and nothing fills."""
    def fill_now(self, broker_no: str, qty: int, price: int) -> bool:
        """Fill a part of an order now, whatever the market shows: a fill that races a cancel.

        False if the price is beyond its limit, less is left, or the exchange does not have it.
        """
    def reject_next(
        self,
        kind: Literal["TRANSIENT", "PERMANENT", "INSUFFICIENT_BALANCE", "SYMBOL_NOT_FOUND", "ALREADY_DONE"],
        action: Literal["PLACE", "AMEND", "CANCEL"] | None = None,
    ) -> None:
        """Refuse the next request, or the next of one kind, as the broker; several can wait."""
    def reject_next_at_exchange(self) -> None:
        """Take the next order, give it a number, and have the exchange refuse it."""
    def deposit(self, amount: int) -> None:
        """Pay money in, or out if it is negative, beside all orders."""
    def transfer_in(self, instrument: int | str, qty: int, cost: int) -> None:
        """Add to what is held, beside all orders; `cost` is what it cost."""
