"""Codes in the table are raised, codes that are raised are in the table, and the pages show the table as it is."""

import json
import re
import runpy
import tokenize
from pathlib import Path

import pytest

import qts
from qts.cli import main
from qts.codes import LOCKDOWN, TABLE, Told
from qts.codes.document import facts, page

ROOT = Path(__file__).parents[3]
PACKAGE = Path(qts.__file__).parent
_CODE = r"(?:FS|GR|AN|SE)[0-9]{3}|G_(?:EXE|SIM)_[A-Z_]+|KS"
_PYTHON = re.compile(rf"""["']({_CODE})["']\Z""")
_RUST = re.compile(rf"""\bcodes::({_CODE})\b|"({_CODE})\"""")

BUILT = {
    "P0 queue",
    "anomaly engine",
    "broker adapter",
    "capital engine",
    "capital ledger",
    "configuration",
    "data layer",
    "event dispatcher",
    "execution gate",
    "execution pipeline",
    "journal writer",
    "operating-state manager",
    "kill switch",
    "pipeline",
    "position check",
    "reconciliation",
    "risk engine",
    "strategy engine",
    "cache facade",
}
"""Emitters that exist: every code of theirs is raised, but for those of NOT_YET."""

PLANNED = {
    "account guard",
    "broker failover",
    "feedback aggregator",
    "host watch",
    "market-data watch",
    "risk loop",
    "risk watchdog",
    "simulated broker",
}
"""Emitters that are not built: no code of theirs is raised."""

NOT_YET = {
    "AN001": "no rule looks at price moves",
    "AN002": "no average volume",
    "AN010": "recorded and simulated feeds have no subscriptions",
    "AN011": "recorded and simulated feeds have no sequence",
    "AN012": "one source of quotes",
    "AN020": "no rule looks at equity moves",
    "AN030": "the ledger's own checks end the run",
    "AN031": "shadow and book are one",
    "AN041": "the clock is not compared",
    "AN050": "needs a broker connection",
    "AN060": "no market devices in the data",
    "AN061": "no rule looks at volatility",
    "AN070": "intents are capped per cycle",
    "AN071": "needs a broker connection",
    "FS002": "no stored contract has a schema version",
    "FS045": "an order in doubt belongs to an execution: FS099",
    "GR035": "no designations in the reference data",
    "GR038": "needs a broker connection",
    "GR040": "shadow and book are one",
    "G_EXE_ANOMALY": "anomalies are not built",
    "G_EXE_MODE": "one executor only",
    "G_EXE_NOOP_POLICY": "one executor only",
}


def raised_in_python(path: Path) -> set[str]:
    """Every string literal that is exactly a code."""
    with tokenize.open(path) as file:
        tokens = [token.string for token in tokenize.generate_tokens(file.readline) if token.type == tokenize.STRING]
    return {hit[1] for token in tokens if (hit := _PYTHON.match(token))}


def raised_in_rust(source: str) -> set[str]:
    """Every row of the table that is named, and every string that is exactly a code, outside comments and tests."""
    code = re.sub(r"//[^\n]*", "", source.split("#[cfg(test)]\nmod tests {")[0])
    return {first or second for first, second in _RUST.findall(code)}


def raised() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        if path.parent.name == "codes":
            continue
        for code in raised_in_python(path):
            found.setdefault(code, set()).add(path.name)
    for path in ROOT.glob("rust/*/src/**/*.rs"):
        if "safety" in path.parts or "tests" in path.parts or path.stem in {"tests", "models"}:
            continue
        for code in raised_in_rust(path.read_text(encoding="utf-8")):
            found.setdefault(code, set()).add(path.name)
    return found


def test_every_raised_code_is_in_the_table_and_its_emitter_is_built():
    assert {code: files for code, files in raised().items() if code not in TABLE} == {}
    emitters = {TABLE[code].emitter for code in raised()}
    assert emitters <= BUILT, "move the emitter from PLANNED to BUILT"


def test_every_code_of_what_is_built_is_raised():
    missing = {code for code, row in TABLE.items() if row.emitter in BUILT} - set(raised())
    assert missing == set(NOT_YET), "a code that is raised now is to leave NOT_YET; a new one is to be raised"


def test_every_emitter_is_either_built_or_planned():
    assert {row.emitter for row in TABLE.values()} == BUILT | PLANNED
    assert BUILT.isdisjoint(PLANNED)


@pytest.mark.parametrize(
    ("source", "codes"),
    [
        ("raise_code(codes::FS096)", {"FS096"}),
        ('Some("FS125") // "FS063"', {"FS125"}),
        ('"FS125 and more"', set()),
        ('live();\n#[cfg(test)]\nmod tests {\n    "FS001"\n}', set()),
    ],
)
def test_what_rust_raises_is_told_from_what_it_mentions(source, codes):
    assert raised_in_rust(source) == codes


