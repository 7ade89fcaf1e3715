"""Compares database and sheets: positions, ledger, totals, parameters, bars; positions with the ledger and the broker.

A mismatch is looked at again after the mirror has been drained, so that a row on its way is none. What is left goes on
record, and is told when it has lasted a quarter of an hour.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from qts.data.exceptions import SourceUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
    from datetime import date, datetime

    from qts.clock import Clock
    from qts.data.sheets.adapter import GoogleSheetsAdapter

    _Rows = Mapping[Any, Mapping[str, Any]]

BOOKS: Final = ("C1", "C2", "C3")
"""What has to agree before anything is switched."""
GATE_DAYS: Final = 10

_PERSISTS: Final = timedelta(minutes=15)
_LOOKS: Final = 3
_MOST_TOLD: Final = 100
_BAR_DAYS: Final = 30
_FOUR_DECIMALS: Final = Decimal("0.0001")
_WHOLE: Final = Decimal(100)
_SCOPES: Final = ("SCALP", "SWING")


class CheckResult(NamedTuple):
    """What one comparison found."""

    scope: str
    """C1 to C7."""
    compared: int
    matched: int
    mismatches: tuple[dict[str, str], ...]
    """What differs: key, what, db, sheets (or what it is compared with)."""

    @property
    def match_pct(self) -> Decimal:
        """Percent of what was compared that matched, to four decimals, rounded down; 100 only if all did."""
        if self.matched == self.compared:
            return _WHOLE
        return (_WHOLE * self.matched / self.compared).quantize(_FOUR_DECIMALS, "ROUND_DOWN")

    @property
    def clean(self) -> bool:
        """Whether nothing differs."""
        return not self.mismatches

    @property
    def touches_books(self) -> bool:
        """Whether a quantity or the ledger differs."""
        return any(row["what"] != "avg_price" for row in self.mismatches) and self.scope in {
            "C1",
            "C2",
            "C3",
            "C4",
            "C5",
        }


def compared(scope: str, one: _Rows, other: _Rows, columns: Sequence[str]) -> CheckResult:
    """Compare rows by key in both directions; a row that stands on one side only is a mismatch."""
    found: list[dict[str, str]] = []
    keys = one.keys() | other.keys()
    bad = set()
    for key in sorted(keys, key=str):
        here, there = one.get(key), other.get(key)
        if here is None or there is None:
            where = ("missing", "there") if here is None else ("there", "missing")
            found.append({"key": _told(key), "what": "row", "db": where[0], "sheets": where[1]})
            bad.add(key)
            continue
        for column in columns:
            if here[column] != there[column]:
                found.append({"key": _told(key), "what": column, "db": str(here[column]), "sheets": str(there[column])})
                bad.add(key)
    return CheckResult(scope, len(keys), len(keys) - len(bad), tuple(found))


class Consistency:
    """The comparisons C1 to C7.

    Args:
        db: the database.
        sheets: the spreadsheet.
        clock: for the last days of bars.
        broker: returns the quantity of each symbol that the broker holds; None leaves C5 out.
    """

    def __init__(
        self,
        db: Any,  # noqa: ANN401 - DataSourceAdapter and RunBooks in one
        sheets: GoogleSheetsAdapter,
        clock: Clock,
        *,
        broker: Callable[[], Awaitable[Mapping[str, Decimal]]] | None = None,
    ) -> None:
        self._db = db
        self._sheets = sheets
        self._clock = clock
        self._broker = broker

    async def check(self, scope: str) -> CheckResult:
        """Make one comparison.

        Raises:
            SourceUnavailable: a side does not answer; nothing is said about it then.
        """
        result: CheckResult = await getattr(self, f"_{scope.lower()}")()
        return result

    async def check_all(self, scopes: Iterable[str]) -> list[CheckResult]:
        """Make comparisons, in their order."""
        return [await self.check(scope) for scope in scopes]

    async def _c1(self) -> CheckResult:
        db, sheets = [_open_positions(await side.read("positions")) for side in (self._db, self._sheets)]
        return compared("C1", db, sheets, ("qty", "avg_price"))

    async def _c2(self) -> CheckResult:
        db, sheets = await self._ledgers()
        keys = [{(row["trade_date"].isoformat(), row["fill_key"]): row for row in rows} for rows in (db, sheets)]
        return compared("C2", keys[0], keys[1], ())

    async def _c3(self) -> CheckResult:
        db, sheets = await self._ledgers()
        return compared("C3", _totals(db), _totals(sheets), ("count", "qty", "amount", "fee"))

    async def _c4(self) -> CheckResult:
        rows = await self._db.read("positions")
        found = tuple(
            {
                "key": f"{one.account_id}:{one.track}:{one.symbol}",
                "what": one.what,
                "db": str(one.stored),
                "ledger": str(one.from_ledger),
            }
            for one in await self._db.verify()
        )
        bad = len({row["key"] for row in found})
        total = max(len(rows), bad)
        return CheckResult("C4", total, total - bad, found)

    async def _c5(self) -> CheckResult:
        if self._broker is None:
            raise SourceUnavailable(found="no broker to ask", expected="a broker", hint="leave C5 out")
        held: dict[str, Decimal] = defaultdict(Decimal)
        for row in await self._db.read("positions"):
            held[row["symbol"]] += row["qty"]
        db = {symbol: {"qty": qty} for symbol, qty in held.items() if qty}
        broker = {symbol: {"qty": qty} for symbol, qty in (await self._broker()).items() if qty}
        return compared("C5", db, broker, ("qty",))

    async def _c6(self) -> CheckResult:
        sides = []
        for side in (self._db, self._sheets):
            rows: dict[Any, dict[str, Any]] = {}
            for row in await side.read("strategies"):
                rows["strategies", row["strategy_id"], row["param_name"]] = row
            for row in await side.read("config"):
                if row["scope"] in _SCOPES:
                    rows["config", row["scope"], row["key"]] = row
            sides.append(rows)
        return compared("C6", sides[0], sides[1], ("value",))

    async def _c7(self) -> CheckResult:
        end = self._clock.now_utc()
        start = end - timedelta(days=_BAR_DAYS)
        db: dict[Any, dict[str, Any]] = {}
        sheets: dict[Any, dict[str, Any]] = {}
        figures = ("open", "high", "low", "close", "volume")
        for symbol in [row["symbol"] for row in await self._db.read("instruments")]:
            for side, rows in ((self._db, db), (self._sheets, sheets)):
                for bar in await side.fetch_ohlcv(symbol, start, end):
                    rows[symbol, bar.time.date().isoformat()] = {name: getattr(bar, name) for name in figures}
        return compared("C7", db, sheets, figures)

    async def _ledgers(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        db = await self._db.read("t_ledger")
        entries = (await self._sheets.ledger()).items()
        names = ("trade_date", "side", "symbol", "qty", "amount", "fee")
        return db, [{"fill_key": key, **{name: getattr(one.fill, name) for name in names}} for key, one in entries]


class ConsistencyMonitor:
    """Makes the comparisons, puts them on record and tells what persists.

    Args:
        checks: the comparisons.
        db: where the reports go.
        clock: labels them.
        report: takes a code and a message: FS124, GR109.
        drain: brings to the sheets what waits; raises SourceUnavailable if it cannot.
    """

    def __init__(
        self,
        checks: Consistency,
        db: Any,  # noqa: ANN401 - DataSourceAdapter
        clock: Clock,
        report: Callable[[str, str], None],
        *,
        drain: Callable[[], Awaitable[None]],
    ) -> None:
        self._checks = checks
        self._db = db
        self._clock = clock
        self._report = report
        self._drain = drain
        self._told: set[str] = set()

    async def run(self, scopes: Iterable[str]) -> list[CheckResult]:
        """Make comparisons and record them; a mismatch is looked at again, twice, after the mirror was drained.

        Raises:
            SourceUnavailable: a side does not answer, or rows still wait for the sheets: nothing is recorded of it.
        """
        started = self._clock.now_utc()
        results = []
        for scope in scopes:
            result = await self._checks.check(scope)
            for _ in range(_LOOKS - 1):  # a fill may come between the reads of the two sides
                if result.clean:
                    break
                await self._drain()
                result = await self._checks.check(scope)
            await self._record(result, started)
            results.append(result)
        return results

    async def _record(self, result: CheckResult, started: datetime) -> None:
        since = await self._since(result, started)
        row = {
            "run_id": f"{started.isoformat()}/{result.scope}",
            "started_at": started,
            "scope": result.scope,
            "compared": result.compared,
            "matched": result.matched,
            "mismatches": list(result.mismatches[:_MOST_TOLD]),
            "match_pct": result.match_pct,
        }
        await self._db.write("consistency_reports", row)
        if result.clean:
            self._told.discard(result.scope)
        elif started - since >= _PERSISTS and result.scope not in self._told:
            self._told.add(result.scope)
            first = result.mismatches[0]
            self._report(
                "FS124" if result.touches_books else "GR109",
                f"{result.scope} differs since {since.isoformat()}: {len(result.mismatches)} mismatches, first {first}",
            )

    async def _since(self, result: CheckResult, started: datetime) -> datetime:
        """Return since when the comparison has failed without a break, this time included."""
        since = started
        if not result.clean:
            for row in sorted(await self._reports(result.scope), key=lambda row: row["started_at"], reverse=True):
                if row["match_pct"] == _WHOLE:
                    break
                since = min(since, row["started_at"])
        return since

    async def _reports(self, scope: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = await self._db.read("consistency_reports", {"scope": scope})
        return found


class Gate(NamedTuple):
    """How many trading days in a row everything agreed."""

    days: int
    needed: int
    last_failed: date | None
    """Last trading day that does not count; None if all do."""
    reason: str

    @property
    def passed(self) -> bool:
        """Whether there were enough."""
        return self.days >= self.needed


def gate(
    reports: Iterable[Mapping[str, Any]],
    sessions: Sequence[date],
    session_date: Callable[[datetime], date],
    *,
    needed: int = GATE_DAYS,
) -> Gate:
    """Count trading days in a row, backwards from the last, on which C1, C2 and C3 were made and nothing differed.

    Args:
        reports: rows of `consistency_reports`.
        sessions: trading days to look at, ascending; the last one must be over.
        session_date: returns the trading day of a moment.
        needed: days that it takes.
    """
    by_day: dict[date, list[Mapping[str, Any]]] = defaultdict(list)
    for row in reports:
        by_day[session_date(row["started_at"])].append(row)
    days = 0
    for day in reversed(sessions):
        rows = by_day.get(day, [])
        lacking = [scope for scope in BOOKS if scope not in {row["scope"] for row in rows}]
        failed = sorted({row["scope"] for row in rows if row["match_pct"] != _WHOLE})
        if lacking or failed:
            reason = f"no report of {', '.join(lacking)}" if lacking else f"{', '.join(failed)} below 100 %"
            return Gate(days, needed, day, reason)
        days += 1
    return Gate(days, needed, None, "")


def _open_positions(rows: Iterable[Mapping[str, Any]]) -> dict[Any, dict[str, Any]]:
    return {
        (row["account_id"], row["pool_id"], row["symbol"]): {
            "qty": row["qty"],
            "avg_price": row["avg_price"].quantize(_FOUR_DECIMALS),
        }
        for row in rows
        if row["qty"]
    }


def _totals(rows: Iterable[Mapping[str, Any]]) -> dict[Any, dict[str, Any]]:
    totals: dict[Any, dict[str, Any]] = {}
    for row in rows:
        total = totals.setdefault(
            (row["side"], row["symbol"]),
            {"count": 0, "qty": Decimal(0), "amount": Decimal(0), "fee": Decimal(0)},
        )
        total["count"] += 1
        for name in ("qty", "amount", "fee"):
            total[name] += row[name]
    return totals


def _told(key: object) -> str:
    return ":".join(map(str, key)) if isinstance(key, tuple) else str(key)
