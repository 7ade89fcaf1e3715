"""`qts-engine explain`: from the tick that an order was decided on to its last fill."""

import json
import sys
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

import typer

from qts.cli.options import ConfigDir, Home, JsonOut

if TYPE_CHECKING:
    from qts.engine.explain import Evidence, Fill, Order

_MS: Final = 1_000_000
_DONE: Final = frozenset({"FILLED"})
_OPEN: Final = frozenset({"SUBMITTED", "ACCEPTED", "PARTIALLY_FILLED", "UNKNOWN"})


class Step(NamedTuple):
    """One thing that happened."""

    at_ns: int
    step: str
    text: str


def explain(
    order: Annotated[
        str,
        typer.Argument(
            metavar="ORDER_ID",
            help="Number of the order as in orders.csv, its split id, or an execution or decision id.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="DIR", help="Report of a backtest. Default: the database of the home.", show_default=False
        ),
    ] = None,
    config: ConfigDir = None,
    home: Home = None,
    *,
    run: Annotated[
        str | None, typer.Option("--run", metavar="ID", help="Run, as report.json names it. Default: the newest.")
    ] = None,
    as_json: JsonOut = False,
) -> None:
    """Explain an order: the tick, the signal, limits and checks, how it was split, each send, answer and fill.

    Works while an engine runs.

    Example: qts-engine explain 42 --out report
    """
    from qts.engine.explain import explain_home, explain_report

    found = explain_home(order, run, config, home) if out is None else explain_report(out, order)
    steps = sorted(_steps(found), key=lambda one: one.at_ns)
    if as_json:
        sys.stdout.write(f"{json.dumps(_document(found, steps), ensure_ascii=False, indent=2, default=str)}\n")
        return
    sys.stdout.writelines(f"{line}\n" for line in (_head(found), "", *_table(found, steps)))


def _say(key: str, /, **fields: object) -> str:
    from qts.engine.explain_messages import say

    return say(key, **fields)


def _head(found: "Evidence") -> str:
    said = found.execution or found.decision or {}
    order = found.orders[0] if found.orders else None
    return _say(
        "head",
        asked=found.asked,
        run=found.run,
        mode=found.mode,
        side=said.get("side") or (order.side if order else ""),
        qty=said.get("qty") or (_number(order.qty) if order else ""),
        symbol=said.get("symbol", ""),
        track=said.get("track", ""),
    )


def _steps(found: "Evidence") -> Iterator[Step]:
    decision, execution = found.decision, found.execution
    if decision is not None:
        yield from _decided(decision, execution)
    if execution is not None:
        yield from _executed(execution)
    for order in found.orders:
        yield from _ordered(order, found)
    for fill in found.fills:
        yield Step(fill.ts_ns, "fill", _filled(fill))
    for one in found.stages:
        error = f" ({one.error_code})" if one.error_code else ""
        took = "-" if one.latency_ms is None else one.latency_ms
        yield Step(one.at_ns, "stage", _say("stage_took", stage=one.stage, ms=took, error=error))
    if execution is not None and execution["end_ns"] is not None:
        yield Step(execution["end_ns"], "result", _result(execution))
    elif execution is not None:
        last_ns = max((one.updated_ns for one in found.orders), default=execution["start_ns"])
        text = _say("under_way", state=execution["final_state"], filled=execution["filled_qty"])
        yield Step(last_ns, "result", text)


def _decided(decision: Mapping[str, Any], execution: Mapping[str, Any] | None) -> Iterator[Step]:
    at_ns, seen_ns = decision["ts_ns"], decision["ref_ts_ns"]
    age = f"{(at_ns - seen_ns) / _MS:,.3f} ms"
    if execution is None:
        text = _say("tick_price", price=decision["ref_price"], age=age)
    else:
        book = {name: text for name, text in execution["quote"].items() if name != "age_ns"}
        text = _say("tick_book", **book, age=age)
    yield Step(min(seen_ns, at_ns), "tick", text)
    yield Step(
        at_ns,
        "signal",
        _say(
            "signal_is",
            strategy=decision["strategy"],
            wanted=decision["wanted_qty"],
            purpose=decision["purpose"],
            reason=decision["reason"],
            confidence=decision["confidence"],
        ),
    )
    codes = ", ".join(decision["codes"]) or _say("no_codes")
    binding, allowed = decision["binding"] or "-", decision["allowed_qty"] or "-"
    yield Step(at_ns, "limits", _say("limits_risk", allowed=allowed, binding=binding, codes=codes))
    if decision["action"] == "NONE":
        yield Step(at_ns, "result", _say("refused_by_decide", reason=decision["reason"]))


