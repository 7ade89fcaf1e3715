"""Virtual time: what happens when, on one thread, in an order that depends on nothing but what was asked for."""

from heapq import heappop, heappush

MS = 1_000_000
S = 1_000 * MS
NEVER = 1 << 62


class Moments:
    """Calls at times of the future. Those of one time come in the order in which they were asked for."""

    def __init__(self, start_ns: int) -> None:
        self.now_ns = start_ns
        self._heap: list = []
        self._count = 0

    def at(self, at_ns: int, call, *args) -> None:
        """Call at that time; what is past comes next."""
        self._count += 1
        heappush(self._heap, (max(at_ns, self.now_ns), self._count, call, args))

    def after(self, wait_ns: int, call, *args) -> None:
        self._count += 1
        heappush(self._heap, (self.now_ns + wait_ns, self._count, call, args))

    @property
    def next_ns(self) -> int:
        """When the next call is due; `NEVER` if none is."""
        return self._heap[0][0] if self._heap else NEVER

    def step(self) -> None:
        """Take the clock to the next call and make it."""
        self.now_ns, _, call, args = heappop(self._heap)
        call(*args)
