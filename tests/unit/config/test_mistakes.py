"""What users get wrong in configuration files, and what they are told."""

import json

import pytest

from qts.codes import ConfigError
from qts.config import ConfigManager, check
from qts.config.errors import unknown_key
from qts.config.models.reference import InstrumentsFile


def written(tmp_path, name, text):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return tmp_path


def entries(**values):
    rows = [
        {"category": "c", "subcategory": "s", "key": key, "value": value, "description": "d", "tag": "STABLE"}
        for key, value in {"mode": "SIM", **values}.items()
    ]
    return json.dumps(rows)


def local(tmp_path, **values):
    return written(tmp_path, "config_local.json", entries(**values))


def only(directory):
    findings = check(directory)
    assert len(findings) == 1, findings
    return findings[0]


# -- keys


def test_a_misspelt_local_key_names_the_nearest(tmp_path):
    finding = only(local(tmp_path, **{"risk.max_exposur_pct": "0.5"}))
    assert finding.found == "unknown key risk.max_exposur_pct"
    assert finding.hint == "did you mean 'risk.max_exposure_pct'?"


def test_a_misspelt_yaml_key_names_the_nearest_and_its_line(tmp_path):
    finding = only(written(tmp_path, "pipeline.yaml", "sim:\n  sead: 3\n"))
    assert (finding.file, finding.line, finding.key) == ("pipeline.yaml", 2, "sim.sead")
    assert finding.hint == "did you mean 'seed'?"
    assert "latency_out_ms" in finding.expected


def test_a_key_in_the_wrong_file_is_sent_home(tmp_path):
    finding = only(local(tmp_path, **{"sim.seed": 3}))
    assert finding.hint == "this key belongs into pipeline.yaml"


def test_a_key_like_nothing_points_to_the_list(tmp_path):
    finding = only(written(tmp_path, "event.yaml", "event:\n  zzzzzz: 1\n"))
    assert "config show" in finding.hint


def test_fields_of_reference_rows_are_checked_too(tmp_path):
    text = (
        "calendars:\n  ALWAYS:\n    kind: always_open\n  XKRX:\n    kind: exchange\n    library: XKRX\n"
        "    utc_offset_min: 540\n    first_day: 1990-01-01\n    last_day: 2030-01-01\n"
        "    hours:\n      - {effective_from: 1990-01-01, opens: 09:00, close: 15:30}\n"
    )
    findings = check(written(tmp_path, "reference/calendar.yaml", text))
    assert {(finding.line, finding.found) for finding in findings} == {
        (11, "key calendars.XKRX.hours.0.open is missing"),
        (11, "unknown key calendars.XKRX.hours.0.opens"),
    }
    assert any(finding.hint == "did you mean 'open'?" for finding in findings)


def test_the_rows_of_a_table_are_known_by_their_fields():
    finding = unknown_key("reference/instruments.yaml", 1, "instruments.005930.sectr", InstrumentsFile)
    assert finding.hint == "did you mean 'sector'?"


def test_a_duplicate_yaml_key_is_an_error(tmp_path):
    finding = only(written(tmp_path, "pipeline.yaml", "sim:\n  seed: 1\n  seed: 2\n"))
    assert (finding.line, finding.found) == (3, "key sim.seed stands twice, in line 2 and line 3")


def test_a_duplicate_local_entry_is_an_error(tmp_path):
    rows = json.loads(entries(**{"broker.id": "sim"}))
    finding = only(written(tmp_path, "config_local.json", json.dumps([*rows, rows[1]], indent=1)))
    assert (finding.line, finding.found) == (18, "key broker.id stands twice, in line 10 and line 18")


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ('[{"key": "mode", "key": "mode"}]', (1, 1)),
        ('[{"a": 1},\n {"value": 3,\n  "key": "mode",\n\n  "key" : "mode"}]', (3, 5)),
        ('{"key": "mode",\n "key": "mode"}', (1, 2)),
        ('[{"\\u0061": 1, "a": 2}]', (1, 1)),
    ],
)
def test_a_duplicate_json_field_is_an_error(tmp_path, text, lines):
    finding = only(written(tmp_path, "config_local.json", text))
    key = "a" if "u0061" in text else "key"
    assert finding.found == f"key {key} stands twice, in line {lines[0]} and line {lines[1]}"


def test_a_wrong_value_in_the_local_file_is_told_with_the_line_of_its_entry(tmp_path):
    rows = json.loads(entries(**{"loop.interval_ms": 5}))
    finding = only(written(tmp_path, "config_local.json", json.dumps(rows, indent=1)))
    assert (finding.line, finding.key) == (10, "loop.interval_ms")


def test_an_empty_local_file_lacks_its_required_key(tmp_path):
    finding = only(written(tmp_path, "config_local.json", "[]"))
    assert finding.found == "key mode is missing"
    assert "Run mode" in finding.hint


