"""The thin parts between the pipeline and the core, and the session clock."""

from types import SimpleNamespace

from qts.pipeline import EngineAccount, EngineMarket, SessionClock
from qts.pipeline.ports import DAY_NS

MINUTE_NS = 60_000_000_000


def engine(**parts):
    quote = SimpleNamespace(last=5, bid=4, bid_qty=1, ask=6, ask_qty=2, ts_ns=9)
    return SimpleNamespace(quote=lambda _: quote, **parts)


def test_quote_carries_the_base_of_the_days_limits():
    bars = [(0, DAY_NS, 0, 1, 2, 3, 77, 5), (0, 1_000, 0, 1, 2, 3, 88, 5)]
    market = EngineMarket(engine(take_closed_bars=lambda: bars), {0: 70, 1: 60})
    assert market.quote(0) == (5, 4, 1, 6, 2, 9, 70)
    assert market.take_closed_bars() == bars
    assert (market.quote(0).prev_close, market.quote(1).prev_close, market.quote(2).prev_close) == (77, 60, 0)


def test_account_reads_the_book_of_the_core():
    core = engine(
        cash=7,
        reserved_cash=2,
        positions=lambda: [(0, "SWING", 1, 2, 3)],
        working=lambda *_: (1, 0),
    )
    account = EngineAccount(core)
    assert (account.cash(), account.reserved()) == (7, 2)
    assert account.positions() == [(0, "SWING", 1, 2, 3)]
    assert account.working(0, "SWING") == (1, 0)


class CountingCalendar:
    def __init__(self, phase):
        self.phase = phase
        self.asked = 0

    def phase_at(self, ts_ns):
        self.asked += 1
        return self.phase


def test_calendar_is_asked_once_a_minute_and_shared_by_its_instruments():
    krx, always = CountingCalendar("OPEN_GUARD"), CountingCalendar("FULL")
    clock = SessionClock([krx, always, krx])
    assert [clock.phase(instrument, 5 * MINUTE_NS) for instrument in (0, 1, 2, 0)] == [
        "OPEN_GUARD", "FULL", "OPEN_GUARD", "OPEN_GUARD",
    ]  # fmt: skip
    assert (krx.asked, always.asked) == (1, 1)
    krx.phase = "FULL"
    assert clock.phase(2, 6 * MINUTE_NS - 1) == "OPEN_GUARD"
    assert clock.phase(2, 6 * MINUTE_NS) == "FULL"


def test_business_date_is_the_one_in_korea():
    clock = SessionClock([])
    midnight_in_korea_ns = 1_717_340_400_000_000_000  # 2024-06-03T00:00+09:00
    assert clock.session_date(midnight_in_korea_ns) == "2024-06-03"
    assert clock.session_date(midnight_in_korea_ns - 1) == "2024-06-02"
    assert clock.session_date(0) == "1970-01-01"
