"""Where secrets may come from, and what must hold before an order could be real."""

import os

import pytest

from qts.codes import ConfigError
from qts.config import ConfigManager, LiveEvidence, LiveGate, check, load_secrets
from qts.config.live_gate import ACK_PHRASE

WORD = "hunter2-hunter2"


@pytest.fixture
def secrets(tmp_path):
    path = tmp_path / "secrets.env"
    path.write_text(f"# paper\nexport KIS_VTS_APP_KEY={WORD}\nKIS_VTS_APP_SECRET='{WORD}'\n\nKIS_VTS_ACCOUNT_NO=\n")
    path.chmod(0o600)
    return path


def refused(home, **environ) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load_secrets(home, environ)
    assert WORD not in caught.value.render(), "an error must not repeat a secret"
    assert caught.value.code == "FS003"
    return caught.value


def test_secrets_come_from_the_file_and_from_the_environment(secrets, tmp_path):
    found = load_secrets(tmp_path, {"KIS_VTS_ACCOUNT_NO": "12345678"})
    values = found.require(["KIS_VTS_APP_KEY", "KIS_VTS_APP_SECRET", "KIS_VTS_ACCOUNT_NO"])
    assert [value.get_secret_value() for value in values.values()] == [WORD, WORD, "12345678"]
    assert WORD not in f"{values} {found!r}"
    assert "KIS_VTS_APP_KEY" in found
    assert "KIS_VTS_ACNT_PRDT_CD" not in found


def test_a_file_of_its_owner_alone_is_no_finding(secrets, tmp_path):
    assert check(home=tmp_path) == []


def test_an_empty_secret_is_a_missing_one(secrets, tmp_path):
    with pytest.raises(ConfigError, match="there is no KIS_VTS_ACCOUNT_NO"):
        load_secrets(tmp_path, {"KIS_VTS_ACCOUNT_NO": " "}).require(["KIS_VTS_APP_KEY", "KIS_VTS_ACCOUNT_NO"])


def test_no_file_is_no_mistake_but_a_named_one_has_to_be_there(tmp_path):
    load_secrets(tmp_path, {})
    assert "cannot be read" in refused(tmp_path, QTS_SECRETS_FILE=str(tmp_path / "nowhere")).found


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o660, 0o601])
def test_a_file_that_others_can_use_is_refused(secrets, tmp_path, mode):
    secrets.chmod(mode)
    error = refused(tmp_path)
    assert f"mode {mode:04o}" in error.found
    assert f"{mode:04o}" in str(check(home=tmp_path)[0])
    assert "chmod 600" in error.hint
    assert [finding.file for finding in check(home=tmp_path)] == [str(secrets)]


def test_a_link_a_directory_and_a_pipe_are_refused(secrets, tmp_path):
    (tmp_path / "link").symlink_to(secrets)
    os.mkfifo(tmp_path / "pipe", 0o600)
    for name in ("link", "pipe", "."):
        error = refused(tmp_path, QTS_SECRETS_FILE=str(tmp_path / name))
        assert "a plain file" in error.expected


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_somebody_else_is_refused(secrets, tmp_path):
    os.chown(secrets, 65_534, -1)
    assert "belongs to user 65534" in refused(tmp_path).found


@pytest.mark.parametrize("line", [f"KIS_APP_KEY={WORD}", WORD, f"KIS_VTS_APP_KEY={WORD}", f"kis_vts_app_key={WORD}"])
def test_a_line_that_makes_no_sense_is_told_without_its_content(secrets, tmp_path, line):
    secrets.write_text(f"KIS_VTS_APP_KEY=x\n{line}\n")
    assert refused(tmp_path).where == f"{secrets}:2"


def test_a_secret_stands_in_one_place(secrets, tmp_path):
    assert "KIS_VTS_APP_KEY stands in" in refused(tmp_path, KIS_VTS_APP_KEY="other").found


def test_live_and_simulated_keys_do_not_meet(secrets, tmp_path):
    assert "of KIS in one process" in refused(tmp_path, KIS_REAL_APP_KEY="x").found
    load_secrets(tmp_path, {"KIWOOM_REAL_APP_KEY": "x"})


# -- live gate

_OPEN = {
    "mode": "LIVE",
    "live_enabled": True,
    "failsafe_enabled": True,
    "acknowledgement": ACK_PHRASE,
    "real_orders": "Y",
    "evidence": LiveEvidence(host_is_live=True, safety_permits=True, build_is_certified=True),
}


def test_the_gate_opens_if_every_condition_holds():
    gate = LiveGate.of(**_OPEN)
    gate.require()
    assert gate.is_open


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"mode": "SIM"}, "mode_not_live"),
        ({"mode": "live"}, "mode_not_live"),
        ({"live_enabled": False}, "live_enabled_false"),
        ({"live_enabled": 1}, "live_enabled_false"),
        ({"acknowledgement": ""}, "ack_missing_or_invalid"),
        ({"acknowledgement": f"{ACK_PHRASE} "}, "ack_missing_or_invalid"),
        ({"acknowledgement": ACK_PHRASE.lower()}, "ack_missing_or_invalid"),
        ({"real_orders": ""}, "real_order_disabled"),
        ({"real_orders": "N"}, "real_order_disabled"),
        ({"real_orders": "banana"}, "real_order_disabled"),
        ({"failsafe_enabled": False}, "failsafe_disabled"),
        ({"evidence": LiveEvidence(None, True, True)}, "host_mismatch"),
        ({"evidence": LiveEvidence(False, True, True)}, "host_mismatch"),
        ({"evidence": LiveEvidence(True, None, True)}, "safety"),
        ({"evidence": LiveEvidence(True, True, None)}, "build_not_certified"),
    ],
)
def test_one_condition_is_enough_to_close_it(change, reason):
    gate = LiveGate.of(**_OPEN | change)
    assert gate.refusals == (reason,)
    with pytest.raises(ConfigError, match=reason) as caught:
        gate.require()
    assert caught.value.code == "FS003"


def test_no_configuration_of_this_version_opens_it(monkeypatch):
    monkeypatch.setenv("QTS_LIVE_ACK", ACK_PHRASE)
    monkeypatch.setenv("ENABLE_REAL_ORDER", "Y")
    local = ConfigManager(overrides={"live_enabled": "yes"}).load().local
    assert LiveGate.bind(local, _OPEN["evidence"]).refusals == ("mode_not_live",)
    assert "real_order_disabled" in LiveGate.bind(local, LiveEvidence(), {}).refusals
