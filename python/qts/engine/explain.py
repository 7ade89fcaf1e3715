"""Why an order was sent and what became of it, put together from what a run has left on record.

A report of a backtest has `decisions.jsonl`, `executions.jsonl`, `orders.csv` and `fills.csv`; a home has the tables
`decisions`, `intents`, `orders`, `run_orders`, `execution_logs` and the ledger. Both come to the same `Evidence`.
"""

import asyncio
import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from qts.clock.instants import from_ns, to_ns
from qts.codes import UsageError
from qts.engine.database import DatabaseDesk
from qts.engine.explain_messages import say
from qts.engine.storage import BACKTESTS, PAPER, adapter_of

if TYPE_CHECKING:
    from qts.data.postgres import TimescaleDBAdapter
    from qts.data.sqlite.adapter import SQLiteAdapter

    Adapter = SQLiteAdapter | TimescaleDBAdapter

_NEAR: Final = 5
"""Ids that a refusal names."""
_KNOWN: Final = 100_000
"""Ids that are looked through for near ones."""
_DAY: Final = timedelta(days=1)


class Order(NamedTuple):
    """An order as it stands. Numbers are exact decimals, times UTC nanoseconds."""

    order_id: int
    client_order_id: str
    side: str
    kind: str
    qty: Decimal
    price: Decimal | None
    sent_ns: int
    ack_ns: int | None
    """None if nobody has said, or if it is not told of such orders."""
    state: str
    filled_qty: Decimal
    avg_price: Decimal | None
    end_reason: str
    updated_ns: int
    is_escape: bool


class Fill(NamedTuple):
    """One fill of one of the orders."""

    order_id: int
    ts_ns: int
    qty: Decimal
    price: Decimal
    fee: Decimal
    tax: Decimal


class Stage(NamedTuple):
    """What a stage of the execution took by itself."""

    stage: str
    at_ns: int
    latency_ms: Decimal | None
    success: bool
    error_code: str


class Evidence(NamedTuple):
    """Everything on record about a decision."""

    asked: str
    run: str
    mode: str
    decision: Mapping[str, Any] | None
    """As its line says it; None if the line is not on record."""
    execution: Mapping[str, Any] | None
    """As `executions.jsonl` says it; None for a decision that was one order."""
    orders: tuple[Order, ...]
    fills: tuple[Fill, ...]
    stages: tuple[Stage, ...]


