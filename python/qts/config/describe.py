"""The configuration told to people and tools: what is wrong, what holds, what there is."""

from pathlib import Path
from typing import TypedDict

from qts.config.classes import class_of
from qts.config.difference import Change, differences, setting
from qts.config.files import FILES, LOCAL_FILE, REFERENCE, keys
from qts.config.findings import Finding
from qts.config.local_entries import EntryFile
from qts.config.manager import ConfigManager
from qts.config.resolved import QtsConfig, jsonable
from qts.config.secrets import secrets_findings


class Shown(TypedDict):
    """A key as `config show` gives it."""

    value: object
    source: str
    tag: str
    reload: str
    is_built: bool
    description: str


def check(config_dir: Path | None = None, *, home: Path | None = None) -> list[Finding]:
    """Return everything that is wrong in a configuration directory (None = the shipped one).

    With `home` the secrets that an engine of this home would read are looked at too.
    """
    return ConfigManager(config_dir).findings() + ([] if home is None else secrets_findings(home))


def show(config: QtsConfig) -> dict[str, Shown]:
    """Return of every key its value, source, class and description.

    The source is `default`, a file, a variable of the environment, or `override`. `tag` says how carefully a key is
    to be changed, `reload` when a change takes effect, `is_built` whether anything reads it in this version.
    Reference data appear with one line for each table: how many rows it has.
    """
    shown: dict[str, Shown] = {}
    for key in keys():
        kind = class_of(key.name)
        shown[key.name] = {
            "value": jsonable(setting(config, key.name, key.file)),
            "source": config.sources.get(key.name, "default"),
            "tag": kind.tag,
            "reload": kind.reload,
            "is_built": kind.is_built,
            "description": key.description,
        }
    for spec in REFERENCE:
        for name, info in spec.model.model_fields.items():
            rows = getattr(config.reference, name)
            shown[f"reference.{name}"] = {
                "value": len(rows),
                "source": spec.name,
                "tag": "DANGER",
                "reload": "RESTART",
                "is_built": True,
                "description": f"{info.description} Number of entries.",
            }
    return shown


def diff(config_dir: Path | None = None, against: Path | None = None) -> list[Change]:
    """Return what differs in `config_dir` from `against`; None = the shipped configuration, which lets trade.

    The environment plays no part: files are compared.
    """
    old, new = (ConfigManager(directory, environ={}).load() for directory in (against, config_dir))
    return differences(old, new)


def schema() -> dict[str, object]:
    """Return a JSON schema of each file, by file name."""
    return {
        spec.name: EntryFile.model_json_schema()["properties"]["entries"]
        | {"$defs": EntryFile.model_json_schema()["$defs"], "keys": spec.model.model_json_schema()}
        if spec.name == LOCAL_FILE
        else spec.model.model_json_schema()
        for spec in FILES
    }
