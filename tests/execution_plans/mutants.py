"""Faults put into the executions on purpose. Each has to break a law within a few plans, or the law is asleep.

A mutant changes the program while it is in force, as `pytest.MonkeyPatch` does, and names the laws that may notice.
"""

from collections.abc import Callable
from itertools import count
from typing import NamedTuple

from pytest import MonkeyPatch  # noqa: PT013 - a tool here, not a test

from qts._core import SafetyWord
from qts.execution import context, send, unknown
from qts.execution.interfaces import ExecStance

from . import world as worlds
from .driver import Driver
from .program import plan_of
from .shrink import what_broke
from .world import World, play

PLANS = 4_000
"""Plans that a mutant may survive before it counts as unnoticed."""


class Mutant(NamedTuple):
    """One fault. `change` is given what patches."""

    name: str
    change: Callable[[MonkeyPatch], None]


MUTANTS: list[Mutant] = []


def mutant(change) -> None:
    """Enter a fault under the words of its function."""
    MUTANTS.append(Mutant(change.__name__.replace("_", " "), change))


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


@mutant
def an_order_without_an_answer_is_sent_again(patch) -> None:
    def lost(self, order_id: int, why: str) -> None:
        now_ns = self._moments.now_ns
        self._gateway.on_reject(order_id, now_ns, not_received=True)
        if self.is_pipelines(order_id):
            self.pipeline.on_not_sent(order_id, why, now_ns)

    patch.setattr(Driver, "_place_lost", lost)


@mutant
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


@mutant
def an_absence_is_proven_by_one_list(patch) -> None:
    patch.setattr(unknown, "ASK_AT_NS", unknown.ASK_AT_NS[:1])


@mutant
def an_order_leaves_without_its_record(patch) -> None:
    patch.setattr(context.Context, "_intend", lambda *args: 0)


@mutant
def nobody_waits_for_the_disk(patch) -> None:
    patch.setattr(worlds.Journal, "durable_ns_of_command", lambda self, seq: 0)


@mutant
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


@mutant
def a_symbol_stays_open_while_an_order_is_in_doubt(patch) -> None:
    patch.setattr(unknown.UnknownOrders, "_freeze", lambda self, instrument: self._frozen.__setitem__(instrument, 1))


@mutant
def fills_of_lists_are_left_out(patch) -> None:
    listing = Driver.listing
    patch.setattr(Driver, "listing", lambda self, rows, fills: listing(self, rows, ()))


@mutant
def a_cancel_without_an_answer_counts_as_cancelled(patch) -> None:
    patch.setattr(Driver, "_cancel_lost", lambda self, order_id, why: self._close(order_id, "CANCELLED"))


@mutant
def a_cancel_that_was_taken_counts_as_the_end(patch) -> None:
    patch.setattr(Driver, "_cancel_ack", lambda self, order_id, broker_no: self._close(order_id, "CANCELLED"))


@mutant
def numbers_before_an_amendment_are_forgotten(patch) -> None:
    class Newest(Through):
        def find(self, broker_no):
            order_id = self._inner.find(broker_no)
            return order_id if order_id and self._inner.order_state(order_id)[3] == broker_no else None

    between(patch, Newest)


@mutant
def holds_are_never_given_back(patch) -> None:
    class Holding(Through):
        def close_hold(self, hold_id, keep_qty=0) -> None:
            pass

    between(patch, Holding)


@mutant
def nobody_looks_at_the_safety_state(patch) -> None:
    real = worlds.Gateway
    patch.setattr(worlds, "Gateway", lambda *args, safety, **kwargs: real(*args, safety=SafetyWord(), **kwargs))
    patch.setattr(World, "_stance", lambda self: ExecStance())


@mutant
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


@mutant
def nobody_is_told_of_what_takes_too_long(patch) -> None:
    tell = context.Context.tell

    def quiet(self, execution, code, message, *, effect="") -> None:
        if code not in {"GR067", "FS092", "FS099"}:
            tell(self, execution, code, message, effect=effect)

    patch.setattr(context.Context, "tell", quiet)


@mutant
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


@mutant
def the_deadline_is_not_looked_at(patch) -> None:
    run = send.AsyncSend.run

    def late(self, execution, now_ns) -> None:
        decision = execution.decision
        execution.decision = decision._replace(deadline_ns=1 << 62)
        run(self, execution, now_ns)
        execution.decision = decision

    patch.setattr(send.AsyncSend, "run", late)


@mutant
def the_journal_is_never_the_same(patch) -> None:
    numbers = count()
    append = worlds.Journal.append

    def changing(self, kind, record):
        return append(self, kind, dict(record) | {"run": next(numbers)})

    patch.setattr(worlds.Journal, "append", changing)


def noticed_by(one: Mutant, plans: int = PLANS) -> tuple[str, int]:
    """Return the law that notices a mutant and the seed at which it does; ("", plans) if none does."""
    with MonkeyPatch.context() as patch:
        one.change(patch)
        for seed in range(plans):
            outcome = play(plan_of(seed))
            law = what_broke(outcome)
            if not law and play(plan_of(seed)).digest != outcome.digest:
                law = "same_again"
            if law:
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
