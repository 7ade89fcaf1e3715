"""Panels of `report.html`: performance by scope, months, pools, transfers and findings."""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING, Any, Final

from qts.ops.report.messages import say

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from qts.codes import Lang

_TRANSFERS_SHOWN: Final = 200
_NOTHING: Final = "-"
_RIGHT: Final = " class='n'"
_NUMBER: Final = re.compile(r"-?[\d,]+(\.\d+)?( %| bps| ms| s| min| h| d)?\Z")

# (text, part of the scope, field, how it is shown)
_FIGURES: Final = (
    ("total_return", "returns", "total_return", "pct"),
    ("cagr", "returns", "cagr", "pct"),
    ("volatility", "returns", "volatility", "pct"),
    ("volatility_recent", "returns", "volatility_recent", "pct"),
    ("sharpe", "returns", "sharpe", "ratio"),
    ("sortino", "returns", "sortino", "ratio"),
    ("daily_drawdown", "returns", "max_drawdown", "pct"),
    ("calmar", "returns", "calmar", "ratio"),
    ("daily_win_rate", "returns", "daily_win_rate", "pct"),
    ("trades", "trades", "trades", "count"),
    ("win_rate", "trades", "win_rate", "pct"),
    ("profit_factor", "trades", "profit_factor", "ratio"),
    ("loss_streak", "trades", "max_consecutive_losses", "count"),
    ("mean_holding", "trades", "mean_holding_s", "time"),
    ("realized_gross", "money", "realized_gross", "money"),
    ("realized_net", "money", "realized_net", "money"),
    ("income", "money", "income", "money"),
    ("costs_fees", "money", "fees", "money"),
    ("costs_taxes", "money", "taxes", "money"),
    ("exposure_mean", "exposure", "mean", "pct"),
    ("exposure_max", "exposure", "max", "pct"),
    ("turnover", "exposure", "turnover", "ratio"),
    ("slippage", "slippage", "mean_bps", "bps"),
    ("fill_rate", "orders", "fill_rate", "pct"),
    ("reject_rate", "orders", "reject_rate", "pct"),
    ("fill_time", "orders", "mean_fill_ms", "ms"),
)


def shown(value: Any, kind: str) -> str:  # noqa: ANN401 - a number, decimal text or nothing
    """Return a figure as it is shown; a dash for what cannot be told."""
    if value is None:
        return _NOTHING
    if kind == "pct":
        return f"{_fixed(value * 100, 2)} %"
    if kind == "ratio":
        return _fixed(value, 3)
    if kind == "bps":
        return f"{_fixed(value, 2)} bps"
    if kind in ("time", "ms"):
        return _duration(value / 1_000 if kind == "ms" else value)
    if kind == "money":
        return grouped(value)
    return f"{value:,}"


def grouped(number: str) -> str:
    """Return decimal text with its thousands set apart."""
    whole, point, fraction = number.partition(".")
    return f"{int(whole):,}{point}{fraction}" if whole not in ("-0", "") else number


def performance_panel(performance: dict[str, Any], lang: Lang) -> str:
    """Return the table of figures: one column for the account, each track and each strategy; then months and notes."""
    columns = [
        (say("account", lang), performance["account"]),
        *performance["tracks"].items(),
        *performance["strategies"].items(),
    ]
    rows = []
    for text, part, field, kind in _FIGURES:
        cells = [None if scope[part] is None else scope[part][field] for _, scope in columns]
        if any(cell is not None for cell in cells):
            rows.append((say(text, lang), *(shown(cell, kind) for cell in cells)))
    notes = [
        say(
            "performance_note",
            lang,
            rate=performance["risk_free_rate"],
            days=performance["trading_days_per_year"],
        )
    ]
    if any(scope["basis"] == "CONTRIBUTION" for _, scope in columns):
        notes.append(say("contribution_note", lang))
    if any(scope["basis"] == "UNIT_PRICE" for _, scope in columns):
        notes.append(say("unit_price_note", lang))
    errors = {f"{scope['error']['code']}: {scope['error']['message']}" for _, scope in columns if scope["error"]}
    parts = [
        f"<h2>{say('performance', lang)}</h2>",
        table(["", *(name for name, _ in columns)], rows),
        *(f"<p class='sub'>{escape(text)}</p>" for text in (*notes, *sorted(errors))),
    ]
    returns = performance["account"]["returns"]
    if returns is not None and len(returns["monthly"]) > 1:
        parts.append(f"<h2>{say('months', lang)}</h2>{_months(returns['monthly'], lang)}")
    return "\n".join(parts)


