"""Names of keys: prefix, family, id."""

import re
from typing import Final

from qts.cache.contracts import Family
from qts.cache.exceptions import BadRecord
from qts.cache.messages import say
from qts.codes import ConfigError

WORDS: Final = {
    Family.PRICE: "price",
    Family.BOOK: "book",
    Family.POSITION: "pos",
    Family.RISK: "risk",
    Family.ORDER: "ord",
    Family.STRATEGY: "strat",
}
"""The first word of a key, by family."""
FAMILIES: Final = {word: family for family, word in WORDS.items()}
_ID: Final = re.compile(r"[A-Za-z0-9._/@+-]{1,64}\Z")
_PREFIX: Final = re.compile(r"[A-Za-z0-9._:-]{1,96}\Z")
_HEADS: Final = {family: f"{word}:" for family, word in WORDS.items()}


def logical(family: Family, name: str) -> str:
    """Return the key of a record without prefix, such as `pos:005930`.

    Raises:
        BadRecord: the name could be taken for something else in a key.
    """
    if not _ID.match(name):
        raise BadRecord(found=say("bad_id", value=repr(name)), expected=say("bad_id_expected"), hint=say("writer_hint"))
    return _HEADS[family] + name


class Keys:
    """Keys below one prefix.

    Args:
        prefix: such as `live:A1:`; run mode and account are in it, so that paper data never meet live data.

    Raises:
        ConfigError: the prefix is empty or holds signs that mean something in a key.
    """

    def __init__(self, prefix: str) -> None:
        if not _PREFIX.match(prefix):
            raise ConfigError(found=say("bad_prefix", value=repr(prefix)), expected=say("bad_prefix_expected"))
        self.prefix = prefix
        self.owner = f"{prefix}own"
        self.probe = f"{prefix}probe"
        self.control = f"{prefix}ctl"

    def of(self, family: Family, name: str) -> str:
        """Return the physical key of a record that lies in one key."""
        return self.prefix + logical(family, name)

    def book(self, symbol: str) -> list[str]:
        """Return the five keys of a book, all of one slot: bids, their sizes, asks, their sizes, the rest."""
        tag = f"{self.prefix}book:{{{logical(Family.BOOK, symbol)[5:]}}}"
        return [f"{tag}:bid", f"{tag}:bid:qty", f"{tag}:ask", f"{tag}:ask:qty", f"{tag}:meta"]

    def snapshot(self, symbol: str) -> str:
        """Return the one key of a book in its compact form."""
        return f"{self.prefix}book:{{{logical(Family.BOOK, symbol)[5:]}}}"

    def counter(self, day: str) -> str:
        """Return the key of the entries of a day, YYYYMMDD."""
        return f"{self.prefix}cnt:trades:{day}"

    def blob(self, name: str) -> str:
        """Return the key of a value outside of the six types."""
        return f"{self.prefix}blob:{logical(Family.STRATEGY, name)[6:]}"

    def channel(self, family: Family) -> str:
        """Return the channel on which changes of a family are told."""
        return f"{self.prefix}inv:{WORDS[family]}"

    def pattern(self, family: Family | None = None) -> str:
        """Return the pattern that a scan for a family, or for all keys, goes by."""
        return f"{self.prefix}{'' if family is None else _HEADS[family]}*"

    def split(self, key: str) -> tuple[Family, str] | None:
        """Return family and id of a physical key of a record, None for any other."""
        word, _, name = key.removeprefix(self.prefix).partition(":")
        family = FAMILIES.get(word)
        if family is None or not key.startswith(self.prefix):
            return None
        return family, name[1 : name.index("}")] if name.startswith("{") and "}" in name else name
