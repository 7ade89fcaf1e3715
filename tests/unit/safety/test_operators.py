import pytest
from safety_samples import KIM, LEE

from qts.safety import Credential, OperatorBook, Refusal, Role


def refused(book, credential) -> Refusal:
    with pytest.raises(Refusal) as caught:
        book.authenticate(credential)
    return caught.value


def test_who_knows_the_secret_has_the_role(operators):
    assert operators.authenticate(KIM) == ("kim", Role.OPERATOR)
    assert operators.authenticate(LEE) == ("lee-officer", Role.SAFETY_OFFICER)


def test_unknown_operator_and_wrong_secret_are_refused(operators):
    assert refused(operators, Credential("park", KIM.secret)).reason == "unknown_operator"
    assert refused(operators, Credential("kim", "wrong")).reason == "wrong_secret"
    assert refused(operators, Credential("kim", LEE.secret)).reason == "wrong_secret"


def test_without_a_file_nobody_is_known(tmp_path):
    assert refused(OperatorBook(tmp_path / "none.json"), KIM).reason == "unknown_operator"


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o602])
def test_a_file_that_others_can_read_or_write_is_not_trusted(operators, mode):
    operators._path.chmod(mode)
    refusal = refused(operators, KIM)
    assert refusal.reason == "open_credentials"
    assert f"{mode:04o}" in refusal.found
    assert "chmod 600" in refusal.hint
    with pytest.raises(Refusal):
        operators.add("park", Role.OPERATOR, "a long enough secret")


@pytest.mark.parametrize("content", ["{", '{"operators": [{"id": "kim"}]}', '{"people": []}'])
def test_a_damaged_file_is_refused_and_not_taken_for_empty(operators, content):
    operators._path.write_text(content)
    assert refused(operators, KIM).reason == "unreadable_credentials"


def test_a_file_that_is_a_directory_is_refused(tmp_path):
    (tmp_path / "operators.json").mkdir(mode=0o700)
    assert refused(OperatorBook(tmp_path / "operators.json"), KIM).reason == "unreadable_credentials"


def test_a_secret_is_changed_and_the_old_one_is_worth_nothing(operators):
    operators.change_secret("kim", "another secret of kim")
    assert refused(operators, KIM).reason == "wrong_secret"
    assert operators.authenticate(Credential("kim", "another secret of kim")).role is Role.OPERATOR
    assert operators.authenticate(LEE).role is Role.SAFETY_OFFICER
    assert operators.accounts() == (("kim", Role.OPERATOR), ("lee-officer", Role.SAFETY_OFFICER))


def test_who_is_removed_is_unknown(operators):
    operators.remove("kim")
    assert refused(operators, KIM).reason == "unknown_operator"
    assert operators.accounts() == (("lee-officer", Role.SAFETY_OFFICER),)


@pytest.mark.parametrize(
    ("reason", "change"),
    [
        ("operator_exists", lambda book: book.add("kim", Role.SAFETY_OFFICER, "another secret of kim")),
        ("secret_in_use", lambda book: book.add("kim-officer", Role.SAFETY_OFFICER, KIM.secret)),
        ("secret_in_use", lambda book: book.change_secret("kim", KIM.secret)),
        ("secret_in_use", lambda book: book.change_secret("kim", LEE.secret)),
        ("weak_secret", lambda book: book.change_secret("kim", "short")),
        ("unknown_operator", lambda book: book.change_secret("park", "a long enough secret")),
        ("unknown_operator", lambda book: book.remove("park")),
    ],
)
def test_a_change_that_will_not_do_changes_nothing(operators, reason, change):
    before = operators._path.read_bytes()
    with pytest.raises(Refusal) as caught:
        change(operators)
    assert caught.value.reason == reason
    assert operators._path.read_bytes() == before


def test_a_change_that_cannot_be_put_on_record_is_not_made(operators):
    def full(_):
        raise OSError("no space")

    before = operators._path.read_bytes()
    for change in (
        lambda: operators.add("park", Role.OPERATOR, "a long enough secret", recorded=full),
        lambda: operators.change_secret("kim", "another secret of kim", recorded=full),
        lambda: operators.remove("kim", recorded=full),
    ):
        with pytest.raises(OSError, match="no space"):
            change()
    assert operators._path.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("park", "short"),
        ("", "a long enough secret"),
        (" park", "a long enough secret"),
        ("pa\nrk", "a long enough secret"),
        ("park", " a long enough secret"),
        ("park", "a long enough\tsecret"),
        ("park", "s" * 501),
    ],
)
def test_a_weak_account_is_refused(operators, name, secret):
    with pytest.raises(Refusal, match="too short"):
        operators.add(name, Role.OPERATOR, secret)


def test_the_file_holds_no_secret_and_nobody_else_can_read_it(operators):
    operators.add("park", Role.OPERATOR, "a long enough secret")
    content = operators._path.read_text()
    assert not any(secret in content for secret in (KIM.secret, LEE.secret, "a long enough secret"))
    assert operators._path.stat().st_mode & 0o777 == 0o600


def test_a_credential_does_not_show_its_secret():
    assert KIM.secret not in repr(KIM)
    assert KIM.secret not in f"{KIM}"


def test_refusals_speak_korean_too(operators, monkeypatch):
    monkeypatch.setenv("QTS_LANG", "ko")
    assert "비밀번호가 틀렸습니다" in refused(operators, Credential("kim", "wrong")).render()
