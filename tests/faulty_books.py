"""Real books behind a switch: they can be away, lose an answer after a commit, or be cut off before one."""

from contextlib import suppress

from qts.data.exceptions import AdapterError, SourceUnavailable


def away():
    return SourceUnavailable(found="the database is away", expected="an answer", hint="wait")


class FaultyBooks:
    """Passes everything on to an adapter unless told otherwise.

    `plan` holds what happens to the next writes, one each: "ok", "cut" (nothing happens), "lost" (it happens, and
    nobody is told). `down` refuses everything; `gate`, an event, holds bookings up.
    """

    WRITES = frozenset(
        {"apply_fills", "apply_fill", "append_ledger", "outbox_done", "outbox_failed", "update_position"}
    )

    def __init__(self, books):
        self.books = books
        self.down = False
        self.gate = None
        self.plan = []
        self.batches = []

    def __getattr__(self, name):
        inner = getattr(self.books, name)
        if not callable(inner) or name in ("close", "fetch_tick_data"):
            return inner

        async def call(*args, **options):
            if name == "apply_fills":
                self.batches.append([one.order_id for one in args[0]])
            if self.down:
                raise away()
            if self.gate is not None and name == "apply_fills":
                await self.gate.wait()
            what = self.plan.pop(0) if name in self.WRITES and self.plan else "ok"
            if what == "cut":
                raise away()
            if what == "lost":
                with suppress(AdapterError):
                    await inner(*args, **options)
                raise away()
            return await inner(*args, **options)

        return call
