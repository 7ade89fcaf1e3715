"""`cache.yaml`: where hot data are kept, for how long, and what is done when the cache server is away."""

from decimal import Decimal
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from qts.config.fields import Flag, Fraction, Number, Whole, Word, Words, refuse
from qts.config.models.base import Section

LOCAL_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "::1"})
"""Hosts to which a connection needs neither password nor TLS."""

Port = Annotated[Whole, Field(ge=1, le=65_535)]


class CacheTtl(Section):
    """How long a record lives, in milliseconds."""

    price: Annotated[Whole, Field(ge=50, le=100)] = Field(default=100, description="Life of a price, in milliseconds.")
    orderbook: Annotated[Whole, Field(ge=20, le=100)] = Field(
        default=50, description="Life of an order book, in milliseconds."
    )
    position: Annotated[Whole, Field(ge=200, le=2_000)] = Field(
        default=1_000, description="Life of a position, in milliseconds; its owner renews it at `refresh_ahead_ratio`."
    )
    risk: Annotated[Whole, Field(ge=500, le=5_000)] = Field(
        default=5_000, description="Life of the risk state, in milliseconds; its owner renews it as well."
    )
    order: Annotated[Whole, Field(ge=60_000, le=300_000)] = Field(
        default=60_000, description="Life of an order status, in milliseconds; working orders are renewed."
    )
    strategy: Annotated[Whole, Field(ge=5_000, le=300_000)] = Field(
        default=60_000, description="Life of strategy parameters, in milliseconds."
    )


class CacheStale(Section):
    """Ages above which a quote is refused for entries."""

    price: Annotated[Whole, Field(ge=1, le=1_000)] = Field(
        default=100, description="Age of a price, in milliseconds, above which it is refused."
    )
    orderbook: Annotated[Whole, Field(ge=1, le=1_000)] = Field(
        default=50, description="Age of an order book, in milliseconds, above which it is refused."
    )


class CacheBreaker(Section):
    """When the cache server is left alone, and when it is tried again."""

    failure_threshold: Annotated[Whole, Field(ge=1, le=100)] = Field(
        default=5, description="Failures in a row that open the breaker."
    )
    recovery_timeout_s: Annotated[Whole, Field(ge=1, le=3_600)] = Field(
        default=60, description="Seconds that an open breaker waits before the server is tried again."
    )
    half_open_successes: Annotated[Whole, Field(ge=1, le=100)] = Field(
        default=3, description="Trials in a row that must succeed before the breaker closes."
    )
    jitter_pct: Annotated[Whole, Field(ge=0, le=50)] = Field(
        default=10, description="Percent by which that wait differs at random, so that processes do not come at once."
    )
    slow_call_ms: Annotated[Number, Field(gt=0, le=1_000)] = Field(
        default=Decimal(5), description="Milliseconds above which a hot call counts as slow."
    )
    slow_ratio: Annotated[Fraction, Field(gt=0)] = Field(
        default=Decimal("0.5"), description="Share of slow calls that opens the breaker."
    )
    slow_window: Annotated[Whole, Field(ge=2, le=10_000)] = Field(
        default=50, description="Latest hot calls over which that share is taken."
    )


class CacheRetry(Section):
    """How often callers that may wait try again; hot calls never do."""

    max_attempts: Annotated[Whole, Field(ge=1, le=10)] = Field(
        default=3, description="Attempts of a call that may wait, the first included."
    )
    wait_ms: Annotated[Whole, Field(ge=0, le=1_000)] = Field(
        default=10, description="Milliseconds between two attempts."
    )


class CacheHitTarget(Section):
    """Hit rates that are expected."""

    position: Fraction = Field(default=Decimal("0.95"), description="Expected hit rate of positions.")
    price: Fraction = Field(default=Decimal("0.99"), description="Expected hit rate of prices, in continuous trading.")
    risk: Fraction = Field(default=Decimal("0.90"), description="Expected hit rate of the risk state.")


class CacheAlert(Section):
    """Figures at which the cache is reported."""

    hit_rate: Fraction = Field(default=Decimal("0.85"), description="Overall hit rate below which is reported.")
    latency_p99_ms: Annotated[Number, Field(gt=0, le=1_000)] = Field(
        default=Decimal(5), description="99th percentile of reads, in milliseconds, above which is reported."
    )
    pool_usage: Fraction = Field(
        default=Decimal("0.90"), description="Share of the connections in use above which is reported."
    )
    memory_usage: Fraction = Field(
        default=Decimal("0.80"), description="Share of the server's memory in use above which is reported."
    )


