"""How old a quote is, and whether an entry may go by it."""

from collections.abc import Callable
from typing import Final, NamedTuple

from qts.cache.contracts import OrderbookSnapshot, Phase, Price
from qts.cache.exceptions import CacheStaleData
from qts.cache.interfaces import FeedHealth
from qts.cache.messages import say
from qts.cache.near import Entry
from qts.cache.reports import Reports
from qts.clock import Clock
from qts.config import CacheSettings

_NS_PER_MS: Final = 1_000_000
_FEED_ALIVE_MS: Final = 100


class Age(NamedTuple):
    """Milliseconds since the exchange stamped a quote and since it was received."""

    event_ms: int
    receive_ms: int

    @property
    def ms(self) -> int:
        """The older of both."""
        return max(self.event_ms, self.receive_ms)


class Freshness:
    """Judges quotes. Ages within the process go by the monotonic clock, so a step of the wall clock cannot refresh."""

    def __init__(
        self,
        config: CacheSettings,
        clock: Clock,
        reports: Reports,
        feed: Callable[[str], FeedHealth | None] | None = None,
    ) -> None:
        self._config = config
        self._clock = clock
        self._reports = reports
        self._feed = feed or (lambda _: None)
        self._limits = {Price: config.stale_threshold_ms.price, OrderbookSnapshot: config.stale_threshold_ms.orderbook}
        self._opted_in: set[str] = set()
        self.clock_offset_ms = 0.0
        """Of the host that the server runs on, as measured."""

    def allow_feed_alive(self, symbol: str) -> None:
        """Opt a symbol in to `feed_alive`, which the settings have to name as well."""
        self._opted_in.add(symbol)

    def age(self, quote: Price | OrderbookSnapshot, entry: Entry | None = None) -> Age:
        """Return how old a quote is; `entry` is that of the near cache if it came from there."""
        now_ms = self._clock.now_ns() // _NS_PER_MS
        if entry is None:
            return Age(now_ms - quote.timestamp, now_ms - quote.recv_ts)
        kept_ms = (self._clock.monotonic_ns() - entry.put_ns) // _NS_PER_MS
        at_ms = entry.put_ms + kept_ms  # wall time that only the monotonic clock has moved
        return Age(max(at_ms, now_ms) - quote.timestamp, at_ms - quote.recv_ts)

    def check(self, quote: Price | OrderbookSnapshot, entry: Entry | None = None) -> Age:
        """Return the age of a quote that entries may use.

        Raises:
            CacheStaleData: it is too old, from the future, or of a host whose clock is off.
        """
        kind, limit_ms = type(quote).__name__, self._limits[type(quote)]
        age = self.age(quote, entry)
        skew_ms = -min(age.event_ms, age.receive_ms)
        if skew_ms > self._config.max_future_skew_ms:
            found = say("from_future", kind=kind, symbol=quote.symbol, ms=skew_ms)
            self._reports.begin("GR123", quote.symbol, found)
            raise CacheStaleData(found=found, expected=f"<= {limit_ms} ms", hint=say("clock_hint"))
        is_foreign = entry is None or not entry.is_held
        if is_foreign and abs(self.clock_offset_ms) > self._config.max_clock_offset_ms:
            found = say("other_host", kind=kind, symbol=quote.symbol, ms=round(self.clock_offset_ms, 1))
            raise CacheStaleData(found=found, expected=f"<= {limit_ms} ms", hint=say("clock_hint"))
        self._reports.end("GR123", quote.symbol)
        health = self._feed(quote.symbol)
        slack_ms = 0 if health is None else health.resolution_ms
        if age.receive_ms <= limit_ms and age.event_ms <= limit_ms + slack_ms:
            return age
        if self._is_still_the_quote(quote, age, health):
            return age
        found = say("stale", kind=kind, symbol=quote.symbol, ms=age.ms)
        raise CacheStaleData(found=found, expected=f"<= {limit_ms} ms", hint=say("feed_hint"))

    def goes_by_feed(self, symbol: str) -> bool:
        """Whether an unchanged quote of the symbol may outlive its record."""
        return self._config.staleness_mode == "feed_alive" and symbol in self._opted_in

    def _is_still_the_quote(self, quote: Price | OrderbookSnapshot, age: Age, health: FeedHealth | None) -> bool:
        return (
            health is not None
            and self.goes_by_feed(quote.symbol)
            and quote.phase == Phase.CONTINUOUS
            and not health.has_gap
            and 0 <= health.last_message_age_ms <= _FEED_ALIVE_MS
            and age.ms <= self._config.feed_alive_max_quote_age_ms
        )
