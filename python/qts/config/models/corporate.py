"""`reference/corporate_actions.yaml`: dividends and splits, by the day on which they take effect."""

from decimal import Decimal
from typing import Annotated, Self

from pydantic import Field, model_validator

from qts.config.fields import Day, Fraction, Number, Whole, Word, refuse
from qts.config.models.base import Section


class DividendRow(Section):
    """A dividend in cash."""

    ex_date: Day = Field(description="First session without the right to it.")
    record_date: Day = Field(description="Day on which the register is read.")
    pay_date: Day = Field(description="Day on which it is paid.")
    amount: Annotated[Number, Field(gt=0)] = Field(description="Amount per share before tax.")
    currency: Word = Field(description="Currency of the amount; that of the instrument.")
    tax_rate: Fraction = Field(
        default=Decimal("0.154"), description="Share that is withheld; 0.154 = what Korea takes from a resident."
    )

    @model_validator(mode="after")
    def _days_are_ordered(self) -> Self:
        if not self.ex_date < self.record_date <= self.pay_date:
            raise refuse("ordered", order="ex_date < record_date <= pay_date")
        return self


class SplitRow(Section):
    """A split (numerator above denominator) or a consolidation of shares."""

    effective_date: Day = Field(description="First session with the new number of shares.")
    numerator: Annotated[Whole, Field(gt=0)] = Field(description="Shares after it ...")
    denominator: Annotated[Whole, Field(gt=0)] = Field(description="... for so many before it.")


class CorporateFile(Section):
    """`reference/corporate_actions.yaml`."""

    dividends: dict[str, tuple[DividendRow, ...]] = Field(default_factory=dict, description="Dividends by symbol.")
    splits: dict[str, tuple[SplitRow, ...]] = Field(default_factory=dict, description="Splits by symbol.")