EXECUTION_STAGE: Final = "exec_"
"""What the names of the stages of executions begin with."""


def execution_rows(executions: dict[str, Any], lang: Lang) -> list[tuple[str, str]]:
    """Return what came of executions as (name, value)."""
    rows = [(say("executions", lang), f"{executions['total']:,}")]
    for text, field in (
        ("execution_states", "final_states"),
        ("execution_dispositions", "dispositions"),
        ("execution_refusals", "refusals"),
    ):
        counts = ", ".join(f"{name} {count:,}" for name, count in executions[field].items())
        if counts:
            rows.append((say(text, lang), counts))
    rows.append((say("execution_rounds", lang), f"{executions['rounds']:,}"))
    for text, field in (
        ("execution_slippage", "mean_slippage_bps"),
        ("execution_adverse", "mean_adverse_slippage_bps"),
    ):
        if executions[field] is not None:
            rows.append((say(text, lang), f"{executions[field]} bps"))
    return rows


def execution_panel(executions: dict[str, Any], latency_us: dict[str, Any], lang: Lang) -> str:
    """Return the panel of executions: counts, and what each stage took."""
    stages = [
        (
            name.removeprefix(EXECUTION_STAGE),
            f"{row['n']:,}",
            *(f"{row[column]:,.1f}" for column in ("p50", "p99", "p999", "max")),
        )
        for name, row in latency_us.items()
        if name.startswith(EXECUTION_STAGE) and row["n"]
    ]
    return "\n".join(
        [
            f"<h2>{say('executions', lang)}</h2>",
            table(["", ""], execution_rows(executions, lang)),
            f"<h2>{say('execution_stages', lang)}</h2>",
            table([say("stage", lang), "n", "p50", "p99", "p99.9", "max"], stages),
            f"<p class='sub'>{escape(say('execution_note', lang))}</p>",
        ]
    )


def _months(monthly: Sequence[dict[str, Any]], lang: Lang) -> str:
    years: dict[str, dict[int, float]] = {}
    for row in monthly:
        year, month = row["month"].split("-")
        years.setdefault(year, {})[int(month)] = row["total_return"]
    rows = []
    for year, months in sorted(years.items()):
        whole = 1.0
        for value in months.values():
            whole *= 1 + value
        cells = [shown(months.get(month), "pct") if month in months else "" for month in range(1, 13)]
        rows.append((year, *cells, shown(whole - 1, "pct")))
    return table(["", *(str(month) for month in range(1, 13)), say("year", lang)], rows)


