"""Ids of transitions: ULIDs that follow from what they name."""

from __future__ import annotations

import hashlib
from typing import Final

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_NS_PER_MS: Final = 1_000_000
_TIME_BITS: Final = 48
_LETTERS: Final = 26


def ulid(now_ns: int, content: str) -> str:
    """Return 26 letters: 48 bits of milliseconds since 1970, then 80 bits of a hash of `content`.

    A hash in place of chance: the same run gives the same ids, and two records of one millisecond still differ.
    """
    tail = int.from_bytes(hashlib.blake2b(content.encode(), digest_size=10).digest())
    number = ((now_ns // _NS_PER_MS) % (1 << _TIME_BITS)) << 80 | tail
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(5 * (_LETTERS - 1), -1, -5))
