"""What happens to shares between sessions: dividends, splits, and symbols that do not trade for months."""

import csv
from datetime import date
from decimal import Decimal

import pytest

import qts
from qts.config import DividendRow, SplitRow
from qts.engine.build import catalog_in, load_config
from qts.instruments import load_calendars
from qts.ops.report import verify_identity
from qts.strategy import Intent, Requirements
from qts.strategy.params import duration_ns

SAMSUNG, HYNIX = "005930", "000660"
DAYS = 60
BUY_AFTER, SELL_AFTER = 3, 50
CASH = 100_000_000
DIVIDEND = 361


class Holds(qts.Strategy):
    """Buys after a few bars, holds, and sells much later."""

    name = "holds"
    track = "SWING"

    def requirements(self):
        return Requirements(bar_interval_ns=duration_ns("1d"), lookback=1, phases=frozenset({"OPEN_GUARD"}))

    def generate_intents(self, market, execution):
        count = len(market.bars)
        if execution.position_qty > 0:
            if count >= SELL_AFTER and execution.sellable_qty > 0:
                return (Intent.exit(market.symbol, "held long enough", ttl_ms=86_400_000),)
            return ()
        if BUY_AFTER <= count < SELL_AFTER and execution.is_idle:
            return (Intent.entry(market.symbol, "to hold", weight_ppm=50_000, ttl_ms=86_400_000),)
        return ()


class HoldsForLong(Holds):
    name = "holds_for_long"
    track = "PORTFOLIO"


class HoldsBriefly(Holds):
    """Of the third track; what it buys it has to give up before the close."""

    name = "holds_briefly"
    track = "SCALP"


@pytest.fixture(scope="module")
def days():
    calendar = load_calendars(load_config(None).reference)[catalog_in(load_config(None), "KRW")[SAMSUNG].calendar]
    days = [date(2024, 1, 2)]
    while len(days) < DAYS:
        days.append(calendar.next_session(days[-1]).date)
    return days


def config_with(dividends=(), splits=()):
    config = load_config(None)
    update = {"dividends": {SAMSUNG: tuple(dividends)}, "splits": {SAMSUNG: tuple(splits)}}
    return config.model_copy(update={"reference": config.reference.model_copy(update=update)})


def write_days(path, days, price_of):
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["date", "symbol", "open", "high", "low", "close", "volume"])
        for number, day in enumerate(days):
            for symbol in (SAMSUNG, HYNIX):
                price = price_of(number, symbol)
                if price:
                    writer.writerow([day.isoformat(), symbol, price, price, price, price, 10_000_000])
    return path


def steady(number, symbol):
    return 80_000 if symbol == SAMSUNG else 120_000


def run(path, config, strategies=None, symbols=None):
    strategies = strategies or [Holds(), HoldsForLong(), HoldsBriefly()]
    symbols = symbols or {"holds": [SAMSUNG], "holds_for_long": [HYNIX], "holds_briefly": [HYNIX]}
    return qts.backtest(path, strategies, cash=CASH, config=config, symbols=symbols)


def dividend_of(days):
    return DividendRow(
        ex_date=days[20], record_date=days[21], pay_date=days[30], amount=Decimal(DIVIDEND), currency="KRW"
    )


def bought(result, symbol):
    frame = result.fills
    return int(frame[(frame.symbol == symbol) & (frame.side == "BUY")].qty.sum())


