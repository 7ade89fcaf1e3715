"""The server as a client of it sees it: one node, the master that sentinels name, or the nodes of a cluster."""

import asyncio
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias, cast

from qts.cache.breaker import CircuitBreaker
from qts.cache.exceptions import (
    BadTtl,
    CacheConnection,
    CacheError,
    CacheTimeout,
    CircuitOpen,
    PoolExhausted,
    WrongType,
)
from qts.cache.messages import say
from qts.cache.pool import Pool
from qts.cache.scripts import TEXTS, Command
from qts.clock import Clock
from qts.codes import ConfigError
from qts.config import CacheSettings

if TYPE_CHECKING:
    from redis.asyncio import Connection

Reply: TypeAlias = Any
"""Text, a number, a list or a table of them, None, or a `CacheError` in place of the reply to one command."""
Address: TypeAlias = tuple[str, int]

_ASKING: Final[Command] = ("ASKING",)
_FATAL: Final = (
    "AuthenticationError",
    "BusyLoadingError",
    "ClusterDownError",
    "MasterDownError",
    "OutOfMemoryError",
    "ReadOnlyError",
    "TryAgainError",
)
"""Replies that say the server cannot serve now; every other error reply is the caller's fault."""
_FATAL_WORDS: Final = ("NOREPLICAS", "NOAUTH", "MASTERDOWN", "OOM")


class Profile(NamedTuple):
    """How long callers of a kind wait, and how often they try."""

    name: str
    deadline_s: float
    attempts: int
    wait_s: float
    grows: bool = False


def profiles(config: CacheSettings) -> tuple[Profile, Profile, Profile]:
    """Return hot, warm and bulk: on the way of an order, loaders and screens, warm-up and janitor."""
    retry = config.retry
    wait_s = retry.wait_ms / 1000
    return (
        Profile("hot", config.op_deadline_hot_ms / 1000, 1, 0.0),
        Profile("warm", config.socket_timeout_ms / 1000, retry.max_attempts, wait_s),
        Profile("bulk", max(1.0, config.socket_timeout_ms / 1000), 3, 0.01, grows=True),
    )


