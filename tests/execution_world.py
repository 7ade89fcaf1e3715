"""Executions under seeded trouble in virtual time: whatever the wire and the market do, the books are one at the end.

    python -m tests.execution_world --plans 100000     every seed from 0, on all processors
    python -m tests.execution_world --seed 4711        one plan, with its story
    python -m tests.execution_world --seed 4711 --shrink   the same, cut down to what still breaks
    python -m tests.execution_world --mutants          show that the laws can fail

A plan is a small trading session: entries, exits, escapes, claims of the risk loop, safety raises, cut lines, markets
that move and halt, and faults of the wire from `qts.broker.faults`. It runs against the core's exchange and gateway and
the real pipeline, on one thread without waiting. `tests.execution_plans.laws` says what has to hold.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from multiprocessing import get_context
from typing import NamedTuple

from .execution_plans.mutants import MUTANTS, survivors
from .execution_plans.program import plan_of
from .execution_plans.shrink import shrink, what_broke
from .execution_plans.world import play

CHUNK = 200
SAME_EVERY = 50
"""One plan in so many is run twice, and has to leave the same journal."""
SHOWN = 5


class Report(NamedTuple):
    """What came of many plans."""

    plans: int
    counts: Counter
    failures: list[tuple[int, str, str]]
    """(seed, law, text)."""


def run_seeds(seeds: range) -> Report:
    """Run the plans of these seeds."""
    counts: Counter = Counter()
    failures = []
    for seed in seeds:
        outcome = play(plan_of(seed))
        counts.update(outcome.counts)
        if outcome.failure is not None:
            failures.append((seed, what_broke(outcome), str(outcome.failure)))
        elif seed % SAME_EVERY == 0 and play(plan_of(seed)).digest != outcome.digest:
            failures.append((seed, "same_again", "the same seed has left another journal"))
    return Report(len(seeds), counts, failures)


def run_plans(first: int, plans: int, workers: int, *, progress=None) -> Report:
    """Run plans on several processes."""
    chunks = [range(at, min(at + CHUNK, first + plans)) for at in range(first, first + plans, CHUNK)]
    done, counts, failures = 0, Counter(), []
    with get_context("spawn").Pool(workers) as pool:
        for report in pool.imap_unordered(run_seeds, chunks):
            done += report.plans
            counts.update(report.counts)
            failures += report.failures
            if progress is not None:
                progress(done, failures)
    return Report(done, counts, sorted(failures))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.execution_world", description=__doc__.split("\n")[0])
    parser.add_argument("--plans", type=int, default=1_000, help="how many seeds")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", type=int, help="play one plan and tell its story")
    parser.add_argument("--shrink", action="store_true", help="cut it down to what still breaks")
    parser.add_argument(
        "--mutants", action="store_true", help="break the executions on purpose: each has to be noticed"
    )
    args = parser.parse_args()
    if args.mutants:
        return _mutants()
    if args.seed is not None:
        return _one(args.seed, smaller=args.shrink)
    return _many(args)


def _many(args) -> int:
    began = time.monotonic()

    def progress(done: int, failures) -> None:
        passed = time.monotonic() - began
        say(f"\r{done:>9,} of {args.plans:,} plans, {len(failures)} broken, {done / passed:,.0f} a second ", end="")

    report = run_plans(args.first, args.plans, args.workers, progress=progress)
    say(f"\n{report.plans:,} plans in {time.monotonic() - began:,.0f} s")
    for name, count in sorted(report.counts.items()):
        say(f"  {count:>12,}  {name}")
    by_law = Counter(law for _, law, _ in report.failures)
    for law, count in by_law.most_common():
        say(f"BROKEN {law}: {count} plans")
        for seed, _, text in [row for row in report.failures if row[1] == law][:SHOWN]:
            say(f"  --seed {seed}  {text[:300]}")
    return 1 if report.failures else 0


def _one(seed: int, *, smaller: bool) -> int:
    plan = plan_of(seed)
    if smaller:
        plan = shrink(plan)
    outcome = play(plan, told=True)
    say(f"{plan._replace(steps=(), weather=plan.weather._replace(without=frozenset()))}")
    for line in outcome.story:
        say(line)
    say(f"{what_broke(outcome) or 'every law holds'}; faults {outcome.faults}")
    return 1 if outcome.failure is not None else 0


def _mutants() -> int:
    alive = survivors(say)
    say(f"{len(MUTANTS) - len(alive)} of {len(MUTANTS)} mutants noticed" + (f"; not: {alive}" if alive else ""))
    return 1 if alive else 0


def say(text: str, end: str = "\n") -> None:
    """Write for whoever runs this."""
    sys.stdout.write(text + end)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
