"""What can go wrong with the cache. Each tells what was found, what was expected and what to do next."""

from qts.codes import QtsError


class CacheError(QtsError):
    """Base of all errors of the cache."""


class CacheStaleData(CacheError):
    """A quote is older than entries may use: refuse the entry."""


class PriceDataUnavailable(CacheError):
    """There is no live price or book: refuse the entry."""


class AuthorityUnavailable(CacheError):
    """Every tier failed for a position, the risk state or a strategy: it is unknown. Refuse the entry."""


class TradeLimitExceeded(CacheError):
    """The day's entries are used up, or their number is unknown: refuse the entry."""


class BadTtl(CacheError):
    """A life that is no whole number of milliseconds from 1 on; nothing was written."""


class BadRecord(CacheError):
    """A record that is not whole; nothing was written, a read counts as a miss."""


class WrongType(CacheError):
    """A key of the server holds another type than its family; a read counts as a miss."""


class CacheConnection(CacheError):
    """The server cannot be reached, or cannot serve; the next tier is asked."""


class CacheTimeout(CacheConnection):
    """The server did not answer in time; the next tier is asked."""


class PoolExhausted(CacheTimeout):
    """No connection came free in time; the next tier is asked, and the server is not blamed."""


class CircuitOpen(CacheConnection):
    """The breaker is open: the server is left alone; the next tier is asked."""


class FallbackOverload(CacheError):
    """As many queries to the store run as may; this one was not begun."""
