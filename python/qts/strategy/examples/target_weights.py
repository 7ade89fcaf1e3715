"""Target weights, put right on a schedule: the first sessions of each month or quarter."""

import re
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, ClassVar, Final, Literal

from pydantic import Field, ValidationInfo, field_validator

from qts.broker.contracts import Track
from qts.strategy.base import Strategy
from qts.strategy.contracts import PPM, ExecutionView, Intent, MarketView, Requirements
from qts.strategy.params import StrategyParams, duration_ns

_DAY_MS: Final = 86_400_000
_DAY_NS: Final = 86_400_000_000_000
_KST_NS: Final = 9 * 3_600_000_000_000
"""Korea's offset from UTC: its date is the business date of every account."""
_EPOCH: Final = date(1970, 1, 1).toordinal()
_PART: Final = re.compile(r"([^\s=,]+)=(0(?:\.[0-9]{1,6})?|1(?:\.0{1,6})?)")


def parse_weights(text: str) -> dict[str, int]:
    """Return weights in parts per million by symbol from text such as `005930=0.30,000660=0.20`.

    Raises:
        ValueError: the text is no such list, or a symbol stands twice.
    """
    weights: dict[str, int] = {}
    for part in text.split(","):
        match = _PART.fullmatch(part.strip())
        if match is None:
            raise ValueError(
                f"SYMBOL=WEIGHT with weights from 0 to 1, for example 005930=0.30,000660=0.20, not {part!r}"
            )
        if match[1] in weights:
            raise ValueError(f"each symbol once, not {match[1]} twice")
        weights[match[1]] = int(Decimal(match[2]) * PPM)
    return weights


class TargetWeightsParams(StrategyParams):
    """What can be set with `--set name=value`."""

    full: bool = Field(default=False, description="whether the weights have to add up to exactly 1")
    weights: str = Field(
        "", validate_default=True, description="share of the track's equity by symbol: 005930=0.30,000660=0.20"
    )
    every: Literal["month", "quarter"] = Field("month", description="how often the weights are put right")
    sessions: int = Field(
        2, ge=1, le=10, description="sessions at the start of a period that it takes: sales first pay for purchases"
    )

    @field_validator("weights")
    @classmethod
    def _weights_add_up(cls, text: str, others: ValidationInfo) -> str:
        total = Decimal(sum(parse_weights(text).values())) / PPM
        is_full = others.data.get("full", False)
        if total > 1 or (is_full and total != 1):
            raise ValueError(
                f"weights that add up to {'exactly' if is_full else 'at most'} 1, not {total.normalize():f}"
            )
        return text


class TargetWeights(Strategy):
    """Decides on closed daily bars: in a new month or quarter each symbol is brought to its weight, either way.

    The first period is the one in which it is first asked. What is not reached on the first session, because sales
    have to pay for purchases, is asked for again on the next ones; a difference too small to be worth its costs is
    left. A symbol of the run that has no weight is none of its business.
    """

    name: ClassVar[str] = "target_weights"
    track: ClassVar[Track] = "PORTFOLIO"
    Params = TargetWeightsParams
    params: TargetWeightsParams

    def __init__(self, **params: Any) -> None:  # noqa: ANN401 - typed by the Params model, which checks it
        """Check `params`; UsageError names what does not fit."""
        super().__init__(**params)
        self._weights: Mapping[str, int] = parse_weights(self.params.weights)
        self._asked: dict[str, tuple[tuple[int, int], int]] = {}

    def requirements(self) -> Requirements:
        """Daily bars; the open is where a daily decision trades."""
        return Requirements(bar_interval_ns=duration_ns("1d"), phases=frozenset({"OPEN_GUARD"}))

    def generate_intents(self, market: MarketView, execution: ExecutionView) -> Sequence[Intent]:
        """Ask for the weight on the first sessions of a period."""
        weight_ppm = self._weights.get(market.symbol)
        if weight_ppm is None or not execution.is_idle:
            return ()
        period = self._period(market.cycle_ts_ns)
        last, times = self._asked.get(market.symbol, (period, 0))
        times = times + 1 if last == period else 1
        if times > self.params.sessions:
            return ()
        self._asked[market.symbol] = (period, times)
        return (
            Intent(
                market.symbol,
                "BUY",
                "REBALANCE",
                f"first sessions of the {self.params.every}: to its weight",
                target_weight_ppm=weight_ppm,
                ttl_ms=_DAY_MS,
            ),
        )

    def _period(self, ts_ns: int) -> tuple[int, int]:
        day = date.fromordinal(_EPOCH + (ts_ns + _KST_NS) // _DAY_NS)
        return day.year, (day.month - 1) // 3 if self.params.every == "quarter" else day.month
