"""Proves that a report adds up, from its files alone."""

import csv
import json
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple


class Identity(NamedTuple):
    """Both sides of: cash_end = cash_start - purchases + sales - fees - taxes + income."""

    cash_end: Decimal
    recomputed: Decimal

    @property
    def holds(self) -> bool:
        """Whether they are equal to the last digit."""
        return self.cash_end == self.recomputed


def verify_identity(report_dir: Path) -> Identity:
    """Recompute the cash at the end from `fills.csv` and `income.csv`; return it beside that of `report.json`.

    Income are dividends and what was paid for fractions of shares; a run without any has no `income.csv`.
    """
    account = json.loads((report_dir / "report.json").read_text(encoding="utf-8"))["account"]
    cash = Decimal(account["cash_start"])
    with (report_dir / "fills.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            amount = Decimal(row["qty"]) * Decimal(row["price"])
            cash += (-amount if row["side"] == "BUY" else amount) - Decimal(row["fee"]) - Decimal(row["tax"])
    income = report_dir / "income.csv"
    if income.exists():
        with income.open(encoding="utf-8", newline="") as file:
            cash += sum(Decimal(row["amount"]) for row in csv.DictReader(file))
    return Identity(Decimal(account["cash_end"]), cash)
