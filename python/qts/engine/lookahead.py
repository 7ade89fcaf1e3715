"""Proof that no decision knew the future: whatever comes after a moment, the decisions up to it stay the same."""

import copy
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from qts.clock import NS_PER_DAY, NS_PER_S, from_ns
from qts.codes import Phrasebook, UsageError, aligned, language
from qts.engine.altered import VARIANTS, Future, Variant, alter, alter_vol_index, granularity_ns
from qts.engine.backtest import backtest
from qts.engine.build import StrategyRef, load_config
from qts.feed import FeedFile, inspect
from qts.instruments import Catalog
from qts.state.history import KST_S
from qts.strategy import Strategy

if TYPE_CHECKING:
    from qts.codes import Lang
    from qts.ops.report import BacktestResult

MAX_CUTS: Final = 1_000
_TS: Final = re.compile(rb'"ts_ns":(\d+)')
_SYMBOL: Final = re.compile(rb'"symbol":"([^"]*)"')
_KST_NS: Final = KST_S * NS_PER_S

say: Final = Phrasebook(
    {
        "clean": ("no decision knew the future", "미래를 안 결정이 없습니다"),
        "dirty": ("a decision knew the future", "미래를 안 결정이 있습니다"),
        "nothing": ("no decision to compare: the check shows nothing", "비교할 결정이 없어 확인되지 않았습니다"),
        "look_ahead": ("Look-ahead", "미래 참조"),
        "decisions": ("Decisions of the run", "실행의 결정"),
        "cuts": ("Moments", "시점"),
        "runs": ("Runs with another future", "미래를 바꾼 실행"),
        "compared": ("Decisions compared", "비교한 결정"),
        "cut": ("Future changed from", "미래를 바꾼 시점"),
        "variant": ("How", "방법"),
        "higher": ("prices higher, volumes changed", "가격 상승, 거래량 변경"),
        "lower": ("prices lower, volumes changed", "가격 하락, 거래량 변경"),
        "cut off": ("cut off", "잘라냄"),
        "at": ("First difference at", "첫 차이 시각"),
        "symbol": ("Symbol", "종목"),
        "original": ("As it was", "원래"),
        "altered": ("With that future", "바꾼 미래"),
        "none": ("no decision", "결정 없음"),
    }
)

Progress = Callable[[int, int, int], object]
"""Called now and then with runs done, runs in all, and records handled by this one."""


class Difference(NamedTuple):
    """The first decision that another future has changed."""

    cut_ns: int
    """The future was another one from here on, UTC nanoseconds."""
    variant: Variant
    ts_ns: int
    """Engine time of the decision: before the cut."""
    symbol: str
    original: str
    """Its line, empty if there was none."""
    altered: str
    """The line with the other future, empty if there was none."""


class Compared(NamedTuple):
    """One run with another future."""

    cut_ns: int
    variant: Variant
    decisions: int
    """Decision lines that were compared."""


