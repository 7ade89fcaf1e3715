"""Round trips and the figures of a run: exact sums, scopes that add up, and runs that cannot be told of."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qts.data import OrderRow
from qts.engines import (
    EquityDay,
    Holdings,
    Income,
    PerformanceEngine,
    PerformanceInput,
    Split,
    TradeBook,
)
from qts.engines.performance_trades import UNASSIGNED

from .performance_samples import DAY_NS, fill

ALL = ("", "")


def book_of(*fills):
    book = TradeBook()
    trades = [trade for one in fills if (trade := book.fill(one)) is not None]
    return book, trades


def run(fills, days, *, start=1_000_000, **more):
    return PerformanceEngine().calculate_performance_metrics(
        PerformanceInput(start_equity=start, days=days, fills=fills, **more)
    )


# Round trips


def test_the_vector_of_fills():
    book, trades = book_of(
        fill("BUY", 100, 70_000, fee=1_050),
        fill("BUY", 50, 71_000, fee=532),
        fill("SELL", 60, 72_000, fee=648, tax=8_640),
    )
    money = book.totals(ALL).money()
    assert trades == []
    assert money.realized_gross == 100_000
    fee_share = (1_050 + 532) * 60 // 150
    assert money.realized_net == 90_712 - fee_share  # 90,712 is what the ledger books, the share of buy fees left out
    assert (money.bought, money.sold, money.fees, money.taxes) == (10_550_000, 4_320_000, 2_230, 8_640)


def test_a_round_trip_ends_flat_and_is_net_of_every_cost():
    book, trades = book_of(
        fill("BUY", 2, 100, fee=3, ts_ns=5),
        fill("SELL", 1, 150, fee=2, tax=1, ts_ns=7),
        fill("BUY", 1, 90, fee=1, ts_ns=8),
        fill("SELL", 2, 95, fee=4, tax=2, ts_ns=15),
        fill("BUY", 1, 10, fee=0, ts_ns=20),
    )
    assert [(trade.net, trade.opened_ns, trade.closed_ns) for trade in trades] == [(150 + 190 - 290 - 10 - 3, 5, 15)]
    figures = book.stats[ALL].figures()
    assert (figures.trades, figures.wins, figures.gross_wins) == (1, 1, 37)
    assert figures.mean_holding_s == 1e-8


def test_wins_losses_and_streaks():
    results = [5, -1, -2, 0, -3, -4, -5, 7]
    fills = [one for net in results for one in (fill("BUY", 1, 100), fill("SELL", 1, 100 + net))]
    book, trades = book_of(*fills)
    figures = book.stats[ALL].figures()
    assert [trade.net for trade in trades] == results
    assert (figures.trades, figures.wins, figures.losses) == (8, 2, 5)
    assert (figures.win_rate, figures.profit_factor, figures.max_consecutive_losses) == (0.25, 0.8, 3)
    assert (figures.best, figures.worst) == (7, -5)


def test_without_a_loss_there_is_no_profit_factor_and_without_a_trade_no_win_rate():
    book, _ = book_of(fill("BUY", 1, 100), fill("SELL", 1, 101))
    assert book.stats[ALL].figures().profit_factor is None
    figures = run([], [EquityDay("2024-01-02", 1_000_000, 0)])
    assert (figures.account.trades.win_rate, figures.account.trades.mean_holding_s) == (None, None)


def test_tracks_keep_the_same_symbol_apart():
    book, trades = book_of(
        fill("BUY", 1, 100, track="SCALP", strategy="a"),
        fill("BUY", 1, 200, track="SWING", strategy="b"),
        fill("SELL", 1, 150, track="SWING", strategy="b"),
    )
    assert [(trade.owner, trade.net) for trade in trades] == [(("SWING", "b"), -50)]
    assert book.totals(("SCALP", "")).realized_net == 0


def test_a_round_trip_belongs_to_who_opened_it():
    book, _ = book_of(
        fill("BUY", 1, 100, strategy="opens"),
        fill("BUY", 1, 100, strategy="adds"),
        fill("SELL", 2, 110, strategy=""),
        fill("BUY", 1, 100, strategy=""),
    )
    assert book.totals(("", "opens")).money().realized_net == 20
    assert ("SCALP", "adds") not in book.sums
    assert book.totals(("", UNASSIGNED)).bought == 100


def test_a_split_changes_the_shares_and_not_their_cost():
    book, _ = book_of(fill("BUY", 10, 1_000, fee=10))
    book.split(Split("2024-01-03", "SCALP", "A", 50))
    book.split(Split("2024-01-03", "SWING", "A", 50))
    trade = book.fill(fill("SELL", 50, 210, fee=5))
    assert trade is not None
    assert trade.net == 50 * 210 - 10_000 - 15


def date_of(number):
    return f"{2024 + (number - 1) // 12}-{(number - 1) % 12 + 1:02d}-02"


@st.composite
def histories(draw):
    """Fills that never sell more than is held, over tracks, symbols and strategies; each day is a month of its own."""
    held = {}
    fills = []
    day = 1
    for number in range(draw(st.integers(1, 40))):
        day = min(60, day + draw(st.integers(0, 1)))
        track, symbol = draw(st.sampled_from(["SCALP", "SWING"])), draw(st.sampled_from("AB"))
        strategy = draw(st.sampled_from(["s1", "s2"]))
        qty = held.get((track, symbol), 0)
        sells = qty > 0 and draw(st.booleans())
        amount = draw(st.integers(1, qty)) if sells else draw(st.integers(1, 9))
        held[track, symbol] = qty + (-amount if sells else amount)
        fills.append(
            fill(
                "SELL" if sells else "BUY",
                amount,
                draw(st.integers(1, 5_000)),
                day=date_of(day),
                track=track,
                symbol=symbol,
                strategy=strategy,
                fee=draw(st.integers(0, 30)),
                tax=draw(st.integers(0, 9)) if sells else 0,
                ts_ns=day * DAY_NS + number,
            )
        )
    return fills


def marked(fills, incomes=(), flows=None, start=10**9):
    """Account and holdings at the end of each day, kept by hand beside the engine's own books."""
    flows = flows or {}
    cash, held, price = start, {}, {}
    days, holdings = [], {}
    names = sorted({one.trade_date for one in fills} | {row.day for row in incomes} | set(flows))
    for day in names:
        cash += flows.get(day, 0) + sum(row.amount for row in incomes if row.day == day)
        for one in fills:
            if one.trade_date == day:
                sign = 1 if one.side == "BUY" else -1
                cash += -sign * one.amount - one.fee - one.tax
                key = (one.track, one.symbol)
                held[key] = held.get(key, 0) + sign * one.qty
                price[one.symbol] = one.price
        rows = [Holdings(*key, qty * price[key[1]]) for key, qty in held.items() if qty]
        value = sum(row.market_value for row in rows)
        holdings[day] = rows
        days.append(EquityDay(day, cash + value, value, flows.get(day, 0)))
    return days, holdings


