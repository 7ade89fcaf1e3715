"""The shipped files: equal to the defaults, complete, and explained."""

import json
import re
from pathlib import Path

import pytest
import yaml

from qts.config import ConfigManager, check, home_dir, schema, shipped_dir, show
from qts.config.files import FILES, LOCAL_FILE, REFERENCE, SETTINGS, keys, leaves
from qts.config.models.local import LocalConfig
from qts.config.resolved import canonical_json

SEED_EVENT_YAML = """
event:
  queues:
    p0: {capacity: 100, overflow_policy: BLOCK}
    p1: {capacity: 10000, overflow_policy: DROP_OLDEST, batch_size: 100, batch_timeout_ms: 10}
    p2: {capacity: 1000, overflow_policy: COLLAPSE, batch_size: 50, batch_timeout_ms: 100}
    p3: {capacity: 50000, overflow_policy: SAMPLE, sample_rate: 0.1, batch_size: 100, batch_timeout_ms: 1000}
  monitoring:
    check_interval_ms: 100
    alerts:
      p0_depth: {warning: 50, critical: 80}
      p1_depth: {warning: 7000, critical: 9000}
      p2_depth: {warning: 800, critical: 950}
"""

SEED_STATE_YAML = """
operating_state:
  default: BALANCED
  gates: {policy: LITERAL}  # the one key beyond the design
  hysteresis:
    aggressive: {min_duration_days: 7}
    balanced: {min_duration_days: 5}
    defensive: {min_duration_days: 3}
  cooldown_hours: 24
  confirmation_cycles: 2
  transitions:
    aggressive_to_balanced: {drawdown_pct: 0.05, vix: 25, consecutive_scalp_losses: 5, daily_loss_pct: 0.02}
    balanced_to_defensive: {drawdown_pct: 0.10, vix: 30}
    defensive_to_balanced: {drawdown_pct: 0.05, vix: 20, consecutive_profitable_days: 3, min_duration_days: 5}
    balanced_to_aggressive: {vix: 15, capital_growth_pct: 0.10, win_rate_30d: 0.60, min_duration_days: 10}
  override: {max_duration_days: 7}
"""

_KEY = re.compile(r"(?P<indent> *)(- )?(?P<key>[A-Za-z0-9_]+|\"[^\"]+\"):(?P<rest>.*)")


def test_the_shipped_configuration_is_right():
    assert check() == []


def test_shipped_files_hold_exactly_the_defaults_except_that_they_let_trade(tmp_path):
    shipped, built_in = ConfigManager().load(), ConfigManager(tmp_path).load()
    assert shipped.local.trading_enabled
    assert not built_in.local.trading_enabled
    local = shipped.local.model_copy(update={"trading_enabled": False})
    assert canonical_json(shipped.model_copy(update={"local": local})) == canonical_json(built_in)


def test_event_yaml_is_that_of_the_design_to_the_last_key():
    shipped = yaml.safe_load((shipped_dir() / "event.yaml").read_text())
    assert shipped == yaml.safe_load(SEED_EVENT_YAML)


def test_state_yaml_is_that_of_the_design_and_the_gate_policy():
    shipped = yaml.safe_load((shipped_dir() / "state.yaml").read_text())
    assert shipped == yaml.safe_load(SEED_STATE_YAML)


def test_the_local_file_names_every_local_key_and_explains_it_as_the_model_does():
    entries = json.loads((shipped_dir() / LOCAL_FILE).read_text())
    assert [entry["key"] for entry in entries] == [name for name, _ in leaves(LocalConfig)]
    meanings = {key.name: key.description for key in keys()}
    for entry in entries:
        assert entry["description"] == meanings[entry["key"]]


