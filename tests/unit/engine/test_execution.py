"""Executions of a stepped run: a market of a few quotes, a strategy that says what is wanted, the real core between."""

import json
import subprocess
import sys
from decimal import Decimal

import pytest

from qts._core import journal_records
from qts.clock import NS_PER_S, SystemClock
from qts.codes import EngineFault, UsageError
from qts.data import JournaledStore, SQLiteStore
from qts.data.sqlite.adapter import SQLiteAdapter
from qts.engine.books import finish, open_books
from qts.engine.build import calendars_of, catalog_in, load_config
from qts.engine.execution_market import VolumeProfiles
from qts.engine.explain import explain_report
from qts.engine.sample import FIRST_DAY
from qts.engine.session import Session
from qts.engine.synthetic import session_on
from qts.ops.report import RunRecorder
from qts.strategy import Intent, Strategy

SYMBOL = "005930"
SETTINGS = {
    "exec.split.min_split_qty": 10,
    "exec.split.display_qty": 20,
    "exec.split.max_wait_ms": 2_000,
    "strategy.reentry_cooldown_s.scalp": 0,
    "risk.max_order_krw": 50_000_000,
}


class Says(Strategy):
    """Says at each second what the test wrote down for it."""

    name = "says"

    def __init__(self, **at):
        super().__init__()
        self._at = {int(second[1:]): intent for second, intent in at.items()}
        self._begun_ns = 0

    def on_tick(self, tick):
        self._begun_ns = self._begun_ns or tick.ts_ns
        return self._at.pop((tick.ts_ns - self._begun_ns) // NS_PER_S, None)


class Run:
    """A run over quotes: (second, bid, ask, size), from 90 minutes after the open or from `begin_s`."""

    def __init__(self, quotes, store=None, settings=None, begin_s=5_400, **says):
        self.config = load_config(None, {**SETTINGS, **(settings or {})})
        self.catalog = catalog_in(self.config, "KRW", [SYMBOL])
        calendars = calendars_of(self.config, self.catalog)
        self.hours = session_on(calendars[0], FIRST_DAY)
        self.store = SQLiteStore() if store is None else store
        clock = SystemClock()
        self.books = open_books(
            self.store,
            self.catalog,
            mode="BACKTEST",
            strategy="says",
            cash=100_000_000,
            config_hash="0" * 64,
            clock=clock,
        )
        self.session = Session(
            config=self.config,
            catalog=self.catalog,
            calendars=calendars,
            strategies=[(Says(**says), [0])],
            cash=100_000_000,
            clock=clock,
            store=self.store,
            recorder=RunRecorder(self.store),
        )
        rows = ["ts_event_ns,ts_recv_ns,symbol,kind,price,qty,side,bid,bid_qty,ask,ask_qty\n"]
        for second, bid, ask, size in quotes:
            at = self.hours.open_ns + round((begin_s + second) * NS_PER_S)
            rows.append(f"{at},{at},{SYMBOL},Q,,,,{bid},{size},{ask},{size}\n")
        self.session.core.add_chunks("market", iter(["".join(rows).encode()]))
        self.clock = clock

    def to_end(self):
        while self.session.advance() != "end":
            pass
        self.result = finish(self.books, self.session, self.catalog, wall_ns=1, clock=self.clock)
        return self

    @property
    def executions(self):
        lines = self.session.recorder.executions_path.read_text().splitlines()
        return [json.loads(line) for line in lines]


def still(seconds, bid=70_000, ask=70_100, size=500, start=0):
    """A market that quotes every half second and does not move."""
    return [(start + number / 2, bid, ask, size) for number in range(2 * seconds)]


def buy(qty=5, **parts):
    return Intent.entry(SYMBOL, "in", **{"qty": qty, "ttl_ms": 60_000, **parts})


def sell(**parts):
    return Intent.exit(SYMBOL, "out", **parts)


def states(run):
    return [(one["side"], one["final_state"], one["disposition"]) for one in run.executions]


def test_an_entry_and_its_exit_are_two_executions_and_the_cash_is_theirs():
    run = Run(still(10), s1=buy(), s4=sell()).to_end()
    assert states(run) == [("BUY", "COMPLETE", "FILLED"), ("SELL", "COMPLETE", "FILLED")]
    assert run.result.identity().holds
    rows = {row.client_order_id: row for row in run.store.iter_orders()}
    assert [one["orders"][0]["client_order_id"] for one in run.executions] == list(rows)
    assert [row.decision_id for row in rows.values()] == [one["decision_id"] for one in run.executions]


def test_an_entry_behind_the_market_is_improved_until_it_is_taken():
    run = Run(still(20), s1=buy(limit_price=69_900)).to_end()
    (one,) = run.executions
    assert (one["disposition"], one["rounds"]) == ("FILLED", 2)
    assert one["orders"][0]["price"] == "70100"
    (row,) = run.store.iter_orders()
    assert row.limit_price == 70_100, "the order as it was amended"
    assert "GR064" in one["codes"]


def test_a_large_entry_shows_parts_of_itself_and_they_add_up():
    quotes = [(n / 2, 70_000 + 100 * (n % 2), 70_100 + 100 * (n % 2), 60) for n in range(60)]
    run = Run(quotes, s1=buy(qty=90)).to_end()
    (one,) = run.executions
    assert one["split"]["strategy"] == "ICEBERG"
    assert [qty for _, qty, _ in one["split"]["children"]] == ["20", "20", "20", "20", "10"]
    assert sum(Decimal(order["filled_qty"]) for order in one["orders"]) == Decimal(one["filled_qty"]) == 90
    assert len({order["client_order_id"] for order in one["orders"]}) == 5


def test_while_it_is_under_way_the_same_is_not_decided_again():
    run = Run(still(20), s1=buy(limit_price=69_900), s3=buy(qty=6)).to_end()
    assert len(run.executions) == 1
    assert run.session.recorder.actions["ENTRY:GR033"] == 1


def test_an_exit_goes_before_a_running_entry_and_sells_exactly_what_is_held():
    run = Run(still(30), s1=buy(), s4=buy(qty=7, limit_price=69_800), s6=sell()).to_end()
    assert states(run) == [
        ("BUY", "COMPLETE", "FILLED"),
        ("BUY", "ESCAPED", "NO_FILL"),
        ("SELL", "COMPLETE", "FILLED"),
    ]
    assert run.session.core.positions() == []
    assert run.executions[2]["filled_qty"] == "5"


def test_a_wish_for_less_time_than_a_part_waits_is_withdrawn_then():
    run = Run(still(20), s1=buy(limit_price=69_900, ttl_ms=1_000)).to_end()
    (one,) = run.executions
    assert (one["final_state"], one["disposition"]) == ("ESCAPED", "NO_FILL")
    assert one["escape"]["reason"] == "TIME_LIMIT_EXCEEDED"
    assert one["end_ns"] - one["start_ns"] < 2 * NS_PER_S


def test_no_entry_lives_into_the_guard_before_the_close():
    settings = {"exec.split.max_wait_ms": 5_000, "exec.adjust.adjust_interval_ms": 30_000}
    run = Run(still(200, bid=70_000), settings=settings, begin_s=21_480, s1=buy(limit_price=69_800))
    phases = {run.session.phase(run.hours.open_ns + (21_480 + second) * NS_PER_S) for second in range(200)}
    run.to_end()
    if "CLOSE_GUARD" not in phases:
        pytest.skip(f"the calendar has {phases} here")
    assert all(one["final_state"] != "COMPLETE" for one in run.executions)


def test_what_the_end_of_the_data_leaves_is_over():
    run = Run(still(3), s1=buy(limit_price=69_800)).to_end()
    assert [one["disposition"] for one in run.executions] == ["NO_FILL"]
    assert run.session.executions.pipeline.live == {}


def test_what_each_stage_took_and_what_came_of_it_is_in_the_report(tmp_path):
    run = Run(still(10), s1=buy(), s4=sell()).to_end()
    report = run.result.report
    assert report["executions"]["final_states"] == {"COMPLETE": 2}
    assert report["executions"]["dispositions"] == {"FILLED": 2}
    assert {name: report["latency_us"][name]["n"] for name in ("exec_precheck", "exec_total")} == {
        "exec_precheck": 2,
        "exec_total": 2,
    }
    assert "Executions" in run.result.summary("en")
    assert "집행" in run.result.summary("ko")


def test_the_explanation_goes_from_the_tick_to_the_last_fill(tmp_path):
    run = Run(still(10), s1=buy(), s4=sell()).to_end()
    run.result.write(tmp_path / "out")
    found = explain_report(tmp_path / "out", "2")
    assert (found.execution["side"], [one.order_id for one in found.orders]) == ("SELL", [2])
    by_split = explain_report(tmp_path / "out", found.orders[0].client_order_id)
    assert by_split.decision == found.decision
    assert found.orders[0].sent_ns <= found.orders[0].ack_ns
    command = [sys.executable, "-m", "qts.cli", "explain", "2", "--out", str(tmp_path / "out")]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    steps = ["tick", "signal", "limits", "precheck", "split", "send", "fill", "result"]
    places = [said.index(f"  {step} ") for step in steps]
    assert places == sorted(places)
    document = json.loads(subprocess.run([*command, "--json"], capture_output=True, text=True, check=True).stdout)
    assert {"tick", "precheck", "send", "ack", "fill", "result"} <= {step["step"] for step in document["steps"]}


def test_an_order_that_nobody_knows_is_told_with_those_near_it(tmp_path):
    run = Run(still(10), s1=buy(), s4=sell()).to_end()
    run.result.write(tmp_path / "out")
    with pytest.raises(UsageError) as caught:
        explain_report(tmp_path / "out", "7")
    assert "2, 1" in caught.value.expected
    with pytest.raises(UsageError, match="no report"):
        explain_report(tmp_path, "1")


def test_an_intent_is_durable_before_its_order_leaves(tmp_path):
    store = JournaledStore(SystemClock(), tmp_path / "journal", name=lambda: "home")
    store.behind(SQLiteAdapter(tmp_path / "books.sqlite", SystemClock())).open()
    run = Run(still(10), store=store, s1=buy(), s4=sell())
    executions, seen = run.session.executions, []
    send, journal = executions._send, store._journal

    def watched(command, now_ns):
        send(command, now_ns)
        seen.append(journal.durable_seq >= command.after_seq > 0)

    executions._send = watched
    run.to_end()
    assert seen == [True, True]
    kinds = [kind for _, _, kind, _, _ in journal_records(tmp_path / "journal")]
    assert kinds.index("DECISION") < kinds.index("ORDER_INTENT") < kinds.index("FILL")
    run.result.close()


class Refuses(SQLiteStore):
    """Books whose journal takes nothing after a while."""

    is_journaled = True
    left = 10**9

    def journal_execution(self, kind, record):
        self.left -= 1
        if self.left < 0:
            raise EngineFault("FS063", found="the disk is full", expected="room")
        return 0


def test_without_a_journal_no_entry_leaves():
    store = Refuses()
    store.left = 0
    run = Run(still(10), store=store, s1=buy()).to_end()
    assert list(run.store.iter_orders()) == []
    assert run.session.core.positions() == []
    assert run.session.supervisor.safety.state.name in ("FAIL", "LOCKDOWN")


def test_volumes_of_a_day_are_expected_at_the_same_time_of_the_next():
    minute, day = 60 * NS_PER_S, 86_400 * NS_PER_S
    nine = 1_717_372_800 * NS_PER_S  # 2024-06-03 09:00 in Korea
    profiles = VolumeProfiles()
    profiles.add([(0, minute, nine + number * minute, 1, 1, 1, 1, 100 + number) for number in range(3)])
    profiles.add([(0, day, nine, 1, 1, 1, 1, 999)])
    ahead = profiles.ahead(0, nine + day + minute)
    assert [(one.start_ns - nine - day, one.volume) for one in ahead] == [(minute, 101), (2 * minute, 102)]
    assert profiles.ahead(1, nine + day) == []