@given(histories())
def test_sums_agree_to_the_unit_once_flat(fills):
    held = {}
    for one in fills:
        key = (one.track, one.symbol)
        held[key] = held.get(key, 0) + (one.qty if one.side == "BUY" else -one.qty)
    closing = [
        fill("SELL", qty, 777, track=track, symbol=symbol, fee=7, tax=3, ts_ns=99 * DAY_NS, day=date_of(99))
        for (track, symbol), qty in held.items()
        if qty
    ]
    book, trades = book_of(*fills, *closing)
    total = book.totals(ALL)
    assert total.realized_net == total.cash == sum(trade.net for trade in trades)
    assert sum(book.totals((track, "")).realized_net for track in ("SCALP", "SWING")) == total.realized_net
    stats = book.stats[ALL].figures()
    assert stats.gross_wins - stats.gross_losses == total.realized_net
    assert sum(one.trades for scope, one in book.stats.items() if scope[1] and not scope[0]) == stats.trades


@given(histories(), st.integers(1, 60), st.integers(-(10**8), 10**8), st.integers(1, 10**6))
def test_what_strategies_and_tracks_earn_adds_up_to_the_account_each_day(fills, flow_day, flow, dividend):
    incomes = [Income(fills[-1].trade_date, fills[0].track, fills[0].symbol, dividend)]
    days, holdings = marked(fills, incomes, {date_of(flow_day): flow})
    figures = run(fills, days, start=10**9, holdings=holdings, incomes=incomes)

    assert figures.account.basis == "EQUITY"
    for parts in (figures.tracks, figures.strategies):
        assert {scope.basis for scope in parts.values()} == {"CONTRIBUTION"}
        for field in ("realized_net", "realized_gross", "fees", "taxes", "bought", "sold", "income", "fills"):
            total = getattr(figures.account.money, field)
            assert sum(getattr(scope.money, field) for scope in parts.values()) == total
        for number, month in enumerate(figures.account.returns.monthly):
            together = sum(scope.returns.monthly[number].total_return for scope in parts.values())
            assert together == pytest.approx(month.total_return, abs=5e-9)
        exposure = sum(scope.exposure.mean for scope in parts.values())
        assert exposure == pytest.approx(figures.account.exposure.mean, abs=5e-9)


