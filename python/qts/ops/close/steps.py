"""The steps of a close that need no other room than those above: each finds what it has done by its key."""

from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from qts.codes import EngineFault
from qts.instruments import DividendBook, SplitBook
from qts.ops.backup import apply_keeping, backups, create_backup
from qts.ops.close.contracts import CloseContext, CloseStep, StepResult
from qts.ops.close.files import damaged, make_directory, read_checked, write_checked
from qts.ops.close.messages import say
from qts.ops.close.settlement import SettlementLedger
from qts.safety.files import replace_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from qts.clock import Clock
    from qts.data import Difference
    from qts.instruments import Calendar, CorporateActions, DividendPayment, Held, Split
    from qts.ops.backup import BackupSource
    from qts.ops.close.settlement import Trade

_TOLERANCE: Final = 1_000
_TOLERANCE_SHARE: Final = 10_000
"""Cash may differ from the broker's by 1,000 units or a ten-thousandth of it, whichever is more."""


class BrokerBooks(NamedTuple):
    """What a broker says of the account."""

    qty: Mapping[str, int]
    """By symbol, over all tracks."""
    cash: int


class BooksNow(NamedTuple):
    """Everything that has to agree, as it stands at the close. Money and quantities are in units."""

    core: Sequence[Held]
    """Holdings of the engine."""
    core_cash: int
    ledger: Sequence[Held]
    """Holdings that the ledger says."""
    ledger_cash: int
    """Starting cash, fills, dividends, deposits and withdrawals."""
    differences: Sequence[Difference]
    """What `RunStore.verify` found."""
    pools_cash: int | None = None
    """Sum over the pools and what is unallocated; None without pools."""
    broker: BrokerBooks | None = None
    """None where the engine itself is the venue."""


def internal_differences(books: BooksNow) -> list[str]:
    """Return where engine, ledger and pools contradict each other."""
    core, ledger = _by_place(books.core), _by_place(books.ledger)
    found = []
    for place in sorted(core.keys() | ledger.keys()):
        ours, booked = core.get(place, 0), ledger.get(place, 0)
        if ours != booked:
            found.append(say("qty_differs", symbol=place[0], track=place[1], core=ours, ledger=booked))
    if books.core_cash != books.ledger_cash:
        found.append(say("cash_differs", core=books.core_cash, ledger=books.ledger_cash))
    if books.pools_cash is not None and books.pools_cash != books.core_cash:
        found.append(say("pools_differ", core=books.core_cash, pools=books.pools_cash))
    return found + [str(row) for row in books.differences]


