"""`report.html`: one file that opens offline."""

from html import escape
from typing import TYPE_CHECKING, Any, Final

from qts.ops.report.messages import say
from qts.ops.report.panels import EXECUTION_STAGE, capital_panels, execution_panel, grouped, performance_panel, shown

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from qts.codes import Lang

_MONEY: Final = (
    "cash_start", "cash_end", "equity_end", "realized_pnl", "unrealized_pnl", "fees", "taxes",
)  # fmt: skip

_ENTRIES: Final = frozenset({"ENTRY", "ADD"})
_REASONS_SHOWN: Final = 4

_CHART: Final = {"displaylogo": False, "responsive": True}

_STYLE: Final = """
body { font-family: system-ui, "Apple SD Gothic Neo", "Noto Sans KR", sans-serif; margin: 2rem auto; max-width: 1200px;
       padding: 0 1rem; color: #222; }
h1 { font-size: 1.5rem; margin: 0 0 .2rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
.sub { color: #666; margin: 0 0 1.5rem; overflow-wrap: anywhere; }
table { border-collapse: collapse; } td, th { padding: .25rem 1rem .25rem 0; text-align: left; vertical-align: top; }
td:first-child { white-space: nowrap; }
td.n { text-align: right; font-variant-numeric: tabular-nums; }
tr + tr td { border-top: 1px solid #eee; }
.wide { overflow: auto; max-height: 50rem; margin-bottom: .7rem; } .grid { font-size: .9rem; }
.grid th { position: sticky; top: 0; background: #fff; border-bottom: 1px solid #bbb; white-space: nowrap; }
.grid th.n { text-align: right; } .grid td.n { white-space: nowrap; }
"""


def page(report: dict[str, Any], chart: "Figure", pools: "Figure | None", lang: "Lang") -> str:
    """Return the page: key figures, charts, performance, pools, open positions, refusals, faults, latencies."""
    run = report["run"]
    title = f"{say('title', lang)}: {run['strategy']}"
    parts = [
        f"<!doctype html><html lang='{lang}'><head><meta charset='utf-8'>",
        "<meta name='viewport' content='width=device-width, initial-scale=1'>",
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{escape(title)}</h1>",
        f"<p class='sub'>{escape(run['mode'])} · {escape(run['id'])} · {say('decision_hash', lang)} "
        f"{escape(run['decision_hash'][:16])}</p>",
        f"<h2>{say('key_figures', lang)}</h2>{_table(key_figures(report, lang))}",
        chart.to_html(full_html=False, include_plotlyjs=True, config=_CHART),
        performance_panel(report["performance"], lang),
    ]
    if pools is not None:
        charts = pools.to_html(full_html=False, include_plotlyjs=False, config=_CHART)
        parts.append(capital_panels(report["capital"], charts, lang))
    if "executions" in report:
        parts.append(execution_panel(report["executions"], report["latency_us"], lang))
    parts += [
        f"<h2>{say('positions', lang)}</h2>{_table(_positions(report, lang))}",
        f"<h2>{say('refusals', lang)}</h2>{_table([(k, f'{n:,}') for k, n in report['risk']['actions'].items()])}",
    ]
    if report["faults"]:
        parts.append(f"<h2>{say('faults', lang)}</h2>{_table(fault_rows(report, lang))}")
    parts.append(f"<h2>{say('latency', lang)}</h2>{_table(_latency(report))}</body></html>")
    return "\n".join(parts)


def key_figures(report: dict[str, Any], lang: "Lang") -> list[tuple[str, str]]:
    """Return the key figures as (name, value)."""
    run, account = report["run"], report["account"]
    rows = [
        (say("strategy", lang), run["strategy"]),
        (say("data", lang), ", ".join(row["path"] for row in run["data"])),
        (say("records", lang), f"{report['events']['P1']['admitted']:,}"),
        (say("speed", lang), f"{run['events_per_s']:,}"),
    ]
    rows += [(say(name, lang), f"{grouped(account[name])} {account['currency']}") for name in _MONEY]
    rows += [
        (say("max_drawdown", lang), f"{float(account['max_drawdown']) * 100:.3f} %"),
        (
            say("orders", lang),
            ", ".join(f"{state} {count:,}" for state, count in report["orders"].items() if count) or "0",
        ),
        (say("fills", lang), f"{report['fills']:,}"),
    ]
    rows += _executions(report, lang)
    rows += _performance(report, lang)
    refused = _refused(report)
    if refused:
        rows.append((say("refused", lang), refused))
    bad_rows = sum(row["bad_rows"] for row in run["data"])
    if bad_rows:
        rows.append((say("bad_rows", lang), f"{bad_rows:,}"))
    return rows


