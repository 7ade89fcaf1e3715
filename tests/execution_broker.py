"""The broker's process of the kill tests: the simulated one on the tests' time. Writes its port as its first line."""

import asyncio
import sys

from qts.broker.sim_book import SimBook
from qts.broker.sim_server import SimServer

from . import fast_time
from .execution_script import SYMBOLS, TOPS, broker_state


async def main(clock: fast_time.FastClock) -> None:
    book = SimBook.from_state(broker_state())
    for one, top in TOPS.items():
        book.quote(symbol=SYMBOLS[one], **top._asdict(), now_ns=clock.now_ns())
    server = SimServer(book, clock)

    def ready(port: int) -> None:
        sys.stdout.write(f"{port}\n")
        sys.stdout.flush()

    await server.serve("127.0.0.1", 0, ready=ready, stop=asyncio.Event())


if __name__ == "__main__":
    shared = fast_time.FastClock.parse(sys.argv[1])
    fast_time.run(shared, main(shared))
