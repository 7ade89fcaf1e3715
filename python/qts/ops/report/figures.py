"""`report.json`: the figures of a run as decimal text."""

from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any, Final

from qts.money import format_units
from qts.ops.report.capital import capital_dict
from qts.ops.report.performance import performance_dict

if TYPE_CHECKING:
    from qts.engines import PerformanceFigures
    from qts.instruments import Catalog
    from qts.ops.report.contracts import CapitalFigures, ExecutionFigures, RunFigures
    from qts.ops.report.recorder import RunRecorder

_FRACTION: Final = Decimal("0.00000001")
_BPS: Final = Decimal("0.001")
_LATENCY_KEYS: Final = ("p50", "p99", "p999", "max")


def report_dict(
    run: "RunFigures",
    recorder: "RunRecorder",
    catalog: "Catalog",
    performance: "PerformanceFigures",
    capital: "CapitalFigures | None",
) -> dict[str, Any]:
    """Return the content of `report.json`; `capital` is there only if the run has pools."""
    scale = catalog.currency(run.currency).scale

    def money(units: int) -> str:
        return format_units(units, scale)

    fall, base = recorder.max_drawdown
    report = {
        "run": {
            "id": run.run_id,
            "mode": run.mode,
            "strategy": run.strategy,
            "config_hash": run.config_hash,
            "decision_hash": run.decision_hash,
            "data": [row._asdict() for row in run.data],
            "wall_s": round(run.wall_s, 6),
            "events_per_s": round(run.records / run.wall_s) if run.wall_s > 0 else 0,
        },
        "account": {
            "currency": run.currency,
            "cash_start": money(run.cash_start),
            "cash_end": money(run.cash_end),
            "equity_end": money(run.cash_end + run.market_value),
            "fees": money(run.fees),
            "taxes": money(run.taxes),
            "realized_pnl": money(run.realized),
            "unrealized_pnl": money(run.unrealized),
            "max_drawdown": f"{(Decimal(fall) / base).quantize(_FRACTION, ROUND_HALF_UP):f}",
        },
        "events": {level: dict(counters) for level, counters in run.events.items()},
        "orders": dict(run.order_counts),
        "fills": performance.account.money.fills,
        "positions": list(_positions(run, catalog)),
        "risk": {"actions": dict(sorted(run.risk_actions.items()))},
        "states": [change._asdict() for change in run.states],
        "latency_us": {
            name: {"n": row["n"], **{key: row[key] / 1_000 for key in _LATENCY_KEYS}}
            for name, row in run.latency_ns.items()
        },
        "cycles": {name: dict(sorted(counts.items())) for name, counts in run.cycles.items()},
        "faults": [fault._asdict() for fault in run.faults],
        "performance": performance_dict(performance, scale),
    }
    if run.executions is not None:
        report["executions"] = executions_dict(run.executions)
    if capital is not None:
        report["capital"] = capital_dict(capital, run.capital, scale)
    return report


def executions_dict(figures: "ExecutionFigures") -> dict[str, Any]:
    """Return what came of executions; slippage in basis points of the price decided on, positive = cost."""
    return {
        "total": sum(figures.states.values()),
        "final_states": dict(figures.states),
        "dispositions": dict(figures.dispositions),
        "refusals": dict(figures.refusals),
        "filled": figures.filled,
        "rounds": figures.rounds,
        "mean_slippage_bps": _mean_bps(figures.slippage_e3, figures.filled),
        "mean_adverse_slippage_bps": _mean_bps(figures.adverse_e3, figures.filled),
    }


def _mean_bps(sum_e3: int, count: int) -> str | None:
    if not count:
        return None
    return f"{(Decimal(sum_e3) / count / 1_000).quantize(_BPS, ROUND_HALF_UP):f}"


def _positions(run: "RunFigures", catalog: "Catalog") -> Iterator[dict[str, str]]:
    for row in run.positions:
        instrument = catalog[row.symbol]
        yield {
            "symbol": row.symbol,
            "track": row.track,
            "qty": format_units(row.qty, instrument.qty_scale),
            "avg_price": average_price(
                row.cost_total, row.qty, instrument.qty_scale, instrument.money_scale, instrument.price_scale
            ),
        }


def average_price(amount: int, qty: int, qty_scale: int, money_scale: int, price_scale: int) -> str:
    """Return amount / quantity as decimal text, rounded to two decimals more than a price has."""
    if qty == 0:
        return ""
    exact = Decimal(amount).scaleb(-money_scale) / Decimal(qty).scaleb(-qty_scale)
    text = f"{exact.quantize(Decimal(1).scaleb(-(price_scale + 2)), ROUND_HALF_UP):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
