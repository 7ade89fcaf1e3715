"""The steps of a plan, carried out."""

from collections import Counter
from typing import NamedTuple

from qts._core import OrderRefused
from qts.execution.contracts import EscapeMode, EscapeReason, OrderDecision, RiskApproval

from .moments import MS

TRACK = "SCALP"
STATES = ("NORMAL", "WARNING", "FAIL", "LOCKDOWN")
_CODES = {"WARNING": "FS090", "FAIL": "FS040", "LOCKDOWN": "FS040"}
"""Codes that a raised safety state is said to come from."""


class LoopOrder(NamedTuple):
    """A command of the risk loop, in the shape of the pipeline's."""

    order_id: int
    permit: object
    split_id: str = "loop"
    execution_id: str = "loop"
    after_seq: int = 0
    action: str = "PLACE"


class Steps:
    """Carries out what a plan says, each step at its time."""

    def __init__(self, world) -> None:
        self._world = world
        self._silences: Counter = Counter()
        self._halted: Counter = Counter()
        self._raised = 0

    def take(self, step) -> None:
        """Carry out one step, and what the pipeline makes of it."""
        world = self._world
        world.story("PLAN", "{}", step.words())
        getattr(self, f"_{step.what.lower()}")(step)
        world.wire.publish()
        world.driver.pump()

    def _instrument(self, step) -> int:
        return self._world.market.instruments[step.one]

    # Decisions

    def _enter(self, step) -> None:
        self._decide(step, "BUY", step.qty, step.how, "ENTRY")

    def _exit(self, step) -> None:
        qty = step.qty or max(1, self._world.gateway.position(self._instrument(step), TRACK)[0])
        if step.how == "PROTECTIVE":
            self._decide(step, "SELL", qty, "MARKET", "PROTECTIVE_EXIT")
        else:
            self._decide(step, "SELL", qty, step.how, "STRATEGY_EXIT")

    def _decide(self, step, side: str, qty: int, kind: str, action: str) -> None:
        world, instrument = self._world, self._instrument(step)
        now_ns, top = world.moments.now_ns, world.market.tops[instrument]
        near = (top.ask or top.last) if side == "BUY" else (top.bid or top.last)
        low, high = world.market.limits[instrument]
        price = min(max(world.market.step(instrument, near, step.ticks), low), high)
        decision = OrderDecision(
            decision_id=str(len(world.decisions) + 1), instrument=instrument, symbol=world.market.symbols[instrument],
            market="KOSPI", side=side, intent="ENTRY" if side == "BUY" else "EXIT", qty=qty, price_type=kind,
            price=None if kind == "MARKET" else price, decision_price=near, decision_ts_ns=now_ns, pool_id=TRACK,
            strategy_tag="plan", risk_approval=RiskApproval(True, qty, now_ns),
            deadline_ns=now_ns + world.plan.deadline_ms * MS,
            action=action, horizon_ms=step.for_ms if side == "BUY" else 0, worst_price=low if side == "SELL" else 0,
        )  # fmt: skip
        execution_id = world.pipeline.submit(decision, now_ns)
        world.decisions[execution_id] = decision
        if side == "SELL" and execution_id in world.pipeline.live:
            world.judge.expects_exit(execution_id, instrument)

    def _escape(self, step) -> None:
        reason, mode = step.how.split(":")
        world = self._world
        world.pipeline.escape(
            EscapeReason(reason), EscapeMode(mode), world.moments.now_ns,
            instrument=None if step.one < 0 else self._instrument(step),
        )  # fmt: skip

    # The risk loop

    def _claim(self, step) -> None:
        """Claim an exit as the loop does: take the lease, have the executions yield, sell what is confirmed."""
        world, instrument, now_ns = self._world, self._instrument(step), self._world.moments.now_ns
        held = world.gateway.position(instrument, TRACK)[0]
        if instrument in world.claims or not held:
            return
        try:
            lease, _ = world.gateway.claim_exit(instrument, TRACK, "LOOP", held, now_ns)
        except OrderRefused as error:
            world.story("loop", "claim refused: {}", error.args)
            return
        world.claims[instrument] = lease
        confirmed = world.pipeline.yield_to_loop(instrument, TRACK, now_ns)
        world.story("loop", "claims the exit of {}: lease {}, {} confirmed", instrument, lease, confirmed)
        world.moments.after(step.for_ms * MS, self._release, instrument)
        if step.how == "SELL":
            self._sell(instrument, lease, 5)

    def _sell(self, instrument: int, lease: int, left: int) -> None:
        """Sell at market what the gateway lets go; what is still being cancelled is tried again."""
        world, now_ns = self._world, self._world.moments.now_ns
        if world.claims.get(instrument) != lease or not left:
            return
        held = world.gateway.position(instrument, TRACK)[0]
        selling = world.judge.selling(instrument)
        qty = held - selling
        if qty > 0:
            try:
                permit = world.gateway.request(
                    instrument, TRACK, "SELL", "MARKET", "DAY", world.market.limits[instrument][0], qty,
                    action="PROTECTIVE_EXIT", now_ns=now_ns, lease=lease, holder="LOOP",
                )  # fmt: skip
            except OrderRefused as error:
                world.story("loop", "sale of {} refused: {}", qty, error.args)
            else:
                world.judge.strangers.add(permit.order_id)
                world.driver.write(LoopOrder(permit.order_id, permit))
        world.moments.after(300 * MS, self._sell_on, instrument, lease, left - 1)

    def _sell_on(self, instrument: int, lease: int, left: int) -> None:
        self._sell(instrument, lease, left)
        self._world.driver.pump()

    def _release(self, instrument: int) -> None:
        lease = self._world.claims.pop(instrument)
        self._world.story("loop", "releases lease {}", lease)
        self._world.gateway.release_exit(lease)
        self._world.driver.pump()

    # Safety and operating state

    def _safety(self, step) -> None:
        world = self._world
        state = STATES.index(step.how)
        world.word.raise_state(state, _CODES[step.how], world.moments.now_ns)
        world.stance_changed()
        if step.for_ms:
            self._raised += 1
            world.moments.after(step.for_ms * MS, self._calm, self._raised)

    def _calm(self, number: int) -> None:
        world = self._world
        if number == self._raised and world.word.state:
            world.word.take_raises()
            world.word.release(world.word.value, 0)
            world.stance_changed()

    def _closed(self, step) -> None:
        self._world.closed += 1
        self._world.stance_changed()
        self._world.moments.after(step.for_ms * MS, self._opened)

    def _opened(self) -> None:
        self._world.closed -= 1
        self._world.stance_changed()

    def _freeze(self, step) -> None:
        instrument, name = self._instrument(step), f"plan-{step.at_ms}"
        self._world.gateway.freeze(instrument, reason=name, frozen=True)
        self._world.frozen[instrument] += 1
        self._world.moments.after(step.for_ms * MS, self._thaw, instrument, name)

    def _thaw(self, instrument: int, name: str) -> None:
        self._world.gateway.freeze(instrument, reason=name, frozen=False)
        self._world.frozen -= Counter([instrument])

    # The market

    def _move(self, step) -> None:
        instrument = self._instrument(step)
        self._world.market.move(instrument, step.ticks, max(1, step.for_ms), step.qty, step.qty)
        self._show(instrument)

    def _show(self, instrument: int) -> None:
        self._world.exchange.show(instrument, self._world.market.tops[instrument])

    def _print(self, step) -> None:
        instrument, market = self._instrument(step), self._world.market
        top = market.tops[instrument]
        price = top.bid if step.ticks < 0 else top.ask
        if price and instrument not in market.halted:
            self._world.exchange.trade(instrument, price, step.qty)

    def _limit_down(self, step) -> None:
        instrument = self._instrument(step)
        self._world.market.limit_down(instrument)
        self._show(instrument)
        self._world.moments.after(step.for_ms * MS, self._reopen, instrument)

    def _reopen(self, instrument: int) -> None:
        if not self._world.market.tops[instrument].bid:
            self._world.market.move(instrument, 3, 1, 800, 800)
            self._show(instrument)
            self._world.wire.publish()

    def _halt(self, step) -> None:
        self._switch(step, self._halted, self._set_halt)

    def _set_halt(self, instrument: int, *, on: bool) -> None:
        halted = self._world.market.halted
        (halted.add if on else halted.discard)(instrument)
        self._world.exchange.halt(instrument, halted=on)

    def _silent(self, step) -> None:
        self._switch(step, self._silences, self._set_silence)

    def _set_silence(self, instrument: int, *, on: bool) -> None:
        since = self._world.market.silent_since
        if on:
            since[instrument] = self._world.moments.now_ns
        else:
            del since[instrument]

    def _switch(self, step, depth: Counter, turn) -> None:
        """Turn something on for a while; what is on twice goes off with the last."""
        instrument = self._instrument(step)
        depth[instrument] += 1
        if depth[instrument] == 1:
            turn(instrument, on=True)
        self._world.moments.after(step.for_ms * MS, self._switch_back, instrument, depth, turn)

    def _switch_back(self, instrument: int, depth: Counter, turn) -> None:
        depth[instrument] -= 1
        if not depth[instrument]:
            turn(instrument, on=False)
            self._world.wire.publish()

    # The wire and the disk

    def _link(self, step) -> None:
        world = self._world
        world.wire.drop(step.for_ms * MS)
        world.link_changed()
        world.moments.after(step.for_ms * MS, world.link_changed)

    def _stream(self, step) -> None:
        world = self._world
        world.wire.cut_stream(step.for_ms * MS)
        world.link_changed()
        world.moments.after(step.for_ms * MS, world.link_changed)

    def _disk(self, step) -> None:
        self._world.journal.delay_ns = step.for_ms * MS
