"""Plans: what is asked of the executions, what the market does meanwhile, and which settings it happens under.

A plan is data. It follows from its seed alone, can be printed, and can be cut down step by step while it still fails.
"""

from random import Random
from typing import NamedTuple

from .market import BASES
from .weather import Weather, weather_of

HELD_QTY = (0, 30, 100, 101, 250, 1_000)


class Step(NamedTuple):
    """One thing that happens. What `qty`, `ticks`, `for_ms` and `how` mean depends on `what`; see `WHAT`."""

    at_ms: int
    what: str
    one: int = 0
    """Number of the instrument within the plan; -1 = all of them."""
    qty: int = 0
    ticks: int = 0
    for_ms: int = 0
    how: str = ""

    def words(self) -> str:
        """Return what is said about it in a story."""
        fields = ("one", "qty", "ticks", "for_ms", "how")
        return f"{self.what} " + " ".join(f"{name}={getattr(self, name)}" for name in fields if getattr(self, name))


WHAT = {
    "ENTER": "buy `qty` at the ask plus `ticks`; `how` LIMIT or MARKET; `for_ms` = horizon (TWAP)",
    "EXIT": "sell `qty` (0 = all that is held) at the bid plus `ticks`; `how` LIMIT, MARKET or PROTECTIVE",
    "MOVE": "move the bid by `ticks`; spread in `for_ms`, size of both sides in `qty`",
    "PRINT": "trade `qty` at the bid (`ticks` < 0) or the ask",
    "LIMIT_DOWN": "only sellers at the lower limit, for `for_ms`",
    "HALT": "no trading for `for_ms`",
    "ESCAPE": "escape everything or one instrument; `how` is reason:mode",
    "CLAIM": "the risk loop claims the exit for `for_ms`; `how` SELL: and sells it",
    "SAFETY": "raise the safety state to `how`; back to NORMAL after `for_ms` (0 = it stays)",
    "CLOSED": "the operating state takes no entries for `for_ms`",
    "SILENT": "no quotes of the instrument for `for_ms`",
    "LINK": "no connection for `for_ms`",
    "STREAM": "no stream for `for_ms`",
    "DISK": "the journal takes `for_ms` to become durable, from now on",
    "FREEZE": "entries of the instrument are frozen for `for_ms`",
}


class Plan(NamedTuple):
    """A run, whole."""

    seed: int
    bases: tuple[int, ...]
    held: tuple[int, ...]
    """What each instrument starts with."""
    cash: int
    adv: int
    profile: bool
    orders_per_s: int
    deadline_ms: int
    """How long a decision may be acted on."""
    out_ms: int
    """Time to the broker and back, each."""
    exchange_ms: int
    """From the broker's answer until the exchange has the request."""
    steps: tuple[Step, ...]
    weather: Weather


_QTY = (1, 7, 30, 60, 99, 100, 101, 140, 203, 300, 505, 1_200)
_SHORT_MS = (0, 1, 20, 40, 41, 90, 150, 400, 900, 1_000, 1_500, 2_500, 3_100)
_LONG_MS = (5_000, 5_100, 8_000, 10_000, 12_000, 20_000, 30_000, 45_000, 61_000, 75_000, 95_000)
_ESCAPES = (
    "MANUAL:CANCEL_ONLY", "MANUAL:FLATTEN_EXECUTION", "MANUAL:FLATTEN_POOL", "LOSS_LIMIT:FLATTEN_EXECUTION",
    "SAFETY_FAIL:CANCEL_ONLY", "BROKER_DISCONNECT:CANCEL_ONLY", "SESSION_END:FLATTEN_POOL",
)  # fmt: skip


_SIZES = (3, 40, 100, 100, 800, 800, 800, 5_000)
_TROUBLES = (
    *("ESCAPE", "ESCAPE", "CLAIM", "CLAIM", "SAFETY", "LINK", "LINK", "STREAM", "STREAM"),
    *("HALT", "LIMIT_DOWN", "SILENT", "CLOSED", "FREEZE", "DISK", "MOVE", "MOVE", "PRINT", "PRINT"),
)