# Runs


def test_a_contribution_is_measured_on_the_whole_account():
    fills = [
        fill("BUY", 10, 1_000, day="2024-01-02"),
        fill("BUY", 1, 1_000, day="2024-01-02", track="SWING", strategy="w"),
    ]
    days = [EquityDay("2024-01-02", 1_000_000, 11_000), EquityDay("2024-01-03", 1_001_100, 12_100)]
    holdings = {
        "2024-01-02": [Holdings("SCALP", "A", 10_000), Holdings("SWING", "A", 1_000)],
        "2024-01-03": [Holdings("SCALP", "A", 11_000), Holdings("SWING", "A", 1_100)],
    }
    figures = run(fills, days, holdings=holdings)
    assert figures.tracks["SCALP"].returns.total_return == 0.001
    assert figures.strategies["w"].returns.total_return == 0.0001
    assert figures.strategies["w"].exposure.max == pytest.approx(1_100 / 1_001_100, abs=1e-9)
    assert figures.account.exposure.max == pytest.approx(12_100 / 1_001_100, abs=1e-9)
    assert figures.account.exposure.turnover == pytest.approx(11_000 / 2 * 245 / 2_001_100, abs=1e-9)


def test_a_day_without_holdings_of_its_own_keeps_those_of_the_day_before():
    days = [EquityDay(f"2024-01-0{number}", 1_000_000, 1_000) for number in (2, 3, 4)]
    held = {"2024-01-02": [Holdings("SCALP", "A", 1_000)]}
    figures = run([fill("BUY", 1, 1_000)], days, holdings=held)
    assert figures.tracks["SCALP"].returns.total_return == 0.0
    assert figures.tracks["SCALP"].exposure.mean == 0.001


def test_without_holdings_only_the_account_has_returns():
    figures = run([fill("BUY", 1, 100), fill("SELL", 1, 110)], [EquityDay("2024-01-02", 1_000_010, 0)])
    scope = figures.strategies["s"]
    assert (scope.basis, scope.returns, scope.error) == ("NONE", None, None)
    assert (scope.money.realized_net, scope.trades.win_rate) == (10, 1.0)
    assert (scope.exposure.mean, scope.exposure.max) == (None, None)
    assert figures.account.returns.days == 1


def test_a_pool_is_measured_by_its_unit_price_in_which_no_transfer_shows():
    days = [EquityDay("2024-01-02", 1_000_000, 0), EquityDay("2024-01-03", 1_000_000, 0)]
    prices = {"SCALP": [("2024-01-02", Decimal("1.01")), ("2024-01-03", Decimal("1.0302"))]}
    figures = run([], days, unit_prices=prices)
    scope = figures.tracks["SCALP"]
    assert (scope.basis, scope.returns.total_return, scope.returns.max_drawdown) == ("UNIT_PRICE", 0.0302, 0.0)
    broken = run([], days, unit_prices={"SCALP": [("2024-01-02", Decimal(0))]})
    assert broken.tracks["SCALP"].error.code == "FE040"
    assert broken.account.error is None


