"""The close of each session of a run: what has to agree, what is settled, paid and split, and the day of the pools."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from qts.capital.contracts import POOLS
from qts.clock import NS_PER_S, from_ns, to_ns
from qts.codes import ConfigError, DataError
from qts.config import CORPORATE_FILE, Finding, home_dir
from qts.data import CapitalEntryRow, FillRow
from qts.data.capital import UNALLOCATED
from qts.data.contracts import CORPORATE_ORDER
from qts.instruments import Catalog, CorporateActions, Held, load_calendars
from qts.ops.close import (
    ActionsDesk,
    BooksNow,
    CloseContext,
    CloseStatus,
    CloseStep,
    PoolActions,
    SettlementDesk,
    StepResult,
    Trade,
    dividends_step,
    reconcile_step,
    run_simulated,
    settle_step,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import date

    from qts._core import StepEngine
    from qts.broker.contracts import Track
    from qts.capital.books import SplitPart
    from qts.clock import Clock
    from qts.config import QtsConfig
    from qts.data import RunStore
    from qts.engine.capital import CapitalDesk
    from qts.instruments import Calendar, Split
    from qts.ops.close import PoolBooks
    from qts.ops.report import RunRecorder
    from qts.state.rebalance import Pool

OnSplit: TypeAlias = "Callable[[int, Track, int, int, date], object]"
"""Takes instrument, track, quantity after it, cash for the fraction in money units, and the session."""

_ACCOUNT: Final = "run"
"""Name of the account in records that are kept in memory alone."""


def actions_of(config: QtsConfig, catalog: Catalog) -> CorporateActions:
    """Return the dividends and splits of the instruments of a run.

    Raises:
        ConfigError: the day of one is no session of its instrument.
    """
    reference = config.reference
    if not reference.dividends and not reference.splits:
        return CorporateActions()
    return CorporateActions.load(reference, catalog, load_calendars(reference))


def action_findings(config: QtsConfig) -> list[Finding]:
    """Return the dividends and splits whose day is no session of their instrument: the first one of each symbol."""
    reference = config.reference
    catalog, calendars = Catalog.load(reference), load_calendars(reference)
    alone: list[dict[str, Any]] = [
        {"dividends": {symbol: rows}, "splits": {}} for symbol, rows in reference.dividends.items()
    ]
    alone += [{"dividends": {}, "splits": {symbol: rows}} for symbol, rows in reference.splits.items()]
    findings = []
    for update in alone:
        try:
            CorporateActions.load(reference.model_copy(update=update), catalog, calendars)
        except ConfigError as error:
            key, _, found = error.found.partition(": ")
            findings.append(Finding(error.where or CORPORATE_FILE, None, key, found, error.expected, error.hint))
    return findings


class RunLedger:
    """What the account should have by its fills, dividends and splits: the other side of what the core says it has.

    Args:
        cash: at the start, in money units.
    """

    def __init__(self, cash: int) -> None:
        self.cash = cash
        self._qty: dict[tuple[str, Track], int] = {}
        self._traded: dict[str, int] = {}

    def on_fill(self, fill: FillRow) -> None:
        """Take in a fill."""
        is_buy = fill.side == "BUY"
        paid = fill.fee + fill.tax + (fill.amount if is_buy else -fill.amount)
        self.cash -= paid
        place = (fill.symbol, fill.track)
        self._keep(place, self._qty.get(place, 0) + (fill.qty if is_buy else -fill.qty))
        self._traded[fill.trade_date] = self._traded.get(fill.trade_date, 0) - paid

    def on_income(self, amount: int) -> None:
        """Take in a dividend, or money in place of a fraction of a share."""
        self.cash += amount

    def on_split(self, symbol: str, track: Track, qty: int) -> None:
        """Take in what a split has made of a holding."""
        self._keep((symbol, track), qty)

    def _keep(self, place: tuple[str, Track], qty: int) -> None:
        if qty:
            self._qty[place] = qty
        else:
            self._qty.pop(place, None)

    @property
    def has_traded(self) -> bool:
        """Whether there are trades that nobody has taken."""
        return bool(self._traded)

    def agrees(self, cash: int, held: Mapping[tuple[str, Track], int]) -> bool:
        """Whether cash and holdings are what it says."""
        return cash == self.cash and held == self._qty

    def held(self) -> list[Held]:
        """Return every holding."""
        return [Held(symbol, track, qty) for (symbol, track), qty in self._qty.items()]

    def take_trades(self, day: date) -> list[Trade]:
        """Return what has been traded since the last call, all of a trading day as one."""
        traded, self._traded = self._traded, {}
        return [Trade(name, day, amount) for name, amount in traded.items()]


class AccountBooks:
    """`PoolBooks` of an account that is not divided: cash goes to the account, and its ledger says why.

    Args:
        core: where the cash is.
        store: books of the run.
    """

    def __init__(self, core: StepEngine, store: RunStore) -> None:
        self._core = core
        self._store = store
        self._known: set[str] = set()

    def dividend(self, pool: Pool, symbol: str, amount: int, ref: str, at: datetime) -> bool:
        """Book a net dividend to the account, once."""
        return self._credit(amount, f"dividend:{symbol}:{ref}:{pool}", "DIVIDEND", at)

    def split(self, symbol: str, parts: Sequence[SplitPart], ref: str, at: datetime) -> bool:
        """Pay the fractions of a split, once."""
        paid = sum(part.cash_in_lieu for part in parts)
        return self._credit(paid, f"split:{symbol}:{ref}", "FILL", at)

    def _credit(self, amount: int, ref: str, cause: str, at: datetime) -> bool:
        if ref in self._known:
            return False
        if amount:
            line = CapitalEntryRow(len(self._known) + 1, to_ns(at), UNALLOCATED, UNALLOCATED, amount, cause, ref)
            self._store.record_capital([line])
            self._core.credit(None, amount)
        self._known.add(ref)
        return True


class ActionBooks:
    """`PoolBooks` that tell the ledger of the run and the report of what they have booked.

    A split is a pair of rows in the ledger: the holding leaves at its cost, and what was paid for its fraction, and
    comes back at its cost in its new quantity; one of which nothing is left leaves for what was paid alone. So the
    ledger gives the holdings of any time.
    """

    def __init__(
        self,
        inner: PoolBooks,
        core: StepEngine,
        catalog: Catalog,
        ledger: RunLedger,
        store: RunStore,
        recorder: RunRecorder,
        on_split: OnSplit,
    ) -> None:
        self._inner = inner
        self._core = core
        self._catalog = catalog
        self._ledger = ledger
        self._store = store
        self._recorder = recorder
        self._on_split = on_split
        self.day: date | None = None
        """Session that is being closed."""

    def dividend(self, pool: Pool, symbol: str, amount: int, ref: str, at: datetime) -> bool:
        """Book a net dividend."""
        if not self._inner.dividend(pool, symbol, amount, ref, at):
            return False
        self._on_income(pool, symbol, amount)
        return True

    def split(self, symbol: str, parts: Sequence[SplitPart], ref: str, at: datetime) -> bool:
        """Book a split of every track's holding; `ref` is the day on which it takes effect."""
        instrument = self._catalog[symbol]
        costs = {row[1]: (row[2], row[3]) for row in self._core.positions() if row[0] == instrument.id}
        if not self._inner.split(symbol, parts, ref, at):
            return False
        for part in parts:
            before, cost = costs[part.pool]
            row = self._row(symbol, part.pool, ref, at)
            self._store.record_fill(row("SELL", before, (cost if part.qty else 0) + part.cash_in_lieu))
            if part.qty:
                self._store.record_fill(row("BUY", part.qty, cost))
            self._ledger.on_split(symbol, part.pool, part.qty)
            self._recorder.on_split(ref, part.pool, symbol, part.qty)
            if part.cash_in_lieu:
                self._on_income(part.pool, symbol, part.cash_in_lieu)
            if self.day is not None:
                self._on_split(instrument.id, part.pool, part.qty, part.cash_in_lieu, self.day)
        return True

    def _on_income(self, pool: Pool, symbol: str, amount: int) -> None:
        self._ledger.on_income(amount)
        if self.day is not None:
            self._recorder.on_income(self.day, pool, symbol, amount)

    def _row(self, symbol: str, track: Track, ref: str, at: datetime) -> Callable[[Any, int, int], FillRow]:
        terms, moment_ns = self._catalog[symbol], to_ns(at)
        shift = terms.price_scale + terms.qty_scale - terms.money_scale

        def row(side: Any, qty: int, amount: int) -> FillRow:  # noqa: ANN401 - BUY or SELL
            price = amount * 10**shift // qty if shift >= 0 else amount // (qty * 10**-shift)
            return FillRow(
                trade_date=ref,
                order_id=CORPORATE_ORDER,
                exec_ref=f"split-{symbol}-{track}-{side}",
                ts_ns=moment_ns,
                ts_exec_ns=moment_ns,
                decision_id="",
                symbol=symbol,
                track=track,
                side=side,
                qty=qty,
                price=max(1, price),
                amount=amount,
                fee=0,
                tax=0,
                cum_qty=qty,
                reason="split",
                strategy="",
            )

        return row


