"""What holds for the capital engine whatever it is given."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from itertools import chain

from engine_samples import FRIDAY, MONDAY, QUARTER_END, metrics, moved, pool, sample, session
from hypothesis import given, settings
from hypothesis import strategies as st

from qts.capital.config import CapitalFlowConfig, DemotionRules
from qts.capital.contracts import POOLS, Episode, FlowGates, MetricValue, PauseCause, PoolState
from qts.capital.demotion import after_transfer
from qts.capital.engine import CapitalEngine
from qts.safety import SafetyState
from qts.state import OperatingState

ENGINE = CapitalEngine("en")
TRIGGERS = ("P>W:MDD", "W>S:MDD", "W>S:LOSSES")


def mostly(usual, *others):
    """The usual thing nineteen times of twenty."""
    return st.integers(0, 19).flatmap(lambda roll: usual if roll < 19 else st.one_of(*others))


@st.composite
def pool_states(draw):
    states = {}
    for name, middle in zip(POOLS, (19, 17, 12), strict=True):
        parts = [draw(mostly(st.integers(middle * 500_000, middle * 1_400_000), st.integers(0, 60_000_000)))]
        parts += [draw(mostly(st.just(0), st.integers(0, 10_000_000))) for _ in range(3)]
        state = draw(mostly(st.just(PoolState.ACTIVE), st.sampled_from(PoolState)))
        cause = draw(st.sampled_from([PauseCause.DEFENSIVE, PauseCause.OPERATOR]))
        profits = mostly(st.integers(10**6, 3 * 10**7), st.integers(-(10**7), 10**7))
        states[name] = pool(
            name,
            sum(parts),
            invested_capital=parts[1],
            reserved_capital=parts[2],
            held_for_orders=parts[3],
            accumulated_profit=draw(profits),
            nav_gain=draw(profits),
            pool_state=state,
            pause_causes=(cause,) if state is PoolState.PAUSED else (),
            lock_code="FS082" if state is PoolState.LOCKED else None,
            unit_price=draw(mostly(st.just(Decimal(1)), st.decimals("0.75", "1.0", places=6))),
        )
    return states


@st.composite
def measures(draw, fresh):
    """Measures around their thresholds, mostly good enough for money to move."""
    ranges = {
        "scalp_sharpe": ("1.4", "3"),
        "scalp_win_rate": ("0.54", "0.9"),
        "scalp_trades_30d": ("45", "200"),
        "scalp_mdd_30d": ("0", "0.11"),
        "swing_sharpe": ("1.1", "3"),
        "swing_mdd_90d": ("0", "0.16"),
        "swing_mdd_recovery_days": ("0", "32"),
        "swing_avg_holding_days": ("4", "20"),
        "swing_consecutive_losses": ("0", "9"),
        "swing_mdd": ("0.10", "0.21"),
        "portfolio_mdd": ("0.05", "0.20"),
    }
    values = {}
    for name, (least, most) in ranges.items():
        value = draw(st.decimals(least, most, places=6))
        usual = st.just(MetricValue(value, fresh, 60))
        others = [None, MetricValue(None, fresh, 60), MetricValue(value, fresh, 0), MetricValue(value, MONDAY, 60)]
        values[name] = draw(usual if draw(st.integers(0, 49)) else st.sampled_from(others))
    return metrics(**values)


@st.composite
def inputs(draw):
    day, before = draw(st.sampled_from([(MONDAY, FRIDAY), (QUARTER_END, date(2026, 3, 30))]))
    episodes = {
        name: Episode(
            draw(st.integers(0, 4)),
            is_armed=draw(st.booleans()),
            fired_on=date(2026, 1, 5),
            sessions_since=draw(st.integers(0, 25)),
            rest=draw(st.integers(0, 10**7)),
            parts=draw(st.integers(0, 3)),
        )
        for name in TRIGGERS
        if draw(st.booleans())
    }
    done = draw(mostly(st.just([]), st.lists(st.tuples(st.permutations(POOLS), st.integers(1, 2_000_000)), max_size=2)))
    config = replace(
        CapitalFlowConfig(),
        max_transfer_amount=draw(mostly(st.none(), st.integers(1, 10**6))),
        demotion=DemotionRules(is_enabled=draw(mostly(st.just(value=True), st.booleans()))),
    )
    return sample(
        session=session(day, is_first_of_week=True, is_last_of_quarter=True),
        total_equity=draw(mostly(st.integers(40_000_000, 500_000_000), st.integers(1, 40_000_000))),
        operating_state=draw(st.sampled_from(OperatingState)),
        safety_state=draw(mostly(st.just(SafetyState.NORMAL), st.sampled_from(SafetyState))),
        pool_states=draw(pool_states()),
        performance_metrics=draw(measures(before)),
        transfers_today=tuple(moved(*order[:2], amount) for order, amount in done),
        used_keys=frozenset(
            draw(mostly(st.just([]), st.lists(st.sampled_from(["S>W:2026-W06", "W>P:2026-Q1", "P>W:MDD:1"]))))
        ),
        episodes=episodes,
        gates=FlowGates(
            promotion_allowed=draw(mostly(st.just(value=True), st.booleans())),
            rebalancing_enabled=draw(st.booleans()),
            is_state_defensive=False,
            open_codes=draw(mostly(st.just(frozenset()), st.just(frozenset({"FS083"})))),
        ),
        config=config,
    )


def proposals(output):
    return list(chain(output.pending_demotions, output.pending_promotions))


@settings(max_examples=300, deadline=None)
@given(inputs())
def test_what_is_proposed_together_fits_into_what_is_there(inp):
    found = proposals(ENGINE.evaluate(inp))
    totals = {name: inp.pool_states[name].total_capital for name in POOLS}
    whole = sum(totals.values())
    for one in found:
        assert one.amount > 0
        totals[one.from_pool] -= one.amount
        totals[one.to_pool] += one.amount
    assert sum(totals.values()) == whole
    for name in POOLS:
        given_up = sum(one.amount for one in found if one.from_pool == name)
        assert given_up <= inp.pool_states[name].available_capital
    for one in found:
        band, other = inp.config.constraints[one.from_pool], inp.config.constraints[one.to_pool]
        assert totals[one.from_pool] >= band.min_amount
        # a pool in the middle is held to its limits when each proposal is made, before the next one moves on
        received = sum(each.amount for each in found if each.to_pool == one.from_pool)
        assert totals[one.from_pool] >= band.min_pct * whole - received
        assert totals[one.to_pool] <= other.max_pct * whole
    limit = inp.config.daily_move_limit_pct * inp.total_equity
    today = sum(each.proposal.amount for each in inp.transfers_today)
    assert not found or today + sum(one.amount for one in found) <= limit


@settings(max_examples=300, deadline=None)
@given(inputs())
def test_nothing_is_proposed_against_a_lock_a_used_key_or_a_state_that_forbids_it(inp):
    output = ENGINE.evaluate(inp)
    locked = {order.pool_id for order in output.locks}
    locked |= {name for name in POOLS if inp.pool_states[name].pool_state is PoolState.LOCKED}
    pairs = [frozenset((one.from_pool, one.to_pool)) for one in proposals(output)]
    assert len(set(pairs)) == len(pairs)
    for one in proposals(output):
        assert inp.safety_state is SafetyState.NORMAL
        assert not inp.gates.open_codes
        assert locked.isdisjoint((one.from_pool, one.to_pool))
        assert one.transfer_key not in inp.used_keys
        assert PauseCause.OPERATOR not in inp.pool_states[one.from_pool].pause_causes
    if inp.operating_state is OperatingState.DEFENSIVE or not inp.config.demotion.is_enabled:
        assert output.pending_demotions == ()
    if not inp.gates.promotion_allowed:
        assert output.pending_promotions == ()
    for name in locked:
        assert not output.pool_limits[name].entries_allowed
    if output.rebalancing_required:
        assert inp.gates.rebalancing_enabled
        assert not locked


@settings(max_examples=150, deadline=None)
@given(inputs())
def test_equal_input_gives_equal_bytes(inp):
    again = inp._replace(pool_states=dict(reversed(inp.pool_states.items())), config=replace(inp.config))
    assert repr(ENGINE.evaluate(inp)) == repr(CapitalEngine("en").evaluate(again))


@settings(max_examples=150, deadline=None)
@given(inputs())
def test_a_demotion_that_was_carried_out_does_not_come_up_again_but_for_its_rest(inp):
    for done in ENGINE.evaluate(inp).pending_demotions:
        episodes = after_transfer(inp.episodes, done, MONDAY)
        later = ENGINE.evaluate(
            inp._replace(episodes=episodes, transfers_today=(), used_keys=inp.used_keys | {done.transfer_key})
        )
        wanted = int(dict(done.criteria)["wanted"])
        again = [one for one in later.pending_demotions if one.from_pool == done.from_pool]
        assert sum(one.amount for one in again) <= wanted - done.amount


SHARES = st.decimals("0", "1", places=4)


@settings(max_examples=300, deadline=None)
@given(st.tuples(SHARES, SHARES, SHARES), st.sampled_from(OperatingState), st.integers(-60, 60))
def test_targets_always_add_up_to_exactly_one(shares, state, bps):
    scalp, swing, _ = shares
    near = (scalp, swing, 1 - scalp - swing + Decimal(bps) / 10_000)
    for found in (shares, near):
        config = replace(CapitalFlowConfig(), targets={state: dict(zip(POOLS, found, strict=True))})
        output = ENGINE.evaluate(sample(config=config, operating_state=state))
        assert sum(output.targets.values()) == 1
        assert all(0 <= share <= 1 for share in output.targets.values())
        is_good = sum(found) == 1 and min(found) >= 0
        assert is_good is ("GR050" not in [alert.code for alert in output.capital_alerts])
