import threading

import pytest

import qts
from qts.codes import DataError, EngineFault, UsageError
from qts.engine.build import catalog_in, load_config, strategies_of
from qts.strategy import Strategy
from qts.strategy.examples import EXAMPLES


class Breaks(qts.Strategy):
    """Raises whenever it is asked."""

    name = "breaks"

    def on_tick(self, tick):
        raise ZeroDivisionError("no reason\nat all")


@pytest.mark.parametrize("name", ["ema_cross", "quote_reversion"])
def test_the_same_input_gives_the_same_run(sample, tmp_path, name):
    hashes = set()
    for number in range(2):
        with qts.backtest(sample.ticks, name, cash=50_000_000, out=tmp_path / str(number)) as result:
            hashes.add(result.report["run"]["decision_hash"])
            assert result.report["fills"] > 0
    assert len(hashes) == 1
    for file in ("fills.csv", "orders.csv", "decisions.jsonl", "equity.csv"):
        assert (tmp_path / "0" / file).read_bytes() == (tmp_path / "1" / file).read_bytes()


def test_daily_bars_trade_in_the_session_after_the_decision(sample):
    with qts.backtest(sample.daily, "daily_momentum", params={"entry_days": 5, "exit_days": 3}) as result:
        fills = result.fills
        assert len(fills) > 5
        local = fills["time"].dt.tz_convert("Asia/Seoul")
        assert set(local.dt.hour) <= set(range(9, 16))


def test_a_strategy_that_raises_is_suspended_and_the_run_goes_on(sample):
    with qts.backtest(sample.ticks, [Breaks(), "quote_reversion"], cash=50_000_000) as result:
        (fault,) = result.report["faults"]
        assert (fault["code"], fault["source"], fault["times"], fault["suspended"]) == ("SE010", "breaks", 3, True)
        assert fault["message"] == "ZeroDivisionError: no reason at all"
        assert result.report["fills"] > 0
        assert "SE010" in result.summary("en")


def test_an_own_strategy_is_named_by_module_and_class(sample):
    with qts.backtest(sample.ticks, "qts.strategy.examples:QuoteReversion", cash=50_000_000) as result:
        assert result.report["run"]["strategy"] == "quote_reversion"


def test_progress_is_told(sample, tmp_path):
    seen = []
    qts.backtest(sample.ticks, EXAMPLES[0], on_progress=lambda records, fills: seen.append(records)).close()
    assert seen == sorted(seen)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"strategy": "ema_cros"}, "unknown strategy"),
        ({"strategy": []}, "no strategy"),
        ({"strategy": ["ema_cross", "quote_reversion"], "params": {"fast": 3}}, "parameter 'fast'"),
        ({"strategy": ["ema_cross", "quote_reversion"], "params": {"other.fast": 3}}, "parameter 'other.fast'"),
        ({"strategy": "ema_cross", "symbols": {"ema_cros": ["005930"]}}, "symbols for ema_cros"),
        ({"strategy": "ema_cross", "symbols": {"ema_cross": []}}, "no symbol for strategy 'ema_cross'"),
        ({"strategy": "ema_cross", "params": {"fsat": 3}}, "fsat"),
        ({"strategy": "ema_cross", "bridge": 3}, "a bridge of 3"),
        ({"strategy": "ema_cross", "bridge": -1}, "a bridge of -1"),
        ({"strategy": "ema_cross", "cash": "1e6"}, "cash 1e6"),
        ({"strategy": "ema_cross", "cash": "0"}, "cash 0"),
        ({"strategy": "ema_cross", "cash": "10.5"}, "cash 10.5"),
        ({"strategy": "ema_cross", "data": []}, "no data"),
    ],
)
def test_a_wish_that_makes_no_sense_is_told(sample, arguments, message):
    data = arguments.pop("data", sample.ticks)
    with pytest.raises(UsageError) as error:
        qts.backtest(data, **arguments)
    assert message in error.value.found


