"""The event contract."""

from dataclasses import FrozenInstanceError
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from qts import _core
from qts.config import ConfigManager, EventSettings
from qts.event import (
    EVENT_PRIORITY_MAP,
    BackpressureThreshold,
    DegradationLevel,
    Event,
    EventConfig,
    EventPriority,
    EventType,
    OverflowPolicy,
    QueueAlert,
    create_event,
)

P0, P1, P2, P3 = EventPriority


def test_the_set_of_events_is_closed_at_23_and_each_has_a_level():
    assert len(EventType) == len(EVENT_PRIORITY_MAP) == 23
    counts = [sum(level is wanted for level in EVENT_PRIORITY_MAP.values()) for wanted in EventPriority]
    assert counts == [7, 5, 6, 5]
    assert list(EVENT_PRIORITY_MAP) == list(EventType)


def test_names_levels_and_order_are_those_of_the_core():
    assert [(str(kind), int(level)) for kind, level in EVENT_PRIORITY_MAP.items()] == list(_core.EVENT_TYPES)


@pytest.mark.parametrize("kind", list(EventType))
def test_the_factory_gives_every_type_the_flags_of_its_level(kind):
    event = create_event(kind, "SYSTEM")
    level = EVENT_PRIORITY_MAP[kind]
    assert event.priority is level
    assert event.requires_ack == (level is P0)
    assert event.max_process_time_ms == (10 if level is P0 else 0)
    assert event.can_batch == (level is not P0)
    assert event.can_collapse == (level is P2 and kind is not EventType.SIGNAL_GENERATED)
    assert event.can_drop == (level is P3 and kind is not EventType.REPORT_GENERATE)
    assert event.timestamp.tzinfo is UTC


@pytest.mark.parametrize(
    ("kind", "payload", "can_drop"),
    [
        (EventType.LOG_WRITE, {"audit": True}, False),
        (EventType.LOG_WRITE, {"audit": False}, True),
        (EventType.NOTIFICATION_SEND, {"severity": "WARNING"}, False),
        (EventType.NOTIFICATION_SEND, {"severity": "INFO"}, True),
        (EventType.REPORT_GENERATE, {"periodic": True}, True),
        (EventType.METRIC_RECORD, {}, True),
    ],
)
def test_audit_records_and_alerts_are_never_dropped(kind, payload, can_drop):
    assert create_event(kind, "SYSTEM", payload).can_drop is can_drop


def test_events_are_unique_and_immutable():
    payload = {"symbol": "005930"}
    event = create_event(EventType.PRICE_TICK, "MARKET_DATA", payload)
    payload["symbol"] = "000660"
    assert event.payload["symbol"] == "005930"
    with pytest.raises(TypeError):
        event.payload["symbol"] = "x"
    with pytest.raises(FrozenInstanceError):
        event.source = "x"
    assert create_event(EventType.PRICE_TICK, "MARKET_DATA").event_id != event.event_id


def test_given_identity_and_time_are_kept_and_time_is_utc():
    kst = datetime(2026, 1, 2, 9, tzinfo=timezone(timedelta(hours=9)))
    event = create_event(EventType.PRICE_TICK, "MARKET_DATA", timestamp=kst, event_id="a")
    assert (event.event_id, event.timestamp, event.timestamp.tzinfo) == ("a", kst, UTC)


@pytest.mark.parametrize(
    ("kind", "priority", "fields", "message"),
    [
        (EventType.FILL_PARTIAL, P1, {}, "expected P0_CRITICAL"),
        (EventType.FILL_PARTIAL, P0, {"can_batch": True}, "one by one"),
        (EventType.FILL_PARTIAL, P0, {"can_drop": True}, "dropped"),
        (EventType.PRICE_TICK, P1, {"can_collapse": True}, "merged"),
        (EventType.PRICE_TICK, P1, {"can_drop": True}, "dropped"),
        (EventType.SIGNAL_GENERATED, P2, {"can_collapse": True}, "merged"),
        (EventType.LOG_WRITE, P3, {"can_drop": True, "payload": {"audit": True}}, "dropped"),
        (EventType.PRICE_TICK, P1, {"source": "x" * 33}, "32"),
        (EventType.PRICE_TICK, P1, {"max_process_time_ms": 60_001}, "60000"),
        (EventType.PRICE_TICK, P1, {"max_process_time_ms": -1}, "60000"),
        (EventType.PRICE_TICK, P1, {"event_id": ""}, "event_id"),
        (EventType.PRICE_TICK, P1, {"timestamp": datetime(1970, 1, 1, tzinfo=UTC)}, "1970"),
    ],
)
def test_contradictions_are_refused(kind, priority, fields, message):
    with pytest.raises(ValueError, match=message):
        Event(event_type=kind, priority=priority, **fields)


def test_a_naive_timestamp_and_an_unknown_type_are_refused():
    with pytest.raises(TypeError, match="naive"):
        create_event(EventType.PRICE_TICK, "", timestamp=datetime(2026, 1, 1))  # noqa: DTZ001 - that is the point
    with pytest.raises(ValueError, match="ORDER_SENT"):
        create_event("ORDER_SENT", "")


def test_names_are_accepted_as_text():
    assert create_event("PRICE_TICK", "").event_type is EventType.PRICE_TICK


def test_degradation_levels_rise():
    assert [level.severity for level in DegradationLevel] == [0, 1, 2, 3]


def test_settings_of_the_queues_come_from_the_configuration():
    config = EventConfig.from_settings(ConfigManager().load().event)
    assert config == EventConfig.from_settings()
    assert [config.queues[level].capacity for level in EventPriority] == [100, 10_000, 1_000, 50_000]
    assert [config.queues[level].overflow_policy for level in EventPriority] == list(OverflowPolicy)
    assert [config.queues[level].batch_size for level in EventPriority] == [1, 100, 50, 100]
    assert [config.queues[level].batch_timeout_ms for level in EventPriority] == [0, 10, 100, 1_000]
    assert config.queues[P3].sample_rate == 0.1
    assert config.alerts == {P0: QueueAlert(50, 80), P1: QueueAlert(7_000, 9_000), P2: QueueAlert(800, 950)}
    assert config.backpressure == {P1: BackpressureThreshold(0.7, 0.9), P2: BackpressureThreshold(0.8, 0.95)}
    assert config.check_interval_ms == 100


def test_sample_rates_keep_their_exact_value_in_the_settings():
    assert EventSettings().queues.p3.sample_rate == Decimal("0.1")