def explain_report(directory: Path, asked: str) -> Evidence:
    """Return what a report says of an order.

    Args:
        directory: the report of a backtest.
        asked: number of the order, its split id, or the id of its execution or decision.

    Raises:
        UsageError: there is no report, or no such order in it.
    """
    if not (directory / "report.json").is_file() or not (directory / "orders.csv").is_file():
        raise UsageError(found=say("no_report", path=directory), expected=say("report"), hint=say("report_hint"))
    run = json.loads((directory / "report.json").read_text(encoding="utf-8"))["run"]
    orders = list(_csv(directory / "orders.csv"))
    executions = directory / "executions.jsonl"
    execution = (
        next((row for row in _lines(executions) if asked in _ids_of(row)), None) if executions.is_file() else None
    )
    mine = [row for row in orders if asked in (row["order_id"], row["client_order_id"], row["decision_id"])]
    if execution is not None:
        decision_id = execution["decision_id"]
    elif mine:
        decision_id = mine[0]["decision_id"]
    else:
        decision_id = asked
    decision = next((row for row in _lines(directory / "decisions.jsonl") if row["decision_id"] == decision_id), None)
    if decision is None and execution is None and not mine:
        raise _unknown(asked, _ids_in(orders, directory))
    of_it = [_order_of(row, execution) for row in orders if row["decision_id"] == decision_id]
    numbers = {one.order_id for one in of_it}
    fills = [
        Fill(int(row["order_id"]), int(row["ts_ns"]), *(Decimal(row[name]) for name in ("qty", "price", "fee", "tax")))
        for row in _csv(directory / "fills.csv")
        if int(row["order_id"]) in numbers
    ]
    return Evidence(asked, run["id"], run["mode"], decision, execution, tuple(of_it), tuple(fills), ())


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def _csv(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def _ids_of(execution: Mapping[str, Any]) -> set[str]:
    """Return everything by which an execution can be asked for."""
    ids = {execution["execution_id"], execution["decision_id"]}
    for sent in execution["orders"]:
        ids |= {str(sent["order_id"]), sent["client_order_id"]}
    return ids


def _ids_in(orders: Iterable[Mapping[str, str]], directory: Path) -> Iterator[str]:
    for row in orders:
        yield from (row["order_id"], row["client_order_id"])
    path = directory / "executions.jsonl"
    if path.is_file():
        for execution in _lines(path):
            yield execution["execution_id"]


def _order_of(row: Mapping[str, str], execution: Mapping[str, Any] | None) -> Order:
    """Return a row of `orders.csv`, with what the execution knows of its sending."""
    sent = next((one for one in (execution or {}).get("orders", ()) if str(one["order_id"]) == row["order_id"]), None)
    average = row["avg_price"]
    return Order(
        order_id=int(row["order_id"]),
        client_order_id=row["client_order_id"],
        side=row["side"],
        kind=row["kind"],
        qty=Decimal(row["qty"]),
        price=Decimal(row["limit_price"]),
        sent_ns=int(row["ts_ns"]),
        ack_ns=None if sent is None else sent["ack_ns"],
        state=row["state"],
        filled_qty=Decimal(row["filled_qty"]),
        avg_price=Decimal(average) if average else None,
        end_reason=row["end_reason"],
        updated_ns=int(row["ts_ns"]) if sent is None else sent["updated_ns"],
        is_escape=sent is not None and sent["is_escape"],
    )


def explain_home(asked: str, run: str | None = None, config: Path | None = None, home: Path | None = None) -> Evidence:
    """Return what the database of a home says of an order. An engine may run meanwhile.

    Args:
        asked: number of the order, its split id, or the id of its execution or decision.
        run: id of the run; None: the newest. Each run numbers its orders from the beginning.
        config: configuration directory; None: the shipped one.
        home: home of the engine; None: `QTS_HOME`, else `~/.qts`.

    Raises:
        UsageError: no run is on record, there is no such run, or no such order in it.
        AdapterError: the database cannot be read.
    """
    return asyncio.run(_of_home(DatabaseDesk(config, home), asked, run))


async def _of_home(desk: DatabaseDesk, asked: str, run: str | None) -> Evidence:
    is_server = desk.config.data.profile == "server"
    sessions: list[tuple[int, str, dict[str, Any]]] = []
    for file in (PAPER,) if is_server else (PAPER, BACKTESTS):
        if is_server or (desk.home / "db" / file).exists():
            rows = await _rows(desk, file, "sessions")
            sessions += [(row["started_ns"], file, row) for row in rows]
    chosen = [one for one in sessions if run is None or one[2]["session_id"] == run]
    if not chosen:
        raise _no_run(run, [row["session_id"] for _, _, row in sorted(sessions, key=lambda one: -one[0])])
    _, file, session = max(chosen, key=lambda one: one[0])
    adapter = adapter_of(desk.config, desk.home, desk.clock, desk.secrets, file=file)
    await adapter.open()
    try:
        return await _Reader(adapter, session).evidence(asked)
    finally:
        await adapter.close()


async def _rows(desk: DatabaseDesk, file: str, table: str) -> list[dict[str, Any]]:
    adapter = adapter_of(desk.config, desk.home, desk.clock, desk.secrets, file=file)
    await adapter.open()
    try:
        return await adapter.read(table)
    finally:
        await adapter.close()


class _Reader:
    """Reads what one run has left in a database."""

    def __init__(self, adapter: "Adapter", session: Mapping[str, Any]) -> None:
        self._adapter = adapter
        self._session = session

    async def evidence(self, asked: str) -> Evidence:
        decision_id = await self._decision_of(asked)
        if decision_id is None:
            raise _unknown(asked, await self._known())
        intents = await self._of_account("intents", decision_id=decision_id)
        rows = await self._of_run("run_orders", decision_id=decision_id)
        lines = await self._adapter.read(
            "decisions", {"run_id": self._session["session_id"], "decision_id": decision_id}
        )
        intent = intents[0] if intents else None
        children = await self._of_account("orders", execution_id=intent["execution_id"]) if intent else []
        scales = await self._scales(rows[0]["symbol"]) if rows else (0, 0)
        orders = [_order_in(row, children, *scales) for row in rows]
        execution = None if intent is None else _execution_of(intent, children)
        return Evidence(
            asked,
            self._session["session_id"],
            self._session["mode"],
            json.loads(lines[0]["line"]) if lines and lines[0]["line"] else None,
            execution,
            tuple(orders),
            tuple([one for order in orders for one in await self._fills(order.order_id)]),
            tuple(await self._stages(execution)),
        )

    async def _decision_of(self, asked: str) -> str | None:
        """Return the id of the decision that an id leads to; None if it leads nowhere."""
        found: list[dict[str, Any]] = []
        if asked.isdigit():
            found = await self._of_run("run_orders", order_id=int(asked))
        found = found or await self._of_run("run_orders", client_order_id=asked)
        found = found or await self._of_account("intents", execution_id=asked)
        found = found or await self._adapter.read(
            "decisions", {"run_id": self._session["session_id"], "decision_id": asked}
        )
        return found[0]["decision_id"] if found else None

    async def _known(self) -> list[str]:
        orders = await self._of_run("run_orders", limit=_KNOWN)
        intents = await self._of_account("intents", limit=_KNOWN)
        ids = [text for row in orders for text in (str(row["order_id"]), row["client_order_id"] or "")]
        return [*ids, *(row["execution_id"] for row in intents)]

    async def _of_run(self, table: str, limit: int | None = None, **where: object) -> list[dict[str, Any]]:
        return await self._adapter.read(table, {"session_no": self._session["no"], **where}, limit=limit)

    async def _of_account(self, table: str, limit: int | None = None, **where: object) -> list[dict[str, Any]]:
        return await self._adapter.read(table, {"account_id": self._session["account_id"], **where}, limit=limit)

    async def _scales(self, symbol: str) -> tuple[int, int]:
        (row,) = await self._adapter.read("instruments", {"symbol": symbol})
        return row["price_scale"], row["qty_scale"]

    async def _fills(self, order_id: int) -> list[Fill]:
        rows = await self._adapter.fetch_fills(str(order_id), account_id=self._session["account_id"])
        return [
            Fill(order_id, one.fill.ts_exec_ns, one.fill.qty, one.fill.price, one.fill.fee, one.fill.tax)
            for one in rows
        ]

    async def _stages(self, execution: Mapping[str, Any] | None) -> list[Stage]:
        if execution is None:
            return []
        first = from_ns(execution["start_ns"])
        last = from_ns(execution["end_ns"] or execution["start_ns"])
        rows = await self._adapter.fetch_execution_logs(execution["execution_id"], first - _DAY, last + _DAY)
        return [Stage(row.stage, to_ns(row.time), row.latency_ms, row.success, row.error_code or "") for row in rows]


def _order_in(row: Mapping[str, Any], children: Iterable[Mapping[str, Any]], price_scale: int, qty_scale: int) -> Order:
    """Return an order of a run, with what its execution knows of it."""
    child = next((one for one in children if one["broker_order_id"] == str(row["order_id"])), None)
    filled = Decimal(row["filled_qty"]).scaleb(-qty_scale)
    ack = None if child is None else child["ack_at"]
    return Order(
        order_id=row["order_id"],
        client_order_id=row["client_order_id"] or "",
        side=row["side"],
        kind=row["kind"],
        qty=Decimal(row["qty"]).scaleb(-qty_scale),
        price=Decimal(row["limit_price"]).scaleb(-price_scale),
        sent_ns=row["ts_ns"],
        ack_ns=None if ack is None else to_ns(ack),
        state=row["state"],
        filled_qty=filled,
        avg_price=None if child is None else child["avg_fill_price"],
        end_reason=row["end_reason"],
        updated_ns=row["updated_ns"],
        is_escape=child is not None and child["intent"] == "ESCAPE",
    )


def _execution_of(row: Mapping[str, Any], children: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return a row of `intents` as a line of `executions.jsonl` says it."""
    end = row["execution_end"]
    return {
        "execution_id": row["execution_id"],
        "decision_id": row["decision_id"],
        "symbol": row["symbol"],
        "track": row["pool_id"],
        "side": row["side"],
        "intent": row["intent"],
        "strategy": row["strategy_tag"],
        "qty": _plain(row["qty"]),
        "precheck_qty": row["detail"]["precheck"]["qty"],
        "price_type": row["price_type"],
        "limit_price": _plain(row["price"]),
        "decision_price": _plain(row["decision_price"]),
        "decision_ts_ns": to_ns(row["decision_ts"]),
        "deadline_ns": to_ns(row["deadline"]),
        "start_ns": to_ns(row["execution_start"]),
        "end_ns": None if end is None else to_ns(end),
        "final_state": row["state"],
        "disposition": row["disposition"] or "",
        "reason": row["reason"] or "",
        "codes": row["codes"],
        "filled_qty": _plain(row["filled_qty"]),
        "unsent_qty": _plain(row["unsent_qty"]),
        "cancelled_qty": _plain(row["cancelled_qty"]),
        "avg_price": _plain(row["avg_fill_price"]),
        "amount": _plain(row["amount"]),
        "fee": _plain(row["fee"]),
        "tax": _plain(row["tax"]),
        "slippage_bps": _plain(row["slippage_bps"]),
        "rounds": row["rounds_used"],
        "orders": [one["client_order_id"] for one in children],
        **row["detail"],
    }


def _plain(value: Decimal | None) -> str | None:
    if value is None:
        return None
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _no_run(run: str | None, names: list[str]) -> UsageError:
    if run is None:
        return UsageError(found=say("no_runs"), expected=say("runs"), hint=say("runs_hint"))
    shown = ", ".join(names[:_NEAR]) or say("none")
    return UsageError(found=say("unknown_run", name=run), expected=say("known_runs", names=shown))


def _unknown(asked: str, known: Iterable[str]) -> UsageError:
    """Return what is said to an id that leads nowhere, with those that come near."""
    ids = [one for one in dict.fromkeys(known) if one]
    if asked.isdigit():
        numbers = sorted((int(one) for one in ids if one.isdigit()), key=lambda one: (abs(one - int(asked)), one))
        near = [str(one) for one in numbers[:_NEAR]]
    else:
        near = [one for one in ids if asked and one.startswith(asked)][:_NEAR]
        near = near or get_close_matches(asked, ids, n=_NEAR, cutoff=0.5) or ids[-_NEAR:]
    return UsageError(
        found=say("unknown_order", name=asked),
        expected=say("near", names=", ".join(near)) if near else say("known_order"),
        hint=say("order_hint"),
    )