@dataclass(frozen=True, slots=True)
class LookaheadReport:
    """What the check has found."""

    decisions: int
    """Decision lines of the run as it is."""
    decision_hash: str
    runs: tuple[Compared, ...]
    difference: Difference | None

    @property
    def is_clean(self) -> bool:
        """Whether no past decision was changed by another future."""
        return self.difference is None

    @property
    def compared(self) -> int:
        """Decision lines compared over all runs."""
        return sum(run.decisions for run in self.runs)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON has it."""
        return {
            "clean": self.is_clean,
            "decisions": self.decisions,
            "decision_hash": self.decision_hash,
            "compared": self.compared,
            "runs": [run._asdict() for run in self.runs],
            "difference": None if self.difference is None else self.difference._asdict(),
        }

    def summary(self, lang: "Lang | None" = None) -> str:
        """Return the report as text."""
        lang = lang or language()
        verdict = "clean" if self.is_clean else "dirty"
        rows = [
            (say("look_ahead", lang), say(verdict if self.compared or not self.is_clean else "nothing", lang)),
            (say("decisions", lang), f"{self.decisions:,}"),
            (say("cuts", lang), f"{len({run.cut_ns for run in self.runs}):,}"),
            (say("runs", lang), f"{len(self.runs):,}"),
            (say("compared", lang), f"{self.compared:,}"),
        ]
        found = self.difference
        if found is not None:
            none = say("none", lang)
            rows += [
                (say("cut", lang), _moment(found.cut_ns)),
                (say("variant", lang), say(found.variant, lang)),
                (say("at", lang), _moment(found.ts_ns)),
                (say("symbol", lang), found.symbol),
                (say("original", lang), found.original or none),
                (say("altered", lang), found.altered or none),
            ]
        return "\n".join(aligned(rows))


def _moment(ts_ns: int) -> str:
    return f"{from_ns(ts_ns).isoformat()} ({ts_ns})"


def check_lookahead(
    data: str | Path | Sequence[str | Path],
    strategy: StrategyRef | Sequence[StrategyRef],
    *,
    params: Mapping[str, Any] | None = None,
    cuts: int = 5,
    seed: int = 7,
    on_progress: Progress | None = None,
    **options: Any,  # noqa: ANN401 - those of `backtest`
) -> LookaheadReport:
    """Run a backtest as it is, then with other futures, and compare the decisions up to each change.

    For each of `cuts` moments everything from there on is altered: prices raised in one run and lowered in another,
    volumes changed; once the future is cut off. A strategy that is asked before that moment cannot know, so a decision
    that differs was made with knowledge of the future. Daily bars change between two days, minute bars between two
    minutes. A parameter that names one of the data files names the altered copy in those runs. What a strategy reads
    elsewhere is not altered.

    Args:
        data: as `backtest`.
        strategy: as `backtest`; instances are copied for each run.
        params: as `backtest`.
        cuts: moments.
        seed: where they lie and what comes after them; the same seed checks the same.
        on_progress: called now and then.
        **options: further arguments of `backtest`, but `out`.

    Raises:
        UsageError: as `backtest`, or a number of cuts that is none.
    """
    if not 1 <= cuts <= MAX_CUTS:
        raise UsageError(found=f"{cuts} cuts", expected=f"1 to {MAX_CUTS}", hint="try --lookahead-cuts 5")
    paths = [Path(path) for path in ([data] if isinstance(data, str | Path) else data)]
    check = _Check(paths, strategy, dict(params or {}), options, on_progress)
    with TemporaryDirectory(prefix="qts-lookahead-") as directory, closing(check.run(paths, Path(directory))) as base:
        return check.compare(base, Path(directory), cuts, seed)


class _Base:
    """The run as it is: its decision lines in a file, and where its data begin and end."""

    def __init__(self, result: "BacktestResult") -> None:
        self._result = result
        self.path = result._recorder.decisions_path  # noqa: SLF001 - lines are compared, no report is written
        spans = [row for row in result.report["run"]["data"] if row["first_ts"] is not None]
        self.first_ns = min((row["first_ts"] for row in spans), default=0)
        self.last_ns = max((row["last_ts"] for row in spans), default=0)
        self.decision_hash = str(result.report["run"]["decision_hash"])

    def close(self) -> None:
        """Give up the temporary files."""
        self._result.close()


class _Check:
    """One check: what is run, and how far it has come."""

    def __init__(
        self,
        paths: Sequence[Path],
        strategy: StrategyRef | Sequence[StrategyRef],
        params: dict[str, Any],
        options: dict[str, Any],
        on_progress: Progress | None,
    ) -> None:
        self._strategies = [strategy] if isinstance(strategy, str | Strategy | type) else list(strategy)
        self._params = params
        self._config = load_config(options.pop("config", None))
        self._vol_index = options.pop("vol_index", None)
        self._options = options
        self._paths = paths
        self._on_progress = on_progress
        self._done = 0
        self._runs = 1

    def run(self, paths: Sequence[Path], place: Path, future: Future | None = None) -> _Base:
        """Run once; with a `future` on copies in `place`."""
        copies = {path.resolve(): copy_ for path, copy_ in zip(self._paths, paths, strict=True)}
        vol_index = self._vol_index
        if vol_index is not None and future is not None:
            copies[Path(vol_index).resolve()] = place / "vol_index.csv"
            alter_vol_index(Path(vol_index), place / "vol_index.csv", future)
            vol_index = place / "vol_index.csv"
        result = backtest(
            [path for path in paths if path.exists() or future is None],
            [copy.deepcopy(one) if isinstance(one, Strategy) else one for one in self._strategies],
            params={name: _moved(value, copies) for name, value in self._params.items()},
            config=self._config,
            vol_index=vol_index,
            on_progress=self._tell,
            **self._options,
        )
        self._done += 1
        return _Base(result)

    def _tell(self, records: int, _: int) -> None:
        if self._on_progress is not None:
            self._on_progress(self._done, self._runs, records)

    def compare(self, base: _Base, place: Path, cuts: int, seed: int) -> LookaheadReport:
        """Run with other futures and return what was found, up to the first difference."""
        files = [inspect(path) for path in self._paths]
        catalog = Catalog.load(self._config.reference)
        moments = _moments(base, files, cuts, seed)
        futures = [Future(cut_ns, variant, seed) for cut_ns in moments for variant in VARIANTS[:2]]
        if moments:
            futures.append(Future(moments[len(moments) // 2], "cut off", seed))
        self._runs = 1 + len(futures)
        compared: list[Compared] = []
        difference: Difference | None = None
        for future in futures:
            paths, limit_ns = _write(files, place, future, catalog)
            with closing(self.run(paths, place, future)) as other:
                count, difference = _compare(base.path, other.path, future, limit_ns)
            compared.append(Compared(future.cut_ns, future.variant, count))
            if difference is not None:
                break
        decisions = sum(1 for _ in _decisions(base.path))
        return LookaheadReport(decisions, base.decision_hash, tuple(compared), difference)


def _moved(value: object, copies: Mapping[Path, Path]) -> object:
    """Return a parameter; one that names a data file names its copy."""
    if not isinstance(value, str | Path) or not str(value):
        return value
    copy_ = copies.get(Path(value).resolve())
    return value if copy_ is None else type(value)(copy_)


def _moments(base: _Base, files: Sequence[FeedFile], cuts: int, seed: int) -> list[int]:
    """Return the cuts, spread over the run: every other one right behind a decision, where knowing is worth most."""
    size_ns = max(granularity_ns(file, 60 * NS_PER_S, NS_PER_DAY) for file in files)
    span_ns = base.last_ns - base.first_ns
    edges = [base.first_ns + span_ns * number // cuts for number in range(cuts + 1)]
    behind: list[tuple[int, int]] = [(-1, 0)] * cuts
    for ts_ns, _ in _decisions(base.path):
        part = min(cuts - 1, max(0, (ts_ns - base.first_ns) * cuts // max(1, span_ns)))
        behind[part] = max(behind[part], (_drawn(seed, "decision", ts_ns), ts_ns + 1))
    moments = set()
    for part in range(cuts):
        low, high = edges[part], edges[part + 1]
        anywhere = low + 1 + _drawn(seed, "anywhere", part) % max(1, high - low)
        wanted_ns = behind[part][1] if part % 2 == 0 and behind[part][0] >= 0 else anywhere
        cut_ns = wanted_ns if size_ns == 1 else -(-(wanted_ns + _KST_NS) // size_ns) * size_ns - _KST_NS
        if base.first_ns < cut_ns <= base.last_ns:
            moments.add(cut_ns)
    return sorted(moments)


def _drawn(seed: int, what: str, number: int) -> int:
    digest = hashlib.blake2b(f"{seed}|{what}|{number}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def _write(files: Sequence[FeedFile], place: Path, future: Future, catalog: Catalog) -> tuple[list[Path], int]:
    """Write the copies of a future; return them, and the time up to which decisions have to agree.

    A file of which nothing is left is not there. Where the data end early, the end itself is an event of the last
    moment: what is decided at it is not compared.
    """
    paths, limit_ns = [], 0
    for number, file in enumerate(files):
        name = f"{file.path.stem}.csv" if file.is_parquet else file.path.name
        written = alter(file, place / str(number) / name, future, catalog)
        if not written.rows:
            written.path.unlink()
        paths.append(written.path)
        limit_ns = max(limit_ns, written.last_ns or 0)
    return paths, limit_ns if future.variant == "cut off" else future.cut_ns


def _decisions(path: Path) -> Iterator[tuple[int, bytes]]:
    """Return time and line of each decision, in their order."""
    with path.open("rb") as file:
        for line in file:
            found = _TS.search(line)
            if found is not None:
                yield int(found[1]), line.rstrip(b"\n")


def _until(path: Path, limit_ns: int) -> Iterator[tuple[int, bytes]]:
    for ts_ns, line in _decisions(path):
        if ts_ns >= limit_ns:
            return
        yield ts_ns, line


def _compare(base: Path, other: Path, future: Future, limit_ns: int) -> tuple[int, Difference | None]:
    """Compare the decisions before `limit_ns`; return how many, and the first that differs."""
    count = 0
    for one, two in zip_longest(_until(base, limit_ns), _until(other, limit_ns)):
        if one == two:
            count += 1
            continue
        ts_ns, line = min(found for found in (one, two) if found is not None)
        symbol = _SYMBOL.search(line)
        return count, Difference(
            future.cut_ns,
            future.variant,
            ts_ns,
            symbol[1].decode() if symbol else "",
            one[1].decode() if one else "",
            two[1].decode() if two else "",
        )
    return count, None
