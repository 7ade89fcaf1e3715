"""The page and the picture of the ten-year run, out of the report that it wrote."""

import csv
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from qts.capital.config import CapitalFlowConfig

from .ten_years import Scenario

PAGE, PICTURE = "capital-ten-years.md", "capital-ten-years.svg"
POOLS = {"SCALP": "#1f4e8c", "SWING": "#1e8449", "PORTFOLIO": "#b9770e"}
WIDTH, LEFT, RIGHT = 1100, 60, 20
SHARES_TOP, PRICES_TOP, HEIGHT = 60, 360, 250
POINTS = 520
KST = timedelta(hours=9)
PROMOTED = 10
"""Seeds of ten that promote SCALP by 2012-02-29: `--seeds 10 --last 2012-02-29`."""
STYLE = (
    "text{font:13px 'DejaVu Sans',Helvetica,Arial,sans-serif;fill:#333}.head{font-size:16px;font-weight:bold}"
    ".end{text-anchor:end}.mid{text-anchor:middle}.grid{stroke:#e3e3e3}.line{fill:none;stroke-width:1.4}"
    ".target{fill:none;stroke:#111;stroke-width:1;stroke-dasharray:4 3}"
)


def write_page(docs: Path, report: Path, scenario: Scenario) -> None:
    """Write the page and its picture into `docs`, from the report in the directory `report`."""
    content = json.loads((report / "report.json").read_text())
    with (report / "capital_pools.csv").open(newline="") as file:
        days = list(csv.DictReader(file))
    (docs / PICTURE).write_text("\n".join(_picture(days)) + "\n")
    (docs / PAGE).write_text("\n\n".join(_page(content, scenario)) + "\n")


def _page(content: dict[str, Any], scenario: Scenario) -> Iterator[str]:
    rows = [row for row in content["capital"]["transfers"] if row["status"] == "COMMITTED"]
    flows = [row for row in rows if row["kind"] != "REBALANCE"]
    yield "# Ten years of capital flow"
    yield (
        f"{scenario.first} to {scenario.last}, all three tracks, one account of {scenario.cash_krw:,} won: every move "
        "of money between the pools, and what it was decided on. The thresholds are those of the shipped "
        "`capital.yaml`. No profit was put in."
    )
    yield f"![Shares of the pools with their targets, and their unit prices]({PICTURE})"
    yield "## What to make of it"
    yield _caveats(content, scenario)
    yield "## What was run"
    yield (
        "```\npython -m tests.ten_years OUT --docs docs\n```\n\nIt needs the recordings in `../shared/data` and writes "
        "the report to `OUT`, this page and the picture. The same recordings and settings give the same decisions: "
        f"`decision_hash` {content['run']['decision_hash'][:16]}…, config {content['run']['config_hash'][:16]}…."
    )
    yield _setup(scenario)
    yield "## Promotions and demotions"
    yield (
        "Each row is a committed transfer as its record has it; the ledger holds two lines for each, one out of a "
        "pool and one into the other, that add up to nothing. *Criteria* is what the record says was measured, with "
        "the limit that it met. `/2` at the end of a key is the rest of a demotion, which the "
        "daily limit let go a day later."
    )
    yield _table(
        ("Session", "Kind", "From > to", "Amount", "Reason", "Criteria", "From: before > after", "To: before > after"),
        (_flow(row) for row in flows),
    )
    yield "## Rebalances"
    yield _rebalances([row for row in rows if row["kind"] == "REBALANCE"], scenario)
    yield "## States"
    yield _table(("Session", "State of", "From", "To", "Cause"), map(_state, content["states"]))
    yield "## Performance"
    yield _performance(content["performance"])
    yield "## At the end"
    yield _table(
        ("Pool", "State", "Total", "Realised", "Unit price", "Share", "Target", "Locked by"),
        (
            (
                row["pool"],
                row["state"],
                _won(row["total"]),
                _won(row["realized_pnl"]),
                row["unit_price"],
                row["share"],
                row["target"],
                row["lock_code"] or "",
            )
            for row in content["capital"]["pools"]
        ),
    )
    yield "Findings of the capital room, by code and pool:"
    yield _table(
        ("Code", "Pool", "Severity", "Sessions", "First", "Last", "Text of the last"),
        (
            tuple(
                str(row[name] or "") for name in ("code", "pool", "severity", "days", "first_day", "last_day", "text")
            )
            for row in content["capital"]["alerts"]
        ),
    )