def test_several_strategies_take_their_own_parameters_and_symbols(sample):
    symbols = {"ema_cross": ["005930"], "quote_reversion": ["000660"]}
    with qts.backtest(
        sample.ticks,
        strategy=["ema_cross", "quote_reversion"],
        params={"ema_cross.fast": "3", "quote_reversion.period": "20", "quote_reversion.spreads": "0.5"},
        symbols=symbols,
    ) as result:
        traded = {(fill.strategy, fill.symbol) for fill in result._store.iter_fills()}
    assert {name for name, _ in traded} == set(symbols)
    assert all(symbol in symbols[name] for name, symbol in traded)


def test_one_account_has_one_currency(sample, tmp_path):
    header, row = (
        "ts_event_ns,ts_recv_ns,symbol,kind,price,qty,side,bid,bid_qty,ask,ask_qty",
        "{0},{0},{1},Q,,,,100,1,101,1",
    )
    mixed = tmp_path / "mixed.csv"
    mixed.write_text("\n".join([header, row.format(1, "005930"), row.format(2, "ETHUSDT")]) + "\n")
    with pytest.raises(DataError) as error:
        qts.backtest(mixed, "ema_cross")
    assert error.value.where == f"{mixed}:3"
    assert "KRW" in error.value.expected
    with pytest.raises(UsageError, match="ETHUSDT"):
        catalog_in(load_config(None), "KRW", ["005930", "ETHUSDT"])
    with qts.backtest(mixed, "ema_cross", skip_bad_rows=True) as result:
        assert result.report["run"]["data"][0]["bad_rows"] == 1
        assert "Bad rows" in result.summary("en")


def test_nothing_is_written_when_the_data_are_wrong(tmp_path):
    bad = tmp_path / "bad.csv"
    bad.write_text("date,symbol,open,high,low,close,volume\n2026-01-05,005930,1,2,3,4,5\n")
    with pytest.raises(DataError) as error:
        qts.backtest(bad, "daily_momentum", out=tmp_path / "out")
    assert error.value.exit_code == 2
    assert not (tmp_path / "out").exists()


def test_an_unknown_first_symbol_names_the_nearest(tmp_path):
    bars = tmp_path / "bars.csv"
    bars.write_text("date,symbol,open,high,low,close,volume\n2026-01-05,05930,1,1,1,1,5\n")
    with pytest.raises(DataError, match="05930") as error:
        qts.backtest(bars, "daily_momentum")
    assert "005930" in error.value.hint


def test_instances_classes_and_names_build_the_same_strategy():
    built = strategies_of([EXAMPLES[0], EXAMPLES[1]()], None)
    assert [one.strategy_id for one in built] == [one.name for one in EXAMPLES[:2]]


def test_trading_is_off_unless_a_configuration_switches_it_on(sample, tmp_path):
    with qts.backtest(sample.ticks, "quote_reversion", config=tmp_path) as result:
        assert sum(result.report["orders"].values()) == 0


def test_a_critical_fault_ends_the_run(sample, monkeypatch):
    from qts.pipeline import Pipeline

    def broken(self, cause, ts_ns, intents=()):
        raise EngineFault("FS031", found="broken", expected="whole")

    monkeypatch.setattr(Pipeline, "on_cycle", broken)
    with pytest.raises(EngineFault) as error:
        qts.backtest(sample.ticks, "ema_cross")
    assert error.value.exit_code == 1


@pytest.mark.parametrize("name", ["s" * 51, "a\0b", "two\nlines"])
def test_a_strategy_whose_name_does_not_fit_into_the_books_is_refused_before_it_trades(name):
    class Named(Strategy):
        pass

    Named.name = name
    with pytest.raises(UsageError, match="printable"):
        strategies_of(Named, None)


def test_a_backtest_that_cannot_begin_lets_go_of_the_database_that_keeps_it(sample, tmp_path, monkeypatch):
    monkeypatch.setenv("QTS_HOME", str(tmp_path))
    config = load_config(None, {"data.keep_backtests": True})
    before = set(threading.enumerate())
    with pytest.raises(UsageError, match="two strategies"):
        qts.backtest(sample.ticks, ["ema_cross", "ema_cross"], config=config)
    left = {thread.name for thread in set(threading.enumerate()) - before}
    assert not [name for name in left if name.startswith("qts-")]