def test_an_incomplete_entry_is_an_error(tmp_path):
    row = {
        "category": "c",
        "subcategory": "s",
        "key": "mode",
        "value": "SIM",
        "descripton": "d",
        "tag": "STABLE",
    }
    found = {finding.found for finding in check(written(tmp_path, "config_local.json", json.dumps([row])))}
    assert found == {"key entries.0.description is missing", "unknown key entries.0.descripton"}


def test_an_entry_with_a_key_below_a_value_is_unknown(tmp_path):
    findings = check(local(tmp_path, **{"broker.id": "sim", "broker.id.deep": 1}))
    assert [finding.found for finding in findings] == ["unknown key broker.id.deep"]


# -- values


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("trading_enabled", "maybe", "true or false (also yes/no, on/off, y/n, 1/0)"),
        ("trading_enabled", 2, "true or false (also yes/no, on/off, y/n, 1/0)"),
        ("trading_enabled", 1.0, "true or false (also yes/no, on/off, y/n, 1/0)"),
        ("trading_enabled", None, "true or false (also yes/no, on/off, y/n, 1/0)"),
        ("loop.interval_ms", "1,000", "a whole number without separators"),
        ("loop.interval_ms", "1_000", "a whole number without separators"),
        ("loop.interval_ms", True, "a whole number without separators"),
        ("loop.interval_ms", 1.5, "a whole number without separators"),
        ("loop.interval_ms", 99, "at least 100"),
        ("loop.interval_ms", 60_001, "at most 60000"),
        ("risk.max_exposure_pct", "0.96", "at most 0.95"),
        ("risk.max_exposure_pct", "-0.1", "a fraction from 0 to 1"),
        ("risk.max_exposure_pct", "half", "a decimal number without separators"),
        ("risk.max_risk_score", "1e-1", "a decimal number without separators"),
        ("risk.max_risk_score", [1], "a decimal number without separators"),
        ("risk.max_trade_qty", 0, "at least 1"),
        ("base_equity", 0, "more than 0"),
        ("mode", "LIVE", "one of 'SIM', 'BACKTEST'"),
        ("broker.id", "kis", "one of 'sim'"),
    ],
)
def test_a_wrong_value_is_told_with_what_is_right(tmp_path, key, value, expected):
    finding = only(local(tmp_path, **{key: value}))
    assert (finding.key, finding.expected) == (key, expected)
    assert finding.hint.startswith("meaning: ")


@pytest.mark.parametrize("value", [50, 5, "10", 2.5])
def test_percent_written_as_percent_gets_the_fraction_as_a_hint(tmp_path, value):
    finding = only(local(tmp_path, **{"risk.max_exposure_pct": value}))
    assert finding.expected == "a fraction from 0 to 1"
    assert finding.hint.startswith("fractions, not percent: write 0.")


def test_a_number_far_above_percent_gets_a_range(tmp_path):
    finding = only(local(tmp_path, **{"risk.max_exposure_pct": 5_000}))
    assert finding.hint == "fractions, not percent: write 0..1"


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("pipeline.yaml", "sim: 3\n", "a mapping of keys to values"),
        ("pipeline.yaml", "- 3\n", "a mapping of keys to values"),
        ("pipeline.yaml", "sim:\n  session:\n    symbols: 5930\n", "a list of symbols"),
        ("pipeline.yaml", "sim:\n  session:\n    symbols: []\n", "at least 1 entries"),
        ("pipeline.yaml", "sim:\n  session:\n    symbols: [1]\n", "text"),
        (
            "pipeline.yaml",
            "strategy:\n  reentry_cooldown_s:\n    swing: 1.5\n",
            "a whole number without separators",
        ),
        ("config_local.json", entries(**{"risk.max_exposure_pct": 2}), "a fraction from 0 to 1"),
        ("strategies/scalp.yaml", "scalp:\n  session:\n    allowed_phases: [NOON]\n", "one of 'PREPARE', "),
        ("reference/calendar.yaml", "calendars:\n  X: {kind: moon}\n", "one of 'exchange', 'always_open'"),
        ("reference/calendar.yaml", "calendars:\n  X: {}\n", "a mapping of keys to values"),
        ("reference/ticks.yaml", "tick_tables: []\nprice_limits: {}\n", "a mapping of keys to values"),
        ("reference/ticks.yaml", "tick_tables: {A: 1}\nprice_limits: {}\n", "a list"),
        ("reference/ticks.yaml", "tick_tables: {A: []}\nprice_limits: {}\n", "at least 1 entries"),
    ],
)
def test_a_wrong_shape_is_told(tmp_path, name, text, expected):
    finding = only(written(tmp_path, name, text))
    assert finding.expected.startswith(expected)
    assert finding.line == len(text.splitlines()) or finding.line == 1 or finding.line is None


