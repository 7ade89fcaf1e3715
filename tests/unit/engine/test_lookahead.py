"""No decision knows the future, and one that does is caught: by ticks, by daily bars, by minutes, by the VIX."""

import csv
import gzip
import json
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

import qts
import qts.cli
from qts.clock import NS_PER_DAY, midnight_ns
from qts.codes import UsageError
from qts.engine import check_lookahead
from qts.engine.altered import Future, alter, alter_vol_index
from qts.engine.build import load_config
from qts.engine.lookahead import _decisions, say
from qts.feed import inspect
from qts.instruments import Catalog
from qts.state.history import KST_S, read_vix
from qts.strategy import Intent, Requirements, Strategy
from qts.strategy.params import StrategyParams

S = 1_000_000_000
DAILY = {"entry_days": 5, "exit_days": 3}


class Reads(StrategyParams):
    """What a cheat needs."""

    path: str


class KnowsTomorrow(Strategy):
    """Reads the file itself: buys what will be higher the day after, sells what will not."""

    name = "knows_tomorrow"
    track = "SWING"
    Params = Reads

    def __init__(self, **params):
        super().__init__(**params)
        self._closes = {}
        with Path(self.params.path).open(newline="") as file:
            for row in csv.DictReader(file):
                self._closes.setdefault(row["symbol"], []).append((date.fromisoformat(row["date"]), int(row["close"])))

    def requirements(self):
        return Requirements(bar_interval_ns=NS_PER_DAY)

    def generate_intents(self, market, execution):
        today = date.fromordinal(date(1970, 1, 1).toordinal() + (market.cycle_ts_ns + KST_S * S) // NS_PER_DAY)
        ahead = [close for day, close in self._closes[market.symbol] if day >= today][:2]
        if len(ahead) < 2:
            return ()
        if ahead[1] > ahead[0] and not execution.position_qty:
            return (Intent.entry(market.symbol, "will rise", weight_ppm=20_000),)
        return (Intent.exit(market.symbol, "will fall"),) if execution.position_qty and ahead[1] < ahead[0] else ()


class KnowsTheNextPrint(Strategy):
    """Reads the ticks itself: buys once the next print of the symbol is a higher one."""

    name = "knows_the_next_print"
    Params = Reads

    def __init__(self, **params):
        super().__init__(**params)
        with gzip.open(self.params.path, "rt", newline="") as file:
            self._prints = [
                (int(row["ts_recv_ns"]), int(row["price"]))
                for row in csv.DictReader(file)
                if row["kind"] == "T" and row["symbol"] == "005930"
            ]
        self._next = 0
        self._wait_ns = 0

    def on_tick(self, tick):
        if tick.symbol != "005930":
            return None
        while self._next < len(self._prints) and self._prints[self._next][0] <= tick.ts_ns:
            self._next += 1
        if tick.ts_ns < self._wait_ns or self._next >= len(self._prints) or not tick.bid:
            return None
        if self._prints[self._next][1] <= tick.ask:
            return None
        self._wait_ns = tick.ts_ns + 61 * S
        return Intent.entry("005930", "in", weight_ppm=1_000)


class Counts(Strategy):
    """Buys on every tenth bar, whatever came: remembers what it has seen, so an instance must be used once."""

    name = "counts"
    track = "SWING"

    def __init__(self):
        super().__init__()
        self.seen = 0

    def requirements(self):
        return Requirements(bar_interval_ns=NS_PER_DAY)

    def generate_intents(self, market, execution):
        self.seen += 1
        return (Intent.entry(market.symbol, "tenth", weight_ppm=10_000),) if self.seen % 10 == 0 else ()


@pytest.fixture(scope="module")
def catalog():
    return Catalog.load(load_config(None).reference)


def minutes_of(sample, place) -> Path:
    """The prints of one symbol as minute bars."""
    bars: dict[int, list[tuple[int, int]]] = {}
    with gzip.open(sample.ticks, "rt", newline="") as file:
        for row in csv.DictReader(file):
            if row["kind"] == "T" and row["symbol"] == "005930":
                bars.setdefault(int(row["ts_recv_ns"]) // (60 * S), []).append((int(row["price"]), int(row["qty"])))
    path = place / "minutes.csv"
    with path.open("w", newline="\n") as file:
        file.write("time,symbol,open,high,low,close,volume\n")
        for minute, prints in sorted(bars.items())[:300]:
            prices = [price for price, _ in prints]
            hour, rest = divmod(minute + 540, 60)
            at = f"2024-01-02 {hour % 24:02d}:{rest:02d}"
            row = (prices[0], max(prices), min(prices), prices[-1], sum(qty for _, qty in prints))
            file.write(f"{at},005930,{','.join(map(str, row))}\n")
    return path


# What is honest passes


def test_daily_strategies_know_no_future(sample):
    seen = []
    report = check_lookahead(
        sample.daily, "daily_momentum", params=DAILY, cuts=4, on_progress=lambda *told: seen.append(told)
    )
    assert report.is_clean
    assert report.decisions > 50
    assert report.compared > report.decisions
    assert [run.variant for run in report.runs].count("cut off") == 1
    assert len({run.cut_ns for run in report.runs}) == 4
    assert all((run.cut_ns + KST_S * S) % NS_PER_DAY == 0 for run in report.runs), "between two days"
    with qts.backtest(sample.daily, "daily_momentum", params=DAILY) as alone:
        assert report.decision_hash == alone.report["run"]["decision_hash"], "the run as it is"


def test_tick_strategies_know_no_future(sample):
    report = check_lookahead(sample.ticks, "quote_reversion", cuts=2, cash=50_000_000)
    assert (report.is_clean, report.compared > 50, len(report.runs)) == (True, True, 5)


def test_minute_bars_change_between_two_minutes(sample, tmp_path):
    report = check_lookahead(minutes_of(sample, tmp_path), "ema_cross", params={"bar": "1m"}, cuts=2)
    assert report.is_clean
    assert all(run.cut_ns % (60 * S) == 0 for run in report.runs)


def test_the_same_seed_checks_the_same_and_another_does_not(sample):
    runs = [check_lookahead(sample.daily, "daily_momentum", params=DAILY, cuts=2, seed=seed).runs for seed in (7, 7, 8)]
    assert runs[0] == runs[1] != runs[2]


def test_an_instance_is_used_once_each_time(sample):
    strategy = Counts()
    assert check_lookahead(sample.daily, strategy, cuts=1).is_clean
    assert strategy.seen == 0


def test_several_strategies_go_through_the_same_run(sample):
    options = {"params": {"daily_momentum.entry_days": "5"}, "symbols": {"counts": ["005930"]}}
    report = check_lookahead(sample.daily, ["daily_momentum", Counts()], cuts=1, **options)
    with qts.backtest(sample.daily, ["daily_momentum", Counts()], **options) as alone:
        assert report.decision_hash == alone.report["run"]["decision_hash"]
    assert report.is_clean


# What cheats is caught


def test_a_strategy_that_reads_tomorrow_is_caught(sample):
    report = check_lookahead(sample.daily, KnowsTomorrow, params={"path": str(sample.daily)})
    found = report.difference
    assert not report.is_clean
    assert found.ts_ns < found.cut_ns
    assert found.symbol in {row["symbol"] for row in rows_of(sample.daily)}
    assert found.original != found.altered
    lines = [json.loads(line) for line in (found.original, found.altered) if line]
    assert found.ts_ns == min(line["ts_ns"] for line in lines)
    text = report.summary("en")
    assert "a decision knew the future" in text
    assert str(found.cut_ns) in text
    assert "미래를 안 결정이 있습니다" in report.summary("ko")


def test_a_strategy_that_reads_the_next_tick_is_caught(sample):
    report = check_lookahead(
        sample.ticks, KnowsTheNextPrint, params={"path": str(sample.ticks)}, cuts=3, cash=50_000_000
    )
    assert report.difference is not None


def test_the_command_says_where_and_ends_with_1(sample, capsys, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    arguments = ["backtest", "--check-lookahead", "--lookahead-cuts", "2", "--data", str(sample.daily)]
    cheat = ["--strategy", "test_lookahead:KnowsTomorrow", "--set", f"path={sample.daily}"]
    assert qts.cli.main([*arguments, *cheat, "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["clean"], set(told["difference"])) == (
        False,
        {"cut_ns", "variant", "ts_ns", "symbol", "original", "altered"},
    )
    assert qts.cli.main([*arguments, *cheat]) == 1
    assert "First difference at" in capsys.readouterr().out
    assert qts.cli.main([*arguments, "--strategy", "daily_momentum"]) == 0
    assert "no decision" in capsys.readouterr().out
    assert qts.cli.main([*arguments, "--strategy", "daily_momentum", "--out", "x"]) == 2
    assert "the check writes no report" in capsys.readouterr().err


@pytest.mark.parametrize("cuts", [0, -1, 1_001])
def test_a_number_of_cuts_that_is_none_is_refused(sample, cuts):
    with pytest.raises(UsageError, match="cuts"):
        check_lookahead(sample.daily, "daily_momentum", cuts=cuts)


def test_nothing_to_compare_is_said_to_be_nothing(sample):
    report = check_lookahead(sample.daily, "daily_momentum", params={"entry_days": 300}, cuts=1)
    assert (report.decisions, report.compared, report.is_clean) == (0, 0, True)
    assert "the check shows nothing" in report.summary("en")


def test_every_text_is_there_in_both_languages():
    assert say.problems() == []


# What the other future looks like


def rows_of(path):
    with gzip.open(path, "rt", newline="") if path.suffix == ".gz" else path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_bars_are_the_same_up_to_the_cut_and_all_different_after_it(sample, tmp_path, catalog):
    cut_ns = midnight_ns(date(2024, 2, 1), KST_S)
    before = rows_of(sample.daily)
    levels = {}
    for variant in ("higher", "lower"):
        written = alter(inspect(sample.daily), tmp_path / variant / "d.csv", Future(cut_ns, variant, 7), catalog)
        after = rows_of(written.path)
        assert written.rows == len(after) == len(before)
        ratios = []
        for one, two in zip(before, after, strict=True):
            if one["date"] < "2024-02-01":
                assert one == two
                continue
            assert (one["date"], one["symbol"]) == (two["date"], two["symbol"])
            low, open_, close, high = (int(two[name]) for name in ("low", "open", "close", "high"))
            assert low <= min(open_, close) <= max(open_, close) <= high
            assert int(two["volume"]) >= 2 * int(one["volume"])
            assert close == catalog.core.floor_to_tick(catalog[two["symbol"]].id, close, cut_ns)
            ratios.append(Decimal(two["close"]) / Decimal(one["close"]))
        levels[variant] = (min(ratios), max(ratios))
    assert Decimal("0.9") < levels["lower"][0] < levels["lower"][1] < Decimal("0.99")
    assert Decimal("1.01") < levels["higher"][0] < levels["higher"][1] < Decimal("1.09")
    gone = alter(inspect(sample.daily), tmp_path / "d.csv", Future(cut_ns, "cut off", 7), catalog)
    assert rows_of(gone.path) == [row for row in before if row["date"] < "2024-02-01"]
    assert gone.last_ns == midnight_ns(date(2024, 1, 31), KST_S)


def test_ticks_keep_their_shape(sample, tmp_path, catalog):
    before = rows_of(sample.ticks)
    cut_ns = int(before[len(before) // 2]["ts_recv_ns"])
    written = alter(inspect(sample.ticks), tmp_path / "t.csv.gz", Future(cut_ns, "higher", 7), catalog)
    after = rows_of(written.path)
    assert (written.rows, len(after)) == (len(before), len(before))
    assert written.last_ns < cut_ns
    for one, two in zip(before, after, strict=True):
        if int(one["ts_recv_ns"]) < cut_ns:
            assert one == two
            continue
        assert [name for name in one if bool(one[name]) != bool(two[name])] == []
        assert one["price"] != two["price"] or not one["price"]
        assert not (two["bid"] and two["ask"]) or int(two["bid"]) <= int(two["ask"])


def test_parquet_is_altered_as_the_csv_that_it_is_read_as(sample, tmp_path, catalog):
    pd = pytest.importorskip("pandas")
    frame = pd.read_csv(sample.ticks, dtype={"symbol": str}).head(4_000)
    for name in ("price", "qty", "bid", "bid_qty", "ask", "ask_qty"):
        frame[name] = frame[name].astype("Int64")
    frame.to_parquet(tmp_path / "t.parquet", index=False)
    report = check_lookahead(tmp_path / "t.parquet", "quote_reversion", cuts=1, params={"period": 20})
    assert report.is_clean
    cut_ns = int(frame["ts_recv_ns"].iloc[2_000])
    written = alter(inspect(tmp_path / "t.parquet"), tmp_path / "t.csv", Future(cut_ns, "lower", 7), catalog)
    assert (written.rows, inspect(written.path).kind) == (4_000, "ticks")


def test_a_bad_row_is_told_of_as_it_is(sample, tmp_path):
    text = sample.daily.read_text().splitlines()
    text[300] = "2024-02-30,005930,x,y,z,1,2"
    bad = tmp_path / "bad.csv"
    bad.write_text("\n".join(text) + "\n")
    with pytest.raises(qts.codes.DataError, match=r"bad\.csv"):
        check_lookahead(bad, "daily_momentum", params=DAILY, cuts=1)
    assert check_lookahead(bad, "daily_momentum", params=DAILY, cuts=1, skip_bad_rows=True).is_clean


def test_a_symbol_that_comes_later_is_not_there_when_the_future_is_cut_off(sample, tmp_path):
    rows = sample.daily.read_text().splitlines(keepends=True)
    early, late = tmp_path / "early.csv", tmp_path / "late.csv"
    early.write_text(rows[0] + "".join(row for row in rows[1:] if row.split(",")[1] == "005930"))
    late.write_text(rows[0] + "".join([row for row in rows[1:] if row.split(",")[1] == "000660"][-3:]))
    report = check_lookahead([early, late], "daily_momentum", params=DAILY, cuts=3)
    assert report.is_clean
    assert len(report.runs) >= 5


def test_the_vix_of_the_future_is_another_one(tmp_path):
    path = tmp_path / "vix.csv"
    days = [f"2024-01-{day:02d},20.0,21.0,19.0,20.5" for day in range(2, 20)]
    path.write_text("DATE,OPEN,HIGH,LOW,CLOSE\n" + "\n".join(days) + "\n")
    alter_vol_index(path, tmp_path / "other.csv", Future(midnight_ns(date(2024, 1, 10), KST_S), "higher", 7))
    same = [one == two for one, two in zip(read_vix(path), read_vix(tmp_path / "other.csv"), strict=True)]
    assert same == [True] * 7 + [False] * 11, "the close of the 9th is published in the morning of the 10th"


def test_the_vix_is_altered_in_the_runs(sample, tmp_path):
    path = tmp_path / "vix.csv"
    days = [f"2024-01-{day:02d},20.0,21.0,19.0,20.5" for day in range(2, 20)]
    path.write_text("DATE,OPEN,HIGH,LOW,CLOSE\n" + "\n".join(days) + "\n")
    assert check_lookahead(sample.daily, "daily_momentum", params=DAILY, cuts=2, vol_index=path).is_clean


def test_times_of_decisions_are_told_from_other_times(tmp_path):
    line = '{"ref_ts_ns":1,"reason":"\\"ts_ns\\":7","ts_ns":42}'
    (tmp_path / "d.jsonl").write_text(line + "\n")
    assert list(_decisions(tmp_path / "d.jsonl")) == [(42, line.encode())]
