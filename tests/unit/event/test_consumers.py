"""The consumers of P3 against real files: full, missing, in the way, and there again."""

import io
import json
import math
import os
import resource
import sys
import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from qts.event import Arrival, EventError, EventType, create_event
from qts.event.consumers import (
    DashboardConsumer,
    LineFile,
    LogConsumer,
    MetricConsumer,
    NotificationConsumer,
    ReportConsumer,
    TerminalNotifier,
    read_dashboard,
    standard_consumers,
)
from qts.event.consumers import files as files_module
from qts.event.consumers.files import ends_torn, replace_file
from qts.event.consumers.masking import masked
from qts.event.consumers.messages import text

WAIT_S = 20


def arrival(kind, weight=1, /, **payload):
    return Arrival(create_event(kind, "SYSTEM", payload), 1, 0, 0, weight)


def log_line(weight=1, /, **payload):
    return arrival(EventType.LOG_WRITE, weight, **payload)


def rows(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def full_disk(path):
    """Let a path lead to where nothing more can be written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to("/dev/full")


class Clock:
    def __init__(self):
        self.now_s = 1_000

    def monotonic_ns(self):
        return self.now_s * 1_000_000_000


def test_texts_are_there_in_both_languages():
    assert text.problems() == []


class TestLineFile:
    def test_lines_are_whole_and_a_torn_one_is_ended_first(self, tmp_path):
        path = tmp_path / "a" / "lines"
        file = LineFile(path, is_synced=True, tell=pytest.fail)
        file.append(b"one")
        file.close()
        with path.open("ab") as torn:
            torn.write(b"torn")
        assert ends_torn(path)
        file.append("둘".encode())
        file.close()
        file.close()
        assert path.read_text(encoding="utf-8") == "one\ntorn\n둘\n"
        assert file.waiting == 0

    def test_what_a_full_disk_refuses_waits_in_order_and_is_told_once(self, tmp_path):
        path, told = tmp_path / "lines", []
        full_disk(path)
        file = LineFile(path, is_synced=False, tell=told.append)
        for line in (b"1", b"2", b"3"):
            file.append(line)
        assert file.waiting == 3
        assert [str(path) in said and "No space left" in said for said in told] == [True]
        path.unlink()
        file.append(b"4")
        assert path.read_bytes() == b"1\n2\n3\n4\n"
        assert len(told) == 2
        path.unlink()
        full_disk(path)
        file.close()
        file.append(b"5")
        assert len(told) == 3, "new trouble is told again"
        path.unlink()
        file.close()
        assert path.read_bytes() == b"5\n"

    def test_a_line_that_fits_in_part_is_ended_when_there_is_room(self, tmp_path):
        path, told = tmp_path / "lines", []
        file = LineFile(path, is_synced=False, tell=told.append)
        file.append(b"x" * 9)
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (16, hard))
        try:
            file.append(b"y" * 19)
            assert path.stat().st_size == 16
            file.append(b"z")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert (file.waiting, len(told)) == (2, 1)
        file.close()
        assert path.read_bytes() == b"x" * 9 + b"\n" + b"y" * 19 + b"\nz\n"

    def test_a_failed_sync_writes_the_line_again_rather_than_never(self, tmp_path):
        path, told = tmp_path / "lines", []
        path.symlink_to("/dev/null")  # takes everything, cannot be synced
        file = LineFile(path, is_synced=True, tell=told.append)
        file.append(b"1")
        assert (file.waiting, len(told)) == (1, 1)
        path.unlink()
        file.append(b"2")
        assert path.read_bytes() == b"1\n2\n"

    def test_so_many_wait_and_no_more(self, tmp_path, monkeypatch):
        monkeypatch.setattr(files_module, "WAITING_MAX", 3)
        path, told = tmp_path / "lines", []
        full_disk(path)
        file = LineFile(path, is_synced=False, tell=told.append)
        for number in range(5):
            file.append(b"%d" % number)
        assert (file.waiting, file.lost) == (3, 2)
        path.unlink()
        file.close()
        assert path.read_bytes() == b"0\n3\n4\n"
        assert "2" in told[-1]


class TestLog:
    def test_lines_are_json_with_the_weight_of_what_was_sampled(self, tmp_path):
        log = LogConsumer(tmp_path, tell=pytest.fail)
        moment = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
        log.handle_arrival(
            log_line(10, msg="사이클 끝", extra=Decimal("1.50"), at=moment, symbol="005930", level="WARNING")
        )
        log.handle_arrival(log_line(msg="next", code="GR090"))
        log.close()
        first, second = rows(log.path)
        assert list(first)[:4] == ["ts", "level", "msg", "symbol"]
        assert (first["level"], first["msg"], first["extra"], first["sampled_weight"]) == (
            "WARNING",
            "사이클 끝",
            "1.50",
            10,
        )
        assert first["at"] == "2026-01-02T03:04:05.000678Z"
        assert (second["level"], second["code"], "sampled_weight" in second) == ("INFO", "GR090", False)
        assert datetime.fromisoformat(second["ts"]).tzinfo
        assert (log.lines, log.lost) == (2, 0)

    def test_what_no_event_can_hold_is_an_error_and_not_a_line(self, tmp_path):
        log = LogConsumer(tmp_path, tell=pytest.fail)
        with pytest.raises(TypeError, match="object"):
            log.handle_arrival(log_line(msg=object()))
        assert not log.path.exists()

    def test_audit_lines_have_a_file_of_their_own_that_is_only_added_to(self, tmp_path):
        log = LogConsumer(tmp_path, tell=pytest.fail)
        log.handle_arrival(log_line(audit=True, msg="released", actor="operator"))
        assert [row["actor"] for row in rows(log.audit.path)] == ["operator"]
        log.close()
        log.handle_arrival(log_line(audit=True, msg="again"))
        log.close()
        assert [row["msg"] for row in rows(log.audit.path)] == ["released", "again"]
        assert not log.path.exists()

    def test_no_secret_and_no_whole_account_is_written(self):
        fields = {
            "access_token": "t",
            "APPKEY": "k",
            "account": 1234567801,
            "account_no": "77",
            "nested": {"password": "p", "rows": [{"secret": 1}]},
            "account_count": 3,
            "tokens": ["a"],
            "msg": "ok",
        }
        assert masked(fields) == {
            "access_token": "***",
            "APPKEY": "***",
            "account": "***801",
            "account_no": "***",
            "nested": {"password": "***", "rows": [{"secret": "***"}]},
            "account_count": 3,
            "tokens": "***",
            "msg": "ok",
        }

    def test_a_file_of_an_earlier_day_steps_aside_under_its_day_in_seoul(self, tmp_path):
        log = LogConsumer(tmp_path, tell=pytest.fail, keep_days=2)
        log.handle_arrival(log_line(msg="old"))
        log.close()
        # 16:00 UTC is one in the morning of the next day in Seoul.
        written = (datetime.now(UTC) - timedelta(days=3)).replace(hour=16, minute=0)
        os.utime(log.path, (written.timestamp(), written.timestamp()))
        for day in ("2020-01-01", "2020-01-02"):
            (tmp_path / f"qts.jsonl.{day}").write_text("{}\n")
        log = LogConsumer(tmp_path, tell=pytest.fail, keep_days=2)
        log.handle_arrival(log_line(msg="new"))
        log.close()
        assert [row["msg"] for row in rows(log.path)] == ["new"]
        earlier = sorted(path.name for path in tmp_path.glob("qts.jsonl.*"))
        assert earlier == ["qts.jsonl.2020-01-02", f"qts.jsonl.{written.date() + timedelta(days=1)}"], "two are kept"

    def test_trouble_is_told_once_and_the_audit_file_goes_on(self, tmp_path):
        told = []
        log = LogConsumer(tmp_path, tell=told.append)
        full_disk(log.path)
        for _ in range(3):
            log.handle_arrival(log_line(msg="lost"))
        log.handle_arrival(log_line(audit=True, msg="kept"))
        assert (log.lines, log.lost, len(told)) == (0, 3, 1)
        assert [row["msg"] for row in rows(log.audit.path)] == ["kept"]
        log.path.unlink()
        log.path.write_bytes(b'{"torn')
        log.handle_arrival(log_line(msg="there again"))
        log.close()
        first, second = log.path.read_text().splitlines()
        assert (first, json.loads(second)["msg"]) == ('{"torn', "there again")
        assert len(told) == 2
        assert "3" in told[1]

    def test_a_directory_in_the_way_is_trouble_too(self, tmp_path):
        told = []
        log = LogConsumer(tmp_path, tell=told.append)
        log.path.mkdir()
        log.handle_arrival(log_line(msg="lost"))
        log.close()
        assert (log.lost, len(told)) == (1, 1)

    def test_trouble_on_closing_is_nobodys(self, tmp_path, monkeypatch):
        log = LogConsumer(tmp_path, tell=pytest.fail)
        log.handle_arrival(log_line(msg="a"))
        log._file.stream.write("left in the buffer")
        os.close(log._file.stream.fileno())
        log.close()


class Channel:
    name = "channel"

    def __init__(self):
        self.sent, self.error = [], None

    def send(self, notification):
        if self.error is not None:
            raise self.error
        self.sent.append(notification)


def notice(weight=1, /, **payload):
    return arrival(EventType.NOTIFICATION_SEND, weight, **payload)


class TestNotification:
    def consumer(self, tmp_path, *channels, tell=pytest.fail):
        self.clock = Clock()
        return NotificationConsumer(tmp_path / "n.jsonl", channels, tell=tell, clock=self.clock)

    def test_a_message_is_kept_and_sent_in_the_operators_language(self, tmp_path, monkeypatch):
        stream = io.StringIO()
        consumer = self.consumer(tmp_path, TerminalNotifier(stream))
        consumer.handle_arrival(
            notice(
                1,
                severity="WARNING",
                code="GR090",
                text="critical-only mode",
                text_ko="필수 이벤트만 처리",
                level=3,
                account="1234567801",
            )
        )
        assert stream.getvalue()[10:] == "[WARNING] GR090 | critical-only mode | account=***801 level=3\n"
        monkeypatch.setenv("QTS_LANG", "ko")
        consumer.handle_arrival(notice(10, text="news", text_ko="소식\n둘"))
        assert stream.getvalue().splitlines()[1][10:] == "[정보] | 소식 둘 | 10건을 대표함"
        consumer.close()
        first, second = rows(consumer.file.path)
        assert (first["code"], first["text_ko"], first["details"]["level"], first["is_sent"]) == (
            "GR090",
            "필수 이벤트만 처리",
            3,
            True,
        )
        assert second["sampled_weight"] == 10

    def test_the_same_message_is_sent_again_only_after_a_while_but_always_kept(self, tmp_path):
        channel = Channel()
        consumer = self.consumer(tmp_path, channel)
        for at, wanted in ((0, 1), (119, 1), (120, 2), (121, 2), (300, 3)):
            self.clock.now_s = 1_000 + at
            consumer.handle_arrival(notice(severity="CRITICAL", code="FS096", text="P0 failed"))
            assert len(channel.sent) == wanted
        assert [one.repeats for one in channel.sent] == [0, 1, 1]
        assert [row["is_sent"] for row in rows(consumer.file.path)] == [True, False, True, False, True]
        assert channel.sent[-1].line("en").endswith("1 more since the last time")

    def test_what_makes_messages_the_same_can_be_said(self, tmp_path):
        channel = Channel()
        consumer = self.consumer(tmp_path, channel)
        for number in range(3):
            consumer.handle_arrival(notice(text=f"{number} of 3", dedupe_key="progress"))
            consumer.handle_arrival(notice(text=f"{number} of 3"))
        assert [one.english for one in channel.sent] == ["0 of 3", "0 of 3", "1 of 3", "2 of 3"]

    def test_so_many_messages_are_remembered(self, tmp_path, monkeypatch):
        monkeypatch.setattr("qts.event.consumers.notifications._KNOWN_MAX", 2)
        channel = Channel()
        consumer = self.consumer(tmp_path, channel)
        for words in ("a", "b", "c", "b", "a"):
            consumer.handle_arrival(notice(text=words))
        assert [one.english for one in channel.sent] == ["a", "b", "c", "a"]

    def test_a_channel_that_fails_is_told_of_once_and_stops_no_other(self, tmp_path):
        told, broken, whole = [], Channel(), Channel()
        broken.error = ConnectionError("no route")
        consumer = self.consumer(tmp_path, broken, whole, tell=told.append)
        for number in range(3):
            consumer.handle_arrival(notice(text=str(number)))
        assert (len(whole.sent), len(told)) == (3, 1)
        assert "channel" in told[0]
        assert "no route" in told[0]
        broken.error = None
        consumer.handle_arrival(notice(text="3"))
        broken.error = ConnectionError("no route")
        consumer.handle_arrival(notice(text="4"))
        assert len(told) == 2

    def test_an_unknown_severity_goes_out_as_critical_and_is_an_error(self, tmp_path):
        channel = Channel()
        consumer = self.consumer(tmp_path, channel)
        with pytest.raises(EventError, match="CRITICAL"):
            consumer.handle_arrival(notice(severity="URGENT", text="x"))
        assert channel.sent[0].severity == "CRITICAL"

    def test_a_full_disk_keeps_no_message_from_the_terminal(self, tmp_path, capsys):
        told = []
        consumer = self.consumer(tmp_path, TerminalNotifier(), tell=told.append)
        full_disk(consumer.file.path)
        consumer.handle_arrival(notice(severity="CRITICAL", text="stop"))
        assert "[CRITICAL] | stop" in capsys.readouterr().err
        assert (consumer.file.waiting, len(told)) == (1, 1)
        consumer.file.path.unlink()
        consumer.close()
        assert len(rows(consumer.file.path)) == 1


def metric(weight=1, /, **payload):
    return arrival(EventType.METRIC_RECORD, weight, **payload)


class TestMetric:
    def test_counters_gauges_and_histograms_add_up_with_their_weight(self):
        consumer = MetricConsumer()
        for weight, value in ((1, 2), (10, 3)):
            consumer.handle_arrival(metric(weight, name="orders", kind="counter", value=value, labels={"mode": "x"}))
            consumer.handle_arrival(metric(weight, name="equity", value=Decimal(value)))
            consumer.handle_arrival(metric(weight, name="ack_ms", kind="histogram", value=value))
        ack, equity, orders = consumer.snapshot()
        assert (orders.value, orders.labels, orders.kind) == (32, (("mode", "x"),), "counter")
        assert (equity.value, equity.kind, equity.distribution) == (3, "gauge", None)
        assert (ack.distribution.n, ack.distribution.sum, ack.distribution.min, ack.distribution.max) == (11, 32, 2, 3)

    def test_percentiles_are_as_near_as_said(self):
        consumer = MetricConsumer()
        values = [math.exp((number % 997) / 100 - 3) for number in range(5_000)]
        for value in values:
            consumer.handle_arrival(metric(name="t", kind="histogram", value=value))
        (one,) = consumer.snapshot()
        exact = sorted(values)
        for share, found in ((0.5, one.distribution.p50), (0.95, one.distribution.p95), (0.99, one.distribution.p99)):
            assert found == pytest.approx(exact[math.ceil(share * len(exact)) - 1], rel=0.046)

    def test_values_below_zero_and_zero_have_their_place(self):
        consumer = MetricConsumer()
        for value in (-8, -2, 0, 2, 8):
            consumer.handle_arrival(metric(name="slip", kind="histogram", value=value))
        (one,) = consumer.snapshot()
        assert (one.distribution.min, one.distribution.p50, one.distribution.max) == (-8, 0, 8)

    @pytest.mark.parametrize(
        ("payload", "field"),
        [
            ({"value": 1}, "name"),
            ({"name": "a"}, "value"),
            ({"name": "a", "value": True}, "value"),
            ({"name": "a", "value": 1, "kind": "meter"}, "kind"),
            ({"name": "a", "value": -1, "kind": "counter"}, "value"),
            ({"name": "a", "value": 1, "labels": [1]}, "labels"),
        ],
    )
    def test_what_is_no_metric_is_refused(self, payload, field):
        with pytest.raises(EventError) as caught:
            MetricConsumer().handle_arrival(metric(**payload))
        assert caught.value.field == field

    def test_a_name_keeps_its_kind_and_series_are_bounded(self, monkeypatch):
        monkeypatch.setattr("qts.event.consumers.metrics.SERIES_MAX", 2)
        consumer = MetricConsumer()
        consumer.handle_arrival(metric(name="a", value=1))
        with pytest.raises(EventError, match="as before"):
            consumer.handle_arrival(metric(name="a", kind="counter", value=1))
        consumer.handle_arrival(metric(name="b", value=1))
        with pytest.raises(EventError, match="at most 2 series"):
            consumer.handle_arrival(metric(name="c", value=1))


def report(**payload):
    return create_event(EventType.REPORT_GENERATE, "REPORTER", payload)


class TestReport:
    def test_a_report_is_made_beside_its_target_and_put_in_its_place(self, tmp_path):
        asked = []

        def maker(request, part):
            asked.append(request)
            assert not part.exists()
            assert part.parent.parent in {tmp_path / "out" / "daily", tmp_path / "out"}
            part.write_text(f"report {len(asked)}")

        consumer = ReportConsumer(tmp_path / "out", {"daily": maker})
        for _ in range(2):
            consumer.handle(report(report="daily", target="daily/one.txt", day="2026-01-02"))
        assert (tmp_path / "out/daily/one.txt").read_text() == "report 2"
        assert (asked[0].report, dict(asked[0].params)) == ("daily", {"day": "2026-01-02"})
        assert [path.name for path in (tmp_path / "out/daily").iterdir()] == ["one.txt"]
        consumer.handle(report(report="daily", target="plain.txt"))
        assert (tmp_path / "out/plain.txt").read_text() == "report 3"
        assert consumer.made == 3

    def test_a_directory_replaces_an_earlier_one(self, tmp_path):
        def maker(request, part):
            part.mkdir()
            (part / str(request.params["n"])).write_text("x")

        consumer = ReportConsumer(tmp_path, {"run": maker})
        for number in (1, 2):
            consumer.handle(report(report="run", n=number))
        assert [path.name for path in tmp_path.iterdir()] == ["run"]
        assert [path.name for path in (tmp_path / "run").iterdir()] == ["2"]

    def test_a_report_that_fails_leaves_no_trace_and_the_earlier_one_stays(self, tmp_path):
        (tmp_path / "run").write_text("earlier")

        def maker(request, part):
            part.write_text("half")
            raise OSError("No space left on device")

        with pytest.raises(OSError, match="No space"):
            ReportConsumer(tmp_path, {"run": maker}).handle(report(report="run"))
        assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("run", "earlier")]

    def test_an_earlier_directory_comes_back_if_the_new_one_cannot_take_its_place(self, tmp_path, monkeypatch):
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "earlier").touch()
        consumer = ReportConsumer(tmp_path, {"run": lambda request, part: part.mkdir()})
        rename = Path.rename

        def refuses(path, target):
            if path.parent.name.startswith(".run-") and path.name == "run":
                raise OSError("refused")
            return rename(path, target)

        monkeypatch.setattr(Path, "rename", refuses)
        with pytest.raises(OSError, match="refused"):
            consumer.handle(report(report="run"))
        assert [path.name for path in (tmp_path / "run").iterdir()] == ["earlier"]

    def test_unknown_reports_and_targets_outside_are_refused(self, tmp_path):
        inside = tmp_path / "in"
        inside.mkdir()
        (inside / "link").symlink_to(tmp_path)
        consumer = ReportConsumer(inside, {"run": lambda request, part: part.write_text("x")})
        for target in ("../x", str(tmp_path), "", "a/../../x", 5, "link/x"):
            with pytest.raises(EventError, match="a path inside"):
                consumer.handle(report(report="run", target=target))
        for name in ("walk", None, ["run"]):
            with pytest.raises(EventError, match="one of run"):
                consumer.handle(report(report=name))
        with pytest.raises(EventError, match="no report is known"):
            ReportConsumer(inside, {}).handle(report(report="run"))
        with pytest.raises(EventError, match="made nothing"):
            ReportConsumer(inside, {"run": lambda request, part: None}).handle(report(report="run"))
        assert [path.name for path in tmp_path.iterdir()] == ["in"]
        assert consumer.made == 0


def update(weight=1, /, panel="main", update_type="DELTA", **data):
    return arrival(EventType.DASHBOARD_UPDATE, weight, dashboard_id=panel, update_type=update_type, data=data)


class TestDashboard:
    def test_the_newest_state_is_kept_for_threads_and_processes(self, tmp_path):
        consumer = DashboardConsumer(tmp_path / "run" / "d.json", tell=pytest.fail)
        assert (consumer.panels(), read_dashboard(consumer.path)) == ({}, None)
        consumer.handle_arrival(update(update_type="FULL", equity=Decimal("1.5"), pnl=1))
        before = consumer.panels()
        consumer.handle_arrival(update(pnl=2))
        consumer.handle_arrival(update(panel="late", x=1))
        assert dict(before["main"].data) == {"equity": Decimal("1.5"), "pnl": 1}, "what was read does not change"
        main, late = consumer.panels()["main"], consumer.panels()["late"]
        assert (dict(main.data), main.version, main.is_complete) == ({"equity": Decimal("1.5"), "pnl": 2}, 2, True)
        assert late.is_complete is False, "it never had a FULL update"
        consumer.close()
        found = read_dashboard(consumer.path)
        assert found["panels"]["main"]["data"] == {"equity": "1.5", "pnl": 2}
        assert found["panels"]["late"]["is_complete"] is False
        consumer.handle_arrival(update(update_type="FULL", only=1))
        consumer.close()
        assert read_dashboard(consumer.path)["panels"]["main"]["data"] == {"only": 1}
        consumer.close()

    def test_after_a_gap_no_panel_is_known_to_be_complete_until_its_next_full_update(self, tmp_path):
        consumer = DashboardConsumer(tmp_path / "d.json", tell=pytest.fail)
        for panel in ("a", "b"):
            consumer.handle_arrival(update(panel=panel, update_type="FULL", n=1))
        consumer.handle_arrival(update(10, panel="a", n=2))
        assert [consumer.panels()[panel].is_complete for panel in ("a", "b")] == [False, False]
        consumer.handle_arrival(update(10, panel="b", update_type="FULL", n=2))
        assert [consumer.panels()[panel].is_complete for panel in ("a", "b")] == [False, True]
        consumer.close()

    def test_a_full_disk_is_told_once_and_readers_in_the_process_go_on(self, tmp_path):
        told, over = [], threading.Event()

        def tell(line):
            told.append(line)
            over.set()

        place = tmp_path / "run"
        place.touch()  # a file where the directory should be
        consumer = DashboardConsumer(place / "d.json", tell=tell, write_every_s=0.001)
        for number in range(5):
            consumer.handle_arrival(update(n=number))
        assert over.wait(WAIT_S)
        assert consumer.panels()["main"].data == {"n": 4}
        consumer.close()
        assert len(told) == 1
        place.unlink()
        consumer.handle_arrival(update(n=5))
        consumer.close()
        assert len(told) == 2
        assert read_dashboard(consumer.path)["panels"]["main"]["data"] == {"n": 5}
        assert consumer.written

    @pytest.mark.parametrize(
        ("payload", "field"),
        [
            ({"update_type": "FULL", "data": {}}, "dashboard_id"),
            ({"dashboard_id": "a", "update_type": "HALF", "data": {}}, "update_type"),
            ({"dashboard_id": "a", "update_type": "FULL", "data": [1]}, "data"),
        ],
    )
    def test_what_is_no_update_is_refused(self, tmp_path, payload, field):
        consumer = DashboardConsumer(tmp_path / "d.json", tell=pytest.fail)
        with pytest.raises(EventError) as caught:
            consumer.handle_arrival(arrival(EventType.DASHBOARD_UPDATE, **payload))
        assert caught.value.field == field

    def test_panels_are_bounded(self, tmp_path, monkeypatch):
        monkeypatch.setattr("qts.event.consumers.dashboard.PANELS_MAX", 1)
        consumer = DashboardConsumer(tmp_path / "d.json", tell=pytest.fail)
        consumer.handle_arrival(update(n=1))
        with pytest.raises(EventError, match="at most 1 panels"):
            consumer.handle_arrival(update(panel="other", n=1))
        consumer.close()

    def test_a_file_is_replaced_at_once_or_not_at_all(self, tmp_path):
        path = tmp_path / "f"
        replace_file(path, b"1")
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
        try:
            with pytest.raises(OSError, match="too large"):
                replace_file(path, b"2" * 20)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("f", b"1")]


def test_the_standard_ones_write_nothing_before_the_first_event_and_trouble_goes_to_stderr(tmp_path, capsys):
    consumers = standard_consumers(tmp_path / "home")
    assert not (tmp_path / "home").exists()
    kinds = [kind for kind in EventType if sum(consumer.wants(kind) for consumer in consumers) == 1]
    assert [str(kind) for kind in kinds] == [
        "DASHBOARD_UPDATE",
        "LOG_WRITE",
        "REPORT_GENERATE",
        "NOTIFICATION_SEND",
        "METRIC_RECORD",
    ]
    full_disk(consumers.log.path)
    consumers.log.handle_arrival(log_line(msg="x"))
    consumers.close()
    assert "No space left" in capsys.readouterr().err
    assert sys.getswitchinterval()