@pytest.mark.parametrize(
    ("values", "order"),
    [
        ({"risk.dd_warning_pct": "0.15"}, "risk: dd_warning_pct <= dd_danger_pct"),
    ],
)
def test_limits_out_of_order_are_told(tmp_path, values, order):
    finding = only(local(tmp_path, **values))
    assert finding.expected == order


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("event:\n  queues:\n    p0: {capacity: 16384}\n", "at most 4096"),
        (
            "event:\n  queues:\n    p0: {capacity: 60}\n",
            "monitoring.alerts.p0_depth.critical < queues.p0.capacity",
        ),
        ("event:\n  queues:\n    p0: {spill_capacity: 50}\n", "spill_capacity >= capacity"),
        (
            "event:\n  monitoring:\n    alerts:\n      p0_depth: {warning: 80, critical: 80}\n",
            "warning < critical",
        ),
        ("event:\n  backpressure:\n    p1: {warning: 0.9, critical: 0.9}\n", "warning < critical"),
        ("event:\n  backpressure:\n    p1: {warning: 0.9, critical: 1}\n", "less than 1"),
    ],
)
def test_event_settings_that_contradict_each_other_are_told(tmp_path, text, order):
    finding = only(written(tmp_path, "event.yaml", text))
    assert finding.expected.endswith(order)


_CALENDAR = """
calendars:
  XKRX:
    kind: exchange
    library: XKRX
    utc_offset_min: 540
    first_day: {first}
    last_day: 2030-12-31
    hours:
      - {{effective_from: {hours}, open: {open}, close: 15:30}}
      - {{effective_from: 2016-08-01, open: 09:00, close: 15:30}}
    phases: {{prepare_before_open_min: {prepare}, close_guard_before_close_min: {guard}}}
  ALWAYS:
    kind: always_open
"""


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"first": "2031-01-01"}, "first_day <= last_day"),
        ({"first": "1990-13-01"}, "a date as YYYY-MM-DD"),
        ({"first": "yesterday"}, "a date as YYYY-MM-DD"),
        ({"hours": "2016-08-01"}, "effective_from ascending (2016-08-01 comes too late)"),
        ({"open": "25:00"}, "a time of day as HH:MM"),
        ({"open": "16:00"}, "open < close"),
        ({"open": "900"}, "a time of day as HH:MM"),
        ({"prepare": 10}, "prepare_before_open_min >= auction_before_open_min"),
        ({"guard": 5}, "close_guard_before_close_min >= auction_before_close_min"),
    ],
)
def test_calendars_that_make_no_sense_are_told(tmp_path, fields, expected):
    values = {
        "first": "1990-01-01",
        "hours": "1990-01-01",
        "open": "09:00",
        "prepare": 60,
        "guard": 15,
        **fields,
    }
    finding = only(written(tmp_path, "reference/calendar.yaml", _CALENDAR.format(**values)))
    assert finding.expected.endswith(expected)


@pytest.mark.parametrize(
    ("bands", "expected"),
    [
        ("{from: 1, tick: 1}", "the first band from 0"),
        ("{from: 0, tick: 1}, {from: 0, tick: 5}", "bands ascending by `from`"),
        ("{from: 0, tick: 0}", "more than 0"),
    ],
)
def test_tick_tables_that_make_no_sense_are_told(tmp_path, bands, expected):
    text = f"price_limits: {{}}\ntick_tables:\n  A: [{{effective_from: 2000-01-01, bands: [{bands}]}}]\n"
    finding = only(written(tmp_path, "reference/ticks.yaml", text))
    assert finding.expected.endswith(expected)


# -- names between files


def test_a_symbol_that_no_instrument_has_is_told(tmp_path):
    finding = only(written(tmp_path, "pipeline.yaml", "sim:\n  session:\n    symbols: [005931]\n"))
    assert finding.found.startswith("sim.session.symbols names '005931'")
    assert finding.hint == "did you mean '005930'?"


def test_a_symbol_without_parameters_for_the_simulated_market_is_told(tmp_path):
    finding = only(written(tmp_path, "pipeline.yaml", "sim:\n  session:\n    symbols: [ETHUSDT]\n"))
    assert "has no `synth` block" in finding.found


def test_names_that_point_at_nothing_are_told(tmp_path):
    text = """
currencies: {KRW: {scale: 0}}
classes:
  A: {market: M, currency: EUR, price_scale: 0, qty_scale: 0, lot: 1, price_increment: 1, tick_table: CENTS,
      price_limit: NONE, cost_table: CRYPTO, calendar: ALWAYS}
instruments:
  X: {class: B, name: x, sector: s}
"""
    directory = written(tmp_path, "reference/instruments.yaml", text)
    written(tmp_path, "pipeline.yaml", "sim: {session: {symbols: [X]}}\n")
    by_key = {finding.key: finding for finding in check(directory)}
    assert set(by_key) == {
        "classes.A.currency",
        "classes.A.tick_table",
        "instruments.X.class",
        "sim.session.symbols",
    }
    assert by_key["classes.A.tick_table"].hint == "did you mean 'CENT'?"
    assert by_key["classes.A.currency"].hint == "define it there, or name an existing one"


