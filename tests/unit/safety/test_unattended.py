"""No code path that runs without an operator reaches a release: proved on the call graph of the source."""

import ast
from pathlib import Path

import qts
import qts.safety

ROOM = Path(qts.safety.__file__).parent
PACKAGE = Path(qts.__file__).parent

RELEASES = {"ack", "approve", "request_approve", "release_kill", "request_release_kill", "request_recovery"}
"""Methods that an operator's act calls, and nothing else."""
NAMESAKES = {("event/notify.py", "ack")}
"""Calls of other things that have the same name."""
ATTENDED_ROOMS = {"ops", "cli"}
"""Where an operator's acts come in: the socket and the command line."""


def calls(node) -> set[str]:
    """Names that are called or handed on inside a function, lambdas and inner functions included."""
    found = set()
    for inner in ast.walk(node):
        if isinstance(inner, ast.Attribute):
            is_word = isinstance(inner.value, ast.Attribute) and inner.value.attr == "word"
            found.add(f"word.{inner.attr}" if is_word else inner.attr)
        elif isinstance(inner, ast.Name):
            found.add(inner.id)
    return found


def functions() -> dict[tuple[str, str], set[str]]:
    found = {}
    for path in sorted(ROOM.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                found.setdefault((path.stem, node.name), set()).update(calls(node))
    return found


GRAPH = functions()


def reached_from(name) -> set[str]:
    """Every name that a method may lead to, by name alone: more than is true, never less."""
    by_name = {}
    for (_, function), used in GRAPH.items():
        by_name.setdefault(function, set()).update(used)
    seen, todo = set(), [name]
    while todo:
        for used in by_name.get(todo.pop(), set()) - seen:
            seen.add(used)
            todo.append(used)
    return seen


def callers_of(name) -> set[tuple[str, str]]:
    return {place for place, used in GRAPH.items() if name in used and place[1] != name}


UNATTENDED = (
    "record_fail_safe", "record_guardrail", "record_anomaly", "apply_safety_result", "finish_cycle", "poll",
    "record_act", "reconfigure", "tell", "engage_kill", "set_flag", "clear_flag", "set_safe_mode", "suspend", "lift",
    "snapshot", "should_run", "permits", "subscribe", "open", "close", "pump", "failed", "succeeded", "rejected",
    "_start",
)  # fmt: skip


def test_the_list_of_unattended_ways_is_whole():
    public = {name for (module, name) in GRAPH if module in {"manager", "release"} and not name.startswith("_")}
    reads = {"word", "state", "pipeline_state", "size_factor", "is_suspended", "unsubscribe", "on_authority"}
    wiring = {"configure_release", "add_check", "ack_warning"}
    assert public - reads - wiring - RELEASES <= set(UNATTENDED)


def test_no_unattended_way_reaches_a_release():
    for start in UNATTENDED:
        reached = reached_from(start)
        assert reached.isdisjoint({*RELEASES, "release", "_release_kill"}), start
        assert "Authority" not in reached, start


def test_the_word_is_lowered_in_two_narrow_places():
    lowering = {place for place, used in GRAPH.items() if "word.release" in used}
    assert lowering == {("enforcement", "end_warning"), ("enforcement", "release")}
    # Who hands `release` on is the recovery; `end_warning` leaves no state but WARNING.
    assert callers_of("release") == {("release", "on_authority"), ("release", "request_recovery")}
    assert callers_of("end_warning") == {("manager", "poll"), ("release", "ack_warning")}


def test_the_kill_switch_is_cleared_in_one_place():
    assert callers_of("release_kill") == {("release", "_release_kill")}
    assert callers_of("_release_kill") == {("release", "release_kill")}


def test_an_authority_is_made_by_authentication_alone():
    made = {
        place
        for path in sorted(PACKAGE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
        for call in ast.walk(node)
        if isinstance(call, ast.Call) and getattr(call.func, "id", getattr(call.func, "attr", "")) == "Authority"
        for place in [(path.stem, node.name)]
    }
    assert made == {("operators", "authenticate")}


def test_no_other_room_calls_a_release_or_lowers_the_word():
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        room = path.relative_to(PACKAGE).parts[0]
        if room in {"safety", *ATTENDED_ROOMS}:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                name = node.func.attr
                if (path.relative_to(PACKAGE).as_posix(), name) in NAMESAKES:
                    continue
                if name in RELEASES | {"ack_warning", "clear_flags"} or (name == "release" and len(node.args) == 2):
                    wrong.append((str(path), node.lineno, name))
    assert wrong == []
