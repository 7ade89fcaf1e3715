"""Writes a report: whole, or not at all."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from qts.codes import UsageError
from qts.ops.report.html import page
from qts.ops.report.tables import write_equity, write_fills, write_income, write_orders, write_pools, write_transfers

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from qts.codes import Lang
    from qts.data import RunStore
    from qts.engines.performance_contracts import Income
    from qts.instruments import Catalog
    from qts.ops.report.contracts import CapitalFigures

FILES: Final = frozenset({"report.json", "fills.csv", "orders.csv", "decisions.jsonl", "equity.csv", "report.html"})
"""What a report directory holds, no more and no less."""
CAPITAL_FILES: Final = frozenset({"capital_pools.csv", "capital_transfers.csv"})
"""And what is beside them if the run has pools."""
INCOME_FILES: Final = frozenset({"income.csv"})
"""And if there were dividends, or money in place of fractions of shares."""


EXECUTION_FILES: Final = frozenset({"executions.jsonl"})
"""And if decisions were carried out by executions."""


class PoolsPart(NamedTuple):
    """What a report has of the pools."""

    figures: "CapitalFigures"
    chart: "Figure"


def check_target(out: Path) -> None:
    """Refuse a place where a report cannot go, before a long run rather than after it.

    Raises:
        UsageError: a file is in the way, or a directory that holds anything but an earlier report, whole as it was
            written.
    """
    if out.exists() and not out.is_dir():
        raise UsageError(
            found=f"{out} is a file",
            expected="a directory, new or with an earlier report",
            hint="choose another --out",
        )
    held = {entry.name for entry in out.iterdir()} if out.is_dir() else set()
    # A lone report.json or fills.csv may be anybody's: only all of them together are surely ours to replace.
    if held and held - INCOME_FILES - EXECUTION_FILES not in (FILES, FILES | CAPITAL_FILES):
        names = sorted(held - FILES - CAPITAL_FILES - INCOME_FILES - EXECUTION_FILES or held)
        raise UsageError(
            found=f"{out} holds {', '.join(names[:3])}{' ...' if len(names) > 3 else ''}",
            expected="a new directory, an empty one, or one with an earlier report, which would be replaced",
            hint="choose another --out",
        )


def write_report(
    out: Path,
    *,
    report: dict[str, Any],
    decisions: Path,
    executions: Path | None,
    store: "RunStore",
    catalog: "Catalog",
    money_scale: int,
    chart: "Figure",
    pools: "PoolsPart | None",
    incomes: "Sequence[Income]",
    lang: "Lang",
) -> Path:
    """Write all files beside `out`, then put them in its place. An earlier report is replaced.

    Raises:
        UsageError: see `check_target`, or the place cannot be written to; what was there stays as it was.
    """
    check_target(out)

    def fill(part: Path) -> None:
        (part / "report.json").write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        write_fills(part / "fills.csv", store, catalog)
        write_orders(part / "orders.csv", store, catalog)
        write_equity(part / "equity.csv", store, money_scale)
        shutil.copyfile(decisions, part / "decisions.jsonl")
        if executions is not None:
            shutil.copyfile(executions, part / "executions.jsonl")
        if incomes:
            write_income(part / "income.csv", incomes, money_scale)
        if pools is not None:
            write_pools(part / "capital_pools.csv", pools.figures, money_scale)
            write_transfers(part / "capital_transfers.csv", pools.figures, money_scale)
        html = page(report, chart, None if pools is None else pools.chart, lang)
        (part / "report.html").write_text(html, encoding="utf-8")

    try:
        _replace(out, fill)
    except OSError as error:
        raise UsageError(
            found=f"{out} cannot be written to ({error.strerror})",
            expected="a place for the report",
            hint="choose another --out or make room",
        ) from None
    return out


def _replace(out: Path, fill: Callable[[Path], None]) -> None:
    out = out.resolve()  # so that "." has a name and a parent, and a link leads to what it stands for
    out.parent.mkdir(parents=True, exist_ok=True)
    part = Path(mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        part.chmod(0o755)
        fill(part)
        if out.exists():
            _swap(part, out)
        else:
            part.rename(out)
    finally:
        if part.exists():
            shutil.rmtree(part)


def _swap(part: Path, out: Path) -> None:
    """Put `part` in the place of the earlier report; if that fails, the earlier report is back where it was."""
    # A directory cannot be replaced by a full one in one step: the earlier report steps aside first.
    aside = Path(mkdtemp(prefix=f".{out.name}-old-", dir=out.parent))
    try:
        earlier = out.rename(aside / out.name)
        try:
            part.rename(out)
        except OSError:
            earlier.rename(out)
            raise
    finally:
        shutil.rmtree(aside)