def broker_differences(books: BooksNow) -> list[str]:
    """Return where the engine contradicts the broker: any share, and cash beyond the tolerance."""
    if books.broker is None:
        return []
    total: dict[str, int] = {}
    for row in books.core:
        total[row.symbol] = total.get(row.symbol, 0) + row.qty
    theirs = books.broker.qty
    found = [
        say("broker_qty", symbol=symbol, core=total.get(symbol, 0), broker=theirs.get(symbol, 0))
        for symbol in sorted(total.keys() | theirs.keys())
        if total.get(symbol, 0) != theirs.get(symbol, 0)
    ]
    cash, tolerance = books.broker.cash, max(_TOLERANCE, abs(books.broker.cash) // _TOLERANCE_SHARE)
    if abs(books.core_cash - cash) > tolerance:
        found.append(say("broker_cash", core=books.core_cash, broker=cash, tolerance=tolerance))
    return found


def _by_place(held: Iterable[Held]) -> dict[tuple[str, str], int]:
    places: dict[tuple[str, str], int] = {}
    for symbol, track, qty in held:
        places[symbol, track] = places.get((symbol, track), 0) + qty
    return {place: qty for place, qty in places.items() if qty}


def reconcile_step(look: Callable[[], BooksNow]) -> CloseStep:
    """Return the step that compares engine, ledger, pools and broker. It changes nothing.

    It fails with FS070 if our own books differ, with FS071 if they differ from the broker's.
    """

    def run(context: CloseContext) -> StepResult:  # noqa: ARG001 - it is the same on every day
        books = look()
        for code, found in (("FS070", internal_differences(books)), ("FS071", broker_differences(books))):
            if found:
                raise EngineFault(
                    code,
                    found=say("differ", count=len(found), first=found[0]),
                    expected=say("agree_expected"),
                    hint=say("differ_hint"),
                )
        held = _by_place(books.core)
        return StepResult(say("agree", count=len(held)), {"holdings": str(len(held)), "cash": str(books.core_cash)})

    return CloseStep("reconcile", run)


class Tally:
    """What one step has done on one day over all its attempts; kept in the same file as what it counts."""

    def __init__(self, key: str = "", counts: Mapping[str, int] | None = None) -> None:
        self._key = key
        self._counts = dict(counts or {})

    def of(self, key: str) -> Tally:
        """Return this tally if it is that of `key`, else an empty one."""
        return self if self._key == key else Tally(key)

    def add(self, **counts: int) -> None:
        """Count more."""
        for name, count in counts.items():
            self._counts[name] = self._counts.get(name, 0) + count

    def __getitem__(self, name: str) -> int:
        """Return a count."""
        return self._counts.get(name, 0)

    def state(self) -> dict[str, Any]:
        """Return it as plain JSON types."""
        return {"key": self._key, "counts": self._counts}


class SettlementDesk:
    """The settlement of an account, kept in its file; without a home it is kept in memory alone.

    Raises:
        EngineFault: FS126, the file is damaged.
    """

    def __init__(self, home: Path | None, account: str, calendar: Calendar) -> None:
        self._path = None if home is None else home / "state" / "close" / account / "settlement" / "ledger.json"
        self.ledger = SettlementLedger(calendar)
        self.tally = Tally()
        state = None if self._path is None else read_checked(self._path)
        if self._path is not None and state is not None:
            try:
                self.ledger = SettlementLedger.restored(calendar, state["ledger"])
                self.tally = Tally(**state["tally"])
            except (ValueError, KeyError, TypeError) as error:
                raise damaged(self._path, error) from None

    def save(self) -> None:
        """Keep it; it is durable on return. EngineFault FS063 if it is not."""
        if self._path is not None:
            write_checked(self._path, {"ledger": self.ledger.state(), "tally": self.tally.state()})


def settle_step(
    calendar: Calendar, trades: Callable[[date], Iterable[Trade]], desk: SettlementDesk | None = None
) -> CloseStep:
    """Return the step that takes in the trades of a session and settles what is due.

    Args:
        calendar: its sessions are the business days.
        trades: returns the trades of a session, all of them whenever it is asked.
        desk: one in memory, for a simulated account; None = that of the account's file, as it is then.
    """
    given = desk

    def run(context: CloseContext) -> StepResult:
        desk = given or SettlementDesk(context.home, context.account, calendar)
        for trade in trades(context.day):
            desk.ledger.book(trade)
        settled = desk.ledger.settle(context.day)
        desk.tally = desk.tally.of(context.key)
        desk.tally.add(trades=len(settled), amount=sum(row.trade.amount for row in settled))
        desk.save()
        values = {"settled": str(desk.tally["amount"]), "unsettled": str(desk.ledger.unsettled(context.day))}
        left = len(desk.ledger.waiting())
        return StepResult(say("settled", count=desk.tally["trades"], left=left), values)

    return CloseStep("settle", run)


class ActionsPorts(Protocol):
    """What the step of dividends and splits asks of the engine.

    `pay` and `split` are called at least once, after a crash again: they do nothing for a key that is in the ledger.
    """

    def positions(self) -> Iterable[Held]:
        """Return what every track holds."""
        ...

    def pay(self, payment: DividendPayment) -> None:
        """Credit a net dividend to the track that held, under the key of the payment."""
        ...

    def split(self, split: Split) -> None:
        """Apply a split to the holdings and the base price of the next session, under the key of the split."""
        ...


class ActionsDesk:
    """Dividends and splits of an account, kept in its file.

    Args:
        home: `QTS_HOME`; None = kept in memory alone.
        account: whose.
        actions: what the reference data say.
        calendar: sessions of the market.
        since: first session of the account; used if there is no file yet.

    Raises:
        EngineFault: FS126, the file is damaged.
    """

    def __init__(
        self, home: Path | None, account: str, actions: CorporateActions, calendar: Calendar, since: date
    ) -> None:
        self._path = None if home is None else home / "state" / "close" / account / "actions" / "book.json"
        self.dividends = DividendBook(actions, calendar, since)
        self.splits = SplitBook(actions, since)
        self.tally = Tally()
        state = None if self._path is None else read_checked(self._path)
        if self._path is not None and state is not None:
            try:
                self.dividends = DividendBook.restored(actions, calendar, state["dividends"])
                self.splits = SplitBook(actions, date.fromisoformat(state["splits_through"]))
                self.tally = Tally(**state["tally"])
            except (ValueError, KeyError, TypeError) as error:
                raise damaged(self._path, error) from None

    def save(self) -> None:
        """Keep it; it is durable on return. EngineFault FS063 if it is not."""
        state = {
            "dividends": self.dividends.state(),
            "splits_through": self.splits.through.isoformat(),
            "tally": self.tally.state(),
        }
        if self._path is not None:
            write_checked(self._path, state)


def dividends_step(
    actions: CorporateActions,
    calendar: Calendar,
    since: date,
    ports: ActionsPorts,
    desk: ActionsDesk | None = None,
) -> CloseStep:
    """Return the step that pays what is due, records who holds before the next ex-date, and splits for the next day.

    Who is entitled is recorded before any split changes a holding, and a payment is forgotten only after it was made.
    `desk` is one in memory for a simulated account; None = that of the account's file, as it is then.
    """
    given = desk

    def run(context: CloseContext) -> StepResult:
        desk = given or ActionsDesk(context.home, context.account, actions, calendar, since)
        desk.tally = desk.tally.of(context.key)
        paid = desk.dividends.waiting(context.day)
        for payment in paid:
            ports.pay(payment)
        desk.dividends.due(context.day)
        recorded = desk.dividends.on_session_close(context.day, ports.positions())
        desk.tally.add(paid=len(paid), recorded=len(recorded))
        desk.tally.add(net=sum(payment.net for payment in paid), tax=sum(payment.tax for payment in paid))
        desk.save()
        tomorrow = calendar.next_session(context.day).date
        splits = desk.splits.waiting(tomorrow)
        for split in splits:
            ports.split(split)
        desk.splits.due(tomorrow)
        desk.tally.add(splits=len(splits))
        desk.save()
        reports = tuple(
            ("FS127", say("late_dividend", symbol=row.symbol, ex_date=row.ex_date))
            for row in desk.dividends.late(context.day)
        )
        counts = {name: desk.tally[name] for name in ("paid", "recorded", "splits")}
        values = {name: str(desk.tally[name]) for name in ("net", "tax")}
        return StepResult(say("actions_done", **counts), values, reports)

    return CloseStep("dividends", run)


def report_step(more: Callable[[CloseContext], Mapping[str, Any]] | None = None) -> CloseStep:
    """Return the step that writes what the close has done to `reports/close/ACCOUNT/DAY.json`.

    The same results give the same bytes. What `more` returns stands beside them, as JSON types; its entry `reports`
    (code and text) is told to the operator too.
    """

    def run(context: CloseContext) -> StepResult:
        document: dict[str, Any] = {
            "account": context.account,
            "day": context.day.isoformat(),
            "steps": {
                name: {"detail": result.detail, "values": dict(result.values), "reports": list(result.reports)}
                for name, result in context.results.items()
            },
        }
        added = {} if more is None else dict(more(context))
        path = context.home / "reports" / "close" / context.account / f"{context.day.isoformat()}.json"
        make_directory(path.parent)
        text = json.dumps(document | added, ensure_ascii=False, indent=1, sort_keys=True)
        replace_file(path, f"{text}\n".encode())
        reports = tuple((str(code), str(text)) for code, text in added.get("reports", ()))
        return StepResult(say("reported", path=path), {"path": str(path)}, reports)

    return CloseStep("report", run)


def backup_step(source: BackupSource, root: Path, clock: Clock) -> CloseStep:
    """Return the step that makes a verified set in `root` and removes those that need not be kept.

    A set that an earlier attempt has finished is not made again. Of sessions that are closed late only the last has
    one: the others would hold the same.
    """

    def run(context: CloseContext) -> StepResult:
        if context.is_catch_up:
            return StepResult(say("backup_later"))
        since = context.since.replace(microsecond=0)
        made = [one for one in backups(root) if one.is_verified and one.backup_at >= since]
        done = made[0] if made else create_backup(source, root, clock)
        apply_keeping(root)
        return StepResult(say("backed_up", name=done.path.name), {"path": str(done.path)})

    return CloseStep("backup", run)
