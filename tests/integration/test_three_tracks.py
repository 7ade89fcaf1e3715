"""Three tracks in one run on one account: every won and every share has its pool, and the sums are the account's."""

import itertools
from collections import Counter, defaultdict

import pytest

from qts.codes import UsageError
from qts.engine import backtest
from qts.engine.build import load_config
from qts.safety import SafetyState
from qts.strategy.examples import EmaCross, QuoteReversion

from .tracks_watch import ALL, CASH, PARAMS, watched

POOLS = ("SCALP", "SWING", "PORTFOLIO")
MONEY = ("AVAILABLE", "INVESTED", "RESERVED", "HELD", "UNALLOCATED")
BRIDGE = 78


class SwingReversion(QuoteReversion):
    name = "swing_reversion"
    track = "SWING"


class PortfolioCross(EmaCross):
    name = "portfolio_cross"
    track = "PORTFOLIO"


def on_bars(sample, **more):
    return backtest(sample.daily, ALL, params=PARAMS, cash=CASH, bridge=BRIDGE, **more)


def on_ticks(sample, **more):
    return backtest(sample.ticks, ["quote_reversion", SwingReversion, PortfolioCross], cash=CASH, **more)


@pytest.fixture(scope="module", params=[on_bars, on_ticks])
def ran(request, sample, tmp_path_factory):
    """A run with all that was seen on its way."""
    with pytest.MonkeyPatch.context() as patch, watched(patch) as watch:
        result = request.param(sample, out=tmp_path_factory.mktemp("ran") / "out")
        yield result, watch
        result.close()


def entries(result):
    return list(result._store.iter_capital_entries())


def test_books_table_and_account_agree_at_every_fill_cycle_and_close(ran):
    result, watch = ran
    assert watch.wrong == []
    assert watch.looks["fill"] == result.report["fills"] > 0
    assert watch.looks["cycle"] > watch.looks["open"] == watch.looks["close"] > 0
    assert {track for track, _ in watch.qty} == set(POOLS), "each track has traded"
    assert {seen.safety for seen in watch.closes} <= {SafetyState.NORMAL, SafetyState.WARNING}


def test_scalp_is_flat_at_each_close(ran):
    _, watch = ran
    assert [(seen.day, seen.scalp) for seen in watch.closes if seen.scalp] == []


def test_the_ledger_alone_explains_the_account_to_the_won(ran):
    result, _ = ran
    lines = entries(result)
    account = result.report["account"]
    by_pool, realised, external = Counter(), 0, 0
    for line in lines:
        by_pool[line.pool_id] += line.amount
        if line.cause == "EXTERNAL":
            external += line.amount
        elif line.cause in ("FILL", "FEE", "TAX", "DIVIDEND", "ADJUST"):
            realised += line.amount
    assert external == CASH
    assert sum(by_pool.values()) == CASH + realised
    spent = sum(line.amount for line in lines if line.bucket == "INVESTED")
    assert sum(by_pool.values()) - spent == int(account["cash_end"])
    fees, taxes = (-sum(line.amount for line in lines if line.cause == cause) for cause in ("FEE", "TAX"))
    assert (fees, taxes) == (int(account["fees"]), int(account["taxes"]))
    shown = {row.pool_id: row for row in result._store.iter_capital_pools()}
    assert {pool: shown[pool].total_capital for pool in POOLS} == {pool: by_pool[pool] for pool in POOLS}


def test_each_move_within_the_account_sums_to_nothing(ran):
    result, _ = ran
    moved = defaultdict(int)
    for line in entries(result):
        if line.cause in ("HOLD", "TRANSFER"):
            moved[line.ref_id] += line.amount
    assert moved
    assert set(moved.values()) == {0}


def test_every_hold_has_ended_but_those_that_still_work(ran):
    result, _ = ran
    holds = list(result._store.iter_capital_holds())
    assert {(one.state, one.remaining) for one in holds} == {("CLOSED", 0)}
    bought = {str(row.order_id) for row in result._store.iter_fills() if row.side == "BUY" and row.track != "SCALP"}
    ids = {one.order_id for one in holds}
    assert bought <= ids, "nothing was bought without a hold"
    assert any(one.startswith("x") for one in ids), "what SCALP buys in parts is held at once"


