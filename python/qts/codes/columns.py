"""Texts that stand under each other on a terminal, in either language."""

from collections.abc import Sequence
from unicodedata import east_asian_width


def columns(text: str) -> int:
    """Return how many columns of a terminal a text takes: Hangul takes two each."""
    return sum(2 if east_asian_width(letter) in "WF" else 1 for letter in text)


def aligned(rows: Sequence[tuple[str, str]], gap: int = 2) -> list[str]:
    """Return a line for each label and text, the texts under each other, `gap` columns from the longest label."""
    width = max((columns(label) for label, _ in rows), default=0) + gap
    return [f"{label}{' ' * (width - columns(label))}{text}" for label, text in rows]