class CacheSettings(Section):
    """The cache."""

    backend: Literal["memory", "tiered", "redis"] = Field(
        default="memory",
        description="memory: inside the process, no server. tiered: the same, and a Redis or Valkey server that other"
        " processes read. redis: the server alone, for conformance tests.",
    )
    redis_host: Word = Field(default="localhost", description="Host of the server.")
    redis_port: Port = Field(default=6_379, description="Port of the server.")
    redis_db: Annotated[Whole, Field(ge=0, le=15)] = Field(
        default=0, description="Number of the database; a cluster has only 0."
    )
    redis_mode: Literal["single", "sentinel", "cluster"] = Field(
        default="single", description="What stands at that address: one server, a sentinel, or a node of a cluster."
    )
    redis_username: Word | None = Field(default=None, description="User of the server's access list; null = default.")
    redis_tls: Flag = Field(default=False, description="Whether connections are encrypted; required off localhost.")
    redis_tls_ca_file: Word | None = Field(
        default=None, description="Certificates that the server is checked against; null = those of the system."
    )
    sentinel_nodes: Words | None = Field(
        default=None, description="Addresses host:port of all sentinels; null = redis_host:redis_port alone."
    )
    sentinel_service: Word = Field(default="qts", description="Name under which the sentinels know the master.")
    key_prefix: Annotated[Word, Field(max_length=64, pattern=r"^[A-Za-z0-9_.:{}-]+$")] = Field(
        default="{mode}:{account}:",
        description="What every key starts with; {mode} and {account} are filled in, so that live, paper and test data"
        " never meet.",
    )
    pool_min_connections: Annotated[Whole, Field(ge=1, le=1_000)] = Field(
        default=10, description="Connections that are opened at the start."
    )
    pool_max_connections: Annotated[Whole, Field(ge=1, le=1_000)] = Field(default=50, description="Most connections.")
    socket_timeout_ms: Annotated[Whole, Field(ge=1, le=10_000)] = Field(
        default=100, description="Milliseconds that an attempt of a call that may wait can take."
    )
    socket_connect_timeout_ms: Annotated[Whole, Field(ge=1, le=60_000)] = Field(
        default=500, description="Milliseconds that connecting may take; never on the way of an order."
    )
    socket_keepalive: Flag = Field(default=True, description="Whether idle connections are kept alive.")
    decode_responses: Literal[True] = Field(default=True, description="Replies are text; records are decimal strings.")
    op_deadline_hot_ms: Annotated[Whole, Field(ge=1, le=100)] = Field(
        default=3, description="Milliseconds that a call on the way of an order may take."
    )
    pool_wait_ms: Annotated[Whole, Field(ge=0, le=100)] = Field(
        default=2, description="Longest wait for a free connection, in milliseconds."
    )
    ttl_ms: CacheTtl = Field(default_factory=CacheTtl, description="How long a record lives.")
    order_rearm_ms: Annotated[Whole, Field(ge=1_000, le=150_000)] = Field(
        default=20_000, description="Milliseconds after which the status of a working order is renewed."
    )
    refresh_ahead_ratio: Annotated[Number, Field(ge=Decimal("0.3"), le=Decimal("0.8"))] = Field(
        default=Decimal("0.5"), description="Share of its life after which an owner renews a position or risk state."
    )
    stale_threshold_ms: CacheStale = Field(default_factory=CacheStale, description="Ages at which quotes are refused.")
    staleness_mode: Literal["strict", "feed_alive"] = Field(
        default="strict",
        description="strict: entries need a fresh quote. feed_alive: for symbols that are opted in, an unchanged quote"
        " of a feed that is alive will do.",
    )
    feed_alive_max_quote_age_ms: Annotated[Whole, Field(ge=100, le=60_000)] = Field(
        default=3_000, description="Age of an unchanged quote, in milliseconds, up to which feed_alive accepts it."
    )
    max_future_skew_ms: Annotated[Whole, Field(ge=0, le=1_000)] = Field(
        default=50, description="Milliseconds that a timestamp may lie in the future."
    )
    max_clock_offset_ms: Annotated[Whole, Field(ge=1, le=1_000)] = Field(
        default=5,
        description="Offset between the clocks of two hosts, in milliseconds, above which prices of the"
        " other are refused.",
    )
    breaker: CacheBreaker = Field(default_factory=CacheBreaker, description="When the server is left alone.")
    retry: CacheRetry = Field(default_factory=CacheRetry, description="How often callers that may wait try again.")
    fallback_concurrency: Annotated[Whole, Field(ge=1, le=64)] = Field(
        default=8, description="Queries to the store at once while the cache is of no help."
    )
    book_depth_store: Annotated[Whole, Field(ge=1, le=50)] = Field(
        default=10, description="Price levels of each side that are kept."
    )
    book_depth_read: Annotated[Whole, Field(ge=1, le=50)] = Field(
        default=5, description="Price levels of each side that a read returns unless it asks for another number."
    )
    book_encoding: Literal["zset", "snapshot"] = Field(
        default="zset", description="How a book lies in the server: sorted sets, or one compact value."
    )
    daily_trade_ceiling: Annotated[Whole, Field(ge=1, le=100)] = Field(
        default=100, description="Entries in a day that are never exceeded, whatever the operating state allows."
    )
    min_publish_interval_ms: Annotated[Whole, Field(ge=1, le=1_000)] = Field(
        default=10, description="Milliseconds between two writes of a quote to the server; the latest one counts."
    )
    compression_min_bytes: Annotated[Whole, Field(ge=256)] = Field(
        default=4_096, description="Size in bytes from which a value outside of the six record types is compressed."
    )
    hit_target: CacheHitTarget = Field(default_factory=CacheHitTarget, description="Hit rates that are expected.")
    alert: CacheAlert = Field(default_factory=CacheAlert, description="Figures at which the cache is reported.")
    janitor_interval_s: Annotated[Whole, Field(ge=1, le=3_600)] = Field(
        default=60, description="Seconds between two searches for keys that never expire."
    )
    warmup_timeout_s: Annotated[Whole, Field(ge=1, le=600)] = Field(
        default=30, description="Seconds after which symbols without a quote are left out of trading."
    )
    ready_ratio: Annotated[Fraction, Field(gt=0)] = Field(
        default=Decimal("0.95"), description="Share of the symbols that must have a quote before the cache is ready."
    )

    @property
    def is_local(self) -> bool:
        """Whether every address is on this host."""
        hosts = {node.rpartition(":")[0] for node in self.sentinel_nodes or ()} or {self.redis_host}
        return hosts <= LOCAL_HOSTS

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        rules = (
            (self.pool_min_connections <= self.pool_max_connections, "pool_min_connections <= pool_max_connections"),
            (2 * self.order_rearm_ms < self.ttl_ms.order, "order_rearm_ms < ttl_ms.order / 2"),
            (self.book_depth_read <= self.book_depth_store, "book_depth_read <= book_depth_store"),
            (self.redis_mode != "cluster" or self.redis_db == 0, "redis_db = 0 with redis_mode cluster"),
            (
                self.backend == "memory" or self.is_local or self.redis_tls,
                "redis_tls true for a server off localhost",
            ),
            (self.op_deadline_hot_ms <= self.socket_timeout_ms, "op_deadline_hot_ms <= socket_timeout_ms"),
            (
                self.stale_threshold_ms.price <= self.feed_alive_max_quote_age_ms,
                "stale_threshold_ms.price <= feed_alive_max_quote_age_ms",
            ),
            ("{" not in _filled(self.key_prefix), "key_prefix without braces except {mode} and {account}"),
            (
                all(_is_address(node) for node in self.sentinel_nodes or ()),
                "sentinel_nodes as host:port, port 1..65535",
            ),
        )
        for holds, order in rules:
            if not holds:
                raise refuse("ordered", order=order)
        return self


class CacheFile(Section):
    """`cache.yaml`."""

    cache: CacheSettings = Field(default_factory=CacheSettings, description="The cache.")


def _filled(prefix: str) -> str:
    return prefix.replace("{mode}", "").replace("{account}", "").replace("}", "{")


def _is_address(node: str) -> bool:
    host, _, port = node.rpartition(":")
    return bool(host) and port.isdecimal() and 1 <= int(port) <= 65_535
