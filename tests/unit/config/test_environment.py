"""Keys that the environment sets."""

from decimal import Decimal

import pytest

from qts.codes import ConfigError
from qts.config import ConfigManager, show
from qts.config.environment import variable_of

LIMIT = """[
 {"category": "c", "subcategory": "s", "key": "mode", "value": "SIM", "description": "d", "tag": "DANGER"},
 {"category": "c", "subcategory": "s", "key": "risk.max_exposure_pct", "value": 0.4, "description": "d",
  "tag": "STABLE"},
 {"category": "c", "subcategory": "s", "key": "trading_enabled", "value": false, "description": "d", "tag": "STABLE"}
]"""


def load(directory=None, **environ):
    return ConfigManager(directory, environ=environ).load()


@pytest.fixture
def limited(tmp_path):
    (tmp_path / "config_local.json").write_text(LIMIT)
    return tmp_path


def test_a_variable_sets_a_key_by_its_name_in_capitals(limited):
    assert variable_of("sim.session.seed") == "QTS_SIM__SESSION__SEED"
    config = load(limited, QTS_SIM__SESSION__SEED="9", QTS_BASE_EQUITY="5000", QTS_SCALP__FLAT_AT_CLOSE="no")
    assert (config.sim.session.seed, config.local.base_equity) == (9, 5_000)
    assert config.strategies.scalp.flat_at_close is False
    assert show(config)["sim.session.seed"]["source"] == "QTS_SIM__SESSION__SEED"


def test_a_local_scope_can_be_built_from_the_environment_alone(tmp_path):
    config = load(tmp_path, QTS_MODE="SIM", QTS_TRADING_ENABLED="true", QTS_RISK__MAX_EXPOSURE_PCT="0.6")
    assert config.local.trading_enabled
    assert config.local.risk.max_exposure_pct == Decimal("0.6")


def test_a_limit_of_a_file_may_become_stricter(limited):
    assert load(limited, QTS_RISK__MAX_EXPOSURE_PCT="0.3").local.risk.max_exposure_pct == Decimal("0.3")
    assert load(limited, QTS_RISK__MAX_EXPOSURE_PCT="0.40").local.risk.max_exposure_pct == Decimal("0.4")


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        (
            "QTS_RISK__MAX_EXPOSURE_PCT",
            "0.5",
            "QTS_RISK__MAX_EXPOSURE_PCT loosens risk.max_exposure_pct from 0.4 to 0.5",
        ),
        ("QTS_TRADING_ENABLED", "true", "QTS_TRADING_ENABLED loosens trading_enabled from False to True"),
    ],
)
def test_a_limit_of_a_file_never_becomes_looser(limited, name, value, found):
    with pytest.raises(ConfigError) as caught:
        load(limited, **{name: value})
    assert caught.value.found == found
    assert caught.value.where.startswith("config_local.json:")
    assert (caught.value.code, caught.value.exit_code) == ("FS003", 2)


def test_the_command_line_wins_over_the_environment(limited):
    config = ConfigManager(limited, {"sim.seed": 3}, {"QTS_SIM__SEED": "2"}).load()
    assert config.sim.seed == 3
    assert config.sources["sim.seed"] == "override"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("QTS_RISK__MAX_EXPOSUR_PCT", "did you mean 'QTS_RISK__MAX_EXPOSURE_PCT'?"),
        ("QTS_TRADNG_ENABLED", "did you mean 'QTS_TRADING_ENABLED'?"),
        ("QTS_ZZZZ__QQQQQQQQ", "`qts-engine config show` lists every key"),
    ],
)
def test_a_misspelt_variable_is_refused(limited, name, hint):
    with pytest.raises(ConfigError) as caught:
        load(limited, **{name: "1"})
    assert caught.value.found == f"{name} sets no key"
    assert caught.value.hint == hint


def test_other_variables_are_left_alone(limited):
    load(limited, QTS_HOME="/x", QTS_LANG="en", QTS_LIVE_ACK="no", QTS_SOMETHING_ELSE="1", PATH="/bin")


@pytest.mark.parametrize(("value", "expected"), [("banana", "true or false"), ("", "true or false")])
def test_a_wrong_value_is_told_with_its_variable(limited, value, expected):
    with pytest.raises(ConfigError) as caught:
        load(limited, QTS_TRADING_ENABLED=value)
    assert caught.value.where == "QTS_TRADING_ENABLED"
    assert caught.value.expected.startswith(expected)


def test_the_environment_of_the_process_is_the_default(limited, monkeypatch):
    monkeypatch.setenv("QTS_SIM__SEED", "77")
    assert ConfigManager(limited).load().sim.seed == 77
