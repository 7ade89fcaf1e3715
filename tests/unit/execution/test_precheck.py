"""Stage 1 over the real gateway: what may go, why not, in which order, and that no refusal keeps a hold."""

import pytest
from stage_samples import CATALOG, CONFIG, NOW, SHARE, Market, S, at_market, decision, exit_of

from qts._core import Gateway, SafetyWord
from qts.execution.contracts import Check, Refusal, RiskApproval
from qts.execution.interfaces import ExecStance
from qts.execution.precheck import GATES, PreCheck, hold_price

UP = (True, True)
OPEN = ExecStance()
RICH = 1_000_000_000


def a_gateway(cash=RICH, **more):
    return Gateway(CATALOG.core, cash=cash, **more)


def fresh(**changes):
    return Market(**({"bid": 74_900, "ask": 75_000} | changes))


def closed():
    market = fresh()
    market.open = False
    return market


def check(order, gateway=None, *, stance=OPEN, link=UP, market=None, now_ns=NOW, **more):
    stage = PreCheck(gateway or a_gateway(), CONFIG)
    return stage.run(order, now_ns, stance, link, market or fresh(), **more)


def cost(price, qty):
    """What a purchase comes to at most, its fee included."""
    amount = CATALOG.core.amount(SHARE, price, qty)
    return amount + CATALOG.core.fee(SHARE, "BUY", amount, NOW)


def holding(gateway, qty, price=75_000):
    permit = gateway.request(SHARE, "SCALP", "BUY", "LIMIT", "DAY", price, qty, action="ENTRY", now_ns=NOW - S)
    permit.redeem(NOW - S)
    gateway.on_ack(permit.order_id, "1", NOW - S)
    gateway.on_fill(permit.order_id, "e-1", qty, price, None, None, NOW - S)
    return gateway


def risk(allowed_qty, *, approved=True):
    return RiskApproval(approved=approved, allowed_qty=allowed_qty, at_ns=NOW)


def names(result):
    return [one.name for one in result.checks]


# What may go.


def test_everything_in_order_passes_as_it_is_with_a_hold_for_the_worst_price():
    gateway, order = a_gateway(), decision()
    result = check(order, gateway)
    assert (result.passed, result.reason, result.codes, result.ts_ns) == (True, None, (), NOW)
    assert result.order is order
    assert result.checks == tuple(Check(name, passed=True) for name in GATES)
    assert gateway.hold(result.hold_id)[:2] == (cost(75_300, 1_000), 1_000)
    assert gateway.reserved_cash == cost(75_300, 1_000)


@pytest.mark.parametrize(
    ("order", "worst"),
    [
        (decision(price=75_000), 75_300),
        (decision(price=75_300), 75_300),
        (decision(price=76_000), 76_000),
        (at_market(), 75_300),
        (decision(side="SELL", price=75_000), 74_700),
        (decision(side="SELL", price=74_000), 74_000),
    ],
)
def test_the_hold_covers_what_improvements_may_come_to_and_the_limit_itself(order, worst):
    assert hold_price(order, fresh(), CONFIG, NOW) == worst


def test_what_cannot_be_paid_as_a_whole_shrinks_to_what_can():
    order, gateway = decision(), a_gateway(cost(75_300, 400) + 10)
    result = check(order, gateway)
    assert (result.passed, result.order.qty, result.codes) == (True, 400, ("GR061",))
    assert result.order == order._replace(qty=400)
    assert order.qty == 1_000
    assert result.checks[2] == Check("CAPITAL", passed=True, available_qty=400)
    assert names(result) == list(GATES)
    assert gateway.hold(result.hold_id)[1] == 400


def test_what_cannot_be_paid_at_all_is_refused():
    result = check(decision(), a_gateway(cost(75_300, 1) - 1))
    assert (result.passed, result.reason, result.codes) == (False, Refusal.INSUFFICIENT_CAPITAL, ("GR061",))
    assert result.checks == (*(Check(name, passed=True) for name in GATES[:2]), Check("CAPITAL", passed=False))


def test_the_risk_limit_holds_for_what_capital_has_left_of_the_order():
    gateway = a_gateway(cost(75_300, 400) + 10)
    result = check(decision(risk_approval=risk(300)), gateway)
    assert (result.order.qty, result.codes) == (300, ())
    assert result.checks[5] == Check("RISK", passed=True, available_qty=300)
    assert gateway.hold(result.hold_id)[1] == 300
    both = check(decision(risk_approval=risk(600)), a_gateway(cost(75_300, 400) + 10))
    assert (both.order.qty, both.codes) == (400, ("GR061",))
    assert both.checks[2] == Check("CAPITAL", passed=True, available_qty=400)
    assert check(decision(risk_approval=risk(400)), a_gateway(cost(75_300, 400))).order.qty == 400


