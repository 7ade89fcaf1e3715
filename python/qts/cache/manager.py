"""The cache as a whole: it is started, kept in order, brought back into step after a failure, and stopped."""

import asyncio
import json
import logging
import secrets
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Final, Self

from qts.cache.authority import PositionAudit
from qts.cache.breaker import BreakerState, CircuitBreaker
from qts.cache.client import CacheClient, Query
from qts.cache.contracts import FAMILY_OF, Family, Position, Readiness, ReadyState, Record, id_of
from qts.cache.exceptions import CacheConnection, CacheError
from qts.cache.facade import EXIT_STALE_MS, ScalpDataCache
from qts.cache.fallback import FallbackHandler
from qts.cache.freshness import Freshness
from qts.cache.interfaces import Loaders, Ports, Reporter
from qts.cache.janitor import Janitor, node_key
from qts.cache.keys import WORDS, Keys
from qts.cache.messages import say
from qts.cache.metrics import CacheMetrics
from qts.cache.near import NearCache
from qts.cache.ownership import Ownership
from qts.cache.publisher import Publisher
from qts.cache.reports import Reports, silent
from qts.cache.scripts import PUT
from qts.cache.signals import Owners, Signals
from qts.cache.tiers import Tiers
from qts.cache.topology import Servers, servers_for
from qts.cache.warmup import WarmUp
from qts.clock import Clock
from qts.codes import ConfigError, UsageError
from qts.config import CacheSettings

log: Final = logging.getLogger(__name__)
_NS_PER_S: Final = 1_000_000_000
_RENEW_PACE_S: Final = 0.05
_TEND_PACE_S: Final = 0.1
_KEPT_MS: Final = 600_000
"""Time for which expired records stay near: their versions hold back older ones."""
_TARGET_NS: Final = 900 * _NS_PER_S


