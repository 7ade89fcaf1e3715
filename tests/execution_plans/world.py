"""A plan, run: market, exchange, wire, gateway and executions in one virtual time."""

from collections import Counter
from typing import NamedTuple

from qts._core import Gateway, SafetyWord
from qts.clock import midnight_ns
from qts.codes import lookup
from qts.execution.config import ExecutionConfig
from qts.execution.interfaces import ExecStance
from qts.execution.pipeline import ExecutionPipeline

from ..scenario_market import DAY, KST_S
from .diary import Codes, Journal, Story
from .driver import Driver
from .exchange import Exchange
from .laws import LOOK_NS, Broken, Judge
from .market import Market, catalog
from .moments import MS, Moments, S
from .steps import Steps
from .weather import Faults
from .wire import Wire

START_NS = midnight_ns(DAY, KST_S) + 10 * 3_600 * S
QUIET_S = 220
"""After the last step, at most, until everything has come to its end."""
STATES = ("NORMAL", "WARNING", "FAIL", "LOCKDOWN")
_EFFECTS = {"WARN": 1, "WARNING": 1, "FAIL": 2, "LOCKDOWN": 3}


class Outcome(NamedTuple):
    """What came of a plan."""

    plan: object
    failure: BaseException | None
    journal: Journal
    counts: Counter
    faults: list
    story: list[str]

    @property
    def digest(self) -> str:
        """What the journal came to."""
        return self.journal.digest()


