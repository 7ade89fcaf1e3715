"""Faults put into the executions on purpose. Each has to break a law within a few plans, or the law is asleep.

A mutant changes the program while it is in force, as `pytest.MonkeyPatch` does, and names the laws that may notice.
"""

from collections.abc import Callable
from itertools import count
from types import SimpleNamespace
from typing import NamedTuple

from pytest import MonkeyPatch  # noqa: PT013 - a tool here, not a test

from qts._core import SafetyWord
from qts.execution import admission, context, escape, monitor, pipeline, send, unknown
from qts.execution.contracts import State
from qts.execution.interfaces import ExecStance

from . import world as worlds
from .driver import _OVER, Driver
from .laws import Judge
from .program import plan_of
from .shrink import what_broke
from .world import World, play

PLANS = 4_000
"""Plans that a mutant may survive before it counts as unnoticed."""


class Mutant(NamedTuple):
    """One fault. `change` is given what patches."""

    name: str
    change: Callable[[MonkeyPatch], None]
    laws: frozenset[str]
    """Laws that may notice it; that another one breaks is no proof."""


MUTANTS: list[Mutant] = []


def mutant(*laws: str):
    """Enter a fault under the words of its function."""

    def enter(change) -> None:
        MUTANTS.append(Mutant(change.__name__.replace("_", " "), change, frozenset(laws)))

    return enter


class Through:
    """A gateway with something between it and who asks."""

    def __init__(self, inner) -> None:
        self._inner = inner

    def __getattr__(self, name: str):
        return getattr(self._inner, name)


def between(patch: MonkeyPatch, through: type[Through]) -> None:
    """Put something in front of every gateway."""
    real = worlds.Gateway
    patch.setattr(worlds, "Gateway", lambda *args, **kwargs: through(real(*args, **kwargs)))


@mutant("nothing_lives", "fills", "positions")
def an_order_without_an_answer_is_sent_again(patch) -> None:
    def lost(self, order_id: int, why: str) -> None:
        now_ns = self._moments.now_ns
        self._gateway.on_reject(order_id, now_ns, not_received=True)
        if self.is_pipelines(order_id):
            self.pipeline.on_not_sent(order_id, why, now_ns)

    patch.setattr(Driver, "_place_lost", lost)


@mutant("fills")
def a_fill_that_comes_twice_counts_twice(patch) -> None:
    numbers = count()

    class Forgetful(Through):
        def on_fill(self, order_id, event_id, *rest):
            return self._inner.on_fill(order_id, f"{event_id}-{next(numbers)}", *rest)

    between(patch, Forgetful)
    book = Driver.book

    def every(self, order_id, event) -> None:
        self.seen.discard(event.event_id)
        book(self, order_id, event)

    patch.setattr(Driver, "book", every)


@mutant("absence")
def an_absence_is_proven_by_one_list(patch) -> None:
    patch.setattr(unknown, "ASK_AT_NS", unknown.ASK_AT_NS[:1])


@mutant("intent_first")
def an_order_leaves_without_its_record(patch) -> None:
    patch.setattr(context.Context, "_intend", lambda *args: 0)


@mutant("intent_first")
def nobody_waits_for_the_disk(patch) -> None:
    patch.setattr(worlds.Journal, "durable_ns_of_command", lambda self, seq: 0)


@mutant("record_first")
def a_state_changes_before_its_record(patch) -> None:
    go = context.Context.go

    def late(self, execution, after, now_ns, why="") -> bool:
        journal, kept = self._journal, []
        self._journal = type("Held", (), {"append": lambda _, *row: kept.append(row)})()
        gone = go(self, execution, after, now_ns, why)
        self._journal = journal
        for row in kept:
            journal.append(*row)
        return gone

    patch.setattr(context.Context, "go", late)


@mutant("doubt_closes")
def a_symbol_stays_open_while_an_order_is_in_doubt(patch) -> None:
    patch.setattr(unknown.UnknownOrders, "_freeze", lambda self, instrument: self._frozen.__setitem__(instrument, 1))