class CacheManager:
    """Owns the parts of the cache and the tasks that tend it. `cache` is what the rest of the engine uses.

    Everything but pushing quotes happens in the event loop that `start` was called in. With the backend `memory` there
    is no server, and the client library is never loaded.
    """

    def __init__(
        self,
        config: CacheSettings,
        keys: Keys,
        clock: Clock,
        loaders: Loaders,
        ports: Ports,
        report: Reporter,
        password: str | None,
        *,
        owns_prefix: bool,
        is_sole: bool,
        exit_stale_ms: int,
    ) -> None:
        self.config = config
        self.keys = keys
        self.near = NearCache(clock)
        self.metrics = CacheMetrics(config, clock)
        self.reports = Reports(clock, report)
        self.name = secrets.token_hex(8)
        """Of this process, for as long as it lives."""
        self._clock = clock
        self._ports = ports
        self._is_sole = is_sole
        self._owners = Owners(clock, self.name)
        self.servers: Servers | None = None
        self.client: CacheClient | None = None
        self._publisher: Publisher | None = None
        if config.backend != "memory":
            self.servers = servers_for(config)(config, password, clock, self._new_breaker, self._on_master)
            self.client = CacheClient(self.servers, keys, config, self._on_bad_key)
            self._publisher = Publisher(config, self.client, clock, self.metrics)
        self.tiers = Tiers(config, self.near, self.client, self.metrics, clock, self._owners.is_trusted)
        self.tiers.may_read_server = False
        self._fallback = FallbackHandler(config, clock, self.metrics, self.reports)
        self.freshness = Freshness(config, clock, self.reports, ports.feed)
        self.cache = ScalpDataCache(
            config,
            clock,
            self.tiers,
            self._publisher,
            self._fallback,
            self.freshness,
            self.reports,
            loaders,
            ports,
            exit_stale_ms,
        )
        self.warm_up = WarmUp(config, self.cache, self.near, loaders, clock)
        self._janitor: Janitor | None = None
        self._signals: Signals | None = None
        self._ownership: Ownership | None = None
        self._audit: PositionAudit | None = None
        if self.servers is not None and self.client is not None and self._publisher is not None:
            self._janitor = Janitor(self.client, clock, self.metrics, self.reports)
            self._signals = Signals(self.servers, keys, self.near, self._owners, clock, self._on_flush, self._on_return)
            self._ownership = Ownership(self.client, self.near, self._publisher, self.reports, self.name, owns_prefix)
            self._audit = PositionAudit(self.client, clock, self.reports)
        self._tasks: list[asyncio.Task[None]] = []
        self._is_started = False
        self._is_in_step = False
        self._has_returned = False
        self._failure = ""
        self._due_ns: dict[str, int] = {}
        self._missed_since_ns: dict[Family, int] = {}
        self._safety = "NORMAL"

    @classmethod
    def from_config(
        cls,
        config: CacheSettings,
        *,
        mode: str,
        account: str,
        clock: Clock,
        loaders: Loaders | None = None,
        ports: Ports | None = None,
        report: Reporter = silent,
        password: str | None = None,
        owns_prefix: bool = True,
        is_sole: bool = True,
        exit_stale_ms: int = EXIT_STALE_MS,
    ) -> Self:
        """Return a cache that has not been started.

        Args:
            config: settings of `cache.yaml`.
            mode: run mode, such as live or paper; fills `key_prefix`.
            account: account; fills `key_prefix`.
            clock: time.
            loaders: the store and the broker.
            ports: session, feed, audit, gate of entries, writer of the store.
            report: takes the codes.
            password: of the server, from the secrets.
            owns_prefix: whether this process trades and so writes below the prefix; another one that does is refused.
            is_sole: whether this process can do without others: a server that is unfit is then done without.
            exit_stale_ms: age up to which a protective exit takes a price for fresh.

        Raises:
            ConfigError: prefix unfit, or no password for a server off this host.
        """
        if config.backend != "memory" and not config.is_local and not password:
            raise ConfigError(
                found=say("no_password", host=config.redis_host),
                expected=say("no_password_expected"),
                hint=say("no_password_hint"),
            )
        prefix = config.key_prefix.replace("{mode}", mode).replace("{account}", account)
        return cls(
            config,
            Keys(prefix),
            clock,
            loaders or Loaders(),
            ports or Ports(),
            report,
            password,
            owns_prefix=owns_prefix,
            is_sole=is_sole,
            exit_stale_ms=exit_stale_ms,
        )

    # life

    async def start(self) -> ReadyState:
        """Connect, load what the store knows, and begin to tend the cache; return how far it is.

        A server that is away or unfit is no error: the cache then works without it and goes on trying.
        """
        self._is_started = True
        self.cache.bind(asyncio.get_running_loop())
        await self._join_server()
        await self.warm_up.load()
        if self._publisher is not None:
            self._tasks.append(asyncio.ensure_future(self._publisher.run()))
        self._tasks.append(asyncio.ensure_future(self._repeat(self._renew, _RENEW_PACE_S)))
        self._tasks.append(asyncio.ensure_future(self._repeat(self.tend, _TEND_PACE_S)))
        return self.ready()

    async def stop(self) -> None:
        """Write what waits, give the prefix back, close every connection."""
        tasks, self._tasks = self._tasks, []
        if self._is_started and self._is_in_step:
            await self.cache.drained()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._ownership is not None and self._is_in_step:
            await self._ownership.give_back()
        if self._signals is not None:
            await self._signals.aclose()
        await self._fallback.aclose()
        if self.servers is not None:
            await self.servers.aclose()
        self._is_started = self._is_in_step = self.tiers.may_read_server = False

    async def __aenter__(self) -> Self:
        """Start."""
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        await self.stop()

    def ready(self) -> ReadyState:
        """Return whether decisions may be made with the cache, and for which symbols."""
        flags = self.warm_up.symbols()
        if not self._is_started:
            return ReadyState(Readiness.OFF, flags)
        lacks_server = self.servers is not None and not (self._is_in_step and self.servers.are_closed)
        if lacks_server and not (self._is_sole and self.tiers.has_near):
            return ReadyState(Readiness.OFF, flags, self._failure)
        if not self.warm_up.is_ready():
            return ReadyState(Readiness.WARMING, flags, self.warm_up.failure)
        return ReadyState(Readiness.DEGRADED if lacks_server else Readiness.READY, flags, self._failure)

    @property
    def is_overloaded(self) -> bool:
        """Whether queries to the store have been at their limit for more than 5 s: no new scalp entries until then."""
        return self._fallback.is_overloaded

    # tending

    async def _repeat(self, work: Callable[[], Awaitable[None]], pace_s: float) -> None:
        while True:
            try:
                await work()
            except Exception:
                log.exception("tending the cache failed; it is tried again")
            await asyncio.sleep(pace_s)

    async def _renew(self) -> None:
        self.cache.leases.renew_due()

    async def tend(self) -> None:
        """Do what is due: probes, heartbeats, audits, gauges, the janitor's round. Called again and again."""
        if not self.warm_up.is_loaded and self._is_due("load", 1):
            await self.warm_up.load()
        if self.servers is not None:
            await self._tend_server(self.servers)
        if self._is_due("gauges", 5):
            await self._gauge()
            self.near.sweep(_KEPT_MS)

    async def _tend_server(self, servers: Servers) -> None:
        if not servers.nodes or not self._is_in_step:
            if servers.are_closed or not servers.nodes:
                if self._is_due("join", 1):
                    await self._join_server()
            else:
                await self._probe(servers)
            return
        if not servers.are_closed:
            await self._probe(servers)
        elif self._has_returned:
            self._has_returned = False
            await self._join_server()
        if self._is_due("places", 1) and self.config.redis_mode != "single":
            await self._quietly(servers.locate)
        await self._keep_up()

    async def _keep_up(self) -> None:
        """Listen, beat, audit, clean: what a server that is in step needs now and then."""
        if self._signals is not None:
            self._signals.tend()
        if self._is_due("beat", 1):
            await self._quietly(self._beat)
        suspects = self._audit is not None and self._audit.has_suspects
        if self._is_due("audit", 0.2 if suspects else 1.0):
            await self._quietly(self._check_positions)
        if self._is_due("janitor", self.config.janitor_interval_s):
            await self._quietly(self.clean)

    def _is_due(self, what: str, every_s: float) -> bool:
        now_ns = self._clock.monotonic_ns()
        if now_ns < self._due_ns.get(what, 0):
            return False
        self._due_ns[what] = now_ns + int(every_s * _NS_PER_S)
        return True

    async def _quietly(self, work: Callable[[], Awaitable[object]]) -> None:
        try:
            await work()
        except CacheError as error:
            log.debug("cache server: %s", error)

    async def _beat(self) -> None:
        if self._signals is not None:
            await self._signals.ping()
        if self._ownership is not None:
            await self._ownership.beat()

    async def _check_positions(self) -> None:
        if self._audit is not None:
            held = [record for record in self.cache.leases.held() if isinstance(record, Position)]
            await self._audit.check(held)

    async def clean(self) -> list[str]:
        """Make the janitor's round now; return the keys that were deleted."""
        if self._janitor is None or self.servers is None:
            return []
        for node in list(self.servers.nodes):
            self._judge_clock(node.name, await self._janitor.measure(node))
        return await self._janitor.clean()

    def _judge_clock(self, node: str, offset_ms: float) -> None:
        self.freshness.clock_offset_ms = offset_ms
        if abs(offset_ms) > self.config.max_clock_offset_ms:
            self.reports.begin("GR123", node, say("other_host", kind="clock", symbol=node, ms=round(offset_ms, 1)))
        else:
            self.reports.end("GR123", node)

    async def _gauge(self) -> None:
        if self._janitor is not None and self._is_in_step:
            await self._janitor.gauge()
        low = [alert for alert in self.metrics.alerts() if alert.name == "hit_rate"]
        missed = self.metrics.missed_targets()
        now_ns = self._clock.monotonic_ns()
        self._missed_since_ns = {family: self._missed_since_ns.get(family, now_ns) for family in missed}
        lasting = [family for family, since_ns in self._missed_since_ns.items() if now_ns - since_ns >= _TARGET_NS]
        if low:
            self.reports.begin("GR122", "all", f"{low[0].value:.3f} < {low[0].limit}")
        else:
            self.reports.end("GR122", "all")
        for family in (Family.POSITION, Family.PRICE, Family.RISK):
            if family in lasting:
                rate, target = missed[family]
                self.reports.begin("GR122", family, f"{rate:.3f} < {target}")
            else:
                self.reports.end("GR122", family)

    # the server comes and goes

    async def _join_server(self) -> None:
        """Connect to the servers, check them, and bring records into step; without success it is tried again."""
        if self.servers is None or self._janitor is None or self._ownership is None:
            self._is_in_step = True
            return
        try:
            await self.servers.open()
            for node in self.servers.nodes:
                self._judge_clock(node.name, await self._janitor.inspect(node))
            await self._ownership.claim()
            if self._signals is not None:
                await self._signals.open(self.config.socket_connect_timeout_ms / 1000)
            await self._resync()
        except CacheError as error:
            self._is_in_step = self.tiers.may_read_server = False
            if str(error) != self._failure:
                log.warning("the cache works without its server: %s", error)
            self._failure = str(error)
            if isinstance(error, CacheConnection):
                for node in self.servers.nodes:
                    node.breaker.failed(error.found)

    async def _probe(self, servers: Servers) -> None:
        for node in list(servers.nodes):
            if node.breaker.is_closed or not node.breaker.is_due() or self.client is None:
                continue
            try:
                connection = await node.connect()
                try:
                    async with asyncio.timeout(self.client.bulk.deadline_s):
                        key = node_key(self.client, node)
                        version = max(1, self._clock.now_ns() // 1000)
                        write = PUT.call([f"{key}:w"], 1_000, version, 0, self.name, "ver", version, "src", self.name)
                        replies = await node.converse(connection, [("PING",), ("GET", key), write])
                finally:
                    await connection.disconnect(nowait=True)
                failed = [reply for reply in replies if isinstance(reply, Exception)]
                is_well = not failed
            except (OSError, TimeoutError, CacheError):
                is_well = False
            if node.breaker.probed(success=is_well):
                node.breaker.close()
                node.pool.reset()
        if servers.are_closed:
            await self._join_server()
        elif self.config.redis_mode != "single" and self._is_due("places", 1):
            await self._quietly(servers.locate)

    async def _resync(self) -> None:
        """Forget what others wrote, publish what this process is the source of, and read it back.

        Raises:
            CacheError: it could not be done; records of the server are not read until it has been.
        """
        self.tiers.may_read_server = False
        self._is_in_step = False
        if self.client is None or self._publisher is None or self.servers is None:
            return
        self.near.drop_all(lambda _key, entry: not entry.is_held)
        for node in self.servers.nodes:
            await node.pool.fill()
        held = self.cache.leases.held()
        for record in held:
            self._publisher.offer(record, renews=True)
        if not self._publisher.is_stopped:
            if not await self._publisher.write_pending():
                raise CacheConnection(
                    found=say("unreachable", node=self.config.redis_host, reason="resync"),
                    expected=say("reachable"),
                    hint=say("server_hint"),
                )
            await self._confirm(held)
            await self.cache.counter.publish()
        self.tiers.may_read_server = self._is_in_step = True
        self._failure = ""
        names = {node.name for node in self.servers.nodes}
        self.reports.end_others("GR120", names)
        for gauge in [key for key in self.metrics.gauges if key[1] not in names]:
            del self.metrics.gauges[gauge]

    async def _confirm(self, held: list[Record]) -> None:
        """Read back what was written; what has changed since is newer there or on its way."""
        if self.client is None or not held:
            return
        queries = [Query(FAMILY_OF[type(record)], id_of(record)) for record in held]
        copies = await self.client.get(queries, self.client.bulk)
        for query, record, copy in zip(queries, held, copies, strict=True):
            if copy is None or copy.record.ver < record.ver:
                found = say("unknown_state", key=self.keys.of(query.family, query.name))
                raise CacheConnection(found=found, expected=say("reachable"), hint=say("server_hint"))

    def _new_breaker(self, node: str) -> CircuitBreaker:
        return CircuitBreaker(node, self.config, self._clock, self._on_breaker)

    def _on_breaker(self, breaker: CircuitBreaker, state: BreakerState, reason: str) -> None:
        self.metrics.breaker_transitions[breaker.node] += 1
        self.metrics.gauges["breaker_state", breaker.node] = float(state is not BreakerState.CLOSED)
        if state is BreakerState.OPEN:
            self._is_in_step = self.tiers.may_read_server = False
            self._failure = f"{say('open', node=breaker.node)}: {reason}"
            self.reports.begin("GR120", breaker.node, self._failure)
        elif state is BreakerState.CLOSED:
            self.reports.end("GR120", breaker.node)

    def _on_master(self, node: str) -> None:
        """Note that a master has changed: acknowledged writes may be lost."""
        log.warning("the cache has a new master: %s", node)
        self._is_in_step = self.tiers.may_read_server = False
        self._due_ns.pop("join", None)
        self.warm_up.restart()

    def _on_return(self, node: str) -> None:
        """Note that a server answers again whose connection was lost: it may have started anew, and empty."""
        log.info("the cache server is back: %s", node)
        self._has_returned = True

    def _on_bad_key(self, key: str, found: str) -> None:
        self.metrics.immortal_keys += 1
        self.reports.once("GR124", key, found)

    def _on_flush(self, family: str) -> None:
        heads = [f"{word}:" for name, word in WORDS.items() if family in {"all", name}]
        self.near.drop_all(lambda key, entry: not entry.is_held and key.startswith(tuple(heads)))

    # operators and safety

    async def flush(self, operator: str, reason: str, family: Family | None = None) -> int:
        """Delete every key of a family, or of the prefix, near and on the server, and warm up again.

        Args:
            operator: who does it.
            reason: why; both are put on record first.
            family: a type, None for all.

        Returns:
            How many keys of the server were deleted.

        Raises:
            UsageError: operator or reason missing, or entries are not known to be held back; nothing was deleted.
            CacheError: the server failed on the way; flush again.
        """
        for name, value in (("operator", operator), ("reason", reason)):
            if not value.strip():
                raise UsageError(found=say("flush_who", name=name), expected=say("flush_who_expected"))
        if self._ports.entries_closed is None or not self._ports.entries_closed():
            raise UsageError(found=say("flush_gate"), expected=say("flush_gate_expected"), hint=say("flush_gate_hint"))
        what = "all" if family is None else family.value
        self._put_on_record("flush", operator=operator, reason=reason, family=what)
        self.warm_up.restart()
        heads = tuple(f"{word}:" for name, word in WORDS.items() if family in {None, name})
        self.near.drop_all(lambda key, _entry: key.startswith(heads))
        count = 0
        if self.client is not None:
            try:
                count = await self.client.flush(family)
                await self.client.publish(self.keys.control, json.dumps({"kind": "flush", "family": what}))
            except CacheError as error:
                found = say("flush_partial", count=count, reason=error.found)
                raise CacheError(found=found, expected=say("reachable"), hint=say("flush_again")) from error
        if self._ownership is not None and self._is_in_step:
            await self._quietly(self._ownership.claim)
        for record in self.cache.leases.held():
            if family in {None, FAMILY_OF[type(record)]}:
                self.cache.hold(record)  # type: ignore[arg-type]  # leases hold nothing else
        await self.warm_up.load()
        return count

    def force_breaker(self, *, is_open: bool, operator: str, reason: str) -> None:
        """Leave the servers alone, or try them at once; put on record."""
        self._put_on_record("breaker", operator=operator, reason=reason, state="open" if is_open else "close")
        for node in self.servers.nodes if self.servers is not None else ():
            if is_open:
                node.breaker.force_open(reason)
            else:
                node.breaker.force_close(reason)

    def resume_publishing(self, operator: str, reason: str) -> None:
        """Publish again after another process was found below the prefix; put on record."""
        self._put_on_record("resume", operator=operator, reason=reason)
        if self._ownership is not None:
            self._ownership.resume()

    def set_safety(self, state: str) -> None:
        """Follow the safety state: NORMAL, WARNING, FAIL or LOCKDOWN. Called in the loop's thread."""
        before, self._safety = self._safety, state
        halted = state in {"FAIL", "LOCKDOWN"}
        self.cache.are_strategies_frozen = halted
        self.cache.are_entries_held = halted
        self.reports.is_muted = state == "LOCKDOWN"
        if self._publisher is not None:
            self._publisher.are_quotes_paused = state == "LOCKDOWN"
        if before in {"FAIL", "LOCKDOWN"} and not halted:
            self.warm_up.restart()
            if self.servers is not None:
                self._is_in_step = self.tiers.may_read_server = False
                self._due_ns.pop("join", None)

    def _put_on_record(self, act: str, **about: str) -> None:
        if self._ports.audit is not None:
            self._ports.audit(act, about)