class Wiring(NamedTuple):
    """What the close of a run's sessions works on."""

    core: StepEngine
    catalog: Catalog
    calendar: Calendar
    actions: CorporateActions
    store: RunStore
    recorder: RunRecorder
    desk: CapitalDesk | None
    clock: Clock
    mark: Callable[[int], int]
    """Last price of an instrument in the session that is being closed."""
    on_split: OnSplit
    """Told of what a split has made of each holding."""
    rebase: Callable[[Split, int], object]
    """Told of a split and of the first moment of its day."""


class SessionClose:
    """Closes the sessions of one run, in memory: what is run again from its beginning needs no record of its closes.

    Every session core and fills are compared, and where the account is divided its pools have their day. A step is run
    only where it has something to do: reconciliation if the two differ, settlement if anything is on its way, dividends
    and splits if the reference data have some. A split of the next session is applied at the close before it; the
    close of a run's last session applies it too, with prices compared accordingly.

    Args:
        wiring: what it works on.
        cash: starting cash in money units.
    """

    def __init__(self, wiring: Wiring, cash: int) -> None:
        self._to = wiring
        self.ledger = RunLedger(cash)
        self.settlement = SettlementDesk(None, _ACCOUNT, wiring.calendar)
        """What has been traded and is not settled."""
        self._error: Exception | None = None
        self._home = home_dir()
        core, store = wiring.core, wiring.store
        inner: PoolBooks = AccountBooks(core, store) if wiring.desk is None else wiring.desk.books
        self._books = ActionBooks(inner, core, wiring.catalog, self.ledger, store, wiring.recorder, wiring.on_split)
        self._ports = PoolActions(
            core, self._books, wiring.catalog, prev_close=wiring.mark, rebase=self._rebase, now=self._now
        )
        self._has_actions = bool(wiring.actions.dividends or wiring.actions.splits)
        self._actions: ActionsDesk | None = None
        self._closes_at: datetime | None = None
        self._symbols = [wiring.catalog.by_id(number).symbol for number in range(len(wiring.catalog))]
        self._is_settled = True
        self._reconcile = reconcile_step(self._look)
        self._settle = settle_step(wiring.calendar, self._trades, self.settlement)

    def on_fill(self, fill: FillRow) -> None:
        """Take in a fill as it was recorded."""
        self.ledger.on_fill(fill)

    def close(self, day: date, next_day: date | None = None) -> None:
        """Close a session; those between it and `next_day`, of which the run has no data, go by what is held now.

        Raises:
            EngineFault: FS070 if the core contradicts the fills; what a step has met with.
        """
        steps = self._steps(day)
        if steps:
            self._run(day, steps)
        elif self._to.desk is not None:
            self._to.desk.close_day()
        while self._actions is not None and next_day is not None:
            day = self._to.calendar.next_session(day).date
            if day >= next_day:
                return
            self._run(day, [self._dividends(self._actions)])

    def _steps(self, day: date) -> list[CloseStep]:
        """Return what there is to do; the day of the pools is among it only if there is something else."""
        steps = []
        if not self._agrees():
            steps.append(self._reconcile)
        if self.ledger.has_traded or not self._is_settled:
            steps.append(self._settle)
        if self._has_actions:
            if self._actions is None:
                self._actions = ActionsDesk(None, _ACCOUNT, self._to.actions, self._to.calendar, day)
            steps.append(self._dividends(self._actions))
        if steps and self._to.desk is not None:
            steps.append(CloseStep("capital", self._capital))
        return steps

    def _dividends(self, desk: ActionsDesk) -> CloseStep:
        to = self._to
        return dividends_step(to.actions, to.calendar, desk.splits.through, self._ports, desk)

    def _run(self, day: date, steps: Sequence[CloseStep]) -> None:
        self._books.day = day
        self._closes_at = self._close_of(day)
        self._error = None
        kept = [CloseStep(step.name, self._kept(step)) for step in steps]
        outcome = run_simulated(self._home, _ACCOUNT, day, kept, self._to.clock)
        if outcome.status is CloseStatus.FAILED and self._error is not None:
            raise self._error
        self._is_settled = not self.settlement.ledger.waiting()

    def _kept(self, step: CloseStep) -> Callable[[CloseContext], StepResult]:
        """Keep what a step raises, so that the run ends in what has happened and not in a summary of it."""

        def run(context: CloseContext) -> StepResult:
            try:
                return step.run(context)
            except Exception as error:
                self._error = error
                raise

        return run

    def _agrees(self) -> bool:
        """Whether core, fills and pools say the same: what the reconciliation would find, in a tenth of its time."""
        core, desk = self._to.core, self._to.desk
        held = {(self._symbols[row[0]], row[1]): row[2] for row in core.positions()}
        if not self.ledger.agrees(core.cash, held):
            return False
        return desk is None or core.unallocated() + sum(core.pool_money(pool)[0] for pool in POOLS) == core.cash

    # What the steps ask

    def _look(self) -> BooksNow:
        to = self._to
        core, desk = to.core, to.desk
        pools = None if desk is None else core.unallocated() + sum(core.pool_money(pool)[0] for pool in POOLS)
        return BooksNow(
            core=self._ports.positions(),
            core_cash=core.cash,
            ledger=self.ledger.held(),
            ledger_cash=self.ledger.cash,
            differences=(),
            pools_cash=pools,
        )

    def _trades(self, day: date) -> list[Trade]:
        trades = self.ledger.take_trades(day)
        try:
            if trades:
                self.settlement.ledger.settles_on(day)
        except DataError:
            return []  # beyond the years that the calendar knows
        return trades

    def _capital(self, _context: CloseContext) -> StepResult:
        assert self._to.desk is not None  # noqa: S101 - the step is there only with pools
        self._to.desk.close_day()
        return StepResult("")

    def _rebase(self, split: Split) -> None:
        day = split.effective_date
        midnight = to_ns(datetime(day.year, day.month, day.day, tzinfo=UTC))
        self._to.rebase(split, midnight - self._to.calendar.utc_offset_s * NS_PER_S)

    def _close_of(self, day: date) -> datetime:
        try:
            return from_ns(self._to.calendar.session(day).close_ns)
        except DataError:
            return from_ns(self._to.core.now_ns or 0)

    def _now(self) -> datetime:
        return self._closes_at or from_ns(self._to.core.now_ns or 0)