def plan_of(seed: int) -> Plan:
    """Make the plan of a seed."""
    dice = Random(seed)  # noqa: S311 - a plan, no secret
    count = dice.choice((1, 1, 1, 2, 2, 3))
    bases = tuple(dice.choice(BASES) for _ in range(count))
    held = tuple(dice.choice(HELD_QTY) if dice.random() < 0.8 else 0 for _ in range(count))
    steps: list[Step] = []
    at_ms = 0
    for _ in range(dice.choice((1, 2, 2, 3, 3, 4, 5, 7))):
        at_ms += _pause(dice)
        steps.append(_step(dice, at_ms, count, tuple(n for n in range(count) if held[n])))
        if dice.random() < 0.5:
            steps.append(_reaction(dice, at_ms + dice.choice(_SHORT_MS), steps[-1]))
    at_ms += dice.choice((200, 3_000, 20_000))
    steps.extend(_market(dice, at_ms, count))
    return Plan(
        seed,
        bases,
        held,
        cash=_cash(dice, bases),
        adv=dice.choice((0, 0, 0, 20_000, 3_000_000)),
        profile=dice.random() < 0.25,
        orders_per_s=dice.choice((8, 8, 8, 5, 20)),
        deadline_ms=dice.choice((60_000, 60_000, 60_000, 12_000, 3_000)),
        out_ms=dice.choice((1, 5, 10, 10, 30)),
        exchange_ms=dice.choice((0, 0, 0, 3, 25)),
        steps=tuple(sorted(steps, key=lambda step: step.at_ms)),
        weather=weather_of(seed),
    )


def _cash(dice: Random, bases: tuple[int, ...]) -> int:
    """Enough for anything, or for a part of what is asked for."""
    if dice.random() < 0.7:
        return 5_000_000_000
    return max(bases) * dice.choice((1, 50, 130, 400)) + dice.randrange(1_000)


def _pause(dice: Random) -> int:
    return dice.choice(_SHORT_MS) if dice.random() < 0.75 else dice.choice(_LONG_MS)


def _step(dice: Random, at_ms: int, count: int, held: tuple[int, ...]) -> Step:
    """What somebody wants: mostly entries and exits."""
    one = dice.randrange(count)
    draw = dice.random()
    if draw < 0.55:
        return _entry(dice, at_ms, one)
    if draw < 0.85:
        how = dice.choice(("LIMIT", "LIMIT", "MARKET", "PROTECTIVE"))
        one = dice.choice(held or (one,))
        return Step(at_ms, "EXIT", one, dice.choice((0, 0, *_QTY)), dice.choice((0, 0, 0, 1, 3)), how=how)
    return _trouble(dice, at_ms, one)


def _entry(dice: Random, at_ms: int, one: int) -> Step:
    how = dice.choice(("LIMIT", "LIMIT", "LIMIT", "MARKET"))
    horizon_ms = dice.choice((0, 0, 0, 5_000, 12_000, 30_000))
    return Step(at_ms, "ENTER", one, dice.choice(_QTY), dice.choice((0, 0, -1, -1, -2, -4, 1)), horizon_ms, how)


def _reaction(dice: Random, at_ms: int, cause: Step) -> Step:
    """What tends to come at the worst moment after something."""
    if cause.what == "ENTER" and dice.random() < 0.5:
        return Step(at_ms, "EXIT", cause.one, 0, 0, how=dice.choice(("LIMIT", "MARKET", "PROTECTIVE")))
    if cause.what == "EXIT" and dice.random() < 0.4:
        return _entry(dice, at_ms, cause.one)
    return _trouble(dice, at_ms, cause.one)


def _trouble(dice: Random, at_ms: int, one: int) -> Step:
    for_ms = dice.choice((100, 500, 1_200, 3_500, 9_000, 40_000))
    what = dice.choice(_TROUBLES)
    if what == "ESCAPE":
        return Step(at_ms, what, dice.choice((one, one, -1)), how=dice.choice(_ESCAPES))
    if what == "CLAIM":
        return Step(at_ms, what, one, for_ms=for_ms, how=dice.choice(("SELL", "SELL", "KEEP")))
    if what == "SAFETY":
        how = dice.choice(("WARNING", "FAIL", "FAIL", "LOCKDOWN"))
        return Step(at_ms, what, for_ms=dice.choice((0, for_ms)), how=how)
    if what == "MOVE":
        return _move(dice, at_ms, one)
    if what == "PRINT":
        return Step(at_ms, what, one, dice.choice(_QTY), dice.choice((-1, 1)))
    if what == "DISK":
        return Step(at_ms, what, for_ms=dice.choice((1, 20, 200, 1_500, 6_000)))
    return Step(at_ms, what, one, for_ms=for_ms)


def _move(dice: Random, at_ms: int, one: int) -> Step:
    ticks = dice.choice((-30, -6, -3, -1, -1, 0, 1, 1, 3, 6))
    return Step(at_ms, "MOVE", one, dice.choice(_SIZES), ticks, dice.choice((1, 1, 1, 2, 5)))


def _market(dice: Random, until_ms: int, count: int) -> list[Step]:
    """What the market does by itself."""
    moves = []
    for _ in range(dice.choice((2, 4, 6, 10))):
        at_ms, one = dice.randrange(until_ms + 1), dice.randrange(count)
        if dice.random() < 0.6:
            moves.append(_move(dice, at_ms, one))
        else:
            moves.append(Step(at_ms, "PRINT", one, dice.choice(_QTY), dice.choice((-1, 1))))
    return moves