@pytest.mark.parametrize("spec", [spec for spec in SETTINGS if spec.name != LOCAL_FILE], ids=lambda spec: spec.name)
def test_every_key_of_a_settings_file_is_explained_on_its_line_or_above(spec):
    lines = (shipped_dir() / spec.name).read_text().splitlines()
    silent = []
    for number, line in enumerate(lines):
        match = _KEY.fullmatch(line)
        if match is None or not match["indent"]:
            continue  # comments, and root keys: the head of the file speaks of those
        above = lines[number - 1].strip().startswith("#")
        groups_explained = not match["rest"].strip()  # a group is explained by what stands in it
        if "#" not in line and not above and not groups_explained:
            silent.append(line)
    assert silent == []


@pytest.mark.parametrize("spec", REFERENCE, ids=lambda spec: spec.name)
def test_every_field_of_a_reference_file_is_explained_in_its_head(spec):
    text = (shipped_dir() / spec.name).read_text()
    comments = "\n".join(line.partition("#")[2] for line in text.splitlines())

    def fields(value, named):
        if isinstance(value, dict):
            for key, below in value.items():
                if not named:
                    yield str(key)
                yield from fields(below, named=key in tables and not named)
        elif isinstance(value, list):
            for below in value:
                yield from fields(below, named=False)

    tables = set(spec.model.model_fields)
    unexplained = {key for key in fields(yaml.safe_load(text), named=False) if f" {key} " not in f"{comments} "}
    explained_in_words = {key for key in unexplained if f"`{key}`" in comments or f"{key}," in comments}
    assert unexplained - explained_in_words - {"first_day"} == set()


@pytest.mark.parametrize("spec", REFERENCE, ids=lambda spec: spec.name)
def test_every_dated_row_tells_how_sure_it_is(spec):
    lines = (shipped_dir() / spec.name).read_text().splitlines()
    rows = [line for line in lines if re.match(r" +- \{?(effective_from|date): ", line)]
    assert [line for line in rows if not re.search(r"# [HM]\b", line)] == []


def test_every_key_and_every_field_of_a_row_has_a_description():
    assert [key.name for key in keys() if not key.description] == []

    def silent(node, kinds):
        for name, value in node.get("properties", {}).items():
            # A description equal to that of the group itself is told there only.
            kind = kinds.get(value.get("$ref", "").rpartition("/")[2], {})
            if not value.get("description") and not kind.get("description"):
                yield name
        for below in node.get("$defs", {}).values():
            yield from silent(below, kinds)

    for file, document in schema().items():
        assert list(silent(document, document.get("$defs", {}))) == [], file


def test_schema_covers_every_file():
    assert set(schema()) == {spec.name for spec in FILES}
    json.dumps(schema())


def test_no_key_has_two_homes():
    names = [key.name for key in keys()]
    assert len(names) == len(set(names))


def test_show_tells_value_source_and_meaning_of_every_key(tmp_path):
    (tmp_path / "pipeline.yaml").write_text("sim:\n  seed: 9\n")
    shown = show(ConfigManager(tmp_path, {"sim.latency_in_ms": "7"}).load())
    assert shown["sim.seed"]["source"] == "pipeline.yaml"
    assert (shown["sim.latency_in_ms"]["value"], shown["sim.latency_in_ms"]["source"]) == (7, "override")
    assert (shown["risk.max_exposure_pct"]["value"], shown["risk.max_exposure_pct"]["source"]) == (
        "0.5",
        "default",
    )
    assert {key.name for key in keys()} <= set(shown)
    assert shown["reference.instruments"]["value"] == 14
    assert all(row["description"] for row in shown.values())
    json.dumps(shown)


def test_shipped_files_are_the_ones_at_the_top_of_the_project():
    top = Path(__file__).parents[3] / "config"
    for spec in FILES:
        assert (shipped_dir() / spec.name).read_bytes() == (top / spec.name).read_bytes()


def test_home_is_that_of_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("QTS_HOME", str(tmp_path))
    assert home_dir() == tmp_path
    monkeypatch.setenv("QTS_HOME", " ")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert home_dir() == tmp_path / ".qts"
