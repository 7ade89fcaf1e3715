"""Stage 2: how an order is cut into children, and when each of them may leave at the earliest.

Everything is reckoned in whole lots, so that the children add up to the order exactly and each can be sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from qts.execution.config import MS_NS, PPM
from qts.execution.contracts import SplitOrder, SplitResult
from qts.execution.ladder import entry_cap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qts.execution.config import ExecutionConfig
    from qts.execution.contracts import OrderDecision, SplitStrategy
    from qts.execution.interfaces import MarketView

_MERGED: Final = ("GR060",)


class _Slice(NamedTuple):
    """A child in the making: lots, and nanoseconds from now."""

    lots: int
    after_ns: int


class OrderSplit:
    """Chooses a way to cut an order and cuts it."""

    __slots__ = ("_config",)

    def __init__(self, config: ExecutionConfig) -> None:
        self._config = config

    def run(self, order: OrderDecision, now_ns: int, market: MarketView, *, lot: int = 1, unit: int = 1) -> SplitResult:
        """Return the children of an order that has passed stage 1.

        Args:
            order: the order, its quantity a multiple of `lot`.
            now_ns: the engine's time; the first child may leave at once.
            market: best prices, volume profile and average volume.
            lot: smallest quantity step of the instrument, in quantity units.
            unit: quantity units of one whole share or coin; the sizes of the configuration are in whole ones.

        Raises:
            ValueError: the quantity is no positive multiple of the lot.
        """
        lots, rest = divmod(order.qty, lot)
        if lots < 1 or rest:
            raise ValueError(f"quantity {order.qty} is no positive multiple of the lot {lot}")
        strategy, slices = self._cut(order, lots, now_ns, market, lot, unit)
        most = self._config.max_splits
        codes = _MERGED if len(slices) > most else ()
        if codes:
            slices = _merged(slices, most)
        price = self._child_price(order, market, now_ns)
        rate = self._config.max_participation_ppm if strategy == "VWAP" else None
        wait_ms = self._config.max_wait_ms
        return SplitResult(
            strategy,
            tuple(
                SplitOrder(number, one.lots * lot, price, now_ns + one.after_ns, wait_ms, rate)
                for number, one in enumerate(slices, 1)
            ),
            codes,
        )

    def _cut(
        self, order: OrderDecision, lots: int, now_ns: int, market: MarketView, lot: int, unit: int
    ) -> tuple[SplitStrategy, list[_Slice]]:
        config, qty = self._config, order.qty
        if order.intent == "EXIT" or qty <= config.min_split_qty * unit:
            return "SINGLE", [_Slice(lots, 0)]
        room_ns = max(0, min(config.max_horizon_ns, order.deadline_ns - now_ns))
        adv = market.adv(order.instrument)
        if adv > 0 and qty * PPM >= config.vwap_min_adv_ppm * adv:
            slices = self._vwap(order.instrument, lots, now_ns, room_ns, market, lot)
            if slices:
                return "VWAP", slices
        horizon_ns = min(order.horizon_ms * MS_NS, room_ns)
        if horizon_ns > 0:
            wanted = -(-qty // (config.min_split_qty * unit))
            return "TWAP", _twap(lots, min(wanted, config.max_splits, lots), horizon_ns)
        quote = market.quote(order.instrument)
        depth = quote.ask_qty if order.side == "BUY" else quote.bid_qty
        if depth > 0 and qty * PPM > config.iceberg_depth_ppm * depth:
            shown = max(1, config.display_qty * unit // lot)
            full, last = divmod(lots, shown)
            return "ICEBERG", [_Slice(shown, 0)] * full + ([_Slice(last, 0)] if last else [])
        return "SINGLE", [_Slice(lots, 0)]

    def _vwap(
        self, instrument: int, lots: int, now_ns: int, room_ns: int, market: MarketView, lot: int
    ) -> list[_Slice]:
        """Cut by the expected volume of the parts of the session that are still to come; empty = it does not fit.

        No child may be more than its share of the expected volume, and the last one takes what rounding leaves: if
        it has no room for it, those before it do. A profile with too little volume for the order is none.
        """
        rate = self._config.max_participation_ppm
        ahead = [
            bucket
            for bucket in market.volume_profile(instrument, now_ns)
            if bucket.volume > 0 and 0 <= bucket.start_ns - now_ns <= room_ns
        ]
        ahead.sort(key=lambda bucket: bucket.start_ns)
        caps = [bucket.volume * rate // PPM // lot for bucket in ahead]
        if sum(caps) < lots:
            return []
        total = sum(bucket.volume for bucket in ahead)
        shares = [min(cap, lots * bucket.volume // total) for bucket, cap in zip(ahead, caps, strict=True)]
        rest = lots - sum(shares)
        for at in range(len(shares) - 1, -1, -1):
            added = min(rest, caps[at] - shares[at])
            shares[at] += added
            rest -= added
        return [_Slice(share, bucket.start_ns - now_ns) for bucket, share in zip(ahead, shares, strict=True) if share]

    def _child_price(self, order: OrderDecision, market: MarketView, now_ns: int) -> int | None:
        """Return the children's limit. Without one an entry takes what is there up to the slippage limit."""
        if order.price is not None or order.intent == "EXIT":
            return order.price
        return entry_cap(order, market, self._config, now_ns)


def _twap(lots: int, children: int, horizon_ns: int) -> list[_Slice]:
    """Cut into equal parts at equal intervals; what does not divide is spread over all."""
    return [
        _Slice(lots * (at + 1) // children - lots * at // children, horizon_ns * at // children)
        for at in range(children)
    ]


def _merged(slices: Sequence[_Slice], most: int) -> list[_Slice]:
    """Put neighbours together until there are `most`, as evenly as it goes; each leaves when its first would have."""
    count = len(slices)
    groups = [slices[count * at // most : count * (at + 1) // most] for at in range(most)]
    return [_Slice(sum(one.lots for one in group), group[0].after_ns) for group in groups]
