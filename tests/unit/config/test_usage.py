"""No key is configured for nothing."""

import ast
from pathlib import Path

import pytest

import qts
from qts.config.classes import class_of
from qts.config.files import keys


@pytest.fixture(scope="module")
def attributes():
    root = Path(qts.__file__).parent
    return {
        node.attr
        for path in root.rglob("*.py")
        if "config" not in path.relative_to(root).parts[:1] or path.name == "live_gate.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
    }


@pytest.mark.parametrize("name", [key.name for key in keys() if class_of(key.name).is_built])
def test_every_key_is_read_by_the_rooms_it_configures(name, attributes):
    assert set(name.split(".")) - {"event", "scalp", "swing", "portfolio"} <= attributes