def test_fills_of_the_tracks_are_those_of_the_account(ran):
    result, watch = ran
    held = Counter()
    for row in result._store.iter_fills():
        held[row.track, row.symbol] += row.qty if row.side == "BUY" else -row.qty
    assert {key: qty for key, qty in held.items() if qty} == {key: qty for key, qty in watch.qty.items() if qty}
    shown = {(row["track"], row["symbol"]): int(row["qty"]) for row in result.report["positions"]}
    assert shown == {key: qty for key, qty in held.items() if qty}
    cash = CASH
    for row in result._store.iter_fills():
        cash += (row.amount if row.side == "SELL" else -row.amount) - row.fee - row.tax
    assert cash == int(result.report["account"]["cash_end"])


def test_no_track_ever_buys_while_another_sells_the_same(ran):
    result, _ = ran
    spans = defaultdict(list)
    for row in result._store.iter_orders():
        spans[row.symbol].append(row)
    for rows in spans.values():
        for one, other in itertools.combinations(rows, 2):
            if one.side != other.side:
                apart = one.updated_ns <= other.ts_ns or other.updated_ns <= one.ts_ns
                assert apart, (one, other)


def test_no_pool_buys_more_than_it_has(ran):
    result, _ = ran
    available = Counter()
    for line in entries(result):
        if line.bucket == "AVAILABLE":
            available[line.pool_id] += line.amount
            assert available[line.pool_id] >= 0 or line.cause != "HOLD", line


def test_a_weight_is_a_share_of_the_pool_and_not_of_the_account(sample):
    config = load_config(None, {"risk.max_order_krw": "50000000"})
    with on_bars(sample, config=config) as result:
        [first] = [line.amount for line in entries(result) if line.pool_id == "PORTFOLIO" and line.cause == "EXTERNAL"]
        cost = Counter()
        for row in result._store.iter_fills():
            if (row.track, row.symbol) == ("PORTFOLIO", "000660") and row.side == "BUY":
                cost[row.trade_date] += row.amount
        assert first == CASH // 4
        day = min(cost)
        assert first * 0.18 < cost[day] < first * 0.21, "a fifth of the pool, to the share"


def test_equal_input_gives_equal_decisions_capital_and_files(sample, tmp_path):
    seen = []
    for name in ("a", "b"):
        with on_bars(sample, out=tmp_path / name) as result:
            transfers = list(result._store.iter_capital_transfers())
            seen.append((result.report["run"]["decision_hash"], entries(result), transfers))
    assert seen[0] == seen[1]
    names = sorted(path.name for path in (tmp_path / "a").glob("*.csv"))
    assert "fills.csv" in names
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


@pytest.mark.parametrize(
    ("mode", "strategies", "has_pools"),
    [
        ("AUTO", ["quote_reversion", "ema_cross"], False),
        ("AUTO", ["quote_reversion", SwingReversion], True),
        ("OFF", ["quote_reversion", SwingReversion], False),
        ("ON", ["quote_reversion"], True),
    ],
)
def test_who_gets_pools(sample, mode, strategies, has_pools):
    config = load_config(None, {"capital.mode": mode})
    with backtest(sample.ticks, strategies, cash=CASH, config=config) as result:
        assert ("capital" in result.report) is has_pools
        assert bool(entries(result)) is has_pools
        assert result.report["fills"] > 0


def coins(tmp_path):
    rows = ["ts_event_ns,ts_recv_ns,symbol,kind,price,qty,side,bid,bid_qty,ask,ask_qty"]
    for n in range(50):
        ts = 1_767_571_200_000_000_000 + n * 1_000_000_000
        rows.append(f"{ts},{ts},ETHUSDT,Q,,,,3000.{n:02d},1,3000.{n + 1:02d},1")
    path = tmp_path / "coins.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


def test_an_account_in_another_currency_has_no_pools_and_is_refused_those_it_is_told_to_have(tmp_path):
    data, strategies = coins(tmp_path), ["quote_reversion", SwingReversion]
    with backtest(data, strategies, cash=100_000) as result:
        assert result.report["account"]["currency"] == "USDT"
        assert "capital" not in result.report
    with pytest.raises(UsageError, match="USDT") as refused:
        backtest(data, strategies, cash=100_000, config=load_config(None, {"capital.mode": "ON"}))
    assert "capital.currency" in refused.value.hint
