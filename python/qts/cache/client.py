"""Records on the server: read, written in one step each, found and deleted."""

import json
import zlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final, NamedTuple

from qts.cache.codec import decode, decode_snapshot, encode, encode_snapshot, scores
from qts.cache.contracts import FAMILY_OF, Family, OrderbookSnapshot, PutResult, Record, id_of
from qts.cache.exceptions import BadRecord, CacheConnection, CacheError, WrongType
from qts.cache.keys import Keys
from qts.cache.messages import say
from qts.cache.near import checked_ttl
from qts.cache.scripts import GET_BOOK, PUT, PUT_BOOK, PUT_TEXT, REBUILD, RELEASE, RESERVE, Command
from qts.cache.servers import Node, Profile, Reply, profiles
from qts.cache.topology import Servers
from qts.config import CacheSettings
from qts.money import plain

_SCAN_COUNT: Final = 500
_THERE_ALREADY: Final = 2
_IMMORTAL: Final = -1
_TOLD: Final = frozenset({Family.POSITION, Family.ORDER})
"""Families whose changes are told to other processes; the server itself tells those of the slower ones."""
_PACKED: Final = "z:"
_PLAIN: Final = "t:"


class Found(NamedTuple):
    """A record and the life that is left of it, in milliseconds."""

    record: Record
    left_ms: int


class Query(NamedTuple):
    """A record that is asked for."""

    family: Family
    name: str