@pytest.mark.parametrize("approval", [risk(0), risk(-5), risk(1_000, approved=False)])
def test_what_risk_does_not_allow_is_refused_and_holds_nothing(approval):
    gateway = a_gateway()
    result = check(decision(risk_approval=approval), gateway)
    assert (result.passed, result.reason, result.hold_id) == (False, Refusal.RISK_LIMIT_EXCEEDED, 0)
    assert names(result) == list(GATES[:6])
    assert gateway.reserved_cash == 0
    assert check(decision(), gateway).passed


def test_an_allowed_quantity_is_cut_to_whole_lots():
    assert check(decision(risk_approval=risk(375)), lot=50).order.qty == 350
    assert check(decision(risk_approval=risk(49)), lot=50).reason == "RISK_LIMIT_EXCEEDED"
    assert check(decision(qty=500, risk_approval=risk(500)), lot=50).order.qty == 500


# Why not.


@pytest.mark.parametrize("link", [(False, True), (True, False), (False, False)])
def test_without_a_link_or_its_stream_no_entry_goes(link):
    gateway = a_gateway()
    result = check(decision(), gateway, link=link)
    assert (result.reason, names(result)) == (Refusal.BROKER_DISCONNECTED, list(GATES[:4]))
    assert gateway.reserved_cash == 0


@pytest.mark.parametrize(("link", "passed"), [((False, True), False), ((True, False), True), ((False, False), False)])
def test_an_exit_needs_the_link_alone_as_its_fills_can_be_asked_for(link, passed):
    result = check(exit_of(), holding(a_gateway(), 1_000), link=link)
    assert result.passed is passed
    assert result.reason == (None if passed else Refusal.BROKER_DISCONNECTED)


def test_a_closed_market_is_not_waited_for():
    result = check(decision(), market=closed())
    assert (result.reason, names(result)) == (Refusal.MARKET_CLOSED, list(GATES[:5]))


@pytest.mark.parametrize(("age_ns", "passed"), [(0, True), (100_000_000, True), (100_000_001, False), (10 * S, False)])
def test_a_price_older_than_its_limit_lets_no_entry_through(age_ns, passed):
    result = check(decision(), market=fresh(ts_ns=NOW - age_ns))
    assert (result.passed, result.reason) == (passed, None if passed else Refusal.PRICE_STALE)
    assert result.codes == ()


def test_no_price_at_all_lets_no_entry_through():
    assert check(decision(), market=Market(ts_ns=0)).reason == "PRICE_STALE"


def test_a_frozen_symbol_takes_no_entries():
    gateway = a_gateway()
    gateway.freeze(SHARE, reason="loop", frozen=True)
    assert check(decision(), gateway).reason == "SYMBOL_FROZEN"
    gateway.freeze(SHARE, reason="loop", frozen=False)
    assert check(decision(), gateway).passed


@pytest.mark.parametrize(
    ("stance", "reason", "codes"),
    [
        (ExecStance(may_enter=False, entry_refusal="STATE_BLOCKED"), "STATE_BLOCKED", ()),
        (ExecStance(may_enter=False), "STATE_BLOCKED", ()),
        (ExecStance(may_enter=False, entry_refusal="GR062"), "STATE_BLOCKED", ("GR062",)),
        (ExecStance(eteda_suspended=True), "STATE_BLOCKED", ()),
        (ExecStance(safety="FAIL"), "SAFETY_BLOCKED", ()),
        (ExecStance(safety="LOCKDOWN", may_enter=False, entry_refusal="GR062"), "SAFETY_BLOCKED", ()),
    ],
)
def test_what_the_stance_forbids_is_refused_first(stance, reason, codes):
    result = check(decision(), a_gateway(0), stance=stance, link=(False, False), market=closed())
    assert (result.reason, result.codes) == (reason, codes)
    assert result.checks == (Check("SAFETY", passed=False),)


def test_a_warning_lets_entries_through():
    assert check(decision(), stance=ExecStance(safety="WARNING")).passed


def test_the_safety_word_has_the_last_word():
    word = SafetyWord()
    gateway = a_gateway(safety=word)
    assert check(decision(decision_id="d-0", qty=1), gateway).passed
    word.raise_state(2, "FS040", NOW)
    assert check(decision(instrument=SHARE + 1), gateway).reason == "SAFETY_BLOCKED"


@pytest.mark.parametrize(("late_ns", "passed"), [(0, True), (1, False)])
def test_after_its_deadline_nothing_of_a_decision_goes(late_ns, passed):
    for order in (decision(), exit_of()):
        gateway = holding(a_gateway(), 1_000) if order.intent == "EXIT" else a_gateway()
        now_ns = order.deadline_ns + late_ns
        result = check(order, gateway, now_ns=now_ns, market=fresh(ts_ns=now_ns))
        assert (result.passed, result.reason) == (passed, None if passed else Refusal.EXPIRED)


