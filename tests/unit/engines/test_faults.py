"""Faults are counted by kind, and their number is bounded."""

from qts.engines import FaultLog, one_line


def test_equal_faults_are_one_entry_with_a_count():
    log = FaultLog()
    log.record("SE010", "s", "ValueError: x", 5)
    fault = log.record("SE010", "s", "ValueError: x", 9)
    assert (fault.count, fault.first_ts_ns, fault.last_ts_ns) == (2, 5, 9)
    assert log.all() == [fault]


def test_kinds_are_bounded_and_the_total_is_not():
    log = FaultLog()
    for number in range(1_000):
        log.record("SE010", "s", f"x{number}", number)
    assert (len(log.all()), log.total) == (256, 1_000)


def test_exception_on_one_line():
    assert one_line(ValueError("a\n  b")) == "ValueError: a b"
    assert one_line(KeyError()) == "KeyError"