def test_a_dividend_reaches_the_pool_that_held_to_the_won(days, tmp_path):
    path = write_days(tmp_path / "days.csv", days, steady)
    with run(path, config_with()) as plain, run(path, config_with([dividend_of(days)])) as paid:
        qty = bought(paid, SAMSUNG)
        assert qty == bought(plain, SAMSUNG) > 0
        gross = qty * DIVIDEND
        net = gross - gross * 154 // 1000
        lines = [row for row in paid._store.iter_capital_entries() if row.cause == "DIVIDEND"]
        assert [(row.pool_id, row.bucket, row.amount) for row in lines] == [("SWING", "AVAILABLE", net)]
        ends = [Decimal(result.report["account"]["cash_end"]) for result in (plain, paid)]
        assert ends[1] - ends[0] == net
        assert paid.identity().holds
        assert paid._store.verify() == []
        verified = verify_identity(paid.write(tmp_path / "out"))
        assert verified.holds
        with (tmp_path / "out" / "income.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert rows == [{"day": days[30].isoformat(), "track": "SWING", "symbol": SAMSUNG, "amount": str(net)}]
        paid.write(tmp_path / "out")  # a report with income is one of ours, to be replaced


def test_who_buys_on_the_ex_date_is_paid_nothing(days, tmp_path):
    path = write_days(tmp_path / "days.csv", days, steady)
    row = DividendRow(
        ex_date=days[BUY_AFTER], record_date=days[5], pay_date=days[9], amount=Decimal(DIVIDEND), currency="KRW"
    )
    with run(path, config_with([row])) as result:
        assert bought(result, SAMSUNG) > 0
        assert [line for line in result._store.iter_capital_entries() if line.cause == "DIVIDEND"] == []


def test_an_account_that_is_not_divided_is_paid_too(days, tmp_path):
    path = write_days(tmp_path / "days.csv", days, steady)
    config, alone = config_with([dividend_of(days)]), {"holds": [SAMSUNG]}
    with run(path, config, [Holds()], alone) as paid, run(path, config_with(), [Holds()], alone) as plain:
        gross = bought(paid, SAMSUNG) * DIVIDEND
        net = gross - gross * 154 // 1000
        assert net > 0
        lines = list(paid._store.iter_capital_entries())
        assert [(row.pool_id, row.amount, row.cause) for row in lines] == [("UNALLOCATED", net, "DIVIDEND")]
        ends = [Decimal(result.report["account"]["cash_end"]) for result in (plain, paid)]
        assert ends[1] - ends[0] == net
        assert paid.identity().holds


@pytest.mark.parametrize("ratio", [(2, 1), (5, 1), (1, 2)])
@pytest.mark.parametrize("is_divided", [True, False])
def test_a_split_keeps_value_and_books(days, tmp_path, ratio, is_divided):
    numerator, denominator = ratio
    split = SplitRow(effective_date=days[25], numerator=numerator, denominator=denominator)

    def with_split(number, symbol):
        price = steady(number, symbol)
        return price * denominator // numerator if symbol == SAMSUNG and number >= 25 else price

    before = write_days(tmp_path / "plain.csv", days, steady)
    after = write_days(tmp_path / "split.csv", days, with_split)
    strategies = None if is_divided else [Holds()]
    symbols = None if is_divided else {"holds": [SAMSUNG]}
    plain = run(before, config_with(), strategies, symbols)
    strategies = None if is_divided else [Holds()]
    done = run(after, config_with(splits=[split]), strategies, symbols)
    with plain, done:
        qty = bought(done, SAMSUNG)
        assert qty == bought(plain, SAMSUNG) > 0
        frame = done.fills
        sold = frame[(frame.symbol == SAMSUNG) & (frame.side == "SELL")]
        assert int(sold.qty.sum()) == qty * numerator // denominator
        # Nothing of value was made or lost on any day: half a share is at most worth one.
        equities = [[Decimal(value) for value in result.equity.equity] for result in (plain, done)]
        worst = max(abs(one - other) for one, other in zip(*equities, strict=True))
        assert worst <= 2_000, worst  # the spread between two ticks, when it is sold
        held = [
            [value for at, value in zip(result.equity.index, result.equity.equity, strict=True) if at.date() < days[45]]
            for result in (plain, done)
        ]
        assert max(abs(one - other) for one, other in zip(*held, strict=True)) <= (0 if numerator > denominator else 1)
        assert done._store.verify() == []
        assert done.identity().holds
        assert verify_identity(done.write(tmp_path / "out")).holds
        assert done.report["positions"] == plain.report["positions"]


def test_a_symbol_that_is_halted_for_months_stays_and_is_told(days, tmp_path):
    path = write_days(
        tmp_path / "days.csv",
        days,
        lambda number, symbol: 0 if symbol == SAMSUNG and number > 15 else steady(0, symbol),
    )
    with run(path, config_with()) as result:
        held = {row["symbol"]: row for row in result.report["positions"]}
        assert int(held[SAMSUNG]["qty"]) == bought(result, SAMSUNG) > 0
        (told,) = [row for row in result.report["faults"] if row["code"] == "GR037"]
        assert SAMSUNG in told["message"]
        assert told["times"] == DAYS - 16
        assert result.identity().holds
        assert result._store.verify() == []
        account = result.report["account"]
        value = int(held[SAMSUNG]["qty"]) * 80_000
        assert Decimal(account["equity_end"]) - Decimal(account["cash_end"]) >= value


def test_actions_that_nobody_is_concerned_by_change_no_decision(days, tmp_path):
    path = write_days(tmp_path / "days.csv", days, steady)
    late = SplitRow(effective_date=date(2025, 3, 4), numerator=2, denominator=1)
    with run(path, config_with()) as plain, run(path, config_with(splits=[late])) as other:
        assert plain.report["run"]["decision_hash"] == other.report["run"]["decision_hash"]
        assert plain.report["account"] == other.report["account"]
