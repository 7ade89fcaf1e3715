"""Paper sessions beside a real cache server: it is slow to hear of, killed, and back; the run decides as without it."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from datetime import date

import pytest
from tests.unit.cache.cache_samples import Server, wait_for

from qts.cache import OrderStatus
from qts.engine import Engine
from qts.engine.build import load_config
from qts.engine.hot import HotData

DAY = date(2026, 1, 5)
SMALL = {"sim.session.symbols": "005930, 000660"}
OURS = "sim:paper:"


@pytest.fixture
def valkey(tmp_path):
    server = Server(tmp_path / "valkey").start()
    yield server
    server.stop()


def tiered(server, **more):
    shown = {"cache.backend": "tiered", "cache.redis_port": server.port, "cache.breaker.recovery_timeout_s": 1}
    return SMALL | shown | {"cache.breaker.jitter_pct": 0} | more


def engine_in(home, overrides):
    return Engine.from_config(load_config(None, overrides), day=DAY, seed=3, home=home)


def run(engine, **options):
    return asyncio.run(engine.run(**options))


def codes_of(engine):
    """Codes that the run has been told of, as they come."""
    told = []
    hand_over = engine._supervisor.on_code

    def on_code(code, text, stage):
        told.append(code)
        hand_over(code, text, stage)

    engine._supervisor.on_code = on_code
    return told


class Watch:
    """Follows a run: `steps` are conditions on its status, each with what is to be done when it first holds."""

    def __init__(self, engine, *steps):
        self.engine = engine
        self.steps = list(steps)
        self.codes = None

    def __call__(self, status):
        if self.codes is None:
            self.codes = codes_of(self.engine)
        if self.steps and self.steps[0][0](status):
            self.steps.pop(0)[1]()


def held_symbol(server):
    wait_for(lambda: b"pos:" in server.ask("KEYS", f"{OURS}pos:*"), 10, "for a position")
    reply = server.ask("KEYS", f"{OURS}pos:*").split(b"\r\n")
    return next(part.decode() for part in reply if part.startswith(b"sim:"))


def test_a_run_decides_the_same_with_a_cache_and_leaves_its_records_there(valkey, tmp_path):
    with run(engine_in(tmp_path / "without", SMALL)) as without:
        expected = (without.report["run"]["decision_hash"], without.report["account"])
    engine = engine_in(tmp_path / "with", tiered(valkey))
    seen = {}

    def look():
        wait_for(lambda: valkey.number("EXISTS", f"{OURS}risk:account"), 10, "for the risk state")
        seen["position"] = held_symbol(valkey)

    watch = Watch(engine, (lambda status: status.positions, look))
    with run(engine, on_status=watch) as result:
        assert (result.report["run"]["decision_hash"], result.report["account"]) == expected
    assert seen["position"].startswith(f"{OURS}pos:")
    assert watch.codes == []
    assert valkey.number("EXISTS", f"{OURS}own") == 0, "the prefix is given back"
    for key in valkey.ask("KEYS", "*").split(b"\r\n"):
        if key.startswith(b"sim:"):
            assert valkey.number("PTTL", key.decode()) != -1, key


def test_an_engine_that_is_busy_for_longer_than_records_live_keeps_them_alive_and_opens_no_breaker(valkey, tmp_path):
    engine = engine_in(tmp_path / "home", tiered(valkey))
    alive = []

    def be_busy():
        key = held_symbol(valkey)
        end = time.monotonic() + 4  # longer than the life of a position, and than that of the claim to the prefix
        while time.monotonic() < end:
            time.sleep(0.2)
            alive.append((valkey.number("EXISTS", key), valkey.number("EXISTS", f"{OURS}own")))

    busy = [(lambda _: True, lambda: time.sleep(0.25))] * 8
    watch = Watch(engine, *busy, (lambda status: status.positions, be_busy), *busy)
    with run(engine, on_status=watch):
        assert not watch.steps
    assert set(alive) == {(1, 1)}
    assert watch.codes == []
    assert not engine._hot.cache.metrics.breaker_transitions


def test_a_server_that_is_killed_is_told_once_and_used_again_when_it_is_back(valkey, tmp_path):
    """All the while the run publishes: what it holds is newer than what the server was just given."""
    engine = engine_in(tmp_path / "home", tiered(valkey))
    states, keys = [], []

    def back():
        states.append(engine.status().safety)
        valkey.start()

    def again():
        wait_for(lambda: valkey.number("EXISTS", f"{OURS}risk:account"), 10, "for the risk state")
        keys.append(held_symbol(valkey))
        states.append(engine.status().safety)
        engine.request_stop()

    watch = Watch(
        engine,
        (lambda status: status.positions, valkey.kill),
        (lambda _: "GR120" in watch.codes, back),
        (lambda _: engine._hot.cache._is_in_step and engine._hot.cache.servers.are_closed, again),
    )
    started = time.monotonic()

    def paced(status):
        watch(status)
        if time.monotonic() - started > 20:
            engine.request_stop()

    with run(engine, speed=60, on_status=paced):
        pass
    assert not watch.steps, (watch.steps, watch.codes)
    assert keys
    assert set(watch.codes) == {"GR120"}
    assert states == ["NORMAL", "NORMAL"], "an outage of the cache alone changes no safety state"


def test_an_engine_that_was_killed_is_followed_by_one_that_publishes(valkey, tmp_path):
    """The claim of the dead one lasts a few seconds; nobody has to be called for that."""
    script = (
        "import asyncio, os, signal, sys\n"
        "from datetime import date\n"
        "from pathlib import Path\n"
        "from qts.engine import Engine\n"
        "from qts.engine.build import load_config\n"
        "values = {'sim.session.symbols': '005930, 000660', 'cache.backend': 'tiered',"
        " 'cache.redis_port': int(sys.argv[2])}\n"
        "engine = Engine.from_config(load_config(None, values), day=date(2026, 1, 5), seed=3, home=Path(sys.argv[1]))\n"
        "die = lambda status: os.kill(os.getpid(), signal.SIGKILL) if status.fills >= 2 else None\n"
        "asyncio.run(engine.run(on_status=die))\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "first"), str(valkey.port)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=dict(os.environ))
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert valkey.number("EXISTS", f"{OURS}own") == 1, "the claim of the dead engine"
    valkey.ask("PEXPIRE", f"{OURS}own", 3_000)
    engine = engine_in(tmp_path / "second", tiered(valkey))
    end = time.monotonic() + 15
    seen = []

    def look(status):
        manager = engine._hot.cache
        if valkey.ask("GET", f"{OURS}own").split(b"\r\n")[1:2] == [manager.name.encode()]:
            seen.append(valkey.number("EXISTS", f"{OURS}risk:account"))
        if sum(seen) > 3 or time.monotonic() > end:
            engine.request_stop()
        time.sleep(0.05)

    with run(engine, speed=60, on_status=look):
        pass
    assert sum(seen) > 3, seen


def test_a_limit_that_is_no_record_of_the_cache_does_not_end_a_run(tmp_path):
    """No loss at all may be allowed for a day; a record of it cannot be made, and nobody needs one to trade."""
    with run(engine_in(tmp_path, SMALL | {"risk.daily_loss_warning_pct": 0})) as result:
        assert result.report["run"]["data"][0]["rows"] > 0


def test_an_order_of_which_nobody_can_tell_is_renewed_no_more(tmp_path, monkeypatch):
    """Its last state is no longer known to be true; readers are to see UNKNOWN once it has expired."""
    engine = engine_in(tmp_path, SMALL)
    seen = []

    def lose(order):
        name, hot = str(order.response.broker_order_id), engine._hot
        for status in ("ACCEPTED", "UNKNOWN"):
            hot._take(order._replace(response=order.response._replace(status=status, filled_qty=0, amount=0)))
            hot.publish()
            held = hot.cache.cache.leases.held()
            seen.append(any(isinstance(record, OrderStatus) and record.order_id == name for record in held))
        engine.request_stop()

    def watch(_):
        if engine._hot._entered and not seen:
            lose(orders[-1])

    orders = []
    take = HotData._take
    monkeypatch.setattr(HotData, "_take", lambda self, order: (orders.append(order), take(self, order)))
    with run(engine, on_status=watch):
        pass
    assert seen == [True, False]
