"""The simulated broker hands orders to the core and nothing else."""

import pytest

from qts.broker import TERMINAL_STATUSES, OrderRequest, OrderResponse, SimBroker


class Venue:
    def __init__(self):
        self.calls = []

    def submit(self, *order):
        self.calls.append(order)
        return 41

    def cancel(self, order_id):
        return order_id == 41


REQUEST = OrderRequest("id-0", 3, "A", "SCALP", "BUY", 7, "LIMIT", 100, "DAY")


def test_order_goes_out_in_the_core_s_order_of_arguments():
    venue = Venue()
    ack = SimBroker(venue).place(REQUEST._replace(dry_run=False, action="ENTRY"))
    assert venue.calls == [(3, "SCALP", "BUY", "LIMIT", "DAY", 100, 7, "ENTRY")]
    assert ack == ("id-0", True, "sim", 41, "")


def test_request_that_nobody_released_is_a_dry_run():
    venue = Venue()
    ack = SimBroker(venue).place(REQUEST)
    assert (ack.accepted, ack.broker_order_id, venue.calls) == (False, None, [])


def test_cancel_says_whether_the_order_still_worked():
    broker = SimBroker(Venue())
    assert broker.cancel(41)
    assert not broker.cancel(42)


@pytest.mark.parametrize("status", ["ACCEPTED", "PARTIALLY_FILLED", "UNKNOWN", *sorted(TERMINAL_STATUSES)])
def test_terminal_states_are_those_that_are_never_left(status):
    assert OrderResponse(status, 1, "", 0, 0).is_terminal == (status in TERMINAL_STATUSES)
