"""What is read as what."""

import subprocess
import sys
from datetime import date
from decimal import Decimal

import pytest
from pydantic import ValidationError

from qts.config import ConfigManager
from qts.config.loader import read_yaml
from qts.config.models.reference import ExchangeCalendar


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("005930", "005930"),
        ("000660", "000660"),
        ("0", 0),
        ("-12", -12),
        ("1.50", Decimal("1.50")),
        ("1e3", "1e3"),
        ("1_000", "1_000"),
        ("09:00", "09:00"),
        ("no", "no"),
        ("true", True),
        ("~", None),
        ("", None),
        ("2026-01-02", date(2026, 1, 2)),
        ("2026-13-02", "2026-13-02"),
        ('"7"', "7"),
        ("'true'", "true"),
    ],
)
def test_yaml_values_mean_what_they_look_like(text, value):
    got = read_yaml(f"a: {text}\n", "x.yaml").value["a"]
    assert got == value
    assert type(got) is type(value)


def test_an_empty_file_is_an_empty_mapping():
    assert read_yaml("", "x.yaml").value == {}
    assert read_yaml("# nothing\n", "x.yaml").value == {}
    assert read_yaml("null\n", "x.yaml").value == {}


@pytest.mark.parametrize("word", ["true", "YES", "on", "1", "y", 1, True])
def test_words_for_true(word):
    assert ConfigManager(overrides={"scalp.flat_at_close": word}).load().strategies.scalp.flat_at_close is True


@pytest.mark.parametrize("word", ["false", "No", "off", "0", "n", 0, False])
def test_words_for_false(word):
    assert ConfigManager(overrides={"scalp.flat_at_close": word}).load().strategies.scalp.flat_at_close is False


def test_overrides_from_the_command_line_are_text():
    config = ConfigManager(
        overrides={
            "sim.seed": " 7 ",
            "sim.session.symbols": "005930, 000660",
            "risk.max_exposure_pct": "0.25",
            "strategy.reentry_cooldown_s.scalp": "session",
            "strategy.reentry_cooldown_s.swing": "30",
            "scalp.session.allowed_phases": "FULL,OPEN_GUARD",
            "event.queues.p3.sample_rate": "0.5",
            "market.source": "file",
        }
    ).load()
    assert config.sim.seed == 7
    assert config.sim.session.symbols == ("005930", "000660")
    assert config.local.risk.max_exposure_pct == Decimal("0.25")
    assert config.strategy.reentry_cooldown_s.scalp == "session"
    assert config.strategy.reentry_cooldown_s.swing == 30
    assert config.strategies.scalp.session.allowed_phases == ("FULL", "OPEN_GUARD")
    assert config.event.queues.p3.sample_rate == Decimal("0.5")
    assert config.local.market.source == "file"


def test_an_override_replaces_a_root_that_is_no_mapping(tmp_path):
    (tmp_path / "pipeline.yaml").write_text("sim: 3\n")
    assert ConfigManager(tmp_path, {"sim.seed": 4}).load().sim.seed == 4


def test_a_byte_order_mark_is_no_harm(tmp_path):
    (tmp_path / "pipeline.yaml").write_bytes(b"\xef\xbb\xbfsim: {seed: 5}\n")
    assert ConfigManager(tmp_path).load().sim.seed == 5


def test_the_configuration_cannot_be_changed():
    config = ConfigManager().load()
    with pytest.raises(ValidationError, match="frozen"):
        config.local.mode = "BACKTEST"


def test_the_hash_names_values_not_spelling_or_origin(tmp_path):
    (tmp_path / "pipeline.yaml").write_text("strategy:\n  max_intents_per_cycle: 20\n")
    base = ConfigManager(overrides={"trading_enabled": "false"}).load().config_hash
    assert ConfigManager(tmp_path).load().config_hash == base
    assert len(base) == 64
    other = ConfigManager(tmp_path, {"strategy.max_intents_per_cycle": "21"}).load().config_hash
    assert other != base


def test_the_hash_covers_reference_data():
    shipped = ConfigManager().load()
    rows = shipped.reference.currencies | {"EUR": shipped.reference.currencies["KRW"]}
    reference = shipped.reference.model_copy(update={"currencies": rows})
    changed = type(shipped).model_validate(shipped.model_dump(by_alias=True) | {"reference": reference})
    assert changed.config_hash != shipped.config_hash


def test_python_values_are_read_like_files():
    calendar = ConfigManager().load().reference.calendars["XKRX"]
    assert isinstance(calendar, ExchangeCalendar)
    assert ExchangeCalendar.model_validate(calendar.model_dump()) == calendar


def test_configuration_loads_without_pandas():
    code = "import sys, qts.config; qts.config.ConfigManager().load(); print('pandas' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"
