"""The guard of a broker adapter."""

import pytest
from safety_samples import KIM

from qts.safety import FailureGuard, FailureKind, GuardState, SafetyState


@pytest.fixture
def guard(desk):
    return FailureGuard("kis", desk.clock, desk.manager)


def trip(guard) -> None:
    for kind in (FailureKind.TIMEOUT, FailureKind.SERVER_ERROR, FailureKind.MALFORMED_REPLY):
        guard.failed(kind)


def test_three_failures_in_a_row_trip_it_once(desk, guard):
    assert guard.refuse_order() is None
    guard.failed(FailureKind.TIMEOUT)
    guard.failed(FailureKind.TIMEOUT)
    assert guard.state is GuardState.CLOSED
    guard.failed(FailureKind.AUTH_FAILED)
    assert guard.refuse_order() == (False, "failsafe", "failure guard tripped")
    assert not guard.may_query()
    assert (desk.manager.state, desk.manager.snapshot().codes) == (SafetyState.FAIL, ("FS040",))
    guard.failed(FailureKind.TIMEOUT)
    assert desk.manager.state == SafetyState.FAIL, "reported once"
    assert desk.lines[-1]["payload"]["adapter"] == "kis"


def test_a_success_ends_a_row_but_three_in_five_minutes_trip_it_all_the_same(desk, guard):
    for _ in range(2):
        guard.failed(FailureKind.TIMEOUT)
        guard.succeeded()
        desk.clock.pass_s(150)
    guard.failed(FailureKind.TIMEOUT)
    assert guard.state is GuardState.TRIPPED


def test_failures_that_are_further_apart_do_not(desk, guard):
    for _ in range(6):
        guard.failed(FailureKind.TIMEOUT)
        guard.succeeded()
        desk.clock.pass_s(151)
    assert guard.state is GuardState.CLOSED


def test_it_opens_for_queries_and_closes_for_good_with_an_acknowledgement(desk, guard):
    trip(guard)
    desk.clock.pass_s(59)
    assert guard.state is GuardState.TRIPPED
    desk.clock.pass_s(1)
    assert guard.state is GuardState.HALF_OPEN
    assert guard.may_query()
    assert guard.refuse_order() is not None
    guard.succeeded()
    assert guard.state is GuardState.PROBED
    assert guard.refuse_order() is not None, "never an order before an operator has looked"
    assert desk.manager.ack(KIM, desk.evidence()).applied
    assert guard.refuse_order() is None


def test_an_acknowledgement_without_a_probe_does_not_arm_it(desk, guard):
    trip(guard)
    assert desk.manager.ack(KIM, desk.evidence()).applied
    assert guard.refuse_order() is not None
    desk.manager.ack_warning("kim")
    assert guard.refuse_order() is not None


def test_a_probe_that_fails_starts_the_wait_anew(desk, guard):
    trip(guard)
    desk.clock.pass_s(60)
    guard.failed(FailureKind.TIMEOUT)
    assert guard.state is GuardState.TRIPPED
    desk.clock.pass_s(59)
    assert not guard.may_query()


@pytest.mark.parametrize(("later_s", "state"), [(239, SafetyState.LOCKDOWN), (1_000, SafetyState.FAIL)])
def test_a_trip_that_is_repeated_soon_locks_down(desk, guard, later_s, state):
    trip(guard)
    desk.clock.pass_s(61)
    guard.succeeded()
    assert guard.state is GuardState.HALF_OPEN or guard.may_query()
    guard.succeeded()
    assert desk.manager.ack(KIM, desk.evidence()).applied
    desk.clock.pass_s(later_s)
    trip(guard)
    assert desk.manager.state == state
    if state is SafetyState.LOCKDOWN:
        assert "again" in desk.lines[-1]["payload"]["message"]


def test_business_rejects_are_counted_apart(desk, guard):
    assert [guard.rejected("ema_cross") for _ in range(4)] == [False] * 4
    desk.clock.pass_s(301)
    assert [guard.rejected("ema_cross") for _ in range(5)] == [False, False, False, False, True]
    assert guard.state is GuardState.CLOSED
    assert desk.manager.snapshot().codes == ("FS044",)
    assert desk.lines[-1]["payload"]["strategy"] == "ema_cross"
