"""`qts-engine bench`."""

import json
import os
import statistics
import sys
import threading
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import typer

from qts.cli import options
from qts.cli.bench_python import switch_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qts._shapes import BesideRows, LatencyRow, Scheduling

_ROUNDS = 3
_P1_EVENTS = 3_000_000
_PYTHON_WAKES = 300


class Figure(NamedTuple):
    """One line of the table."""

    name: str
    p50_us: float
    p99_us: float
    floor_p50_us: float
    floor_p99_us: float

    @property
    def ratio(self) -> float:
        """99th percentile as a multiple of its floor."""
        return self.p99_us / self.floor_p99_us if self.floor_p99_us else 0.0


def bench(
    probes: Annotated[
        int, typer.Option("--probes", help="Probes per round and figure; each takes about 1 ms.", min=50, max=100_000)
    ] = 1_000,
    *,
    as_json: options.Json = False,
) -> None:
    """Measure the hot path on this host: how fast P0 is heard, idle and flooded, and what limits it.

    Each figure stands beside its floor, the bare wake-up of a parked thread, measured in the same run in turns. Medians
    of three rounds. Then what the interpreter adds, at its own switch interval and at that of a live dispatcher. Run it
    while the machine is otherwise as it will be in the session.

    Example: qts-engine bench --probes 2000
    """
    from qts._core import measure_p1

    idle, flooded = _rounds(probes, flooded=False), _rounds(probes, flooded=True)
    figures = [
        _figure("P0 put to handler, idle", idle, due=False),
        _figure("P0 put to handler, P1 to P3 flooded", flooded, due=False),
        _figure("P0 due to handler, P1 to P3 flooded", flooded, due=True),
    ]
    scheduling = {"p0": idle[0]["p0_scheduling"], "p1": idle[0]["p1_scheduling"]}
    p1_per_s = statistics.median(measure_p1(_P1_EVENTS) for _ in range(_ROUNDS))
    wake_us = _python_wake_us()
    python = switch_rows(probes, _intervals_ms())
    if as_json:
        rows = [row._asdict() | {"ratio": round(row.ratio, 3)} for row in figures]
        report = {
            "latency_us": rows,
            "p1_events_per_s": round(p1_per_s),
            "python_wake_us": wake_us,
            "python": [row._asdict() | {"share": round(row.share, 3)} for row in python],
            "host": _host() | {"scheduling": scheduling},
        }
        sys.stdout.write(f"{json.dumps(report, indent=2)}\n")
        return
    sys.stdout.write(f"{'microseconds':<38}{'p50':>9}{'p99':>9}{'floor p50':>11}{'floor p99':>11}{'p99 ratio':>11}\n")
    for row in figures:
        sys.stdout.write(
            f"{row.name:<38}{row.p50_us:>9.1f}{row.p99_us:>9.1f}{row.floor_p50_us:>11.1f}{row.floor_p99_us:>11.1f}"
            f"{row.ratio:>11.2f}\n"
        )
    sys.stdout.write(f"P1, one thread to another: {p1_per_s / 1e6:.1f} million events/s\n")
    sys.stdout.write(
        f"a Python thread wakes beside a busy one after {wake_us['p50']:.0f} us, at most {wake_us['max']:.0f} us\n"
    )
    for one in python:
        sys.stdout.write(
            f"switch interval {one.interval_ms:g} ms: P0 due to Python handler beside a busy thread"
            f" p50 {one.p50_us:.0f} us, p99 {one.p99_us:.0f} us; that thread keeps {one.share:.0%} of its work\n"
        )
    for line in (*_limits(figures), _priorities(scheduling)):
        sys.stdout.write(f"{line}\n")


def _rounds(probes: int, *, flooded: bool) -> list["BesideRows"]:
    from qts._core import measure_p0

    return [measure_p0(probes, flooded) for _ in range(_ROUNDS)]


def _figure(name: str, rounds: "Sequence[BesideRows]", *, due: bool) -> Figure:
    """Return the medians of some rounds."""
    p0: list[LatencyRow] = [one["p0_due"] if due else one["p0"] for one in rounds]
    bare: list[LatencyRow] = [one["bare_due"] if due else one["bare"] for one in rounds]

    def us(rows: "list[LatencyRow]", which: Literal["p50", "p99"]) -> float:
        return round(statistics.median(row[which] for row in rows) / 1_000, 1)

    return Figure(name, us(p0, "p50"), us(p0, "p99"), us(bare, "p50"), us(bare, "p99"))


def _intervals_ms() -> tuple[float, ...]:
    """Return the interpreter's own switch interval and that of a live dispatcher, if it is another."""
    from qts.event import EventConfig

    own_ms = sys.getswitchinterval() * 1_000
    return tuple(dict.fromkeys((own_ms, EventConfig.from_settings().live.switch_interval_ms or own_ms)))


def _python_wake_us() -> dict[str, float]:
    """Return how long a Python thread takes to run again while another one computes: the floor of Python handlers."""
    from qts.clock import SystemClock

    clock = SystemClock()
    asked, woken, over = threading.Event(), threading.Event(), threading.Event()
    waits: list[int] = []
    put_ns = [0]

    def sleeper() -> None:
        while not over.is_set():
            if asked.wait(0.5):
                waits.append(clock.monotonic_ns() - put_ns[0])
                asked.clear()
                woken.set()

    def busy() -> None:
        while not over.is_set():
            sum(range(200))

    threads = [threading.Thread(target=sleeper, daemon=True), threading.Thread(target=busy, daemon=True)]
    for thread in threads:
        thread.start()
    for _ in range(_PYTHON_WAKES):
        put_ns[0] = clock.monotonic_ns()
        asked.set()
        woken.wait()
        woken.clear()
    over.set()
    asked.set()
    for thread in threads:
        thread.join()
    micros = sorted(wait / 1_000 for wait in waits[:_PYTHON_WAKES])
    return {"p50": round(statistics.median(micros), 1), "max": round(micros[-1], 1)}


def _host() -> dict[str, object]:
    return {"cores": os.cpu_count() or 1, "switch_interval_s": sys.getswitchinterval()}


def _priorities(scheduling: dict[str, "Scheduling"]) -> str:
    line = f"priority: P0 {scheduling['p0']}, P1 {scheduling['p1']}"
    if scheduling == {"p0": "real-time", "p1": "high"}:
        return line
    return f"{line}; the permission for more is missing (CAP_SYS_NICE, or limits on rtprio and nice)"


def _limits(figures: list[Figure]) -> list[str]:
    """Return what limits these figures, as far as it can be told from them."""
    cores = os.cpu_count() or 1
    lines = [f"cores: {cores}" + ("; the threads of the engine share them with everything else" if cores < 4 else "")]
    timer_us = figures[2].floor_p50_us - figures[1].floor_p50_us
    lines.append(f"timer: a sleep ends about {timer_us:.0f} us late on this host")
    interval_ms = sys.getswitchinterval() * 1_000
    lines.append(f"interpreter: a busy Python thread lets go after {interval_ms:g} ms (switch interval)")
    return lines