def test_the_effects_and_numbers_of_the_registry_stand():
    families = {"FS": 0, "GR": 0, "AN": 0, "G_": 0, "KS": 0, "SE": 0}
    for code, row in TABLE.items():
        assert code == row.code
        families[code[:2]] += 1
    assert families == {"FS": 64, "GR": 75, "AN": 17, "G_": 9, "KS": 1, "SE": 1}
    unused = {
        "FS087",
        "FS109",
        "FS113",
        "FS117",
        "FS121",
        "FS128",
        "GR058",
        "GR065",
        "GR075",
        "GR089",
        "GR091",
        "GR116",
    }
    assert unused.isdisjoint(TABLE), "numbers that were withdrawn or never given"
    lockdown = {code for code, row in TABLE.items() if row.effect == "LOCKDOWN"}
    assert lockdown == {"FS003", "FS046", "FS050", "FS053", "FS054", "FS080", "FS104", "KS"}
    assert TABLE["FS045"].escalations[0].effect == "FAIL"
    assert [step.effect for step in TABLE["FS092"].escalations] == ["WARN", "FAIL"]


def test_guardrails_leave_the_state_alone_but_for_the_daily_loss():
    assert {code for code, row in TABLE.items() if code.startswith("GR") and row.effect != "NOTE"} == {"GR020"}
    counted = {code for code, row in TABLE.items() if row.counted}
    assert {"FS040", "FS045", "GR001", "GR020", "GR063"} <= counted
    assert counted.isdisjoint({"FS042", "FS050", "FS085", "FS102", "GR060", "GR100", "GR112", "GR121", "AN001", "KS"})


def test_what_the_rooms_do_in_lockdown_names_codes_of_the_table():
    assert {row.code for row in LOCKDOWN if row.code} == {"FS085", "GR090"}
    assert len({row.room.en for row in LOCKDOWN}) == len(LOCKDOWN)


def test_a_row_is_told_in_both_languages():
    row = TABLE["FS040"]
    assert (row.name, row.name_ko) == ("Broker execution error", "증권사 주문 처리 오류")
    assert row.meaning == row.trigger.en
    english, korean = dict(facts(row, "en")), dict(facts(row, "ko"))
    assert english["Effect"] == "FAIL; LOCKDOWN: the guard trips again within 5 min; counts towards LOCKDOWN"
    assert english["Raised by"] == "broker adapter (Act), document 01"
    assert korean["다음 조치"] == row.next.ko
    assert dict(facts(TABLE["GR001"], "en"))["Level"] == "WARNING"
    assert Told("yes", "예").text("ko") == "예"


@pytest.mark.parametrize(("name", "lang"), [("codes.md", "en"), ("codes.ko.md", "ko")])
def test_the_committed_page_is_what_is_generated(name, lang, tmp_path, monkeypatch):
    committed = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert committed == page(lang), "write the pages anew: python -m qts.codes docs"
    monkeypatch.setattr("sys.argv", ["qts.codes", str(tmp_path)])
    runpy.run_module("qts.codes", run_name="__main__")
    assert (tmp_path / name).read_text(encoding="utf-8") == committed
    assert all(f"\n### {code} · {row.title.text(lang)}\n" in committed for code, row in TABLE.items())


def test_the_command_looks_up_a_code(capsys, monkeypatch):
    monkeypatch.setenv("QTS_LANG", "en")
    assert main(["codes", "fs040"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "FS040  Broker execution error"
    assert "  Do next     compare open orders with the broker's screen before acknowledging" in said
    monkeypatch.setenv("QTS_LANG", "ko")
    assert main(["codes", "FS040"]) == 0
    assert capsys.readouterr().out.startswith("FS040  증권사 주문 처리 오류\n  영향         FAIL; LOCKDOWN: ")


def test_the_command_lists_all_codes(capsys, monkeypatch):
    monkeypatch.setenv("QTS_LANG", "en")
    assert main(["codes"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert len(said) == len(TABLE)
    assert said[0].split(maxsplit=2) == ["FS001", "FAIL", "Schema mismatch"]


def test_the_command_prints_json(capsys):
    assert main(["codes", "FS045", "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["title"] == {"en": "Order state unknown", "ko": "주문 상태 불명"}
    assert row["escalations"] == [{"effect": "FAIL", "when": {"en": "older than 90 s", "ko": "90초를 넘김"}}]
    assert main(["codes", "--json"]) == 0
    assert [row["code"] for row in json.loads(capsys.readouterr().out)] == list(TABLE)


def test_an_unknown_code_is_a_mistake_that_is_told(capsys, monkeypatch):
    monkeypatch.setenv("QTS_LANG", "en")
    assert main(["codes", "FS04O"]) == 2
    said = capsys.readouterr().err
    assert "unknown code 'FS04O'" in said
    assert "expected: FS040, FS041, FS042, FS043, FS044, FS045, FS046\n" in said
    assert main(["codes", "?"]) == 2
    said = capsys.readouterr().err
    assert "expected: a code of the table" in said
    assert "see all of them with: qts-engine codes" in said
    monkeypatch.setenv("QTS_LANG", "ko")
    assert main(["codes", "FS999"]) == 2
    assert "알 수 없는 코드 'FS999'" in capsys.readouterr().err