def _executed(execution: Mapping[str, Any]) -> Iterator[Step]:
    from qts.execution.precheck import GATES

    at_ns, limits = execution["start_ns"], execution["limits"]
    precheck, split = execution["precheck"], execution["split"]
    yield Step(
        at_ns,
        "limits",
        _say(
            "limits_state",
            safety=limits["safety"],
            operating=limits["operating"],
            entries=limits["entries_today"],
            most=limits["max_daily_trades"],
            positions=limits["max_positions"],
        ),
    )
    if precheck["refused"]:
        yield Step(at_ns, "precheck", _say("refused", reason=precheck["refused"]))
        return
    hold = _say("hold", hold=precheck["hold"]) if precheck["hold"] else ""
    yield Step(at_ns, "precheck", _say("passed", gates=", ".join(GATES), qty=precheck["qty"], hold=hold))
    if split["strategy"] and split["children"]:
        parts = [
            qty if not after_ns else _say("child_at", qty=qty, after=f"{after_ns / _MS:g}")
            for _, qty, after_ns in split["children"]
        ]
        yield Step(at_ns, "split", _say("split_is", strategy=split["strategy"], children=", ".join(parts)))


def _ordered(order: "Order", found: "Evidence") -> Iterator[Step]:
    asked = found.asked in (str(order.order_id), order.client_order_id) and len(found.orders) > 1
    price = "" if order.price is None else f" {_number(order.price)}"
    text = _say(
        "sent",
        mark="* " if asked else "",
        order=order.order_id,
        split=order.client_order_id or "-",
        side=order.side,
        qty=_number(order.qty),
        kind=order.kind,
        price=price,
    )
    yield Step(order.sent_ns, "send", text + (_say("liquidates") if order.is_escape else ""))
    if order.ack_ns is not None:
        yield Step(order.ack_ns, "ack", _say("acked", order=order.order_id))
    if order.state not in _DONE and order.state not in _OPEN:
        ended = _say(
            "ended",
            order=order.order_id,
            state=order.state,
            filled=_number(order.filled_qty),
            qty=_number(order.qty),
            reason=_say("because", reason=order.end_reason) if order.end_reason else "",
        )
        yield Step(order.updated_ns, "end", ended)


def _filled(fill: "Fill") -> str:
    numbers = {name: _number(getattr(fill, name)) for name in ("qty", "price", "fee", "tax")}
    return _say("filled", order=fill.order_id, **numbers)


def _result(execution: Mapping[str, Any]) -> str:
    slippage = execution["slippage_bps"]
    return _say(
        "came_to",
        state=execution["final_state"],
        disposition=execution["disposition"],
        reason=_say("because", reason=execution["reason"]) if execution["reason"] else "",
        filled=execution["filled_qty"],
        cancelled=execution["cancelled_qty"],
        unsent=execution["unsent_qty"],
        average=execution["avg_price"] or "-",
        slippage="-" if slippage is None else f"{slippage} bps",
        rounds=execution["rounds"],
        codes=", ".join(execution["codes"]) or _say("no_codes"),
    )


def _table(found: "Evidence", steps: list[Step]) -> Iterator[str]:
    """Return the steps as lines under their headings."""
    from qts.codes import columns

    zero_ns = _zero(found, steps)
    rows = [(_say("time"), _say("after"), _say("step"), _say("what"))]
    rows += [(_moment(one.at_ns), f"{(one.at_ns - zero_ns) / _MS:,.3f}", _say(one.step), one.text) for one in steps]
    widths = [max(columns(row[number]) for row in rows) for number in range(3)]
    for when, after, step, text in rows:
        left = when + " " * (widths[0] - columns(when))
        middle = " " * (widths[1] - columns(after)) + after
        yield f"{left}  {middle}  {step + ' ' * (widths[2] - columns(step))}  {text}"


def _zero(found: "Evidence", steps: list[Step]) -> int:
    """Return the moment that others are told from: the decision, else the first thing known."""
    if found.decision is not None:
        zero: int = found.decision["ts_ns"]
        return zero
    return steps[0].at_ns if steps else 0


def _moment(ts_ns: int) -> str:
    from qts.clock.instants import from_ns
    from qts.engine.capital_view import KST

    return f"{from_ns(ts_ns).astimezone(KST):%Y-%m-%d %H:%M:%S.%f}"


def _number(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _document(found: "Evidence", steps: list[Step]) -> dict[str, Any]:
    zero_ns = _zero(found, steps)
    return {
        "asked": found.asked,
        "run": found.run,
        "mode": found.mode,
        "decision": found.decision,
        "execution": found.execution,
        "orders": [one._asdict() for one in found.orders],
        "fills": [one._asdict() for one in found.fills],
        "stages": [one._asdict() for one in found.stages],
        "steps": [
            {"ts_ns": one.at_ns, "after_ms": (one.at_ns - zero_ns) / _MS, "step": one.step, "text": one.text}
            for one in steps
        ],
    }