def test_fills_are_compared_with_their_reference_where_there_is_one():
    fills = [
        fill("BUY", 10, 70_150, ref="known"),
        fill("SELL", 5, 70_150, ref="known"),
        fill("SELL", 5, 70_150, ref="unknown"),
    ]
    references = {"known": 70_100}
    figures = run(
        fills, [EquityDay("2024-01-02", 10**6, 0)], reference=lambda one: references.get(one.decision_id)
    ).account.slippage
    bps = 50 / 70_100 * 10_000
    assert figures.fills == 2
    assert figures.mean_bps == pytest.approx((bps * 10 - bps * 5) / 15, abs=1e-9)
    assert figures.worst_bps == pytest.approx(bps, abs=1e-9)


def order(number, *, qty, filled, state, track="SCALP", strategy="s"):
    return OrderRow(
        order_id=number, ts_ns=0, decision_id="d", symbol="A", track=track, side="BUY", kind="LIMIT", tif="DAY",
        qty=qty, limit_price=1, state=state, filled_qty=filled, amount=filled, end_reason="", strategy=strategy,
        updated_ns=2_500_000,
    )  # fmt: skip


def test_orders_are_counted_by_what_became_of_them():
    orders = [
        order(1, qty=10, filled=10, state="FILLED"),
        order(2, qty=10, filled=5, state="EXPIRED"),
        order(3, qty=10, filled=0, state="REJECTED", track="SWING", strategy="w"),
    ]
    figures = run([], [EquityDay("2024-01-02", 10**6, 0)], orders=orders)
    assert figures.account.orders[:3] == (3, 1, 1)
    assert figures.account.orders.fill_rate == 0.5
    assert figures.account.orders.reject_rate == pytest.approx(1 / 3, abs=1e-9)
    assert figures.strategies["s"].orders == (2, 1, 0, 0.75, 0.0, 2.5)
    assert figures.tracks["SWING"].orders == (1, 0, 1, 0.0, 1.0, None)


def test_the_highest_exposure_within_a_day_counts():
    figures = run([], [EquityDay("2024-01-02", 100, 10)], start=100, peak_exposure=(30, 60))
    assert (figures.account.exposure.mean, figures.account.exposure.max) == (0.1, 0.5)


def test_sums_stand_where_ratios_end():
    fills = [fill("BUY", 1, 100, fee=1), fill("SELL", 1, 90, fee=1)]
    figures = run(fills, [EquityDay("2024-01-02", -5, 0)], start=10, holdings={})
    for scope in (figures.account, figures.tracks["SCALP"], figures.strategies["s"]):
        assert scope.returns is None
        assert scope.error.code == "FE040"
        assert "2024-01-02" in str(scope.error)
        assert (scope.money.realized_net, scope.trades.losses) == (-12, 1)


def test_a_sale_of_what_was_never_bought_is_named_and_harms_nothing_else():
    fills = [
        fill("SELL", 3, 100, fee=1, symbol="B", day="2024-01-02"),
        fill("BUY", 1, 100, day="2024-01-02", track="SWING", strategy="w"),
        fill("SELL", 2, 110, day="2024-01-03", track="SWING", strategy="w"),
        fill("BUY", 1, 100, day="2024-01-03"),
        fill("SELL", 1, 120, day="2024-01-04"),
    ]
    figures = run(fills, [EquityDay("2024-01-02", 10**6, 0)])
    assert figures.account.error.code == "FE040"
    assert "SCALP sold 3 units of B on 2024-01-02 and held 0" in str(figures.account.error)
    assert "SWING sold 2 units of A on 2024-01-03 and held 1" in str(figures.tracks["SWING"].error)
    assert figures.account.money.sold == 300 + 220 + 120
    assert (figures.tracks["SCALP"].trades.trades, figures.tracks["SCALP"].money.realized_net) == (1, 20)


def test_equal_input_gives_equal_output():
    fills = [fill("BUY", 3, 100, fee=1), fill("SELL", 2, 130, fee=1, tax=1)]
    days = [EquityDay("2024-01-02", 1_000_050, 100), EquityDay("2024-01-03", 1_000_040, 90)]
    held = {"2024-01-02": [Holdings("SCALP", "A", 100)]}
    assert run(fills, days, holdings=held) == run(fills, days, holdings=held)