class CacheClient:
    """The server's half of the cache.

    Args:
        servers: where commands go.
        keys: names below the prefix.
        config: the cache's settings.
        on_bad_key: told of a key that holds no record of its family, or never expires; it is deleted.
    """

    def __init__(
        self, servers: Servers, keys: Keys, config: CacheSettings, on_bad_key: Callable[[str, str], None]
    ) -> None:
        self.servers = servers
        self.keys = keys
        self._config = config
        self._on_bad_key = on_bad_key
        self._publish_word = "SPUBLISH" if config.redis_mode == "cluster" else "PUBLISH"
        self._is_snapshot = config.book_encoding == "snapshot"
        self.hot, self.warm, self.bulk = profiles(config)

    def ttl(self, family: Family) -> int:
        """Return the life of a family's records in milliseconds."""
        life: int = getattr(self._config.ttl_ms, family)
        return life

    # reads

    async def get(self, queries: Sequence[Query], profile: Profile, depth: int | None = None) -> list[Found | None]:
        """Return the records that are there, in one round trip.

        Raises:
            CacheConnection: the server gave no answer.
        """
        commands: list[Command] = []
        cuts: list[int] = []
        for query in queries:
            commands += self._read_commands(query, depth or self._config.book_depth_read)
            cuts.append(len(commands))
        replies = await self.servers.run(commands, profile)
        found: list[Found | None] = []
        doomed: list[str] = []
        start = 0
        for query, end in zip(queries, cuts, strict=True):
            found.append(self._read(query, replies[start:end], doomed))
            start = end
        for key in doomed:
            await self._delete_bad(key, profile)
        return found

    def _read_commands(self, query: Query, depth: int) -> list[Command]:
        if query.family is Family.BOOK:
            if not self._is_snapshot:
                return [GET_BOOK.call(self.keys.book(query.name), depth)]
            key = self.keys.snapshot(query.name)
            return [("GET", key), ("PTTL", key)]
        key = self.keys.of(query.family, query.name)
        return [("HGETALL", key), ("PTTL", key)]

    def _read(self, query: Query, replies: Sequence[Reply], doomed: list[str]) -> Found | None:
        key = self._main_key(query)
        try:
            for reply in replies:
                _raise_if(reply)
            fields, left_ms = self._fields(query, replies, key)
            if fields is None:
                return None
            _refuse_immortal(key, left_ms)
            record = decode(query.family, query.name, fields, key)
        except (BadRecord, WrongType) as error:
            self._on_bad_key(key, error.found)
            doomed.append(key)
            return None
        return Found(record, left_ms) if record is not None and left_ms > 0 else None

    def _fields(self, query: Query, replies: Sequence[Reply], key: str) -> tuple[dict[str, str] | None, int]:
        if query.family is not Family.BOOK:
            return (replies[0] or None), int(replies[1])
        if self._is_snapshot:
            value = replies[0]
            return (None if value is None else decode_snapshot(value, key)), int(replies[1])
        meta, *sides = replies[0]
        if not meta:
            return None, 0
        bids, bid_qty, asks, ask_qty, left_ms = sides
        fields = dict(zip(meta[::2], meta[1::2], strict=True))
        return fields | {"bids": _side(bids, bid_qty), "asks": _side(asks, ask_qty)}, int(left_ms)

    def _main_key(self, query: Query) -> str:
        if query.family is not Family.BOOK:
            return self.keys.of(query.family, query.name)
        return self.keys.snapshot(query.name) if self._is_snapshot else self.keys.book(query.name)[-1]

    def _all_keys(self, query: Query) -> list[str]:
        if query.family is Family.BOOK and not self._is_snapshot:
            return self.keys.book(query.name)
        return [self._main_key(query)]

    async def _delete_bad(self, key: str, profile: Profile) -> None:
        try:
            await self.servers.run([("UNLINK", key)], profile)
        except CacheConnection:
            return  # the janitor comes by

    # writes

    async def put(
        self, records: Sequence[Record], profile: Profile, *, renews: bool = False
    ) -> list[PutResult | CacheError]:
        """Write whole records, each with its life in one step, in one round trip.

        Args:
            records: of any families.
            profile: deadline and attempts.
            renews: an equal version of the same writer is replaced.

        Returns:
            For each what became of it, or the error with which the server refused it.

        Raises:
            BadTtl: nothing was written.
            CacheConnection: the server gave no answer; writing again does no harm.
        """
        commands = [self._write_command(record, renews=renews) for record in records]
        if not renews:
            commands += [self._news(record) for record in records if FAMILY_OF[type(record)] in _TOLD]
        failures: list[CacheConnection] = []
        replies = (await self.servers.run(commands, profile, failures=failures))[: len(records)]
        written = {1, _THERE_ALREADY} if failures else {1}  # what is there may be the work of a failed attempt
        results: list[PutResult | CacheError] = []
        for record, reply in zip(records, replies, strict=True):
            if isinstance(reply, CacheError):
                key = self._main_key(Query(FAMILY_OF[type(record)], id_of(record)))
                if isinstance(reply, WrongType):
                    self._on_bad_key(key, reply.found)
                    await self._delete_bad(key, profile)
                results.append(reply)
            else:
                results.append(PutResult.WRITTEN if reply in written else PutResult.SUPERSEDED)
        return results

    def _news(self, record: Record) -> Command:
        family = FAMILY_OF[type(record)]
        news = {"key": self.keys.of(family, id_of(record)), "ver": record.ver, "reason": "write"}
        return (self._publish_word, self.keys.channel(family), json.dumps(news))

    def _write_command(self, record: Record, *, renews: bool) -> Command:
        family = FAMILY_OF[type(record)]
        head = (checked_ttl(self.ttl(family)), record.ver, int(renews), record.src)
        if isinstance(record, OrderbookSnapshot):
            return self._write_book(record.cut(self._config.book_depth_store), head)
        fields = [part for pair in encode(record).items() for part in pair]
        return PUT.call([self.keys.of(family, id_of(record))], *head, *fields)

    def _write_book(self, book: OrderbookSnapshot, head: tuple[str | int, ...]) -> Command:
        if self._is_snapshot:
            return PUT_TEXT.call([self.keys.snapshot(book.symbol)], *head, encode_snapshot(book))
        unit = 10 ** scores(book)
        parts: list[str | int] = []
        for side in (book.bids, book.asks):
            parts.append(len(side))
            for price, qty in side:
                parts += [int(price * unit), plain(price), qty]
        parts += [part for pair in encode(book).items() for part in pair]
        return PUT_BOOK.call(self.keys.book(book.symbol), *head, *parts)

    async def delete(self, family: Family, name: str, profile: Profile) -> bool:
        """Delete a record; return whether it was there."""
        keys = self._all_keys(Query(family, name))
        [count] = await self.servers.run([("UNLINK", *keys)], profile)
        return isinstance(count, int) and count > 0

    async def put_blob(self, name: str, value: str, ttl_ms: int) -> None:
        """Write a value outside of the six types; a large one is compressed."""
        body = _PLAIN + value
        if len(value.encode()) >= self._config.compression_min_bytes:
            body = _PACKED + zlib.compress(value.encode()).hex()
        [reply] = await self.servers.run([("SET", self.keys.blob(name), body, "PX", checked_ttl(ttl_ms))], self.warm)
        if isinstance(reply, CacheError):
            raise reply

    async def get_blob(self, name: str) -> str | None:
        """Return such a value, None if it is not there."""
        [body] = await self.servers.run([("GET", self.keys.blob(name))], self.warm)
        if not isinstance(body, str):
            return None
        if body.startswith(_PACKED):
            return zlib.decompress(bytes.fromhex(body.removeprefix(_PACKED))).decode()
        return body.removeprefix(_PLAIN)

    # the day's entries

    async def reserve(self, day: str, limit: int) -> tuple[int, int]:
        """Count one more entry below `limit`. Never tried twice: a lost answer may have counted.

        Returns:
            1 and the new count; 0 and the count that reached the limit; -1 and 0 if there is no counter.
        """
        [reply] = await self.servers.run([RESERVE.call([self.keys.counter(day)], limit)], self.hot, repeats=False)
        if isinstance(reply, CacheError):
            raise reply
        return int(reply[0]), int(reply[1])

    async def release(self, day: str) -> None:
        """Take one entry back. Never tried twice."""
        await self.servers.run([RELEASE.call([self.keys.counter(day)])], self.warm, repeats=False)

    async def rebuild(self, day: str, count: int, ends_ms: int) -> int:
        """Set the counter to `count` unless it is higher; return what it is."""
        [reply] = await self.servers.run([REBUILD.call([self.keys.counter(day)], ends_ms, count)], self.warm)
        if isinstance(reply, CacheError):
            raise reply
        return int(reply)

    # everything below the prefix

    async def scan(self, family: Family | None = None) -> AsyncIterator[tuple[Node, list[str]]]:
        """Yield the keys of the prefix in portions, from every master; some may come twice."""
        pattern = self.keys.pattern(family)
        for node in list(self.servers.nodes):
            cursor = "0"
            while True:
                command = ("SCAN", cursor, "MATCH", pattern, "COUNT", _SCAN_COUNT)
                [reply] = await node.call([command], self.bulk)
                if isinstance(reply, Exception):
                    raise reply
                cursor, found = str(reply[0]), list(reply[1])
                if found:
                    yield node, found
                if cursor == "0":
                    break

    async def flush(self, family: Family | None = None) -> int:
        """Delete the keys of a family or of the whole prefix; never another prefix's. Returns how many."""
        count = 0
        async for node, found in self.scan(family):
            replies = await node.call([("UNLINK", key) for key in found], self.bulk)
            count += sum(reply for reply in replies if isinstance(reply, int))
        return count

    async def publish(self, channel: str, message: str) -> None:
        """Tell whoever listens; nobody is waited for. In a cluster the message goes through the channel's slot."""
        await self.servers.run([(self._publish_word, channel, message)], self.warm, repeats=False)


def _refuse_immortal(key: str, left_ms: int) -> None:
    if left_ms == _IMMORTAL:
        raise BadRecord(found=say("unreadable", key=key, name="PTTL", value=left_ms), expected=say("readable"))


def _raise_if(reply: Reply) -> None:
    if isinstance(reply, Exception):
        raise reply


def _side(prices: Sequence[str], sizes: Sequence[Any]) -> str:
    """Return prices and sizes as one text; a size that is missing is left out, which no reader accepts."""
    return " ".join(f"{price} {'' if size is None else size}" for price, size in zip(prices, sizes, strict=True))