def test_no_entry_before_recovery_is_done():
    assert check(decision(), recovering=True).reason == "RECOVERING"


@pytest.mark.parametrize(
    ("known", "asked"),
    [
        (Refusal.JOURNAL_FAILED, 1),
        (Refusal.DUPLICATE_DECISION, 2),
        (Refusal.POSITION_INVALID, 2),
        (Refusal.INFLIGHT_LIMIT, 2),
    ],
)
def test_what_the_caller_knows_comes_out_at_its_place(known, asked):
    gateway = a_gateway()
    result = check(decision(), gateway, known=known)
    assert (result.reason, names(result), result.hold_id) == (known, list(GATES[:asked]), 0)
    assert gateway.reserved_cash == 0
    blocked = check(decision(), gateway, known=known, stance=ExecStance(may_enter=False, entry_refusal="GR062"))
    assert blocked.reason == (known if asked == 1 else "STATE_BLOCKED")


def test_a_decision_seen_before_is_called_that_although_its_hold_is_in_the_way_as_well():
    gateway = a_gateway()
    first = check(decision(), gateway)
    again = check(decision(), gateway, known=Refusal.DUPLICATE_DECISION)
    assert again.reason == "DUPLICATE_DECISION"
    assert gateway.hold(first.hold_id) is not None


def test_the_first_gate_that_fails_is_the_one_that_is_told():
    gateway, poor = a_gateway(), a_gateway(1)
    gateway.freeze(SHARE, reason="loop", frozen=True)
    none = risk(0)
    wrong = {"link": (False, False), "market": closed()}
    stale = fresh(ts_ns=NOW - S)
    order = decision(risk_approval=none)
    assert check(order, gateway, **wrong).reason == "SYMBOL_FROZEN"
    gateway.freeze(SHARE, reason="loop", frozen=False)
    assert check(order, gateway, known=Refusal.DUPLICATE_DECISION, **wrong).reason == "DUPLICATE_DECISION"
    assert check(order, poor, **wrong).reason == "INSUFFICIENT_CAPITAL"
    assert check(order, gateway, **wrong).reason == "BROKER_DISCONNECTED"
    assert check(order, gateway, market=closed()).reason == "MARKET_CLOSED"
    assert check(order, gateway, market=stale).reason == "RISK_LIMIT_EXCEEDED"
    assert check(decision(), gateway, market=stale).reason == "PRICE_STALE"
    assert gateway.reserved_cash == 0


def test_a_second_entry_for_the_same_instrument_waits_for_the_first_one_to_end():
    gateway = a_gateway()
    first = check(decision(), gateway)
    assert check(decision(decision_id="d-2"), gateway).reason == "POSITION_INVALID"
    gateway.close_hold(first.hold_id)
    assert check(decision(decision_id="d-2"), gateway).passed


def test_more_positions_than_can_be_watched_are_not_begun():
    gateway = holding(a_gateway(config={"shadow_capacity": 1}), 10)
    assert check(decision(instrument=CATALOG["000660"].id), gateway).reason == "SHADOW_FULL"
    assert check(decision(), gateway).passed  # adding to one that is watched


# Exits.


@pytest.mark.parametrize(
    "around",
    [
        {"stance": ExecStance(may_enter=False, entry_refusal="GR062")},
        {"stance": ExecStance(eteda_suspended=True)},
        {"market": fresh(ts_ns=NOW - 100 * S)},
        {"market": Market(ts_ns=0)},
        {"recovering": True},
    ],
)
def test_an_exit_goes_where_entries_do_not(around):
    gateway = holding(a_gateway(cost(75_000, 100)), 100)
    gateway.freeze(SHARE, reason="loop", frozen=True)
    result = check(exit_of(qty=100), gateway, **around)
    assert (result.passed, result.order.qty, result.hold_id) == (True, 100, 0)
    assert names(result) == list(GATES)


def test_no_more_is_sold_than_is_held():
    gateway = holding(a_gateway(), 100)
    assert check(exit_of(qty=101), gateway).reason == "POSITION_INVALID"
    assert check(exit_of(qty=100, pool_id="SWING"), gateway).reason == "POSITION_INVALID"
    assert check(exit_of(qty=100), gateway).passed


def test_the_exit_of_a_strategy_stops_where_only_protective_ones_may_go():
    word = SafetyWord()
    gateway = holding(a_gateway(safety=word), 100)
    word.raise_state(2, "FS040", NOW)
    assert check(exit_of(qty=100), gateway).reason == "SAFETY_BLOCKED"
    assert check(exit_of(qty=100, action="PROTECTIVE_EXIT"), gateway).passed
