"""The engine's process of the kill tests: trades a script over a socket with a journal, and dies where it is told.

    python -m tests.execution_engine JOURNAL PORT CLOCK [NAME:COUNT]

It recovers what a process before it has left, goes through the script, skipping what is on record, compares its books
with the broker's and writes them, with every place that it passed, as one line of JSON. At the COUNT-th pass of the
place NAME it kills itself.
"""

import asyncio
import json
import os
import signal
import sys
import time
from collections import Counter
from pathlib import Path

from qts._core import Gateway, Instruments, JournalWriter, SafetyWord
from qts.broker.sim_client import Line, SimSocketBroker
from qts.execution.config import ExecutionConfig
from qts.execution.contracts import EscapeMode, EscapeReason, OrderDecision, RiskApproval, State
from qts.execution.history import read_history
from qts.execution.interfaces import ExecStance, QuoteView
from qts.execution.journal import OrderJournal
from qts.execution.live import Listener, LiveExecution, LiveTimes
from qts.execution.pipeline import ExecutionPipeline
from qts.execution.restart import recover, restore

from . import fast_time
from .execution_script import CASH, SCRIPT, SYMBOLS, TOPS, spec

S = 1_000_000_000
WRONG = 3
"""Exit status if the books are not open after recovery, or differ at the end."""


class Places:
    """Counts passes of named places, and ends the process at one of them."""

    def __init__(self, fatal: str) -> None:
        name, _, count = fatal.partition(":")
        self._fatal = (name, int(count or 0))
        self.passed: Counter[str] = Counter()

    def __call__(self, name: str) -> None:
        self.passed[name] += 1
        if (name, self.passed[name]) == self._fatal:
            os.kill(os.getpid(), signal.SIGKILL)


class Marked:
    """Something whose calls are places: before and after each of those that are named."""

    def __init__(self, inner, kind: str, names: frozenset[str], places: Places, *, by_first: bool = False) -> None:
        self._inner, self._kind, self._names, self._places, self._by_first = inner, kind, names, places, by_first

    def __getattr__(self, name: str):
        found = getattr(self._inner, name)
        if name not in self._names:
            return found

        def call(*given, **named):
            place = f"{self._kind}.{given[0] if self._by_first else name}"
            self._places(f"{place}<")
            result = found(*given, **named)
            self._places(f"{place}>")
            return result

        return call


GATEWAY = frozenset(
    {
        "request",
        "request_amend",
        "request_cancel",
        "on_ack",
        "on_reject",
        "on_lost",
        "on_amended",
        "on_amend_refused",
        "on_cancel_refused",
        "on_end",
        "on_fill",
        "claim_exit",
        "release_exit",
        "restore_order",
        "precheck",
        "close_hold",
    }
)


class MarkedLine(Line):
    """A connection whose writes and answers are places."""

    def __init__(self, *given, places: Places, **named) -> None:
        super().__init__(*given, **named)
        self._places = places
        self._deeds: dict[int, str] = {}

    async def open(self) -> None:
        await super().open()
        self._writer, self._bare = self, self._writer  # which stands between the connection and its writer

    async def ask(self, do: str, fields):
        self._deeds[self._next] = self._doing = do
        return await super().ask(do, fields)

    async def ask_list(self, do: str, **fields):
        self._deeds[self._next] = self._doing = do
        return await super().ask_list(do, **fields)

    def write(self, data: bytes) -> None:
        self._places(f"write.{self._doing}<")
        self._bare.write(data)
        self._places(f"write.{self._doing}>")

    def is_closing(self) -> bool:
        return self._bare.is_closing()

    def _take(self, line) -> None:
        deed = self._deeds[line["id"]]
        self._places(f"answer.{deed}<")
        super()._take(line)
        self._places(f"answer.{deed}>")


class MarkedBroker(SimSocketBroker):
    def __init__(self, port: int, clock, places: Places) -> None:
        patience = {"connect_timeout_ms": 10_000, "answer_timeout_ms": 10_000}
        super().__init__("127.0.0.1", port, clock=clock, silence_ms=10_000, **patience)
        self._line = MarkedLine("127.0.0.1", port, places=places, **patience)


class Codes:
    def __init__(self) -> None:
        self.told = []

    def report(self, code, message, *, effect="") -> None:
        self.told.append(f"{code} {effect} {message}")


class Market:
    """Best prices that stand still and are always fresh."""

    def __init__(self, instruments: Instruments, clock) -> None:
        self._instruments, self._clock = instruments, clock

    def quote(self, instrument):
        top = TOPS[instrument]
        return QuoteView(top.bid, top.bid, top.bid_qty, top.ask, top.ask_qty, self._clock.now_ns())

    def tick_size(self, instrument, price, now_ns):
        return self._instruments.tick_size(instrument, price, now_ns)

    def floor_to_tick(self, instrument, price, now_ns):
        return self._instruments.floor_to_tick(instrument, price, now_ns)

    def ceil_to_tick(self, instrument, price, now_ns):
        return self._instruments.ceil_to_tick(instrument, price, now_ns)

    def price_limits(self, instrument, now_ns):
        return self._instruments.price_limits(instrument, TOPS[instrument].bid, now_ns) or (0, 0)

    def is_open(self, instrument, track, intent, now_ns):
        return True

    def volume_profile(self, instrument, now_ns):
        return ()

    def adv(self, instrument):
        return 0


