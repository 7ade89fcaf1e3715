"""Keys set by the environment: `QTS_RISK__MAX_EXPOSURE_PCT` stands for `risk.max_exposure_pct`.

A name with `__` must be a key: a limit that is misspelt would silently not hold. A name without it may belong to
something else, and is refused only if it is almost that of a key.
"""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Final, NamedTuple

from qts.codes import nearest, text
from qts.config.findings import Finding
from qts.config.messages import say

_PREFIX: Final = "QTS_"
OWN: Final = frozenset(
    {"QTS_HOME", "QTS_LANG", "QTS_LIVE_ACK", "QTS_DEPLOYMENT_MODE", "QTS_SECRETS_FILE", "QTS_OPERATOR_SECRET"}
)
"""Variables of the project that stand for no key."""
_ALMOST: Final = 0.85


ALIASES: Final[Mapping[str, str]] = {
    "DATA_SOURCE_MODE": "data.source_mode",
    "DB_HOST": "data.db.host",
    "DB_PORT": "data.db.port",
    "DB_NAME": "data.db.name",
    "DB_USER": "data.db.user",
    "GOOGLE_SHEET_KEY": "data.sheets.key",
    "GOOGLE_CREDENTIALS_FILE": "data.sheets.credentials_file",
}
"""Variables of other names that stand for a key; the one that begins with QTS_ wins over them."""


class Setting(NamedTuple):
    """A key that the environment sets."""

    variable: str
    value: str


def variable_of(key: str) -> str:
    """Return the variable that sets a dotted key."""
    return _PREFIX + key.upper().replace(".", "__")


def settings(environ: Mapping[str, str], keys: Iterable[str], wrong: list[Finding]) -> dict[str, Setting]:
    """Return the keys that the environment sets; what looks like a key but is none goes to `wrong`."""
    key_of = {variable_of(key): key for key in keys}
    named = set(key_of.values())
    found = {
        key: Setting(variable, environ[variable])
        for variable, key in ALIASES.items()
        if key in named and environ.get(variable, "").strip()
    }
    for variable, value in sorted(environ.items()):
        if variable in key_of:
            found[key_of[variable]] = Setting(variable, value)
        elif variable.startswith(_PREFIX) and variable not in OWN and _means_a_key(variable, key_of):
            near = nearest(variable, key_of)
            hint = say("key_list_hint") if near is None else text("did_you_mean", word=near)
            expected = say("variable_expected")
            wrong.append(Finding(say("environment"), None, variable, say("variable", name=variable), expected, hint))
    return found


def _means_a_key(variable: str, known: Iterable[str]) -> bool:
    return "__" in variable or bool(get_close_matches(variable, list(known), n=1, cutoff=_ALMOST))