def redis_package() -> Any:  # noqa: ANN401 - a module that may be absent
    """Return the client library, which is loaded only where a server is configured.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import redis.asyncio
    except ImportError as error:
        raise ConfigError(found=say("no_redis"), expected="redis", hint=say("no_redis_hint")) from error
    return redis


class Node:
    """One server: its connections, its breaker, and calls to it."""

    def __init__(
        self, address: Address, config: CacheSettings, password: str | None, clock: Clock, breaker: CircuitBreaker
    ) -> None:
        self.address = address
        self.name = f"{address[0]}:{address[1]}"
        self.breaker = breaker
        self._config = config
        self._password = password
        self._clock = clock
        self._redis = redis_package()
        self._errors = self._redis.exceptions
        self.pool = Pool(
            self.name,
            self.connect,
            config.pool_min_connections,
            config.pool_max_connections,
            may_connect=lambda: self.breaker.is_closed,
            on_failure=self.breaker.failed,
        )

    @property
    def connect_timeout_s(self) -> float:
        """Seconds that connecting, and asking a sentinel or node where to go, may take."""
        return self._config.socket_connect_timeout_ms / 1000

    async def connect(self, address: Address | None = None, *, db: int | None = None) -> "Connection":
        """Return a new connection that speaks RESP3.

        Raises:
            CacheConnection: the server cannot be reached or refuses this client.
        """
        config, (host, port) = self._config, address or self.address
        parts: dict[str, Any] = {
            "host": host,
            "port": port,
            "db": config.redis_db if db is None else db,
            "username": config.redis_username,
            "password": self._password,
            "socket_timeout": None,  # deadlines are set around whole calls
            "socket_connect_timeout": config.socket_connect_timeout_ms / 1000,
            "socket_keepalive": config.socket_keepalive,
            "decode_responses": config.decode_responses,
            "protocol": 3,
            "driver_info": None,
            "maint_notifications_config": self._redis.asyncio.connection.MaintNotificationsConfig(enabled=False),
        }
        kind = self._redis.asyncio.Connection
        if config.redis_tls:
            kind = self._redis.asyncio.SSLConnection
            parts["ssl_ca_certs"] = config.redis_tls_ca_file
        connection: Connection = kind(**parts)
        try:
            async with asyncio.timeout(config.socket_connect_timeout_ms / 1000):
                await connection.connect()  # type: ignore[no-untyped-call]
        except (OSError, TimeoutError, self._errors.RedisError) as error:
            await connection.disconnect(nowait=True)
            raise self.failure(error) from error
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        return connection

    def failure(self, error: object, deadline_s: float = 0.0) -> CacheConnection:
        """Return what a failure of the server is told as."""
        if isinstance(error, TimeoutError) and deadline_s:
            found = say("slow", node=self.name, ms=round(deadline_s * 1000))
            return CacheTimeout(found=found, expected=say("reachable"), hint=say("server_hint"))
        reason = str(error) or type(error).__name__
        found = say("unreachable", node=self.name, reason=reason)
        return CacheConnection(found=found, expected=say("reachable"), hint=say("server_hint"))

    async def call(self, commands: Sequence[Command], profile: Profile) -> list[Reply]:
        """Send commands in one round trip and return their replies; one attempt, the breaker is told.

        Raises:
            CircuitOpen: the breaker is open; nothing was sent.
            CacheTimeout: no answer before the deadline, or no free connection.
            CacheConnection: the server failed.
        """
        if not self.breaker.is_closed:
            found = say("open", node=self.name)
            raise CircuitOpen(found=found, expected=say("reachable"), hint=say("server_hint"))
        start_ns = self._clock.monotonic_ns()
        is_hot = profile.attempts == 1
        try:
            replies = await self.exchange(commands, profile.deadline_s, self._config.pool_wait_ms / 1000)
        except PoolExhausted:
            raise  # too much is asked at once; if the server is gone, whoever opens connections notices
        except CacheConnection as error:
            self.breaker.failed(error.found, self._clock.monotonic_ns() - start_ns, is_hot=is_hot)
            raise
        self.breaker.succeeded(self._clock.monotonic_ns() - start_ns, is_hot=is_hot)
        return replies

    async def exchange(self, commands: Sequence[Command], deadline_s: float, wait_s: float) -> list[Reply]:
        """The same without the breaker, for its probes."""
        connection = await self.pool.acquire(min(wait_s, deadline_s))
        try:
            async with asyncio.timeout(deadline_s):
                replies = await self.converse(connection, commands)
        except (OSError, TimeoutError, self._errors.RedisError) as error:
            self.pool.discard(connection)
            if not isinstance(error, TimeoutError):
                self.pool.reset()  # one end of the server's is the end of all
            raise self.failure(error, deadline_s) from error
        except BaseException:
            self.pool.discard(connection)
            raise
        self.pool.release(connection)
        for reply in replies:
            fatal = type(reply).__name__ in _FATAL or str(reply).startswith(_FATAL_WORDS)
            if isinstance(reply, Exception) and fatal:
                raise self.failure(reply)
        return [self._told(reply) if isinstance(reply, Exception) else reply for reply in replies]

    async def converse(self, connection: "Connection", commands: Sequence[Command]) -> list[Reply]:
        """Send commands and read their replies; scripts that the server does not know are sent along again."""
        replies = await self._round(connection, commands)
        unknown = [at for at, reply in enumerate(replies) if isinstance(reply, self._errors.NoScriptError)]
        if unknown:
            for at in unknown:
                text: Command = ("EVAL", TEXTS[str(commands[at][1])], *commands[at][2:])
                lead = [_ASKING] if at and commands[at - 1] == _ASKING else []  # it holds for one command only
                replies[at] = (await self._round(connection, [*lead, text]))[-1]
        return replies

    async def _round(self, connection: "Connection", commands: Sequence[Command]) -> list[Reply]:
        await connection.send_packed_command(connection.pack_commands(commands), check_health=False)
        replies: list[Reply] = []
        for _ in commands:
            try:
                replies.append(await connection.read_response(timeout=math.inf))
            except self._errors.ResponseError as error:
                replies.append(error)
            except self._errors.BusyLoadingError as error:
                replies.append(error)
        return replies

    def _told(self, error: Exception) -> Exception:
        text = str(error)
        if text.startswith("WRONGTYPE") or "wrong kind of value" in text:
            return WrongType(found=say("wrong_type", key=text), expected=say("readable"), hint=say("key_hint"))
        if text.startswith(("BADTTL", "BADVER")):
            return BadTtl(found=text, expected=say("bad_ttl_expected"), hint=say("bad_ttl_hint"))
        if isinstance(error, self._errors.MovedError | self._errors.AskError):
            return cast("Exception", error)
        found = say("unreachable", node=self.name, reason=text)
        return CacheError(found=found, expected=say("reachable"), hint=say("server_hint"))
