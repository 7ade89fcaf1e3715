"""Who is told what, when and how often; and that nothing gets lost on the way."""

import errno
import io
import json
import os

import pytest
from safety_samples import START_NS

from qts.safety import (
    FileOutbox,
    LogChannel,
    MemoryChannel,
    MemoryOutbox,
    NoticeLevel,
    Notifier,
    Route,
    SafetyState,
    TerminalChannel,
)
from qts.safety.notices import notice, parsed
from qts.safety.outbox import KEPT, Delivery


def news(code="FS040", level=None, **meta):
    return notice(START_NS, code=code, level=level, state=SafetyState.FAIL, meta=meta)


class Post:
    """A notifier with one channel of each kind."""

    def __init__(self, clock, outbox=None):
        self.clock = clock
        self.channels = {route: MemoryChannel(route.lower(), route) for route in Route}
        self.notifier = Notifier(list(self.channels.values()), clock, outbox)

    def post(self, *args, **given):
        self.notifier.post(news(*args, **given))
        self.notifier.pump()

    def wait(self, seconds):
        self.clock.pass_s(seconds)
        self.notifier.pump()

    def counts(self) -> dict[str, int]:
        counts = {route.value: len(channel.sent) for route, channel in self.channels.items()}
        return {name: count for name, count in counts.items() if count}


@pytest.fixture
def post(clock):
    return Post(clock)


@pytest.mark.parametrize(
    ("level", "routes"),
    [
        ("INFO", {"LOG"}),
        ("WARNING", {"LOG", "TERMINAL", "CHAT"}),
        ("FAIL", {"LOG", "TERMINAL", "CHAT", "MAIL"}),
        ("LOCKDOWN", {"LOG", "TERMINAL", "CHAT", "MAIL"}),
    ],
)
def test_each_level_takes_its_ways(post, level, routes):
    post.post(level=NoticeLevel(level))
    assert post.counts() == dict.fromkeys(routes, 1)


def test_warnings_of_one_code_are_told_once_in_five_minutes_and_then_summed_up(post):
    for _ in range(4):
        post.post("AN001")
    assert post.counts() == {"LOG": 4, "TERMINAL": 1, "CHAT": 1}
    post.post("AN050")
    assert post.counts()["CHAT"] == 2, "another code is another matter"
    post.wait(299)
    assert post.counts()["CHAT"] == 2
    post.wait(1)
    assert post.counts()["CHAT"] == 3
    assert post.channels[Route.CHAT].sent[-1].meta["repeated"] == "3"
    post.wait(300)
    assert post.counts()["CHAT"] == 3, "nothing more to sum up"


def test_a_warning_after_five_quiet_minutes_is_told_at_once(post):
    post.post("AN001")
    post.clock.pass_s(300)
    post.post("AN001")
    assert post.counts()["CHAT"] == 2


def test_ten_warnings_in_ten_minutes_are_as_bad_as_a_failure(post):
    for number in range(9):
        post.post(f"AN0{number + 10}" if number < 3 else "AN001")
        post.clock.pass_s(60)
    assert "MAIL" not in post.counts()
    post.post("AN002")
    assert post.counts()["MAIL"] == 1
    assert post.notifier.is_alarm_open


def test_warnings_that_are_further_apart_are_not(post):
    for _ in range(20):
        post.post("AN001")
        post.clock.pass_s(67)
    assert "MAIL" not in post.counts()


@pytest.mark.parametrize(
    ("level", "every_s", "escalates_s"), [(NoticeLevel.FAIL, 300, 900), (NoticeLevel.LOCKDOWN, 120, 300)]
)
def test_a_failure_is_repeated_until_somebody_acknowledges_it(post, level, every_s, escalates_s):
    post.post(level=level)
    post.wait(every_s - 1)
    assert post.counts()["MAIL"] == 1
    post.wait(1)
    assert post.counts()["MAIL"] == 2
    assert post.channels[Route.MAIL].sent[-1].meta["unacknowledged_s"] == str(every_s)
    assert "SECONDARY" not in post.counts()
    post.wait(escalates_s - every_s)
    assert post.counts()["SECONDARY"] == 1
    post.wait(every_s)
    assert post.counts()["SECONDARY"] == 2
    post.notifier.acknowledge()
    before = post.counts()
    post.wait(3_600)
    assert post.counts() == before


