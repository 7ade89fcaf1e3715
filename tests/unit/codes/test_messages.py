"""Languages, phrasebooks and the shape of an error."""

import importlib
import pkgutil

import pytest

import qts
from qts.codes import (
    TABLE,
    ConfigError,
    DataError,
    EngineFault,
    Phrasebook,
    QtsError,
    UsageError,
    language,
    lookup,
    nearest,
    text,
)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "en"),
        ({"QTS_LANG": "ko"}, "ko"),
        ({"QTS_LANG": " KO "}, "ko"),
        ({"QTS_LANG": "en", "LANG": "ko_KR.UTF-8"}, "en"),
        ({"LANG": "ko_KR.UTF-8"}, "ko"),
        ({"LC_ALL": "C", "LANG": "ko_KR.UTF-8"}, "en"),
        ({"LC_MESSAGES": "ko_KR.UTF-8", "LANG": "de_DE.UTF-8"}, "ko"),
        ({"QTS_LANG": "fr", "LANG": "ko_KR"}, "ko"),
    ],
)
def test_the_language_is_the_chosen_one_else_that_of_the_locale(environ, expected):
    assert language(environ) == expected


def test_an_error_is_told_in_the_users_language(monkeypatch):
    error = UsageError(found="unknown strategy 'x'", expected="one of a, b", hint="choose one")
    monkeypatch.setenv("QTS_LANG", "en")
    assert str(error) == "unknown strategy 'x'; expected: one of a, b; do next: choose one"
    assert error.render() == "error: unknown strategy 'x'\n  expected: one of a, b\n  do next: choose one"
    monkeypatch.setenv("QTS_LANG", "ko")
    assert error.render().startswith("오류: unknown strategy 'x'\n  필요한 값: one of a, b\n")
    assert error.render("en").startswith("error: ")


def test_an_error_says_only_what_it_knows(monkeypatch):
    monkeypatch.setenv("QTS_LANG", "en")
    assert str(DataError(found="file is empty", where="a.csv:1")) == "a.csv:1: file is empty"
    assert DataError(found="file is empty").render() == "error: file is empty"
    fault = EngineFault("FS050", found="equity is 0", where="cycle 7")
    assert str(fault) == "FS050: cycle 7: equity is 0"
    assert fault.render() == "error[FS050]: cycle 7: equity is 0"


def test_exit_codes_tell_faults_from_mistakes():
    assert EngineFault("FS031", found="x").exit_code == 1
    for kind in (UsageError, ConfigError, DataError):
        assert issubclass(kind, QtsError)
        assert kind(found="x").exit_code == 2


def test_a_code_outside_the_table_cannot_be_raised():
    with pytest.raises(ValueError, match="FS999"):
        EngineFault("FS999", found="x")
    with pytest.raises(ValueError, match="FS998"):
        DataError(found="x", code="FS998")
    assert lookup("FS050").effect == "LOCKDOWN"
    assert all(code == row.code for code, row in TABLE.items())


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("emacross", "ema_cross"),
        ("EMA-CROSS", "ema_cross"),
        ("ema cros", "ema_cross"),
        ("zzz", None),
    ],
)
def test_the_nearest_word_is_found_across_case_and_separators(word, expected):
    assert nearest(word, ["quote_reversion", "ema_cross"]) == expected


def test_a_phrasebook_fills_places_in_both_languages():
    say = Phrasebook({"n": ("{n} files", "파일 {n}개")})
    assert (say("n", "en", n=2), say("n", "ko", n=2)) == ("2 files", "파일 2개")
    assert "n" in say
    assert list(say) == ["n"]
    assert say.problems() == []
    assert Phrasebook({"a": ("{x}", "{y}"), "b": ("", "b"), "c": ("c", "c")}).problems() == ["a", "b"]
    assert text("error", "ko") == "오류"


def test_every_phrasebook_of_the_project_is_complete_in_both_languages():
    books = 0
    for module in pkgutil.walk_packages(qts.__path__, "qts."):
        if not module.name.endswith(".messages"):
            continue
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, Phrasebook):
                books += 1
                assert value.problems() == [], module.name
    assert books >= 3
