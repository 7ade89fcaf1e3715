"""P0 from Python through the journal: a process is killed, the next one handles what the first had admitted, once."""

import asyncio
import json
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from qts.event import (
    CallbackHandler,
    EventConfig,
    EventDispatcher,
    EventPriority,
    EventType,
    JournalLimits,
    create_event,
)

CHILD = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from test_p0_durability import Effects, dispatcher_for, fill

async def main(directory, first):
    effects = Effects(directory)
    dispatcher = dispatcher_for(directory, effects)
    await dispatcher.start()
    number = first
    while True:
        assert await dispatcher.dispatch(fill(number))
        sys.stdout.write(f"admitted {number}\\n")
        sys.stdout.flush()
        number += 1

asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
"""


class Effects:
    """Writes the number of each fill to a file, once: what has an effect only once, however often it is asked for."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "effects"
        self.done = set(self.read())

    def read(self) -> list[int]:
        return [int(line) for line in self._path.read_text().splitlines()] if self._path.exists() else []

    def __call__(self, event) -> None:
        number = int(event.payload["exec_id"])
        if number not in self.done:
            self.done.add(number)
            with self._path.open("a") as file:
                file.write(f"{number}\n")


def fill(number: int):
    payload = {
        "order_id": "0000117057",
        "exec_id": str(number),
        "symbol": "005930",
        "side": "BUY",
        "filled_qty": 10,
        "filled_price": 70_500,
        "cumulative_qty": 10,
        "remaining_qty": 0,
        "fee": 10,
        "filled_time": datetime(2026, 1, 5, tzinfo=UTC),
    }
    return create_event(EventType.FILL_CONFIRMED, "BROKER_KIS", payload)


def dispatcher_for(directory: Path, handler, limits: JournalLimits | None = None) -> EventDispatcher:
    dispatcher = EventDispatcher(EventConfig.from_settings(), journal=directory / "journal", limits=limits)
    dispatcher.register_handler(EventPriority.P0_CRITICAL, CallbackHandler(handler, name="effects"))
    return dispatcher


async def drained(directory: Path, handler) -> None:
    dispatcher = dispatcher_for(directory, handler)
    await dispatcher.start()
    report = await dispatcher.stop()
    assert (report.p0_left, report.stuck_threads) == (0, 0)


def verified(directory: Path):
    verify = [sys.executable, "-m", "qts.cli", "journal", "verify", str(directory / "journal"), "--json"]
    return json.loads(subprocess.run(verify, capture_output=True, text=True, check=True).stdout)


def test_what_a_killed_process_had_admitted_is_handled_once_by_the_next(tmp_path):
    admitted: set[int] = set()
    for kill_after in (5, 40, 200, 1_000):
        command = [sys.executable, "-c", CHILD, str(tmp_path), str(kill_after * 100_000), str(Path(__file__).parent)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
            for count, line in enumerate(child.stdout, 1):
                admitted.add(int(line.split()[1]))
                if count == kill_after:
                    child.kill()
            assert child.wait() == -signal.SIGKILL, child.stderr.read()
    assert len(admitted) > 1_000
    effects = Effects(tmp_path)
    asyncio.run(drained(tmp_path, effects))
    applied = effects.read()
    assert len(applied) == len(set(applied)), "a fill had its effect twice"
    assert admitted <= set(applied), "a fill that was admitted was lost"
    assert verified(tmp_path)["records"] >= 2 * len(applied)


def test_a_handler_that_has_not_come_back_gets_its_event_again(tmp_path):
    seen: list[str] = []
    command = f"""
import asyncio, os, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from test_p0_durability import dispatcher_for, fill

async def never(event):
    sys.stdout.write("began\\n")
    sys.stdout.flush()
    await asyncio.Event().wait()

async def main():
    dispatcher = dispatcher_for(Path({str(tmp_path)!r}), never)
    await dispatcher.start()
    await dispatcher.dispatch(fill(7))
    await asyncio.Event().wait()

asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", command], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "began\n"
        child.kill()
    asyncio.run(drained(tmp_path, lambda event: seen.append(event.payload["exec_id"])))
    asyncio.run(drained(tmp_path, lambda event: seen.append(event.payload["exec_id"])))
    assert seen == ["7"], "once, and not again after it was handled"


LONG_USE = 4_000
QUOTA_BYTES = 512 << 10


def test_long_use_keeps_the_journal_below_its_quota_and_what_is_unfinished_comes_again(tmp_path):
    command = f"""
import asyncio, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from test_p0_durability import JournalLimits, dispatcher_for, fill

done = 0

async def handle(event):
    global done
    if int(event.payload["exec_id"]) >= {LONG_USE}:
        await asyncio.Event().wait()
    if int(event.payload["exec_id"]) % 500 == 17:
        raise RuntimeError("a dead letter")
    done += 1

async def main():
    limits = JournalLimits(segment_bytes=64 << 10, quota_bytes={QUOTA_BYTES})
    dispatcher = dispatcher_for(Path({str(tmp_path)!r}), handle, limits)
    await dispatcher.start()
    for number in range({LONG_USE} + 2):
        assert await dispatcher.dispatch(fill(number))
        while number - done > 50:
            await asyncio.sleep(0)
    assert dispatcher.figures().journal_failures == 0
    assert len(dispatcher.dead_letters()) == {LONG_USE} // 500
    sys.stdout.write("all in\\n")
    sys.stdout.flush()
    await asyncio.Event().wait()

asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", command], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "all in\n"
        used = sum(path.stat().st_size for path in (tmp_path / "journal").glob("*.qtsj"))
        child.kill()
    assert used <= QUOTA_BYTES
    report = verified(tmp_path)
    assert report["retired_segments"] >= 5
    assert report["first_seq"] > LONG_USE, "most of what was written is gone"
    seen: list[int] = []
    asyncio.run(drained(tmp_path, lambda event: seen.append(int(event.payload["exec_id"]))))
    assert seen[-2:] == [LONG_USE, LONG_USE + 1]
    assert len(seen) <= 52, "besides those at most what was still on its way"


def test_one_process_at_a_time_writes_a_journal(tmp_path):
    dispatcher = dispatcher_for(tmp_path, lambda event: None)
    with pytest.raises((ValueError, OSError)):
        dispatcher_for(tmp_path, lambda event: None)
    assert dispatcher.state == "STOPPED"
