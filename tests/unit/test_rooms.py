"""The shape of the house: which room may import which, and what no room may do."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "python" / "qts"

FLOORS = (
    ("codes", "clock", "money", "config", "instruments"),
    ("safety", "event", "state"),
    ("data", "cache"),
    ("feed", "broker"),
    ("capital", "execution", "risk", "feedback"),
    ("strategy", "engines", "pipeline"),
    ("ops", "monitor", "ui"),
    ("engine", "cli"),
)
"""Top to bottom, and left to right within a floor: a room imports only what comes before it here."""
ORDER = [room for floor in FLOORS for room in floor]

FREE = frozenset({"_core", "_shapes"})
"""The compiled core and the shapes of what it takes and gives: open to every room, importing none."""
STRANGERS = frozenset({("execution", "risk"), ("risk", "execution")})
"""Rooms that share only the core, although one stands before the other."""
FACADE = "the package itself"
"""Stands for `from qts import something that is no room`."""

MAX_LINES = 600

WALL_CLOCK = frozenset(
    {
        "time.time",
        "time.time_ns",
        "time.sleep",
        "time.monotonic",
        "time.monotonic_ns",
        "time.perf_counter",
        "time.perf_counter_ns",
        "time.localtime",
        "time.gmtime",
        "datetime.datetime.now",
        "datetime.datetime.utcnow",
        "datetime.datetime.today",
        "datetime.date.today",
        "pandas.Timestamp.now",
        "pandas.Timestamp.utcnow",
        "pandas.Timestamp.today",
    }
)

FORBIDDEN_CRATES = frozenset({"pyo3", "tokio", "async-std", "smol", "mio", "socket2", "reqwest", "hyper"})
IMPURE = re.compile(
    r"\b(?:pyo3|tokio)\b"
    r"|\bstd::(?:fs|net)\b"
    r"|\bstd::time::(?:SystemTime|Instant)\b"
    r"|\bstd::\{[^;]*\b(?:fs|net)\b"
    r"|\bstd::time::\{[^;]*\b(?:SystemTime|Instant)\b"
)


def room_of(path: Path) -> str:
    """The room of a source file; for a module that lies beside the rooms, its own name."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py").removesuffix(".pyi")


