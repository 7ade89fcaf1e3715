import ast
from pathlib import Path

import qts.safety
from qts.safety.messages import both, news, refusals, say

ROOM = Path(qts.safety.__file__).parent


def test_every_text_is_there_in_both_languages():
    assert say.problems() == []
    assert news.problems() == []
    assert both("quiet")[0] != both("quiet")[1]


def raised() -> set[str]:
    """Reasons of refusals in the source."""
    found = set()
    for path in ROOM.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Refusal":
                found |= {leaf.value for leaf in ast.walk(node.args[0]) if isinstance(leaf, ast.Constant)}
    return found


def test_every_refusal_has_its_texts_and_every_text_its_refusal():
    from_table = {"not_listed", "lockdown_requires_operator_approval"}
    assert raised() | from_table == refusals()
