"""The event system of a live session, whole: real dispatcher, journal, files, and a reader in another process."""

import asyncio
import json
import subprocess
import sys

import pytest

from qts.codes import UsageError
from qts.engine import backtest
from qts.engine.build import load_config
from qts.engine.live import live_events, run_report
from qts.event import CallbackHandler, DegradationLevel, EventPriority, EventType, create_event

READER = """
import sys
from pathlib import Path
from qts.event.consumers import read_dashboard
seen = set()
while True:
    found = read_dashboard(Path(sys.argv[1]))
    if found is None:
        continue
    state = found["panels"]["main"]["data"]
    assert state["first"] == state["last"], state
    seen.add(state["first"])
    if state["first"] == int(sys.argv[2]):
        break
print(len(seen))
"""
P0 = (EventPriority.P0_CRITICAL, CallbackHandler(lambda event: None, "p0"))


def run(work):
    return asyncio.run(asyncio.wait_for(work, 120))


async def until(condition):
    while not condition():  # noqa: ASYNC110 - other threads bring it about
        await asyncio.sleep(0.001)


def p3(kind, /, **payload):
    return create_event(kind, "SYSTEM", payload)


def rows(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_every_p3_event_has_its_effect(tmp_path, capsys):
    async def work():
        async with live_events(load_config(None), [P0], home=tmp_path) as (dispatcher, consumers):
            for number in range(50):
                await dispatcher.dispatch(p3(EventType.LOG_WRITE, msg=f"line {number}", logger="engine"))
                await dispatcher.dispatch(p3(EventType.METRIC_RECORD, name="cycles", kind="counter", value=1))
            await dispatcher.dispatch(p3(EventType.LOG_WRITE, msg="released", audit=True))
            await dispatcher.dispatch(
                p3(EventType.NOTIFICATION_SEND, severity="CRITICAL", code="FS096", text="P0 failed", text_ko="P0 실패")
            )
            await dispatcher.dispatch(
                p3(EventType.DASHBOARD_UPDATE, dashboard_id="main", update_type="FULL", data={"equity": 1})
            )
            await until(lambda: dispatcher.figures().levels[EventPriority.P3_LOW].handled == 103)
            await dispatcher.dispatch(p3(EventType.REPORT_GENERATE, report="events", target="events.json"))
            await until(lambda: consumers.report.made == 1)
            assert consumers.dashboard.panels()["main"].data == {"equity": 1}
        assert dispatcher.errors == ()

    run(work())
    assert [row["msg"] for row in rows(tmp_path / "logs/qts.jsonl")] == [f"line {number}" for number in range(50)]
    assert [row["msg"] for row in rows(tmp_path / "logs/audit.jsonl")] == ["released"]
    assert [row["text_ko"] for row in rows(tmp_path / "logs/notifications.jsonl")] == ["P0 실패"]
    assert "[CRITICAL] FS096 | P0 failed" in capsys.readouterr().err
    assert json.loads((tmp_path / "run/dashboard.json").read_text())["panels"]["main"]["data"] == {"equity": 1}
    report = json.loads((tmp_path / "reports/events.json").read_text())
    assert [(row["name"], row["value"]) for row in report["metrics"]] == [("cycles", 50)]
    assert report["levels"]["P3_LOW"]["counters"]["admitted"] == 104


def test_what_is_protected_arrives_in_a_flood_and_while_p3_is_paused(tmp_path):
    async def work():
        async with live_events(load_config(None), [P0], home=tmp_path, notifiers=()) as (dispatcher, _):
            dispatcher.set_degradation_level(DegradationLevel.P3_PAUSED)
            for number in range(60_000):
                dispatcher.dispatch_nowait(flood)
                if number % 60 == 0:
                    assert await dispatcher.dispatch(p3(EventType.LOG_WRITE, msg=str(number), audit=True))
                    assert await dispatcher.dispatch(
                        p3(EventType.NOTIFICATION_SEND, severity="WARNING", text=str(number))
                    )
            figures = dispatcher.figures().levels[EventPriority.P3_LOW]
            assert figures.counters["sampled_out"] + figures.counters["dropped"] > 0, "it was a flood"
            await until(lambda: dispatcher.figures().levels[EventPriority.P3_LOW].handled == 2_000)

    flood = p3(EventType.LOG_WRITE, msg="flood")
    run(work())
    wanted = [str(number) for number in range(0, 60_000, 60)]
    # Each exactly once; two workers share P3, so that neighbours may change places.
    assert sorted((row["msg"] for row in rows(tmp_path / "logs/audit.jsonl")), key=int) == wanted
    assert sorted((row["text"] for row in rows(tmp_path / "logs/notifications.jsonl")), key=int) == wanted


def test_a_reader_in_another_process_always_finds_a_whole_state(tmp_path):
    last = 2_000
    path = tmp_path / "run/dashboard.json"
    reader = subprocess.Popen([sys.executable, "-c", READER, str(path), str(last)], stdout=subprocess.PIPE, text=True)

    async def work():
        async with live_events(load_config(None), [P0], home=tmp_path) as (dispatcher, consumers):
            consumers.dashboard._every_s = 0.0005
            for number in range(last + 1):
                data = {"first": number, "padding": "x" * 20_000, "last": number}
                update = p3(EventType.DASHBOARD_UPDATE, dashboard_id="main", update_type="FULL", data=data)
                assert await dispatcher.dispatch(update)
            await until(lambda: dispatcher.figures().levels[EventPriority.P3_LOW].handled == last + 1)

    try:
        run(work())
        out, _ = reader.communicate(timeout=60)
    finally:
        reader.kill()
    assert reader.returncode == 0
    assert int(out) >= 1


def test_the_report_of_a_run_can_be_asked_for(tmp_path, sample):
    async def work(result):
        reports = {"run": run_report(result)}
        async with live_events(load_config(None), [P0], home=tmp_path, reports=reports, journal=False) as live:
            await live.dispatcher.dispatch(p3(EventType.REPORT_GENERATE, report="run", target="day/run"))
            await until(lambda: live.consumers.report.made or live.dispatcher.errors)
            assert live.dispatcher.errors == ()

    with backtest(sample.daily, strategy="daily_momentum") as result:
        run(work(result))
    assert json.loads((tmp_path / "reports/day/run/report.json").read_text())["run"]["mode"]
    assert not (tmp_path / "journal").exists()


def test_without_a_handler_of_p0_nothing_starts_and_everything_is_closed(tmp_path):
    async def work():
        async with live_events(load_config(None), [], home=tmp_path):
            raise AssertionError

    with pytest.raises(UsageError, match="no handler on P0"):
        run(work())