# -- files


def test_a_directory_that_is_not_there_is_told(tmp_path):
    with pytest.raises(ConfigError, match="there is no configuration directory") as caught:
        ConfigManager(tmp_path / "nowhere").load()
    assert (caught.value.code, caught.value.exit_code) == ("FS003", 2)


@pytest.mark.parametrize("name", ["pipline.yaml", "strategies/scalps.yaml", "reference/tick.yaml"])
def test_a_misspelt_file_name_is_told(tmp_path, name):
    finding = only(written(tmp_path, name, "{}\n"))
    assert finding.hint.startswith("did you mean ")


def test_a_file_that_nothing_reads_is_told_but_notes_are_welcome(tmp_path):
    written(tmp_path, "README.md", "notes")
    written(tmp_path, "examples/live/pipeline.yaml", "x: 1")
    finding = only(written(tmp_path, "zzzzzzzzzzzzzz.json", "{}"))
    assert finding.hint == "rename or remove it"


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("pipeline.yaml", "sim: [1\n", 2),
        ("pipeline.yaml", "sim: *x\n", 1),
        ("pipeline.yaml", "sim: &a\n  b: *a\n", 1),
        ("pipeline.yaml", "? [a]\n: 1\n", 1),
        ("pipeline.yaml", "sim: !thing 3\n", 1),
        ("pipeline.yaml", "sim: \x07\n", None),
        ("config_local.json", "[\n{,}]", 2),
        ("config_local.json", "[NaN]", None),
        ("config_local.json", "[" * 200_000, None),
        ("config_local.json", f"[{'1' * 5_000}]", None),
        ("pipeline.yaml", "sim: " + "[" * 20_000, None),
        ("pipeline.yaml", f"sim: {'1' * 5_000}\n", None),
        ("config_local.json", "", 1),
    ],
)
def test_a_file_with_wrong_syntax_is_told_with_its_line(tmp_path, name, text, line):
    finding = only(written(tmp_path, name, text))
    assert finding.line == line
    assert finding.found.startswith("the file is not valid ")


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    (tmp_path / "pipeline.yaml").write_bytes(b"sim: \xff\xfe\n")
    (tmp_path / "event.yaml").mkdir()
    found = [finding.found for finding in check(tmp_path)]
    assert len(found) == 2
    assert all(text.startswith("the file cannot be read: ") for text in found)


# -- overrides and totals


def test_an_unknown_override_names_the_nearest():
    with pytest.raises(ConfigError) as caught:
        ConfigManager(overrides={"sim.sede": 1, "zzzz": 1}).load()
    assert caught.value.found == "unknown key sim.sede"
    assert caught.value.hint == "did you mean 'sim.seed'?; 1 more with `qts-engine config check`"


def test_a_wrong_override_is_told_like_a_wrong_value():
    with pytest.raises(ConfigError, match=r"sim\.seed is 'x'"):
        ConfigManager(overrides={"sim.seed": "x"}).load()


def test_everything_wrong_is_found_at_once(tmp_path):
    written(tmp_path, "pipeline.yaml", "sim:\n  seed: -1\n  latency_in_ms: x\n")
    written(tmp_path, "event.yaml", "evnt: {}\n")
    assert len(check(tmp_path)) == 3
    with pytest.raises(ConfigError, match="2 more"):
        ConfigManager(tmp_path).load()


def test_findings_read_like_errors(tmp_path):
    finding = only(written(tmp_path, "pipeline.yaml", "sim:\n  seed: x\n"))
    assert str(finding).splitlines() == [
        "error[FS003]: pipeline.yaml:2: sim.seed is 'x'",
        "  expected: a whole number without separators",
        "  do next: meaning: Seed of the latency: the same seed gives the same delays.",
    ]


def test_korean_users_read_korean(tmp_path, monkeypatch):
    monkeypatch.setenv("QTS_LANG", "ko")
    finding = only(written(tmp_path, "pipeline.yaml", "sim:\n  sead: 3\n"))
    assert (finding.found, finding.hint) == ("알 수 없는 키 sim.sead", "'seed'를 쓰려던 것입니까?")


def test_long_values_are_cut(tmp_path):
    finding = only(local(tmp_path, mode="x" * 200))
    assert len(finding.found) < 100


def test_quiet_times_that_contradict_each_other_are_told(tmp_path):
    finding = only(written(tmp_path, "safety.yaml", "warning:\n  quiet_s: 30\n"))
    assert finding.expected == "warning: quiet_low_s <= quiet_s"