class Engine:
    """Everything that lives in the process."""

    def __init__(self, home: Path, port: int, clock, places: Places) -> None:
        self.clock, self.places = clock, places
        self.codes, word = Codes(), SafetyWord()
        instruments = Instruments()
        for symbol in SYMBOLS:
            instruments.add(spec(symbol))
        config = {"orders_per_s": 1_000, "permit_ttl_ms": 5_000}
        self.gateway = Marked(Gateway(instruments, cash=CASH, safety=word, config=config), "gateway", GATEWAY, places)
        writer = JournalWriter(home)
        self.history = read_history(home)
        journal = OrderJournal(writer, codes=self.codes, word=word, timeout_s=5.0)
        self.journal = Marked(journal, "journal", frozenset({"append"}), places, by_first=True)
        broker = MarkedBroker(port, clock, places)
        self.pipeline = ExecutionPipeline(
            gateway=self.gateway,
            market=Market(instruments, clock),
            stance=ExecStance,
            link=lambda: (broker.is_connected, broker.is_stream_up),
            journal=self.journal,
            codes=self.codes,
            config=ExecutionConfig(),
            timer=time.perf_counter_ns,
            recovering=True,
        )
        self.changed = asyncio.Event()
        self.results = {}
        self.live = LiveExecution(
            broker=broker,
            gateway=self.gateway,
            pipeline=self.pipeline,
            journal=self.journal,
            clock=clock,
            codes=self.codes,
            listener=Listener(lambda fill, event: self.changed.set(), self._closed),
            symbols=dict(enumerate(SYMBOLS)),
            times=LiveTimes(answer_ns=10 * S),
            probe=places,
        )

    def _closed(self, result) -> None:
        self.results[result.decision_id] = result
        self.changed.set()

    async def run(self) -> bool:
        """Recover, trade, compare; False if the books could not be opened or differ."""
        restored = restore(
            self.history,
            gateway=self.gateway,
            pipeline=self.pipeline,
            now_ns=self.clock.now_ns(),
            probe=self.places,
        )
        self.recovery = await recover(self.live, restored, probe=self.places)
        self.recovery_places = dict(self.places.passed)
        if not self.recovery.is_open:
            return False
        for step in SCRIPT:
            await self._go_through(step)
        report = None
        while report is None:
            report = await self.live.reconcile()
        return report.is_clean

    async def _go_through(self, step) -> None:
        before = self.history.executions.get(f"x-{step.name}")
        if before is None:
            qty = step.qty
            if step.intent == "EXIT":
                qty = min(qty, self.gateway.position(step.instrument, "SCALP")[0])
            if qty:
                self.live.submit(self._decision(step, qty))
        elif before.is_over:
            return
        has_escaped = before is not None
        while (execution := self.pipeline.live.get(f"x-{step.name}")) is not None:
            self.changed.clear()
            if step.escape and not has_escaped and self._is_time(step, execution):
                has_escaped = True
                mode = EscapeMode[step.escape]
                self.live.escape(EscapeReason.MANUAL, mode, execution_id=execution.execution_id)
                continue
            try:
                async with asyncio.timeout(0.5):
                    await self.changed.wait()
            except TimeoutError:
                continue

    @staticmethod
    def _is_time(step, execution) -> bool:
        if execution.state is State.ESCAPING:
            return False
        if step.escape_when == "PARTIAL":
            return execution.filled > 0
        return any(child.was_live for child in execution.children)

    def _decision(self, step, qty: int) -> OrderDecision:
        now_ns = self.clock.now_ns()
        return OrderDecision(
            decision_id=step.name,
            instrument=step.instrument,
            symbol=SYMBOLS[step.instrument],
            market="KRX",
            side="BUY" if step.intent == "ENTRY" else "SELL",
            intent=step.intent,
            qty=qty,
            price_type="LIMIT",
            price=step.price,
            decision_price=step.price,
            decision_ts_ns=now_ns,
            pool_id="SCALP",
            strategy_tag="kill",
            risk_approval=RiskApproval(True, qty, now_ns),
            deadline_ns=now_ns + 60 * S,
            action="ENTRY" if step.intent == "ENTRY" else "STRATEGY_EXIT",
            horizon_ms=step.horizon_ms,
        )

    def books(self) -> dict:
        return {
            "cash": self.gateway.cash,
            "positions": {
                symbol: held
                for one, symbol in enumerate(SYMBOLS)
                if (held := sum(self.gateway.position(one, track)[0] for track in ("SCALP", "SWING", "PORTFOLIO")))
            },
            "results": {name: [str(result.disposition), result.filled_qty] for name, result in self.results.items()},
            "codes": self.codes.told,
            "recovery": self.recovery.message,
            "recovery_places": self.recovery_places,
            "places": dict(self.places.passed),
        }


async def main(home: Path, port: int, clock, fatal: str) -> int:
    engine = Engine(home, port, clock, Places(fatal))
    is_right = await engine.run()
    sys.stdout.write(json.dumps(engine.books(), ensure_ascii=False) + "\n")
    sys.stdout.flush()
    await engine.live.close()
    return 0 if is_right else WRONG


if __name__ == "__main__":
    shared = fast_time.FastClock.parse(sys.argv[3])
    fatal_place = sys.argv[4] if len(sys.argv) > 4 else ""
    sys.exit(fast_time.run(shared, main(Path(sys.argv[1]), int(sys.argv[2]), shared, fatal_place)))