def test_a_lockdown_takes_the_place_of_a_failure_and_not_the_other_way(post):
    post.post(level=NoticeLevel.FAIL)
    post.post("FS050", level=NoticeLevel.LOCKDOWN)
    post.post(level=NoticeLevel.FAIL)
    post.wait(120)
    assert post.channels[Route.MAIL].sent[-1].safety_code == "FS050"


def test_a_newer_alarm_of_the_same_level_does_not_put_off_the_escalation(post):
    post.post(level=NoticeLevel.LOCKDOWN)
    for _ in range(5):
        post.wait(60)
        post.post("FS050", level=NoticeLevel.LOCKDOWN)
    assert post.counts()["SECONDARY"] >= 1


class Broken(MemoryChannel):
    """A channel that can be out of order."""

    is_broken = True

    def send(self, notice):
        if self.is_broken:
            raise ConnectionError("no route")
        super().send(notice)


def test_a_channel_that_fails_is_told_on_the_others_once_and_tried_again(clock):
    chat, mail, log = Broken("chat", Route.CHAT), MemoryChannel("mail", Route.MAIL), MemoryChannel("log", Route.LOG)
    notifier = Notifier([chat, mail, log], clock)
    notifier.post(news())
    notifier.pump()
    notifier.pump()
    assert [notice.safety_code for notice in mail.sent] == ["FS040"]
    assert [notice.safety_code for notice in log.sent] == ["FS040", ""]
    assert "channel=chat" in log.sent[-1].text("en")
    assert "알림 채널" in log.sent[-1].text("ko")
    for seconds in (1, 2, 4, 8):
        clock.pass_s(seconds)
        notifier.pump()
    assert len(log.sent) == 2, "told once"
    chat.is_broken = False
    clock.pass_s(3)
    notifier.pump()
    assert chat.sent == [], "the wait grows"
    clock.pass_s(60)
    notifier.pump()
    assert [notice.safety_code for notice in chat.sent] == ["FS040"]


def test_a_channel_that_is_gone_keeps_nothing_waiting(clock):
    outbox = MemoryOutbox()
    outbox.put(news(), ["pigeon"])
    Notifier([], clock, outbox).pump()
    assert outbox.due() == []


def test_a_full_disk_delays_no_notice_and_is_told_once(clock, tmp_path, monkeypatch):
    outbox = FileOutbox(tmp_path / "outbox.jsonl")
    post = Post(clock, outbox)

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    post.post()
    post.post("FS043")
    assert [notice.safety_code for notice in post.channels[Route.MAIL].sent] == ["FS040", "FS043"]
    told = [notice for notice in post.channels[Route.LOG].sent if not notice.safety_code]
    assert len(told) == 1
    assert "No space" in told[0].text()


def test_a_mark_that_cannot_be_written_does_not_stop_the_rest(clock, tmp_path, monkeypatch):
    outbox = FileOutbox(tmp_path / "outbox.jsonl")
    post = Post(clock, outbox)
    real = outbox._append

    def full(document):
        if "done" in document:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(document)

    monkeypatch.setattr(outbox, "_append", full)
    post.post()
    assert outbox.due() == []
    assert len(FileOutbox(tmp_path / "outbox.jsonl").due()) == 4, "delivered again after a restart"


