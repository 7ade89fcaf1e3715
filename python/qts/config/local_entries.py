"""`config_local.json`: an array of entries (category, subcategory, key, value, description, tag)."""

from typing import Literal

from pydantic import Field, ValidationError

from qts.config.errors import findings, unknown_key
from qts.config.fields import Word
from qts.config.files import LOCAL_FILE, leaves
from qts.config.findings import Finding, InvalidConfig
from qts.config.loader import Document, duplicate
from qts.config.messages import say
from qts.config.models.base import Section
from qts.config.models.local import LocalConfig

REQUIRED = ("mode",)
"""Keys that a local file must carry: a file that names no mode is more likely broken than meant."""


class Entry(Section):
    """One entry. A program goes by `key`; category and subcategory are for people."""

    category: Word = Field(description="Group, for people.")
    subcategory: Word = Field(description="Group within the group, for people.")
    key: Word = Field(description="Dotted key.")
    value: object = Field(description="Value of the key.")
    description: Word = Field(description="What the key does.")
    tag: Literal["DANGER", "STABLE", "TUNABLE"] = Field(description="How carefully it is to be changed.")


class EntryFile(Section):
    """The whole file."""

    entries: tuple[Entry, ...] = Field(description="The entries.")


def nested(document: Document) -> Document:
    """Return the values of a local file as a tree of keys, with the line of each key's entry.

    Raises:
        InvalidConfig: an entry is malformed, a key stands twice, is unknown, or a required one is missing.
    """
    wrapped = Document(
        {"entries": document.value}, {("entries", *place): line for place, line in document.lines.items()}
    )
    try:
        entries = EntryFile.model_validate(wrapped.value).entries
    except ValidationError as error:
        raise InvalidConfig(findings(error, EntryFile, LOCAL_FILE, wrapped)) from None
    known = dict(leaves(LocalConfig))
    tree: dict[str, object] = {}
    seen: dict[str, int] = {}
    wrong: list[Finding] = []
    for number, entry in enumerate(entries):
        line = document.lines[(number,)]
        if entry.key in seen:
            wrong += duplicate(LOCAL_FILE, seen[entry.key], line, entry.key).findings
        elif entry.key not in known:
            wrong.append(unknown_key(LOCAL_FILE, line, entry.key, LocalConfig))
        seen.setdefault(entry.key, line)
        plant(tree, entry.key, entry.value)
    for key in REQUIRED:
        if key not in seen:
            hint = say("missing_key_hint", meaning=known[key].description)
            found = say("missing_key", key=key)
            wrong.append(Finding(LOCAL_FILE, None, key, found, say("missing_key_expected"), hint))
    if wrong:
        raise InvalidConfig(wrong)
    return Document(tree, {tuple(key.split(".")): line for key, line in seen.items()})


def plant(tree: dict[str, object], key: str, value: object) -> None:
    """Set a dotted key in a tree, growing branches as needed."""
    *branches, leaf = key.split(".")
    here = tree
    for branch in branches:
        below = here.setdefault(branch, {})
        if not isinstance(below, dict):  # a value where the key needs a branch: let the model refuse it
            below = here[branch] = {}
        here = below
    here[leaf] = value
