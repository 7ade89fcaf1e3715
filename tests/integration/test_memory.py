"""Memory does not grow with the input: a file ten times longer takes no more of it."""

import gzip
import subprocess
import sys

import pytest

NS_PER_WEEK = 7 * 86_400 * 10**9
MEASURE = """
import resource, sys
import qts
with qts.backtest(sys.argv[1], "quote_reversion") as result:
    print(result.report["run"]["data"][0]["rows"], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def weeks(sample, count, path) -> None:
    """Write the sample's session `count` times, a week apart each."""
    with gzip.open(sample.ticks, "rt") as file:
        header = next(file)
        rows = [line.split(",", 2) for line in file]
    with path.open("w") as file:
        file.write(header)
        for week in range(count):
            shift = week * NS_PER_WEEK
            file.writelines(f"{int(event) + shift},{int(recv) + shift},{rest}" for event, recv, rest in rows)


def peak_kib(path) -> tuple[int, int]:
    """Run a backtest in a process of its own; return its rows and its peak resident memory."""
    done = subprocess.run([sys.executable, "-c", MEASURE, path], capture_output=True, text=True, check=True)
    rows, peak = done.stdout.split()
    return int(rows), int(peak)


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is counted in KiB on Linux only")
def test_a_file_ten_times_longer_takes_no_more_memory(sample, tmp_path):
    weeks(sample, 1, tmp_path / "one.csv")
    weeks(sample, 10, tmp_path / "ten.csv")
    (rows, peak), (rows_ten, peak_ten) = peak_kib(tmp_path / "one.csv"), peak_kib(tmp_path / "ten.csv")
    assert rows_ten == 10 * rows
    # The charts keep a bounded number of points per symbol and fill up on the way: a few MiB, whatever the length.
    assert peak_ten - peak < 16 * 1024, f"{peak} KiB for {rows} rows, {peak_ten} KiB for {rows_ten}"
