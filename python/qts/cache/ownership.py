"""One process trades below a prefix: it claims the prefix, beats, and stops publishing where another one does."""

import asyncio
import json
from typing import Final

from qts.cache.client import CacheClient
from qts.cache.exceptions import CacheConnection, CacheError
from qts.cache.messages import say
from qts.cache.near import NearCache
from qts.cache.publisher import Publisher
from qts.cache.reports import Reports
from qts.cache.scripts import CLAIM, YIELD

_LEASE_MS: Final = 3_000
_LOOK_S: Final = 0.1


class Ownership:
    """Claim of a prefix.

    Args:
        client: the server.
        near: whose held records name the writers of this process.
        publisher: stopped when another process owns the prefix.
        reports: takes GR126.
        name: of this process.
        owns: whether this process trades; one that only reads claims nothing.
    """

    def __init__(
        self,
        client: CacheClient,
        near: NearCache,
        publisher: Publisher,
        reports: Reports,
        name: str,
        owns: bool,  # noqa: FBT001
    ) -> None:
        self._client = client
        self._near = near
        self._publisher = publisher
        self._reports = reports
        self._name = name
        self._owns = owns
        self._is_new = True

    async def claim(self) -> None:
        """Claim the prefix; the first time it waits for the claim of a process that is gone to end, 3 s at most.

        Raises:
            CacheError: it belongs to another live process, GR126; nothing is published until an operator decides.
        """
        if not self._owns:
            return
        keys = self._client.keys
        owner, left_ms = await self._ask()
        while self._is_new and owner != self._name:  # a process that lives renews its claim, that of a dead one ends
            await asyncio.sleep(_LOOK_S)
            before_ms = left_ms
            owner, left_ms = await self._ask()
            self._is_new = left_ms < before_ms
        self._is_new = False
        if owner != self._name:
            self._publisher.is_stopped = True
            found = say("owned", prefix=keys.prefix, owner=owner)
            self._reports.begin("GR126", keys.prefix, found)
            raise CacheError(found=found, expected=say("owned_expected"), hint=say("owned_hint"))

    async def _ask(self) -> tuple[str, int]:
        """Return whose the prefix is once it has been claimed, and for how many milliseconds."""
        key = self._client.keys.owner
        commands = [CLAIM.call([key], self._name, _LEASE_MS), ("PTTL", key)]
        owner, left_ms = await self._client.servers.run(commands, self._client.warm)
        for reply in (owner, left_ms):
            if isinstance(reply, CacheError):
                raise reply
        return str(owner), int(left_ms)

    async def beat(self) -> None:
        """Keep the claim, and tell others that the writers of this process are alive."""
        if not self._owns:
            return
        await self.claim()
        sources = sorted({entry.record.src for _, entry in self._near.items() if entry.is_held})
        message = {"kind": "beat", "owner": self._name, "srcs": sources}
        await self._client.publish(self._client.keys.control, json.dumps(message))

    def resume(self) -> None:
        """Publish again."""
        self._publisher.is_stopped = False
        self._reports.end("GR126", self._client.keys.prefix)

    async def give_back(self) -> None:
        """Give the prefix up, if it is this process's."""
        if not self._owns:
            return
        try:
            command = YIELD.call([self._client.keys.owner], self._name)
            await self._client.servers.run([command], self._client.warm)
        except CacheConnection:
            return  # the claim ends by itself