class World:
    """Everything of one plan. `run` plays it; laws are checked on the way and at the end."""

    def __init__(self, plan, *, told: bool = False) -> None:
        self.plan = plan
        self.moments = Moments(START_NS - 10 * S)
        self.story = Story(self.moments, START_NS, told=told)
        self.market = Market(self.moments, plan.bases, adv=plan.adv, profile=plan.profile)
        self.word = SafetyWord()
        cash = plan.cash + sum(self._value(n, qty) for n, qty in enumerate(plan.held))
        config = {"orders_per_s": plan.orders_per_s}
        self.gateway = Gateway(catalog().core, cash=cash, safety=self.word, config=config)
        self.exchange = Exchange(self.moments, self.market, cash, delay_ns=plan.exchange_ms * MS)
        self.faults = Faults(plan.weather, START_NS)
        self.wire = Wire(
            self.moments, self.exchange, self.faults, self.story,
            out_ms=plan.out_ms, answer_timeout_ms=plan.weather.rates.answer_timeout_ms,
        )  # fmt: skip
        self.exchange.on_due = self.wire.publish
        self.journal = Journal(self.moments, self.story)
        self.codes = Codes(self.moments, self.story, self._on_code)
        self.judge = Judge(self)
        self.driver = Driver(self.moments, self.gateway, self.journal, self.wire, self.story, self.judge)
        self.wire.refused = self.judge.on_refused
        self.decisions: dict = {}
        """What was asked for, by execution."""
        self.acknowledged: set[str] = set()
        self.claims: dict[int, int] = {}
        """Exits that the risk loop has claimed: instrument to lease."""
        self.frozen: Counter = Counter()
        """Instruments whose entries the plan has frozen, and how often."""
        self.closed = 0
        """How many steps keep the operating state from taking entries just now."""
        self.pipeline = self.driver.pipeline = ExecutionPipeline(
            gateway=self.gateway, market=self.market, stance=self._stance, link=self._link, journal=self.journal,
            codes=self.codes, config=ExecutionConfig(), timer=lambda: 0,
        )  # fmt: skip
        self.pipeline.set_hooks(found=self.driver.found, proven_absent=self.driver.proven_absent)

    # What the pipeline asks for

    def _stance(self) -> ExecStance:
        return ExecStance(STATES[self.word.state], not self.closed, "STATE_BLOCKED" if self.closed else "")

    def _link(self) -> tuple[bool, bool]:
        return self.wire.is_up, self.wire.is_stream_up

    def _on_code(self, code: str, effect: str) -> None:
        state = max(_EFFECTS.get(effect, 0), _EFFECTS.get(lookup(code).effect, 0))
        if state > self.word.state:
            self.word.raise_state(state, code, self.moments.now_ns)
            self.moments.after(0, self.stance_changed)

    def stance_changed(self) -> None:
        self.story("safety", "{}", STATES[self.word.state])
        self.pipeline.on_stance(self.moments.now_ns)
        self.driver.pump()

    def link_changed(self) -> None:
        """Tell the pipeline that link or stream have come or gone; after a cut the lists are read."""
        self.pipeline.on_link(self.moments.now_ns)
        if self.wire.is_up and self.wire.is_stream_up:
            self.driver.ask()
        self.driver.pump()

    def counts(self) -> Counter:
        """What happened, by kind: a plan in which nothing happens proves nothing."""
        counts: Counter = Counter({"orders": len(self.judge.orders), "executions": len(self.decisions)})
        counts.update(f"fault {kind}" for _, kind in self.faults.keys)
        counts.update({f"code {code}": n for code, n in self.codes.counts.items()})
        for result in self.driver.results:
            counts[f"{result.final_state} {result.disposition}"] += 1
        counts["unknown"] = sum(1 for order in self.judge.orders.values() if order.was_doubted)
        counts["absent"] = len(self.judge.absent)
        return counts

    # The run

    def run(self) -> None:
        """Play the plan to its end. Broken if a law does not hold."""
        self._begin()
        moments, pipeline = self.moments, self.pipeline
        steps = Steps(self)
        for step in self.plan.steps:
            moments.at(START_NS + step.at_ms * MS, steps.take, step)
        last_ns = START_NS + max((step.at_ms + step.for_ms for step in self.plan.steps), default=0) * MS
        calm_ns = START_NS + self.plan.weather.for_ms * MS
        end_ns = max(last_ns, calm_ns) + QUIET_S * S
        while moments.next_ns <= end_ns and (moments.next_ns <= last_ns or pipeline.live):
            moments.step()
        self._settle(calm_ns)
        self.judge.at_end()

    def _begin(self) -> None:
        """Buy what is held at the start, before anything can go wrong."""
        for n, qty in enumerate(self.plan.held):
            if qty:
                self.moments.after(n * S, self._buy_at_start, self.market.instruments[n], qty)
        while self.moments.next_ns < START_NS:
            self.moments.step()
        self.moments.now_ns = START_NS
        for instrument, top in self.market.tops.items():
            self.exchange.show(instrument, top)
        self.pipeline.open_for_entries()
        self.driver.on_live = self._watch
        self.driver.pump()

    def _watch(self) -> None:
        """Look around while something lives."""
        self.driver.watch_stream()
        self.judge.look()
        if self.pipeline.live:
            self.moments.after(LOOK_NS, self._watch)
        else:
            self.driver.is_watched = False

    def _buy_at_start(self, instrument: int, qty: int) -> None:
        now_ns, ask = self.moments.now_ns, self.market.tops[instrument].ask
        self.exchange.show(instrument, self.market.tops[instrument]._replace(ask_qty=qty))
        permit = self.gateway.request(
            instrument, "SCALP", "BUY", "LIMIT", "DAY", ask, qty, action="ENTRY", now_ns=now_ns, holder="STRATEGY"
        )
        self.judge.strangers.add(permit.order_id)
        message = permit.redeem(now_ns)
        answer = self.exchange.carry_out("PLACE", permit.order_id, message)
        self.wire.arrivals[permit.order_id] = 1
        self.judge.bought(permit.order_id, message)
        self.gateway.on_ack(permit.order_id, answer[1], now_ns)
        self.wire.publish()

    def _settle(self, calm_ns: int) -> None:
        """Let what is under way arrive, read the lists once more, and have the operator close what is stuck."""
        moments, end_ns = self.moments, 0
        for _ in range(2):
            end_ns = max(moments.now_ns, calm_ns, self.wire.up_again_ns()) + 10 * S
            while moments.next_ns <= end_ns:
                moments.step()
            moments.now_ns = end_ns
            self.driver.listing(self.exchange.orders(), self.exchange.fills())
            self.driver.pump()
        for name in list(self.pipeline.live):
            self.judge.may_stay(name, self.pipeline.live[name])
            self.acknowledged.add(name)
            self.pipeline.acknowledge(name, "operator", moments.now_ns)
        self.driver.pump()

    def _value(self, n: int, qty: int) -> int:
        return self.market.tops[self.market.instruments[n]].ask * qty * 102 // 100


def play(plan, *, told: bool = False) -> Outcome:
    """Play a plan and say what came of it; what is wrong is in `failure`."""
    world = World(plan, told=told)
    failure: BaseException | None = None
    try:
        world.run()
    except (Exception, Broken) as error:
        failure = error
        world.story("BROKEN", "{}: {}", type(error).__name__, error)
    return Outcome(
        plan, failure, world.journal, world.counts(), [key for key, _ in world.faults.keys], world.story.lines
    )
