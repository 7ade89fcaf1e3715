"""Pools while Safety or an operator has stopped something: what is kept out, what goes on, and how it is let go on."""

import json
from datetime import UTC, datetime

import pytest

from qts.cli import main
from qts.clock import NS_PER_S
from qts.codes import QtsError
from qts.strategy.examples import QuoteReversion

from .test_supervised_session import CAUSE, Session, config, home, trail  # noqa: F401 - two of them are fixtures
from .tracks_watch import watched

POOLS = ("SCALP", "SWING", "PORTFOLIO")


class SwingReversion(QuoteReversion):
    name = "swing_reversion"
    track = "SWING"


class PortfolioReversion(QuoteReversion):
    name = "portfolio_reversion"
    track = "PORTFOLIO"


@pytest.fixture
def session(home, config, monkeypatch):  # noqa: F811 - the fixtures
    with watched(monkeypatch) as watch:
        session = Session(home, config, ["quote_reversion", SwingReversion, PortfolioReversion])
        session.watch = watch
        yield session
        session.engine.request_stop()
        session.to_the_end()
    assert watch.wrong == []
    assert watch.looks["cycle"] > 100


def states(session):
    desk = session.engine._session.capital
    shown = desk.books.snapshot(datetime(2026, 1, 5, tzinfo=UTC))
    return {pool: (str(one.pool_state), one.pause_causes, one.lock_code) for pool, one in shown.items()}


ACTIVE = dict.fromkeys(POOLS, ("ACTIVE", (), None))


def test_a_failure_pauses_all_pools_and_its_release_lets_them_go_on(session):
    session.on_to(lambda status: status.fills >= 4)
    assert states(session) == ACTIVE
    session.break_the_venue()
    session.on_to(lambda status: status.safety == "FAIL")
    session.on_to(lambda status: True)
    assert {one[0] for one in states(session).values()} == {"PAUSED"}
    assert all("SAFETY" in one[1] for one in states(session).values())
    core = session.engine._session.core
    assert all(core.pool_money(pool)[3] for pool in POOLS), "the gate itself refuses what buys"
    assert session.act("ack", "kim", code="FS040", cause=CAUSE)["applied"]
    released = session.on_to(lambda status: status.safety != "FAIL")
    session.on_to(lambda status: status.done > released.done + 0.005)
    assert {pool: one[2] for pool, one in states(session).items()} == dict.fromkeys(POOLS)
    assert all("SAFETY" not in one[1] and "START" not in one[1] for one in states(session).values())
    assert not core.pool_money("SWING")[3]


def test_a_lockdown_locks_all_pools_and_the_operators_release_opens_them_again(session):
    session.on_to(lambda status: status.fills >= 4 and status.positions)
    held = dict(session.watch.qty)
    assert session.ask("kill", level=1, cause="quotes look wrong")["applied"]
    killed = session.on_to(lambda status: status.safety == "LOCKDOWN")
    locked = session.on_to(lambda status: status.done > killed.done + 0.01)
    assert {one[0] for one in states(session).values()} == {"LOCKED"}
    assert {one[2] for one in states(session).values()} == {"FS085"}
    with pytest.raises(QtsError, match="LOCKDOWN"):
        session.ask("capital.unlock", pool="SCALP", reason="I know better")
    assert {key: qty for key, qty in session.watch.qty.items() if qty > held.get(key, 0)} == {}, "nothing was bought"
    for verb, code in (("release", "KS"), ("approve", "KS")):
        asked = session.act(f"{verb}.request", "lee", code=code, cause=CAUSE, phrase=f"paper {code}")
        assert asked["applied"], asked
        session.clock.ahead_ns += 61 * NS_PER_S
        assert session.act(verb, "lee", nonce=asked["detail"]["nonce"])["applied"]
    freed = session.on_to(lambda status: status.safety not in {"LOCKDOWN", "FAIL"})
    session.on_to(lambda status: status.done > freed.done + 0.001)
    assert states(session) == ACTIVE, "reconciled, each by itself"
    session.on_to(lambda status: status.fills > locked.fills)


def test_a_locked_pool_sells_and_books_and_opens_by_an_operators_word_alone(session, home, capsys):  # noqa: F811
    def held():
        return sum(qty for (track, _), qty in session.watch.qty.items() if track == "PORTFOLIO")

    session.on_to(lambda status: held() > 0)
    desk = session.engine._session.capital
    lock = lambda: desk.books.lock("PORTFOLIO", "FS082", "drawdown", datetime(2026, 1, 5, tzinfo=UTC))  # noqa: E731
    before, count = held(), session.status.fills
    lock()
    sold = session.on_to(lambda status: held() == 0)
    assert before > 0
    assert sold.fills > count, "what it held was sold and booked"
    far = session.on_to(lambda status: status.fills > sold.fills + 3)
    assert held() == 0, "nothing was bought for it"
    assert states(session)["PORTFOLIO"] == ("LOCKED", (), "FS082")
    assert states(session)["SCALP"] == states(session)["SWING"] == ("ACTIVE", (), None)

    assert main(["capital", "unlock", "BONDS", "--home", str(home), "--reason", "x"]) == 2
    assert main(["capital", "unlock", "SCALP", "--home", str(home), "--reason", "x"]) == 2
    assert "SCALP" in capsys.readouterr().err
    assert main(["capital", "unlock", "portfolio", "--home", str(home), "--reason", "loss reviewed", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["applied"] is True
    session.on_to(lambda status: status.done > far.done + 0.001)
    assert states(session) == ACTIVE
    session.on_to(lambda status: held() > 0)
    acts = [line for line in trail(home) if line["kind"] == "capital_unlock"]
    assert [(line["reason"], line["payload"]["pool"]) for line in acts] == [("loss reviewed", "PORTFOLIO")]
