"""Scripts that the server runs in one step. Each checks everything before it writes anything."""

import hashlib
from typing import Final, NamedTuple

Command = tuple[str | int, ...]


class Script(NamedTuple):
    """A script and the name the server knows it by."""

    text: str
    sha: str

    def call(self, keys: list[str], *args: str | int) -> Command:
        """Return the command that runs it."""
        return ("EVALSHA", self.sha, len(keys), *keys, *args)


def _script(text: str) -> Script:
    return Script(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


_CHECK: Final = """
local ttl, ver = tonumber(ARGV[1]), tonumber(ARGV[2])
if not ttl or ttl < 1 or ttl ~= math.floor(ttl) then return redis.error_reply('BADTTL ' .. tostring(ARGV[1])) end
if not ver or ver < 1 then return redis.error_reply('BADVER ' .. tostring(ARGV[2])) end
"""
_NEWER: Final = """
if old then
  old = tonumber(old) or 0
  if old > ver then return 0 end
  if old == ver and by ~= ARGV[4] then return 0 end
  if old == ver and ARGV[3] ~= '1' then return 2 end
end
"""

PUT: Final = _script(
    _CHECK
    + """
local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'none' and kind ~= 'hash' then return redis.error_reply('WRONGTYPE ' .. KEYS[1]) end
local old, by = unpack(redis.call('HMGET', KEYS[1], 'ver', 'src'))
"""
    + _NEWER
    + """
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], unpack(ARGV, 5))
redis.call('PEXPIRE', KEYS[1], ttl)
return 1
"""
)
"""KEYS: the key. ARGV: ttl, ver, 1 to renew an equal version of the same writer, src, fields and values.

Returns 1 if it was written, 0 if a newer one or the same of another writer is there, 2 if it is there already.
"""

PUT_BOOK: Final = _script(
    _CHECK
    + """
local want = {'zset', 'hash', 'zset', 'hash', 'hash'}
for i = 1, 5 do
  local kind = redis.call('TYPE', KEYS[i]).ok
  if kind ~= 'none' and kind ~= want[i] then return redis.error_reply('WRONGTYPE ' .. KEYS[i]) end
end
local old, by = unpack(redis.call('HMGET', KEYS[5], 'ver', 'src'))
"""
    + _NEWER
    + """
redis.call('DEL', unpack(KEYS))
local at = 5
for side = 0, 1 do
  local count = tonumber(ARGV[at])
  for i = 0, count - 1 do
    local score, price, qty = ARGV[at + 1 + i * 3], ARGV[at + 2 + i * 3], ARGV[at + 3 + i * 3]
    redis.call('ZADD', KEYS[1 + side * 2], score, price)
    redis.call('HSET', KEYS[2 + side * 2], price, qty)
  end
  at = at + 1 + count * 3
end
redis.call('HSET', KEYS[5], unpack(ARGV, at))
for i = 1, 5 do redis.call('PEXPIRE', KEYS[i], ttl) end
return 1
"""
)
"""KEYS: bid, bid sizes, ask, ask sizes, meta. ARGV as above, then for each side a count and (score, price, size)."""

GET_BOOK: Final = _script(
    """
local meta = redis.call('HGETALL', KEYS[5])
if #meta == 0 then return {meta} end
local depth = tonumber(ARGV[1]) - 1
local bids = redis.call('ZREVRANGE', KEYS[1], 0, depth)
local asks = redis.call('ZRANGE', KEYS[3], 0, depth)
local bid_qty = #bids > 0 and redis.call('HMGET', KEYS[2], unpack(bids)) or {}
local ask_qty = #asks > 0 and redis.call('HMGET', KEYS[4], unpack(asks)) or {}
return {meta, bids, bid_qty, asks, ask_qty, redis.call('PTTL', KEYS[5])}
"""
)

PUT_TEXT: Final = _script(
    _CHECK
    + """
local value = redis.call('GET', KEYS[1])
local old = value and string.match(value, '^(%d+) ')
local by = ARGV[4]
"""
    + _NEWER
    + """
redis.call('SET', KEYS[1], ARGV[5], 'PX', ttl)
return 1
"""
)
"""KEYS: the key. ARGV: ttl, ver, renew, src, value that starts with its version."""

RESERVE: Final = _script(
    """
local now = redis.call('GET', KEYS[1])
if not now then return {-1, 0} end
now = tonumber(now)
if not now then return redis.error_reply('WRONGTYPE ' .. KEYS[1]) end
if now >= tonumber(ARGV[1]) then return {0, now} end
return {1, redis.call('INCR', KEYS[1])}
"""
)
"""Count one more below the limit ARGV[1]; -1: there is no counter, 0: the limit is reached. Compares first."""

RELEASE: Final = _script(
    """
local now = tonumber(redis.call('GET', KEYS[1]) or '')
if not now or now < 1 then return -1 end
return redis.call('DECR', KEYS[1])
"""
)

REBUILD: Final = _script(
    """
local at, count = tonumber(ARGV[1]), tonumber(ARGV[2])
if not at or not count then return redis.error_reply('BADTTL ' .. tostring(ARGV[1])) end
local now = tonumber(redis.call('GET', KEYS[1]) or '')
if now and now > count then count = now end
redis.call('SET', KEYS[1], count, 'PXAT', at)
return count
"""
)
"""Set the counter to ARGV[2], or leave it if it is higher; it ends at the Unix millisecond ARGV[1]."""

CLAIM: Final = _script(
    """
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return owner end
redis.call('SET', KEYS[1], ARGV[1], 'PX', tonumber(ARGV[2]))
return ARGV[1]
"""
)
"""Take or keep a prefix for ARGV[1] during ARGV[2] ms; returns whose it is."""

YIELD: Final = _script(
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('UNLINK', KEYS[1]) end return 0"
)

TEXTS: Final = {
    script.sha: script.text for script in (PUT, PUT_BOOK, GET_BOOK, PUT_TEXT, RESERVE, RELEASE, REBUILD, CLAIM, YIELD)
}
