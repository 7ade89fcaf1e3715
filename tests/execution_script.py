"""The little market and the script of the kill tests: what the broker's process and the engine's both know."""

import json
from typing import NamedTuple

DAY_NS = 1_767_571_200_000_000_000
"""2026-01-05 00:00 UTC: the time of the tests begins here."""
CASH = 100_000_000
SYMBOLS = ("000010", "000020", "000030", "000040")
A, B, C, D = range(4)


def spec(symbol: str) -> dict:
    """Whole won, one share a lot, a fee of 1.5 bps each way and a tax of 18 bps on sales."""
    return {
        "symbol": symbol,
        "currency": "KRW",
        "price_scale": 0,
        "qty_scale": 0,
        "money_scale": 0,
        "lot": 1,
        "price_increment": 1,
        "ladder": [(0, [(0, 10)])],
        "costs": [(0, 15_000, 15_000, 180_000)],
        "limit_rate": [(0, 30_000_000)],
    }


class Top(NamedTuple):
    bid: int
    bid_qty: int
    ask: int
    ask_qty: int


TOPS = {
    A: Top(10_000, 5_000, 10_010, 5_000),
    B: Top(20_000, 5_000, 20_030, 5_000),
    C: Top(30_000, 5_000, 30_010, 40),  # less than is wanted: what is bought there is bought in part
    D: Top(40_000, 5_000, 40_100, 5_000),
}


def broker_state() -> str:
    """What the broker's process begins with."""
    return json.dumps(
        {
            "instruments": [spec(symbol) for symbol in SYMBOLS],
            "cash": CASH,
            "base_prices": {SYMBOLS[one]: top.bid for one, top in TOPS.items()},
            "config": {},
        }
    )


class Step(NamedTuple):
    """One decision, and what is done about it while it lives."""

    name: str
    instrument: int
    intent: str
    qty: int
    """Of an exit: at most what is held."""
    price: int
    horizon_ms: int = 0
    escape: str = ""
    """Mode of an escape as soon as `escape_when` holds."""
    escape_when: str = ""
    """LIVE: an order is acknowledged; PARTIAL: part is filled."""


SCRIPT = (
    Step("buy", A, "ENTRY", 50, 10_010),
    Step("sell", A, "EXIT", 50, 10_000),
    Step("improve", B, "ENTRY", 60, 20_010),  # waits, and is amended up to the ask
    Step("part", C, "ENTRY", 90, 30_010, escape="FLATTEN_EXECUTION", escape_when="PARTIAL"),
    Step("withdraw", D, "ENTRY", 20, 40_000, escape="CANCEL_ONLY", escape_when="LIVE"),
    Step("slices", A, "ENTRY", 120, 10_010, horizon_ms=6_000),
    Step("sell-b", B, "EXIT", 30, 20_000),
    Step("late-exit", A, "EXIT", 70, 10_020),  # nobody pays so much yet: it is amended down
)
