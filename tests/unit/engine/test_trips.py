"""Round trips: what a position has brought once it is flat again."""

from datetime import date
from types import SimpleNamespace

from qts.capital.metrics import ClosedTrade
from qts.engine.trips import RoundTrips

DAY, LATER = date(2026, 1, 5), date(2026, 1, 9)


def fill(side, qty, amount, *, track="SCALP", instrument=0, fee=10, tax=0):
    return SimpleNamespace(instrument=instrument, track=track, side=side, qty=qty, amount=amount, fee=fee, tax=tax)


def net_of(trips, *args, **named):
    trade = trips.on_fill(fill(*args, **named), DAY)
    return None if trade is None else trade.net


def test_a_round_trip_ends_flat_with_all_its_costs():
    trips = RoundTrips()
    assert net_of(trips, "BUY", 4, 4_000) is None
    assert net_of(trips, "BUY", 6, 6_300) is None
    assert net_of(trips, "BUY", 1, 900, track="SWING") is None, "another track, another trip"
    assert net_of(trips, "SELL", 3, 3_300, tax=7) is None
    assert net_of(trips, "SELL", 7, 7_700, tax=18) == 11_000 - 10_300 - 40 - 25
    assert net_of(trips, "SELL", 1, 1_000, track="SWING") == 80
    assert trips._open == {}


def test_a_round_trip_counts_every_part_with_its_costs_and_each_track_alone():
    trips = RoundTrips()
    assert net_of(trips, "BUY", 6, 600, fee=1) is None
    assert net_of(trips, "BUY", 4, 400, fee=1, track="SWING") is None
    assert net_of(trips, "BUY", 4, 404, fee=1) is None
    assert net_of(trips, "SELL", 9, 909, fee=1, tax=2) is None
    assert net_of(trips, "SELL", 1, 101, fee=1) == 1_010 - 1_004 - 6
    assert net_of(trips, "SELL", 4, 400, fee=1, tax=1, track="SWING") == -3
    assert net_of(trips, "BUY", 1, 100, fee=0) is None, "a new one begins at nothing"
    assert net_of(trips, "SELL", 1, 100, fee=0) == 0


def test_a_split_changes_what_is_left_to_sell_and_not_what_it_cost():
    trips = RoundTrips()
    trips.on_fill(fill("BUY", 3, 3_000), DAY)
    assert trips.on_split(0, "SCALP", 7, 250, DAY) is None, "5 for 2, the half share is paid"
    assert trips.on_fill(fill("SELL", 6, 3_000), LATER) is None
    assert trips.on_fill(fill("SELL", 1, 500), LATER) == ClosedTrade("SCALP", DAY, LATER, 3_750 - 3_000 - 30)
    assert trips.on_split(0, "SCALP", 7, 0, LATER) is None, "nothing is held"


def test_a_split_that_leaves_nothing_ends_the_trip():
    trips = RoundTrips()
    trips.on_fill(fill("BUY", 1, 900), DAY)
    assert trips.on_split(0, "SCALP", 0, 500, LATER) == ClosedTrade("SCALP", DAY, LATER, 500 - 910)
    assert trips._open == {}
