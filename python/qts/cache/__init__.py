"""Hot data near at hand, and on a server for other processes. The cache is never the place of record.

What is not in it is unknown: no record of a position is not a position of zero, no record of an order does not mean
that there is none, and a quote that is stale or absent is never replaced by an older one.
"""

from qts.cache.breaker import BreakerState, CircuitBreaker
from qts.cache.contracts import (
    ExitQuote,
    Family,
    Level,
    OrderbookSnapshot,
    OrderState,
    OrderStatus,
    Phase,
    Position,
    PreCheckData,
    Price,
    PutResult,
    Readiness,
    ReadyState,
    Record,
    RiskSnapshot,
    StrategyParams,
    UnknownOrder,
)
from qts.cache.exceptions import (
    AuthorityUnavailable,
    BadRecord,
    BadTtl,
    CacheConnection,
    CacheError,
    CacheStaleData,
    CacheTimeout,
    CircuitOpen,
    FallbackOverload,
    PriceDataUnavailable,
    TradeLimitExceeded,
    WrongType,
)
from qts.cache.facade import ScalpDataCache
from qts.cache.host import CacheHost
from qts.cache.interfaces import FeedHealth, Loaders, Ports, Report, Reporter, Sessions, Writer
from qts.cache.manager import CacheManager
from qts.cache.metrics import Alert, CacheMetrics
from qts.cache.near import NearCache

__all__ = [
    "Alert",
    "AuthorityUnavailable",
    "BadRecord",
    "BadTtl",
    "BreakerState",
    "CacheConnection",
    "CacheError",
    "CacheHost",
    "CacheManager",
    "CacheMetrics",
    "CacheStaleData",
    "CacheTimeout",
    "CircuitBreaker",
    "CircuitOpen",
    "ExitQuote",
    "FallbackOverload",
    "Family",
    "FeedHealth",
    "Level",
    "Loaders",
    "NearCache",
    "OrderState",
    "OrderStatus",
    "OrderbookSnapshot",
    "Phase",
    "Ports",
    "Position",
    "PreCheckData",
    "Price",
    "PriceDataUnavailable",
    "PutResult",
    "Readiness",
    "ReadyState",
    "Record",
    "Report",
    "Reporter",
    "RiskSnapshot",
    "ScalpDataCache",
    "Sessions",
    "StrategyParams",
    "TradeLimitExceeded",
    "UnknownOrder",
    "Writer",
    "WrongType",
]
