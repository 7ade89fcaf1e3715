"""Clocks and instants."""

import ast
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import qts
from qts.clock import NS_PER_DAY, Clock, SimClock, SystemClock, from_ns, midnight_ns, to_ns, utc_date

KST_S = 9 * 3_600


def test_instants_convert_exactly():
    moment = datetime(2024, 8, 8, 23, 54, 16, 310_001, tzinfo=UTC)
    assert to_ns(moment) == 1_723_161_256_310_001_000
    assert from_ns(1_723_161_256_310_001_999) == moment
    assert to_ns(moment.astimezone(timezone(timedelta(hours=9)))) == to_ns(moment)


def test_a_naive_datetime_is_refused():
    with pytest.raises(TypeError, match="naive"):
        to_ns(datetime(2024, 1, 1))  # noqa: DTZ001 - that is the point


@given(st.datetimes(timezones=st.just(UTC)))
def test_every_microsecond_survives_the_round_trip(moment):
    assert from_ns(to_ns(moment)) == moment


def test_days_begin_at_local_midnight():
    start = midnight_ns(date(2026, 1, 2), KST_S)
    assert from_ns(start) == datetime(2026, 1, 1, 15, tzinfo=UTC)
    assert utc_date(start, KST_S) == date(2026, 1, 2)
    assert utc_date(start - 1, KST_S) == date(2026, 1, 1)
    assert utc_date(start) == date(2026, 1, 1)
    assert utc_date(-1) == date(1969, 12, 31)


def test_the_machines_clock_runs_forward_and_sleeps_to_a_deadline():
    clock: Clock = SystemClock()
    before = clock.monotonic_ns()
    clock.sleep_until(before + 2_000_000)
    assert clock.monotonic_ns() >= before + 2_000_000
    clock.sleep_until(before)  # long past: returns at once
    assert abs(clock.now_ns() - to_ns(clock.now_utc())) < 10**9
    assert clock.now_utc().tzinfo is UTC


def test_simulated_time_moves_only_forward():
    clock = SimClock(NS_PER_DAY)
    assert (clock.now_ns(), clock.monotonic_ns()) == (NS_PER_DAY, 0)
    clock.advance_to(NS_PER_DAY + 5)
    assert (clock.now_ns(), clock.monotonic_ns()) == (NS_PER_DAY + 5, 5)
    clock.sleep_until(1_000)
    assert clock.now_ns() == NS_PER_DAY + 1_000
    clock.sleep_until(10)
    assert clock.monotonic_ns() == 1_000
    assert clock.now_utc() == datetime(1970, 1, 2, microsecond=1, tzinfo=UTC)
    with pytest.raises(ValueError, match="before"):
        clock.advance_to(NS_PER_DAY)


def test_nothing_else_in_the_project_reads_a_clock():
    root = Path(qts.__file__).parent
    offenders = []
    for path in root.rglob("*.py"):
        if path.parent.name == "clock":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            imports_time = (isinstance(node, ast.Import) and any(n.name == "time" for n in node.names)) or (
                isinstance(node, ast.ImportFrom) and node.module == "time"
            )
            reads_now = isinstance(node, ast.Attribute) and node.attr in {"now", "utcnow", "today"}
            if imports_time or (
                reads_now and isinstance(node.value, ast.Name) and node.value.id in {"datetime", "date"}
            ):
                offenders.append(f"{path.relative_to(root)}:{node.lineno}")
    assert offenders == []