def _executions(report: dict[str, Any], lang: "Lang") -> list[tuple[str, str]]:
    """Return how many executions there were, how they ended and what they cost; nothing if there were none."""
    executions = report.get("executions")
    if executions is None:
        return []
    counts = ", ".join(f"{name} {count:,}" for name, count in executions["dispositions"].items())
    adverse = executions["mean_adverse_slippage_bps"]
    rows = [(say("executions", lang), f"{executions['total']:,} ({counts})")]
    return rows if adverse is None else [*rows, (say("execution_adverse", lang), f"{adverse} bps")]


def _performance(report: dict[str, Any], lang: "Lang") -> list[tuple[str, str]]:
    """Return the figures that a run is judged by first, as far as they can be told; then its pools, if any."""
    account = report["performance"]["account"]
    returns, trades = account["returns"] or {}, account["trades"]
    rows = [
        (say(name, lang), shown(value, kind))
        for name, value, kind in (
            ("cagr", returns.get("cagr"), "pct"),
            ("sharpe", returns.get("sharpe") if returns.get("days", 0) > 1 else None, "ratio"),
            ("trades", trades["trades"] or None, "count"),
            ("win_rate", trades["win_rate"], "pct"),
            ("profit_factor", trades["profit_factor"], "ratio"),
        )
        if value is not None
    ]
    capital = report.get("capital")
    if capital is not None:
        rows += [
            (
                f"{say('pool', lang)} {row['pool']}",
                f"{grouped(row['total'])} ({float(row['share']) * 100:.2f} %), {row['state']}",
            )
            for row in capital["pools"]
        ]
        committed = sum(row["status"] == "COMMITTED" for row in capital["transfers"])
        rows.append((say("transfers", lang), f"{committed:,}"))
    return rows


def _refused(report: dict[str, Any]) -> str:
    """Return the commonest reasons for which an entry was not sent."""
    counts: dict[str, int] = {}
    for action, count in report["risk"]["actions"].items():
        purpose, _, reason = action.partition(":")
        if purpose in _ENTRIES and reason != "SENT":
            counts[reason] = counts.get(reason, 0) + count
    commonest = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_REASONS_SHOWN]
    return ", ".join(f"{reason} {count:,}" for reason, count in commonest)


def fault_rows(report: dict[str, Any], lang: "Lang") -> list[tuple[str, str]]:
    """Return the faults as (source, what happened)."""
    return [
        (
            f"{fault['code']} {fault['source']}",
            f"{fault['message']} (x{fault['times']}{', ' + say('suspended', lang) if fault['suspended'] else ''})",
        )
        for fault in report["faults"]
    ]


def _positions(report: dict[str, Any], lang: "Lang") -> list[tuple[str, str]]:
    rows = [
        (f"{row['symbol']} {row['track']}", f"{grouped(row['qty'])} @ {grouped(row['avg_price'])}")
        for row in report["positions"]
    ]
    return rows or [(say("flat", lang), "")]


def _latency(report: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        (name, f"{row['p50']:.2f} / {row['p99']:.2f} (n = {row['n']:,})")
        for name, row in report["latency_us"].items()
        if row["n"] and not name.startswith(EXECUTION_STAGE)
    ]


def _table(rows: list[tuple[str, str]]) -> str:
    body = "".join(f"<tr><td>{escape(name)}</td><td class='n'>{escape(value)}</td></tr>" for name, value in rows)
    return f"<table>{body}</table>"
