"""What an outage of the database leads to, and when."""

import pytest

from qts.clock import NS_PER_S, SimClock
from qts.data.outage import OutageClock, OutageLimits

LIMITS = OutageLimits(block_s=30, fail_s=300, block_records=10_000, fail_records=50_000, least_free_disk=0.1)


class World:
    """A database that is away, records that wait for it, and what is told of it."""

    def __init__(self):
        self.clock = SimClock(1_700_000_000 * NS_PER_S)
        self.told = []
        self.waiting = 1
        self.free = 0.5
        self.outage = OutageClock(
            self.clock,
            lambda code, text: self.told.append((code, text)),
            depth=lambda: self.waiting,
            free_disk=lambda: self.free,
            limits=LIMITS,
        )

    def later(self, seconds):
        self.clock.advance_to(self.clock.now_ns() + seconds * NS_PER_S)
        self.outage.watch()

    @property
    def codes(self):
        return [code for code, _ in self.told]


@pytest.fixture
def world():
    return World()


def test_a_first_failure_is_told_and_holds_nothing_back(world):
    world.outage.down("connection refused")
    assert world.codes == ["GR100"]
    assert "connection refused" in world.told[0][1]
    assert (world.outage.away, world.outage.reason) == (True, "")


@pytest.mark.parametrize(("seconds", "held"), [(30, False), (31, True)])
def test_entries_are_held_back_after_thirty_seconds(world, seconds, held):
    world.outage.down("gone")
    world.later(seconds)
    assert bool(world.outage.reason) is held


@pytest.mark.parametrize(("records", "held"), [(10_000, False), (10_001, True)])
def test_many_waiting_records_hold_entries_back_at_once(world, records, held):
    world.waiting = records
    world.outage.down("gone")
    assert bool(world.outage.reason) is held


@pytest.mark.parametrize(("seconds", "records", "free"), [(301, 1, 0.5), (0, 50_001, 0.5), (0, 1, 0.09)])
def test_a_long_outage_a_long_queue_or_a_full_disk_is_a_fault_and_told_once(world, seconds, records, free):
    world.outage.down("gone")
    world.waiting, world.free = records, free
    for _ in range(3):
        world.later(seconds)
    faults = [text for code, text in world.told if code == "FS120"]
    assert len(faults) == 1
    assert faults[0].endswith(": gone")


def test_each_stage_is_told_once(world):
    world.outage.down("gone")
    for _ in range(400):
        world.later(1)
        world.outage.down("gone")
    assert world.codes == ["GR100", "GR100", "FS120"]


def test_once_it_is_over_entries_are_free_and_the_next_outage_begins_anew(world):
    world.outage.down("gone")
    world.later(400)
    world.waiting = 0
    world.outage.up()
    assert (world.outage.away, world.outage.age_s(), world.outage.reason) == (False, 0.0, "")
    world.outage.down("gone again")
    assert (world.outage.age_s(), world.outage.reason) == (0.0, "")
    assert world.codes == ["GR100", "FS120", "GR100"]


def test_a_queue_that_is_too_long_holds_entries_back_although_the_database_answers(world):
    world.waiting = 15_000
    world.outage.up()
    assert world.outage.reason == "the database is away for 0 s, 15000 records wait"
    world.waiting = 0
    assert world.outage.reason == ""
