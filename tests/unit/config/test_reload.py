"""Changing the configuration of a running engine: whole or not at all, and on record."""

import json
from decimal import Decimal

import pytest

from qts.clock import SimClock
from qts.codes import ConfigError
from qts.config import ConfigManager, ConfigReloader, class_of, diff
from qts.config.classes import is_stricter
from qts.config.files import LOCAL_FILE, keys
from qts.config.paths import shipped_dir
from qts.config.reload import with_settings


class Desk:
    """A reloader with everything that it is plugged into."""

    def __init__(self, directory):
        self.directory = directory
        self.write()
        self.positions: int | None = 0
        self.state = "NORMAL"
        self.records, self.taken, self.invalid = [], [], []
        self.apply, self.audit = self.taken.append, self.records.append
        manager = ConfigManager(directory, environ={})
        self.reloader = ConfigReloader(
            manager,
            manager.load(),
            clock=SimClock(7),
            apply=lambda config: self.apply(config),
            audit=lambda record: self.audit(record),
            open_positions=lambda: self.positions,
            on_invalid=self.invalid.append,
            safety_state=lambda: self.state,
        )

    def write(self, **values):
        rows = [
            {"category": "c", "subcategory": "s", "key": key, "value": value, "description": "d", "tag": "TUNABLE"}
            for key, value in {"mode": "SIM", "trading_enabled": True, **values}.items()
        ]
        (self.directory / LOCAL_FILE).write_text(json.dumps(rows))

    def reload(self, **more):
        return self.reloader.reload(**{"by": "CLI:kim", "reason": "test", **more})

    def refused(self, **more):
        before = self.reloader.current
        with pytest.raises(ConfigError) as caught:
            self.reload(**more)
        assert self.reloader.current is before
        assert self.taken == []
        assert self.records[-1].outcome == "REFUSED"
        assert self.records[-1].refusal == str(caught.value)
        return caught.value


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)


def test_a_hot_key_holds_at_once(desk):
    desk.write(**{"market.max_quote_age_ms": 2_000})
    record = desk.reload()
    assert (record.outcome, record.applied, record.pending) == ("APPLIED", ("market.max_quote_age_ms",), ())
    assert (record.by, record.reason, record.at_ns) == ("CLI:kim", "test", 7)
    assert record.changes[0][2:] == (3_000, 2_000)
    assert desk.records == [record]
    assert desk.reloader.current.local.market.max_quote_age_ms == 2_000
    assert desk.taken == [desk.reloader.current]
    assert record.new_version == desk.reloader.current.config_hash != record.old_version


def test_a_session_key_waits_for_the_session(desk):
    (desk.directory / "pipeline.yaml").write_text("strategy:\n  max_intents_per_cycle: 3\n")
    record = desk.reload()
    assert (record.applied, record.pending) == ((), ("strategy.max_intents_per_cycle",))
    assert desk.taken == []
    assert desk.reloader.current.strategy.max_intents_per_cycle == 20
    assert desk.reloader.begin_session().strategy.max_intents_per_cycle == 3
    assert desk.reloader.begin_session() is desk.taken[-1]
    assert len(desk.taken) == 1


def test_hot_keys_of_other_files_hold_at_once_too(desk):
    (desk.directory / "strategies").mkdir()
    (desk.directory / "strategies" / "scalp.yaml").write_text("scalp: {max_quote_age_ms: 100, flat_at_close: false}\n")
    record = desk.reload()
    assert (record.applied, record.pending) == (("scalp.max_quote_age_ms",), ("scalp.flat_at_close",))
    scalp = desk.reloader.current.strategies.scalp
    assert (scalp.max_quote_age_ms, scalp.flat_at_close) == (100, True)
    assert desk.reloader.current.sources["scalp.max_quote_age_ms"] == "strategies/scalp.yaml"