def _caveats(content: dict[str, Any], scenario: Scenario) -> str:
    tracks = content["performance"]["tracks"]
    scalp = tracks["SCALP"]["trades"]
    return "\n".join(
        (
            "- **It shows what the machinery does, not what would have been earned.** SCALP trades on "
            f"{scenario.prints} prints a day that are made up by chance between the recorded open, high, low and "
            f"close. Profit of minutes on such prints says nothing of a real market. Of the seeds 1 to 10, {PROMOTED} "
            "promoted SCALP in the first two months: day after day the market opened higher and rose on, and that is "
            "in the recorded prices. With the seed of this run it never was promoted again.",
            f"- **SCALP loses over the whole time** ({_won(tracks['SCALP']['money']['realized_net'])} won realised, "
            f"{scalp['trades']:,} trades, {100 * (scalp['win_rate'] or 0):.1f} % won). It is promoted in weeks "
            "in which the market rose inside the day, and by criteria that look back 30 days it may be.",
            "- **The window and the parameters were chosen**, out of some dozens, so that promotions and demotions of "
            "every kind come up: none of it was tuned for profit, and none of it is advice.",
            "- Prices are adjusted for splits, dividends are not in them. Five recordings of names that are known "
            "today are no market: whoever chose them knew which of them lived.",
            "- Nobody acknowledges anything in a backtest. A pool that FS082 locks stays locked.",
        )
    )


def _setup(scenario: Scenario) -> str:
    def options(of: Any) -> str:
        return ", ".join(f"{name} {value}" for name, value in of.items())

    return _table(
        ("", ""),
        (
            (
                "SCALP",
                f"`small_gains` of `tests/ten_years.py` on {', '.join(scenario.scalped)}: {options(scenario.scalp)}",
            ),
            ("SWING", f"`daily_momentum` on {', '.join(scenario.swung)}: {options(scenario.swing)}"),
            ("PORTFOLIO", f"`target_weights`: {scenario.held}, put right every month"),
            ("Seed", f"`sim.seed` {scenario.seed}"),
            (
                "Prints",
                f"{scenario.prints} a day of what SCALP trades; of the shares four: open, high, low, close",
            ),
            ("Settings", f"as shipped, but {options(scenario.settings)}"),
            ("VIX", "recorded closes, known the morning after"),
        ),
    )


def _flow(row: dict[str, str]) -> tuple[str, ...]:
    measured = dict(part.split("=", 1) for part in row["criteria"].split("; "))
    limits = _limits(row["from_pool"]) if row["kind"] == "PROMOTION" else {}
    criteria = ", ".join(f"{name} {value}{limits.get(name, '')}" for name, value in measured.items())
    return (
        row["session_date"],
        row["kind"],
        f"{row['from_pool']} > {row['to_pool']}",
        _won(row["amount"]),
        row["reason"],
        f"{criteria} (`{row['transfer_key']}`)",
        f"{_won(row['from_before'])} > {_won(row['from_after'])}",
        f"{_won(row['to_before'])} > {_won(row['to_after'])}",
    )


def _limits(pool: str) -> dict[str, str]:
    """Return what a promotion out of a pool asks for, by measure; the shipped settings."""
    rules = CapitalFlowConfig()
    if pool == "SCALP":
        return {
            "scalp_sharpe": f" (> {rules.s2w.min_sharpe})",
            "scalp_win_rate": f" (> {rules.s2w.min_win_rate_30d})",
            "scalp_trades_30d": f" (>= {rules.s2w.min_trades_30d})",
            "scalp_mdd_30d": f" (<= {rules.s2w.max_mdd_30d})",
        }
    return {
        "swing_sharpe": f" (> {rules.w2p.min_sharpe})",
        "swing_mdd_recovery_days": f" (<= {rules.w2p.max_mdd_recovery_days})",
        "swing_avg_holding_days": f" (>= {rules.w2p.min_holding_period_avg})",
        "swing_mdd_90d": f" (<= {rules.w2p.max_mdd_90d})",
    }


def _rebalances(rows: Sequence[dict[str, str]], scenario: Scenario) -> str:
    ways = sorted({(row["from_pool"], row["to_pool"]) for row in rows})
    years = [str(year) for year in range(int(scenario.first[:4]), int(scenario.last[:4]) + 1)]
    times = Counter((row["session_date"][:4], row["from_pool"], row["to_pool"]) for row in rows)
    why = Counter((row["session_date"][:4], row["reason"]) for row in rows)
    reasons = sorted({row["reason"] for row in rows})
    return _table(
        ("Year", *(f"{source} > {target}" for source, target in ways), *reasons, "Moved, won"),
        (
            (
                year,
                *(str(times[year, *way]) for way in ways),
                *(str(why[year, reason]) for reason in reasons),
                f"{sum(int(row['amount']) for row in rows if row['session_date'].startswith(year)):,}",
            )
            for year in years
        ),
    )


def _state(row: dict[str, Any]) -> tuple[str, ...]:
    day = (datetime.fromtimestamp(row["ts_ns"] / 1e9, UTC) + KST).date()
    return str(day), row["machine"], row["old"], row["new"], row["cause"]


