"""Where a new entry goes when there are two brokers: never where an order in doubt could be doubled."""

import pytest

from qts.execution.contracts import Refusal
from qts.execution.failover import BrokerHealth, Failover

MIN = 60 * 1_000_000_000
NOW = 1_800_000_000 * 1_000_000_000
WELL = BrokerHealth(connected=True, reconciled=True)
GONE = BrokerHealth(connected=False)
FAILING = BrokerHealth(connected=True, consecutive_failures=3, reconciled=True)
NOWHERE = (None, Refusal.BROKER_DISCONNECTED, (), False)


def switched(now_ns=NOW):
    rule = Failover(enabled=True)
    assert rule.choose(GONE, WELL, now_ns) == ("SECONDARY", None, (), True)
    return rule


def well_for(rule, minutes, start_ns=NOW, health=WELL):
    for minute in range(minutes + 1):
        rule.heartbeat(health, start_ns + minute * MIN)
    return start_ns + minutes * MIN


def test_a_broker_that_is_well_keeps_its_entries():
    assert Failover(enabled=True).choose(WELL, WELL, NOW) == ("PRIMARY", None, (), False)


@pytest.mark.parametrize("failures", [1, 2])
def test_less_than_three_failures_in_a_row_prove_nothing(failures):
    health = WELL._replace(consecutive_failures=failures)
    assert Failover(enabled=True).choose(health, WELL, NOW).broker == "PRIMARY"


@pytest.mark.parametrize("health", [GONE, FAILING])
def test_off_by_default_nothing_goes_elsewhere(health):
    assert Failover().choose(health, WELL, NOW) == NOWHERE
    assert Failover(active="SECONDARY").active == "PRIMARY"


@pytest.mark.parametrize("health", [GONE, FAILING])
def test_a_broker_proven_down_hands_new_entries_over_once(health):
    rule = Failover(enabled=True)
    assert rule.choose(health, WELL, NOW) == ("SECONDARY", None, (), True)
    assert rule.choose(health, WELL, NOW + 1) == ("SECONDARY", None, (), False)


@pytest.mark.parametrize("health", [GONE, FAILING])
def test_an_order_in_doubt_at_the_first_broker_keeps_entries_from_the_second(health):
    rule = Failover(enabled=True)
    assert rule.choose(health._replace(unknown_orders=1), WELL, NOW) == NOWHERE
    assert rule.active == "PRIMARY"
    assert rule.choose(health, WELL, NOW).broker == "SECONDARY"


@pytest.mark.parametrize("secondary", [None, WELL._replace(reconciled=False), WELL._replace(consecutive_failures=1)])
def test_a_second_broker_that_is_not_ready_takes_nothing(secondary):
    rule = Failover(enabled=True)
    assert rule.choose(GONE, secondary, NOW) == NOWHERE
    assert rule.active == "PRIMARY"


def test_both_down_is_told_once_for_each_outage():
    rule = Failover(enabled=True)
    assert rule.choose(GONE, GONE, NOW) == (None, Refusal.BROKER_DISCONNECTED, ("FS090",), False)
    assert rule.choose(GONE, GONE, NOW + 1) == NOWHERE
    assert rule.choose(WELL, GONE, NOW + 2).broker == "PRIMARY"
    assert rule.choose(GONE, FAILING, NOW + 3).codes == ("FS090",)


def test_a_second_broker_that_fails_too_switches_nothing_back():
    rule = switched()
    assert rule.choose(WELL, GONE, NOW + 1) == (None, Refusal.BROKER_DISCONNECTED, ("FS090",), False)
    assert rule.choose(WELL, FAILING, NOW + 2) == NOWHERE
    assert rule.active == "SECONDARY"
    assert rule.choose(WELL, WELL, NOW + 3).broker == "SECONDARY"
    assert rule.choose(WELL, GONE, NOW + 4).codes == ("FS090",)


def test_the_first_broker_being_back_does_not_bring_entries_back_by_itself():
    rule = switched()
    assert rule.choose(WELL, WELL, NOW + 10 * MIN).broker == "SECONDARY"


def test_a_second_broker_whose_books_no_longer_agree_takes_nothing():
    assert switched().choose(GONE, WELL._replace(reconciled=False), NOW) == NOWHERE


def test_entries_go_back_after_five_minutes_of_healthy_heartbeats():
    rule = switched()
    at = well_for(rule, 5)
    assert rule.choose(WELL, WELL, at - 1).broker == "SECONDARY"
    assert rule.choose(WELL, WELL, at) == ("PRIMARY", None, (), True)
    assert rule.active == "PRIMARY"


@pytest.mark.parametrize(
    "spoiled", [WELL._replace(open_exposure=True), WELL._replace(unknown_orders=1), WELL._replace(reconciled=False)]
)
def test_they_do_not_go_back_to_a_broker_with_something_open(spoiled):
    rule = switched()
    at = well_for(rule, 9)
    assert rule.choose(spoiled, WELL, at).broker == "SECONDARY"
    assert rule.choose(WELL, WELL, at).broker == "PRIMARY"


def test_a_heartbeat_that_fails_starts_the_five_minutes_anew():
    rule = switched()
    well_for(rule, 4)
    rule.heartbeat(WELL._replace(consecutive_failures=1), NOW + 5 * MIN)
    at = well_for(rule, 4, NOW + 6 * MIN)
    assert rule.choose(WELL, WELL, at).broker == "SECONDARY"
    rule.heartbeat(WELL, at + MIN)
    assert rule.choose(WELL, WELL, at + MIN).broker == "PRIMARY"


def test_heartbeats_that_did_not_come_are_not_healthy_ones():
    rule = switched()
    rule.heartbeat(WELL, NOW)
    rule.heartbeat(WELL, NOW + 5 * MIN)
    assert rule.choose(WELL, WELL, NOW + 5 * MIN).broker == "SECONDARY"
    at = well_for(rule, 4, NOW + 6 * MIN)
    assert rule.choose(WELL, WELL, at + 2 * MIN).broker == "SECONDARY"  # and none has come since
    assert rule.choose(WELL, WELL, at).broker == "PRIMARY"


def test_what_was_well_before_the_switch_does_not_count():
    rule = Failover(enabled=True)
    at = well_for(rule, 9)
    rule.choose(GONE, WELL, at)
    assert rule.choose(WELL, WELL, at).broker == "SECONDARY"


def test_an_operator_brings_entries_back_at_once_but_not_into_doubt():
    rule = switched()
    assert not rule.fail_back(GONE)
    assert not rule.fail_back(WELL._replace(unknown_orders=1))
    assert not rule.fail_back(WELL._replace(reconciled=False))
    assert rule.fail_back(WELL._replace(open_exposure=True))
    assert rule.active == "PRIMARY"
    assert not rule.fail_back(WELL)


def test_a_restart_goes_on_with_the_broker_that_it_had_come_to():
    rule = Failover(enabled=True, active="SECONDARY")
    assert rule.choose(WELL, WELL, NOW).broker == "SECONDARY"
