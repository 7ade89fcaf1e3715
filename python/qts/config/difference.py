"""What differs between two configurations."""

from typing import NamedTuple

from qts.config.files import LOCAL_FILE, REFERENCE, keys
from qts.config.manager import value_at
from qts.config.resolved import QtsConfig, jsonable


class Change(NamedTuple):
    """A key with two values; for reference data the name of a row, None where one side lacks it."""

    key: str
    file: str
    old: object
    new: object


def differences(old: QtsConfig, new: QtsConfig) -> list[Change]:
    """Return every key whose value differs, then every row of reference data that does, in the order of the files."""
    changes = []
    for key in keys():
        before, after = setting(old, key.name, key.file), setting(new, key.name, key.file)
        if before != after:
            changes.append(Change(key.name, key.file, jsonable(before), jsonable(after)))
    left, right = _tables(old), _tables(new)
    for spec in REFERENCE:
        for table in spec.model.model_fields:
            rows, others = left[table], right[table]
            changes += [
                Change(f"{table}.{name}", spec.name, rows.get(name), others.get(name))
                for name in {**rows, **others}
                if rows.get(name) != others.get(name)
            ]
    return changes


def setting(config: QtsConfig, key: str, file: str) -> object:
    """Return the value of a dotted key that lives in `file`."""
    if file == LOCAL_FILE:
        return value_at(config.local, key)
    if file == "pipeline.yaml":
        return value_at(config.pipeline, key)
    if file == "safety.yaml":
        return value_at(config.safety, key)
    return value_at(config.strategies if file.startswith("strategies/") else config, key)


def _tables(config: QtsConfig) -> dict[str, dict[str, object]]:
    tree = config.reference.model_dump(by_alias=True)
    return {table: {name: jsonable(row) for name, row in rows.items()} for table, rows in tree.items()}