def _performance(performance: dict[str, Any]) -> str:
    scopes = [("Account", performance["account"])]
    scopes += [(f"Track {name}", scope) for name, scope in performance["tracks"].items()]
    scopes += [(f"`{name}`", scope) for name, scope in performance["strategies"].items()]

    def percent(value: float | None) -> str:
        return "-" if value is None else f"{100 * value:.2f} %"

    def row(name: str, scope: dict[str, Any]) -> tuple[str, ...]:
        returns, trades, money = scope["returns"] or {}, scope["trades"] or {}, scope["money"] or {}
        sharpe = returns.get("sharpe")
        return (
            name,
            percent(returns.get("total_return")),
            percent(returns.get("cagr")),
            "-" if sharpe is None else f"{sharpe:.2f}",
            percent(returns.get("max_drawdown")),
            f"{trades.get('trades', 0):,}",
            percent(trades.get("win_rate")),
            _won(money.get("realized_net", "0")),
            _won(money.get("fees", "0")),
            _won(money.get("taxes", "0")),
        )

    return _table(
        ("", "Return", "A year", "Sharpe", "Drawdown", "Trades", "Won", "Realised, net", "Fees", "Taxes"),
        (row(name, scope) for name, scope in scopes),
    )


def _won(text: str) -> str:
    return f"{int(text):,}" if text else ""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "/") for cell in line) + " |" for line in lines)


def _picture(rows: Sequence[dict[str, str]]) -> Iterator[str]:
    """Yield an SVG: shares of the pools stacked, with the borders of their targets, and unit prices below."""
    days = sorted({row["date"] for row in rows})
    kept = days[:: max(1, len(days) // POINTS)] + days[-1:]
    of = {(row["date"], row["pool"]): row for row in rows}
    bottom = PRICES_TOP + HEIGHT
    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom + 40}" role="img">'
    yield f'<style>{STYLE}</style><rect width="{WIDTH}" height="{bottom + 40}" fill="#fff"/>'
    yield f'<text class="head" x="{LEFT}" y="24">Shares of the pools; dashed: borders of their targets</text>'
    yield f'<text class="head" x="{LEFT}" y="{PRICES_TOP - 14}">Unit prices of the pools</text>'
    for at, (pool, colour) in enumerate(POOLS.items()):
        yield f'<rect x="{LEFT + at * 120}" y="34" width="14" height="14" fill="{colour}"/>'
        yield f'<text x="{LEFT + 20 + at * 120}" y="46">{pool}</text>'
    yield from _years(days, bottom)
    below = dict.fromkeys(kept, 0.0)
    aims = dict.fromkeys(kept, 0.0)
    for pool, colour in POOLS.items():
        top = {day: below[day] + float(of[day, pool]["share"]) for day in kept}
        aims = {day: aims[day] + float(of[day, pool]["target"]) for day in kept}
        edge = [_at(days, day, top[day], 0, 1, SHARES_TOP) for day in kept]
        edge += [_at(days, day, below[day], 0, 1, SHARES_TOP) for day in reversed(kept)]
        yield f'<polygon points="{" ".join(edge)}" fill="{colour}" fill-opacity="0.55"/>'
        line = " ".join(_at(days, day, aims[day], 0, 1, SHARES_TOP) for day in kept)
        yield f'<polyline class="target" points="{line}"/>'
        below = top
    prices = [float(row["unit_price"]) for row in rows]
    low, high = min(prices), max(prices)
    for pool, colour in POOLS.items():
        line = " ".join(_at(days, day, float(of[day, pool]["unit_price"]), low, high, PRICES_TOP) for day in kept)
        yield f'<polyline class="line" stroke="{colour}" points="{line}"/>'
    for value in (low, 1.0, high):
        _, y = _at(days, days[0], value, low, high, PRICES_TOP).split(",")
        yield f'<text class="end" x="{LEFT - 6}" y="{float(y) + 4:.1f}">{value:.2f}</text>'
    for part in (0, 50, 100):
        _, y = _at(days, days[0], part / 100, 0, 1, SHARES_TOP).split(",")
        yield f'<text class="end" x="{LEFT - 6}" y="{float(y) + 4:.1f}">{part} %</text>'
    yield "</svg>"


def _years(days: Sequence[str], bottom: int) -> Iterator[str]:
    for year in range(int(days[0][:4]) + 1, int(days[-1][:4]) + 1):
        x, _ = _at(days, f"{year}-01-01", 0, 0, 1, SHARES_TOP).split(",")
        yield f'<line class="grid" x1="{x}" x2="{x}" y1="{SHARES_TOP}" y2="{bottom}"/>'
        yield f'<text class="mid" x="{x}" y="{bottom + 20}">{year}</text>'


def _at(days: Sequence[str], day: str, value: float, low: float, high: float, top: int) -> str:
    """Return the place of a value on a day, `x,y`."""
    first, last, here = (date.fromisoformat(text).toordinal() for text in (days[0], days[-1], day))
    x = LEFT + (WIDTH - LEFT - RIGHT) * (here - first) / (last - first)
    return f"{x:.1f},{top + HEIGHT * (1 - (value - low) / ((high - low) or 1)):.1f}"
