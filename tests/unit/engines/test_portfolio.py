"""Sizing, with the vector of the specification."""

import pytest

from qts.engines import GATES, PortfolioEngine, RiskDecision, RiskEngine, RiskLimits, RiskQuestion
from qts.strategy import Terms

SHARE = Terms.of(0, "A", 1, 0, 0, 0)
ENGINE = PortfolioEngine()


def allowing(qty, gate="buying_power"):
    return RiskDecision(qty > 0, qty, "GR042", gate, 0, "REDUCE", (qty,) * len(GATES))


def test_vector_of_the_specification():
    equity, weight_ppm, price, held = 10_000_000, 120_000, 70_100, 5
    target = ENGINE.target_qty(SHARE, equity, weight_ppm, price)
    delta = target - held
    limits = RiskLimits(1_000_000, 150_000, max_risk_score_ppm=1_000_000, max_trade_qty=None, max_order_money=None)
    question = RiskQuestion(
        terms=SHARE,
        side="BUY",
        is_exit=False,
        desired_qty=delta,
        price=price,
        permission="",
        session="",
        equity=equity,
        start_equity=equity,
        drawdown_ppm=0,
        open_symbols=1,
        symbol_is_open=True,
        symbol_value=350_000,
        gross_value=350_000,
        orderable=700_000,
        buy_fee_rate=15_000,
        sellable_qty=held,
    )
    risk = RiskEngine(limits).evaluate(question)
    caps = dict(zip(GATES, risk.checks, strict=True))
    sized = ENGINE.size(delta, target, "ENTRY", risk, lot=1, side="BUY")
    assert (target, delta) == (17, 12)
    assert (caps["buying_power"], caps["symbol_weight"]) == (9, 16)
    assert (sized.final_qty, sized.binding_constraint) == (9, "buying_power")
    assert sized.adjustment_reason == "NEW_ENTRY"


def test_quantity_is_never_raised():
    assert ENGINE.size(10, None, "ENTRY", allowing(50), lot=1, side="BUY") == (10, None, 10, "NEW_ENTRY", "desired")
    assert ENGINE.size(-10, None, "EXIT", allowing(4, "holding"), lot=1, side="SELL") == (
        4,
        None,
        -10,
        "EXIT",
        "holding",
    )
    assert ENGINE.size(10, None, "ENTRY", allowing(0), lot=1, side="BUY").adjustment_reason == "NONE"
    assert ENGINE.size(-10, 0, "REBALANCE", allowing(10), lot=1, side="SELL").adjustment_reason == "REBALANCE"


def test_whole_lots_only():
    assert ENGINE.size(29, None, "ENTRY", allowing(27), lot=10, side="BUY").final_qty == 20


@pytest.mark.parametrize(("equity", "price"), [(0, 100), (-5, 100), (1_000, 0)])
def test_no_equity_or_no_price_is_no_target(equity, price):
    assert ENGINE.target_qty(SHARE, equity, 500_000, price) == 0


@pytest.mark.parametrize(
    ("equity", "delta", "worth"),
    [(10_000_000, 1, False), (10_000_000, -2, True), (100_000_000, 7, False), (100_000_000, -8, True)],
)
def test_rebalancing_has_to_be_worth_it(equity, delta, worth):
    assert ENGINE.is_worth_rebalancing(SHARE, equity, delta, 70_000) is worth
