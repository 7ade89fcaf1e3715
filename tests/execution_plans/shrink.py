"""Cuts a failing plan down: fewer steps, fewer faults, plainer settings, as long as the same thing breaks."""

from .laws import Broken
from .weather import Weather
from .world import play


def what_broke(outcome) -> str:
    """Name of a failure, the same for everything that breaks alike; empty if nothing did."""
    failure = outcome.failure
    if failure is None:
        return ""
    return failure.law if isinstance(failure, Broken) else type(failure).__name__


def shrink(plan, *, plays: int = 600):
    """Return a smaller plan that breaks the same law; `plays` bounds the effort."""
    wanted = what_broke(play(plan))
    left = plays

    def fails(candidate) -> bool:
        nonlocal left
        left -= 1
        return left > 0 and what_broke(play(candidate)) == wanted

    before = None
    while before != plan and left > 0:
        before = plan
        plan = _plainer(plan, fails)
        plan = _fewer_steps(plan, fails)
        plan = _fewer_faults(plan, fails)
    return plan


def _fewer_steps(plan, fails):
    size = max(1, len(plan.steps) // 2)
    while size:
        at = 0
        while at < len(plan.steps):
            candidate = plan._replace(steps=plan.steps[:at] + plan.steps[at + size :])
            if fails(candidate):
                plan = candidate
            else:
                at += size
        size //= 2
    return plan


def _fewer_faults(plan, fails):
    keys = play(plan).faults
    size = max(1, len(keys) // 2)
    while size and keys:
        at = 0
        while at < len(keys):
            without = plan.weather.without | frozenset(keys[at : at + size])
            candidate = plan._replace(weather=plan.weather._replace(without=without))
            if fails(candidate):
                plan = candidate
            at += size
        size //= 2
    return plan


def _plainer(plan, fails):
    """Take away what may not matter."""
    for change in (
        {"weather": Weather(plan.weather.seed)},
        {"cash": 5_000_000_000},
        {"adv": 0},
        {"profile": False},
        {"orders_per_s": 8},
        {"out_ms": 10},
        {"exchange_ms": 0},
        {"deadline_ms": 60_000},
        {"bases": (70_000,) * len(plan.bases)},
        {"held": (0,) * len(plan.held)},
        *({"steps": _calmer(plan.steps, n)} for n in range(len(plan.steps))),
    ):
        candidate = plan._replace(**change)
        if candidate != plan and fails(candidate):
            plan = candidate
    return plan


def _calmer(steps, number: int):
    """Make one step come at a rounder time and do a rounder thing."""
    step = steps[number]
    if step.what in {"ENTER", "EXIT"}:
        step = step._replace(ticks=0, for_ms=0)
    return (*steps[:number], step, *steps[number + 1 :])