def test_a_limit_tightens_now_and_loosens_with_the_session(desk):
    desk.write(**{"risk.max_exposure_pct": "0.3", "risk.max_trade_qty": 2_000})
    record = desk.reload(confirm=True)
    assert (record.applied, record.pending) == (("risk.max_exposure_pct",), ("risk.max_trade_qty",))
    risk = desk.reloader.current.local.risk
    assert (risk.max_exposure_pct, risk.max_trade_qty) == (Decimal("0.3"), 1_000)


def test_a_restart_key_refuses_the_whole(desk):
    desk.write(**{"base_equity": 5, "market.max_quote_age_ms": 2_000})
    assert desk.refused().found == "base_equity take effect at a restart only"


def test_reference_data_refuse_the_whole(desk):
    (desk.directory / "reference").mkdir()
    ticks = (shipped_dir() / "reference" / "ticks.yaml").read_text()
    (desk.directory / "reference" / "ticks.yaml").write_text(ticks.replace("2023-01-25", "2023-01-26"))
    assert "reference data (reference/ticks.yaml)" in desk.refused().found


@pytest.mark.parametrize(("positions", "found"), [(2, "while 2 positions are open"), (None, "it is unknown whether")])
def test_danger_waits_until_no_position_is_open(desk, positions, found):
    desk.positions = positions
    desk.write(**{"risk.max_trade_qty": 2_000})
    assert found in desk.refused(confirm=True).found
    desk.positions = 0
    assert desk.reload(confirm=True).pending == ("risk.max_trade_qty",)


def test_a_limit_may_tighten_while_positions_are_open(desk):
    desk.positions = 3
    desk.write(trading_enabled=False)
    assert desk.reload(confirm=True).applied == ("trading_enabled",)


def test_danger_takes_a_second_confirmation(desk):
    desk.write(**{"risk.max_trade_qty": 10})
    assert "--confirm" in desk.refused().hint


@pytest.mark.parametrize("state", ["FAIL", "LOCKDOWN", "UNKNOWN"])
def test_in_fail_and_lockdown_only_safety_keys_change(desk, state):
    desk.state = state
    desk.write(**{"market.max_quote_age_ms": 2_000})
    assert f"the safety state is {state}" in desk.refused().found
    desk.write(safe_mode=True)
    assert desk.reload().applied == ("safe_mode",)


def test_files_that_do_not_validate_leave_everything_as_it_was(desk):
    desk.write(**{"market.max_quote_age_ms": 0, "safe_mode": True})
    error = desk.refused()
    assert error.code == "FS003"
    assert desk.invalid == [error]
    assert desk.records[-1].new_version == ""


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("sim:\n  seed: 1\n  seed: 2\n", "stands twice"),
        ("- 3\n", "pipeline.yaml"),
        ("sim: [\n", "pipeline.yaml"),
    ],
)
def test_a_file_that_is_no_configuration_leaves_everything_as_it_was(desk, text, found):
    (desk.directory / "pipeline.yaml").write_text(text)
    assert found in str(desk.refused())
    assert [error.code for error in desk.invalid] == ["FS003"]
    assert desk.records[-1].by == "CLI:kim"


def test_a_change_that_cannot_be_recorded_is_not_made(desk):
    def full(record):
        raise OSError(28, "No space left on device")

    desk.audit = full
    desk.write(safe_mode=True)
    with pytest.raises(ConfigError, match="could not be recorded"):
        desk.reload()
    assert desk.taken == []
    assert not desk.reloader.current.local.safe_mode
    desk.write(base_equity=5)
    with pytest.raises(ConfigError, match="restart"):  # what was refused is told even so
        desk.reload()


def test_an_engine_that_does_not_take_it_is_on_record(desk):
    def broken(config):
        raise RuntimeError("no")

    desk.apply = broken
    desk.write(safe_mode=True)
    with pytest.raises(RuntimeError):
        desk.reload()
    assert [record.outcome for record in desk.records] == ["APPLIED", "FAILED"]
    assert not desk.reloader.current.local.safe_mode