@mutant("fills", "nothing_lives")
def fills_of_lists_are_left_out(patch) -> None:
    listing = Driver.listing
    patch.setattr(Driver, "listing", lambda self, rows, fills: listing(self, rows, ()))


@mutant("nothing_lives", "never_short")
def a_cancel_without_an_answer_counts_as_cancelled(patch) -> None:
    patch.setattr(Driver, "_cancel_lost", lambda self, order_id, why: self._close(order_id, "CANCELLED"))


@mutant("nothing_lives", "never_short")
def a_cancel_that_was_taken_counts_as_the_end(patch) -> None:
    patch.setattr(Driver, "_cancel_ack", lambda self, order_id, broker_no: self._close(order_id, "CANCELLED"))


@mutant("fills", "nothing_lives")
def numbers_before_an_amendment_are_forgotten(patch) -> None:
    class Newest(Through):
        def find(self, broker_no):
            order_id = self._inner.find(broker_no)
            return order_id if order_id and self._inner.order_state(order_id)[3] == broker_no else None

    between(patch, Newest)


@mutant("holds")
def holds_are_never_given_back(patch) -> None:
    class Holding(Through):
        def close_hold(self, hold_id, keep_qty=0) -> None:
            pass

    between(patch, Holding)


@mutant("safety")
def nobody_looks_at_the_safety_state(patch) -> None:
    real = worlds.Gateway
    patch.setattr(worlds, "Gateway", lambda *args, safety, **kwargs: real(*args, safety=SafetyWord(), **kwargs))
    patch.setattr(World, "_stance", lambda self: ExecStance())


@mutant("permit_once")
def a_permit_can_be_used_twice(patch) -> None:
    class Lasting:
        def __init__(self, permit) -> None:
            self._permit, self._message = permit, None

        def __getattr__(self, name: str):
            return getattr(self._permit, name)

        def redeem(self, now_ns: int):
            self._message = self._message or self._permit.redeem(now_ns)
            return self._message

    class Lax(Through):
        def request(self, *args, **kwargs):
            return Lasting(self._inner.request(*args, **kwargs))

    between(patch, Lax)


@mutant("told", "ends")
def nobody_is_told_of_what_takes_too_long(patch) -> None:
    tell = context.Context.tell

    def quiet(self, execution, code, message, *, effect="") -> None:
        if code not in {"GR067", "FS092", "FS099"}:
            tell(self, execution, code, message, effect=effect)

    patch.setattr(context.Context, "tell", quiet)


@mutant("distinct")
def equal_orders_may_be_in_doubt_together(patch) -> None:
    """The gateway is told that every order without an answer has been taken."""
    numbers = count()

    class Credulous(Through):
        def on_lost(self, order_id, now_ns):
            if self._inner.order_state(order_id)[0] == "SUBMITTED":
                return self._inner.on_ack(order_id, f"taken-{next(numbers)}", now_ns)
            return self._inner.on_lost(order_id, now_ns)

    between(patch, Credulous)
    patch.setattr(send.AsyncSend, "_has_equal_in_flight", lambda *args: False)


@mutant("deadline")
def the_deadline_is_not_looked_at(patch) -> None:
    run = send.AsyncSend.run

    def late(self, execution, now_ns) -> None:
        decision = execution.decision
        execution.decision = decision._replace(deadline_ns=1 << 62)
        run(self, execution, now_ns)
        execution.decision = decision

    patch.setattr(send.AsyncSend, "run", late)


@mutant("same_again")
def the_journal_is_never_the_same(patch) -> None:
    numbers = count()
    append = worlds.Journal.append

    def changing(self, kind, record):
        return append(self, kind, dict(record) | {"run": next(numbers)})

    patch.setattr(worlds.Journal, "append", changing)


@mutant("never_short", "nothing_lives")
def an_end_is_believed_before_its_fills(patch) -> None:
    take = Driver.take

    def hasty(self, event) -> None:
        order_id = self._gateway.find(event.broker_no)
        if order_id is not None and getattr(event, "kind", "") in {"CANCELLED", "EXPIRED"}:
            state, _, _, newest = self._gateway.order_state(order_id)
            if newest == event.broker_no and state not in _OVER:
                self._close(order_id, event.kind)
        take(self, event)

    patch.setattr(Driver, "take", hasty)


