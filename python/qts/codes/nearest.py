"""The known word that a misspelt one most likely meant."""

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the entry of `known` closest to `word`, or None if none is close.

    Case and the separators `-`, `_`, `.` and blank do not count as differences.
    """
    folded: dict[str, str] = {}
    for candidate in known:
        folded.setdefault(_fold(candidate), candidate)
    hits = get_close_matches(_fold(word), folded, n=1, cutoff=0.6)
    return folded[hits[0]] if hits else None


def _fold(word: str) -> str:
    return word.casefold().replace("-", "_").replace(" ", "_").replace(".", "_")