def test_half_a_line_spoils_no_other(tmp_path, monkeypatch):
    path = tmp_path / "outbox.jsonl"
    outbox = FileOutbox(path)
    write = os.write

    def half(descriptor, content):
        if len(content) < 20:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, content[:-10])

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", half)
        with pytest.raises(OSError, match="No space"):
            outbox.put(news(), ["mail"])
    outbox.put(news("FS043"), ["mail"])
    again = FileOutbox(path)
    assert [row.notice.safety_code for row in again.due()] == ["FS043"]
    assert again.unread == 1


def test_the_thread_delivers_and_ends(clock):
    log = MemoryChannel()
    notifier = Notifier([log], clock)
    notifier.start()
    notifier.post(news())
    notifier.stop()
    assert [notice.safety_code for notice in log.sent] == ["FS040"]
    assert notifier._thread is None


def test_what_was_not_delivered_before_a_crash_is_delivered_after_it(clock, tmp_path):
    path = tmp_path / "outbox.jsonl"
    first = FileOutbox(path)
    sent, lost = news(), news("FS043", symbol="005930")
    first.put(sent, ["mail"])
    first.put(lost, ["mail", "chat"])
    first.done(Delivery(sent, "mail"))
    with path.open("ab") as file:
        file.write(b'{"put": {"ti')  # the process was killed here
    second = FileOutbox(path)
    assert second.due() == [Delivery(lost, "mail"), Delivery(lost, "chat")]
    assert second.unread == 1
    assert FileOutbox(path).unread == 0
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("line", ["[]", "{}", '{"put": {}, "to": []}', '{"put": 1, "to": ["x"]}', '{"to": 3}'])
def test_a_line_that_makes_no_sense_is_left_out(tmp_path, line):
    path = tmp_path / "outbox.jsonl"
    path.write_text(f"{line}\n")
    outbox = FileOutbox(path)
    assert (outbox.due(), outbox.unread) == ([], 1)


def test_the_outbox_is_rewritten_before_it_grows_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr("qts.safety.outbox._LINES_BEFORE_REWRITE", 10)
    outbox = FileOutbox(tmp_path / "outbox.jsonl")
    for _ in range(100):
        row = news()
        outbox.put(row, ["mail"])
        outbox.done(Delivery(row, "mail"))
    outbox.close()
    assert len((tmp_path / "outbox.jsonl").read_bytes().splitlines()) < 10


def test_what_waits_too_long_gives_way_to_what_is_graver():
    outbox = MemoryOutbox()
    for _ in range(KEPT):
        outbox.put(news(level=NoticeLevel.FAIL), ["mail"])
    outbox.put(news("AN001"), ["mail"])
    outbox.put(news(level=NoticeLevel.FAIL), ["mail"])
    assert {row.notice.level for row in outbox.due()} == {NoticeLevel.FAIL}
    assert outbox.dropped == 1


def test_the_log_and_the_terminal_carry_the_same_text(tmp_path, monkeypatch, capsys):
    row = news(stage="Act")
    log = LogChannel(tmp_path / "logs" / "safety.jsonl")
    log.send(row)
    [line] = (tmp_path / "logs" / "safety.jsonl").read_text().splitlines()
    assert json.loads(line)["text"] == row.text("en") == "[FAIL] FS040 | Broker execution error | FAIL | stage=Act"
    stream = io.StringIO()
    TerminalChannel(stream).send(row)
    assert stream.getvalue() == f"{row.text('en')}\n"
    monkeypatch.setenv("QTS_LANG", "ko")
    TerminalChannel().send(row)
    assert "증권사" in capsys.readouterr().err


def test_a_notice_comes_back_from_its_document():
    row = news(stage="Act")
    assert parsed(json.loads(json.dumps(row.as_dict()))) == row
    with pytest.raises(TypeError, match="meta"):
        parsed({**row.as_dict(), "meta": 3})


def test_a_notice_without_a_code_says_so():
    row = notice(0, state=SafetyState.NORMAL, message=("news", "소식"))
    assert row.text("en") == "[INFO] - | news | NORMAL"
    assert notice(0, state=SafetyState.NORMAL).message == ("", "")