def test_nothing_changed_is_nothing_done(desk):
    record = desk.reload()
    assert (record.changes, desk.records, desk.taken) == ((), [], [])


def test_a_reason_is_needed(desk):
    desk.write(safe_mode=True)
    assert desk.refused(reason=" ").found == "no reason is given"


def test_what_holds_now_has_to_go_together_with_what_waits(desk):
    with pytest.raises(ConfigError, match="dd_warning_pct <= dd_danger_pct") as caught:
        with_settings(desk.reloader.current, {"risk.dd_danger_pct": (LOCAL_FILE, Decimal("0.01"))}, {})
    assert (caught.value.code, caught.value.where) == ("FS003", "local.risk")


# -- classes


def test_every_key_has_a_class():
    assert {class_of(key.name).tag for key in keys()} == {"DANGER", "STABLE", "TUNABLE"}
    assert {class_of(key.name).reload for key in keys()} == {"HOT", "SESSION", "RESTART", "TIGHTEN_NOW"}
    with pytest.raises(KeyError, match="no_such_key"):
        class_of("no_such_key.at_all")


def test_every_limit_that_tightens_has_a_strict_side():
    assert all(class_of(key.name).stricter for key in keys() if class_of(key.name).reload == "TIGHTEN_NOW")


def test_the_shipped_local_file_tags_its_keys_as_the_program_does():
    entries = json.loads((shipped_dir() / LOCAL_FILE).read_text())
    assert {entry["key"]: entry["tag"] for entry in entries} == {
        entry["key"]: class_of(entry["key"]).tag for entry in entries
    }


@pytest.mark.parametrize(
    ("key", "old", "new", "stricter"),
    [
        ("risk.max_trade_qty", 2, 1, True),
        ("risk.max_trade_qty", 1, 2, False),
        ("risk.max_trade_qty", 1, 1, False),
        ("risk.require_stop", False, True, True),
        ("risk.require_stop", True, False, False),
        ("trading_enabled", True, False, True),
        ("trading_enabled", False, True, False),
        ("market.max_quote_age_ms", 2, 1, False),
    ],
)
def test_which_way_is_stricter(key, old, new, stricter):
    assert is_stricter(key, old, new) is stricter


def test_a_key_that_nothing_reads_holds_its_default(tmp_path):
    (tmp_path / "safety.yaml").write_text("anomaly:\n  stale_ms: 5\n")
    (finding,) = ConfigManager(tmp_path).findings()
    assert (finding.line, finding.found) == (
        2,
        "anomaly.stale_ms is set to 5, but nothing reads it in this version",
    )
    (tmp_path / "safety.yaml").write_text("anomaly:\n  stale_ms: 3000\n")
    assert ConfigManager(tmp_path).findings() == []


# -- differences


def test_a_directory_differs_by_keys_and_rows(tmp_path):
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for directory in (ours, theirs):
        (directory / "reference").mkdir(parents=True)
        (directory / LOCAL_FILE).write_bytes((shipped_dir() / LOCAL_FILE).read_bytes())
    (ours / "pipeline.yaml").write_text("sim: {seed: 3}\n")
    costs = (shipped_dir() / "reference" / "costs.yaml").read_text()
    (theirs / "reference" / "costs.yaml").write_text(costs.replace("tax_sell_bps: 20", "tax_sell_bps: 21"))
    assert [tuple(change) for change in diff(ours)] == [("sim.seed", "pipeline.yaml", 1, 3)]
    assert [change.key for change in diff(theirs)] == [
        change.key for change in diff(ours, theirs) if change.key != "sim.seed"
    ]
    rows = [change for change in diff(theirs) if change.key.startswith("cost_tables.")]
    assert rows
    assert json.loads(json.dumps(rows[0].new)) != rows[0].old
    assert diff() == []