def capital_panels(capital: dict[str, Any], charts: str, lang: Lang) -> str:
    """Return the panels of the pools: state, progress towards promotion, charts, transfers, findings."""
    parts = [
        f"<h2>{say('pools', lang)}</h2>",
        table(
            [
                say(name, lang)
                for name in ("pool", "pool_state", "total", "available", "invested", "reserved", "held", "share")
            ]
            + [say("target_share", lang), say("unit_price", lang), say("progress", lang)],
            [_pool(row, lang) for row in capital["pools"]],
        ),
        charts,
        f"<h2>{say('transfers', lang)}</h2>",
    ]
    transfers = capital["transfers"]
    if transfers:
        parts.append(
            table(
                [
                    say(name, lang)
                    for name in ("day", "kind", "route", "amount", "transfer_state", "reason", "criteria")
                ],
                [_transfer(row) for row in transfers[-_TRANSFERS_SHOWN:]],
            )
        )
        hidden = len(transfers) - _TRANSFERS_SHOWN
        if hidden > 0:
            parts.append(f"<p class='sub'>{escape(say('transfers_earlier', lang, count=hidden))}</p>")
    else:
        parts.append(f"<p class='sub'>{say('transfers_none', lang)}</p>")
    if capital["alerts"]:
        parts.append(f"<h2>{say('alerts', lang)}</h2>")
        parts.append(
            table(
                [say(name, lang) for name in ("code", "pool", "times", "days", "first_day", "last_day", "text")],
                [
                    (
                        row["code"],
                        row["pool"] or _NOTHING,
                        f"{row['times']:,}",
                        f"{row['days']:,}",
                        row["first_day"],
                        row["last_day"],
                        row["text"],
                    )
                    for row in capital["alerts"]
                ],
            )
        )
    return "\n".join(parts)


def progress_text(promotion: dict[str, Any] | None) -> str:
    """Return how far a promotion is, as in `750,000 / 1,000,000 = 75 %`; a dash where there is none."""
    if promotion is None or promotion["progress"] is None:
        return _NOTHING
    share = promotion["progress"] * 100
    return f"{grouped(promotion['promotable'])} / {grouped(promotion['threshold'])} = {share:,.4g} %"


def _pool(row: dict[str, Any], lang: Lang) -> tuple[str, ...]:
    state = row["state"]
    if row["lock_code"] or row["causes"]:
        state = f"{state} ({row['lock_code'] or ', '.join(row['causes'])})"
    progress = progress_text(row["promotion"])
    if row["promotion"] is not None and row["promotion"]["eligible"]:
        progress = f"{progress}, {say('eligible', lang)}"
    return (
        row["pool"],
        state,
        *(grouped(row[name]) for name in ("total", "available", "invested", "reserved", "held")),
        *(f"{float(row[name]) * 100:.2f} %" for name in ("share", "target")),
        row["unit_price"],
        progress,
    )


def _transfer(row: dict[str, str]) -> tuple[str, ...]:
    return (
        row["session_date"] or row["requested_at"][:10],
        row["kind"],
        f"{row['from_pool']} → {row['to_pool']}",
        grouped(row["amount"]),
        f"{row['status']} {row['code']}".rstrip(),
        row["reason"],
        row["criteria"],
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table with a head; columns of numbers to the right. A long one scrolls."""
    lines = list(rows)
    numbers = [any(_is_number(row[at]) for row in lines) for at in range(len(head))]
    top = "".join(f"<th{_RIGHT * right}>{escape(name)}</th>" for name, right in zip(head, numbers, strict=True))
    body = "".join(f"<tr>{_cells(row, numbers)}</tr>" for row in lines)
    return f"<div class='wide'><table class='grid'><tr>{top}</tr>{body}</table></div>"


def _cells(row: Sequence[str], numbers: Sequence[bool]) -> str:
    return "".join(f"<td{_RIGHT * right}>{escape(cell)}</td>" for cell, right in zip(row, numbers, strict=True))


def _is_number(cell: str) -> bool:
    return _NUMBER.match(cell) is not None


def _fixed(value: float, digits: int) -> str:
    """Return a number with so many digits; what rounds to zero has no sign."""
    return f"{round(value, digits) + 0.0:,.{digits}f}"


def _duration(seconds: float) -> str:
    if seconds < 1:
        return f"{seconds * 1_000:,.1f} ms"
    if seconds < 120:
        return f"{seconds:,.1f} s"
    if seconds < 7_200:
        return f"{seconds / 60:,.1f} min"
    if seconds < 172_800:
        return f"{seconds / 3_600:,.1f} h"
    return f"{seconds / 86_400:,.1f} d"