def sources() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py*") if path.suffix in {".py", ".pyi"})


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imported_modules(tree: ast.AST, package: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything imported, wherever in the file, types included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            base += node.module.split(".") if node.module else []
            for alias in node.names:
                yield node.lineno, ".".join([*base, alias.name])


def rooms_imported(tree: ast.AST, package: Sequence[str] = ("qts",)) -> Iterator[tuple[int, str]]:
    for line, name in imported_modules(tree, package):
        parts = name.split(".")
        if parts[0] == "qts":
            inside = parts[1] if len(parts) > 1 else ""
            known = inside in ORDER or inside in FREE or (PACKAGE / inside).is_dir()
            yield line, inside if inside and known else FACADE


def may_import(room: str, other: str) -> bool:
    if other == room or (room, other) == ("_core", "_shapes"):
        return True
    if room in FREE:
        return False
    if other in FREE:
        return True
    if other == FACADE:
        return room == ORDER[-1]  # the facade leads to the composition root: only what stands below may use it
    if room not in ORDER or other not in ORDER or (room, other) in STRANGERS:
        return False
    return ORDER.index(other) < ORDER.index(room)


def names_used(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and full dotted name of what is used or imported, aliases resolved."""
    aliases: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                aliases[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                aliases[alias.asname or alias.name] = f"{node.module}.{alias.name}"
                yield node.lineno, f"{node.module}.{alias.name}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            chain = [node.attr]
            inner: ast.expr = node.value
            while isinstance(inner, ast.Attribute):
                chain.append(inner.attr)
                inner = inner.value
            if isinstance(inner, ast.Name):
                chain.append(aliases.get(inner.id, inner.id))
                yield node.lineno, ".".join(reversed(chain))


def wall_clock_uses(tree: ast.AST) -> list[tuple[int, str]]:
    return [(line, name) for line, name in names_used(tree) if name in WALL_CLOCK]


def code_of(rust: str) -> str:
    """Rust source without line comments, in which anything may be mentioned."""
    return re.sub(r"//[^\n]*", "", rust)


def impure_in(rust: str) -> list[str]:
    return [hit.group() for hit in IMPURE.finditer(code_of(rust))]


def test_every_room_has_its_place():
    rooms = {room_of(path) for path in sources()} - {"__init__"}
    assert rooms <= {*ORDER, *FREE}, "a new room needs a place in FLOORS, and in docs/architecture.md"


def test_a_room_imports_only_what_stands_before_it():
    wrong = []
    for path in sources():
        room = room_of(path)
        if room == "__init__":
            continue  # loads rooms on demand only, as another test shows
        package = ("qts", *path.relative_to(PACKAGE).parent.parts)
        wrong += [
            f"{path.relative_to(ROOT)}:{line}: {room} imports {other}"
            for line, other in rooms_imported(tree_of(path), package)
            if not may_import(room, other)
        ]
    assert wrong == []


def test_only_the_composition_root_and_the_commands_know_every_room():
    assert ORDER[-2:] == ["engine", "cli"]
    assert not any(may_import(room, below) for below in ORDER[-2:] for room in ORDER[:-2])


def test_no_file_is_longer_than_can_be_read_in_one_sitting():
    files = {*sources(), *ROOT.glob("rust/*/src/**/*.rs")} - {PACKAGE / "_core.pyi"}  # a binary has one stub
    lengths = {path.relative_to(ROOT).as_posix(): path.read_bytes().count(b"\n") for path in files}
    assert {path: lines for path, lines in lengths.items() if lines > MAX_LINES} == {}


def test_only_the_clock_room_reads_the_clock():
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in sources()
        if room_of(path) != "clock"
        for line, name in wall_clock_uses(tree_of(path))
    ]
    assert wrong == []


def test_only_the_command_line_prints():
    wrong = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sources()
        if room_of(path) != "cli"
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Name) and node.id == "print"
    ]
    assert wrong == []


def test_importing_the_package_loads_no_room():
    code = "import sys, qts; print(*sorted(name for name in sys.modules if name.startswith('qts.')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == []


def test_the_core_depends_on_nothing_that_touches_the_outside():
    manifest = tomllib.loads((ROOT / "rust/qts-core/Cargo.toml").read_text(encoding="utf-8"))
    tables = [manifest.get("dependencies", {}), manifest.get("build-dependencies", {})]
    tables += [target.get("dependencies", {}) for target in manifest.get("target", {}).values()]
    assert FORBIDDEN_CRATES.isdisjoint(name for table in tables for name in table)


def test_the_core_has_no_python_runtime_file_socket_or_clock_in_its_text():
    wrong = [
        f"{path.relative_to(ROOT)}: {hit}"
        for path in sorted((ROOT / "rust/qts-core/src").rglob("*.rs"))
        for hit in impure_in(path.read_text(encoding="utf-8"))
    ]
    assert wrong == []


# The rules themselves: a check that finds nothing proves nothing unless it can find something.


@pytest.mark.parametrize(
    ("room", "source", "allowed"),
    [
        ("pipeline", "from qts.strategy.contracts import Intent", True),
        ("pipeline", "import decimal, qts._core", True),
        ("pipeline", "from qts.pipeline import act", True),
        ("pipeline", "from . import act", True),
        ("strategy", "if TYPE_CHECKING:\n    from qts.pipeline.contracts import Cycle", False),
        ("strategy", "def late():\n    import qts.engines.risk", False),
        ("codes", "from qts import config", False),
        ("clock", "from .. import money", False),
        ("risk", "from qts.execution import stages", False),
        ("data", "from qts import backtest", False),
        ("cli", "from qts import __version__", True),
        ("cli", "from qts.engine import backtest", True),
        ("engine", "from qts.cli import app", False),
        ("attic", "from qts.codes import QtsError", False),
        ("_shapes", "from qts.codes import QtsError", False),
    ],
)
def test_the_import_rule_tells_right_from_wrong(room, source, allowed):
    imports = list(rooms_imported(ast.parse(source), ("qts", room)))
    assert imports
    assert all(may_import(room, other) for _, other in imports) is allowed


@pytest.mark.parametrize(
    "source",
    [
        "import time\ntime.time()",
        "import time as clock\nclock.time_ns()",
        "from time import sleep as nap\nnap(1)",
        "from datetime import UTC, datetime\ndatetime.now(UTC)",
        "import datetime as dt\ndt.datetime.utcnow()",
        "import pandas as pd\npd.Timestamp.now()",
    ],
)
def test_a_look_at_the_clock_is_seen_under_any_name(source):
    assert wall_clock_uses(ast.parse(source))


def test_what_only_looks_like_the_clock_is_not_mistaken_for_it():
    source = "from datetime import datetime\ndatetime.fromtimestamp(0)\nevent.time()\nself.clock.now()"
    assert wall_clock_uses(ast.parse(source)) == []


@pytest.mark.parametrize(
    ("rust", "pure"),
    [
        ("use std::fs::File;", False),
        ("use std::{collections::BTreeMap, net::TcpStream};", False),
        ("let now = std::time::Instant::now();", False),
        ("use pyo3::prelude::*;", False),
        ("/// unlike tokio or std::net\nuse std::fmt;", True),
        ("use std::collections::{BTreeMap, VecDeque};", True),
    ],
)
def test_the_purity_check_tells_right_from_wrong(rust, pure):
    assert (impure_in(rust) == []) is pure