@mutant("exit_leaves")
def an_exit_waits_for_the_entry_for_ever(patch) -> None:
    precheck = admission.Admission.precheck

    def patient(self, execution, now_ns):
        if any(one in self._context.live for one in execution.preempts):
            execution.started_ns = now_ns
            execution.wake(now_ns + 1_000_000_000)
            return None
        return precheck(self, execution, now_ns)

    patch.setattr(admission.Admission, "precheck", patient)


@mutant("overlap")
def an_exit_leaves_a_running_entry_alone(patch) -> None:
    patch.setattr(pipeline.ExecutionPipeline, "_preempt", lambda self, execution, now_ns: None)
    known = admission.Admission._known

    def unaware(self, execution):
        return known(self, execution) if execution.is_entry else None

    patch.setattr(admission.Admission, "_known", unaware)


@mutant("one_live")
def a_second_execution_of_a_side_is_let_in(patch) -> None:
    patch.setattr(admission.Admission, "_known", lambda self, execution: None)


@mutant("arithmetic")
def what_was_not_sent_counts_as_cancelled_too(patch) -> None:
    build = pipeline.build

    def generous(*args):
        result = build(*args)
        return result._replace(cancelled_qty=result.cancelled_qty + result.unsent_qty)

    patch.setattr(pipeline, "build", generous)


@mutant("sane_orders")
def prices_are_off_the_ladder(patch) -> None:
    class Odd(Through):
        def request(self, instrument, track, side, kind, tif, limit, *rest, **more):
            permit = self._inner.request(instrument, track, side, kind, tif, limit, *rest, **more)
            return OffTick(permit) if kind == "LIMIT" else permit

    class OffTick:
        def __init__(self, permit) -> None:
            self._permit = permit

        def __getattr__(self, name: str):
            return getattr(self._permit, name)

        def redeem(self, now_ns: int):
            message = self._permit.redeem(now_ns)
            names = ("order_id", "action", "instrument", "symbol", "side", "kind", "tif", "qty", "broker_no")
            return SimpleNamespace(**{name: getattr(message, name) for name in names}, limit=message.limit + 1)

    between(patch, Odd)
    patch.setattr(Judge, "_recorded", lambda *args: None)  # which would notice first


@mutant("frozen")
def a_frozen_symbol_is_entered(patch) -> None:
    class Warm(Through):
        def freeze(self, instrument, *, reason, frozen) -> None:
            pass

    between(patch, Warm)


@mutant("nothing_lives")
def an_execution_ends_with_its_first_fill(patch) -> None:
    run = monitor.PartialFillMonitor.run

    def hasty(self, execution, now_ns):
        return State.COMPLETE if execution.filled else run(self, execution, now_ns)

    patch.setattr(monitor.PartialFillMonitor, "run", hasty)


@mutant("ends", "told")
def an_escape_that_takes_too_long_is_never_told(patch) -> None:
    patch.setattr(escape.EmergencyEscape, "_tell_overdue", lambda self, execution, now_ns: None)


def noticed_by(one: Mutant, plans: int = PLANS) -> tuple[str, int]:
    """Return the law that notices a mutant and the seed at which it does; ("", plans) if none does."""
    with MonkeyPatch.context() as patch:
        one.change(patch)
        for seed in range(plans):
            outcome = play(plan_of(seed))
            law = what_broke(outcome)
            if "same_again" in one.laws and play(plan_of(seed)).digest != outcome.digest:
                law = "same_again"
            if law in one.laws:
                return law, seed
    return "", plans


def survivors(say) -> list[str]:
    """Try every mutant and return the names of those that nothing notices."""
    alive = []
    for one in MUTANTS:
        law, seed = noticed_by(one)
        say(f"  {one.name}: " + (f"noticed by {law} at seed {seed}" if law else "NOT NOTICED"))
        if not law:
            alive.append(one.name)
    return alive
