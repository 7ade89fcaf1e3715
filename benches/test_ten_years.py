"""The ten-year run over recorded days with all three tracks. Target: 10 s on a quiet machine.

Run with: python -m pytest benches/test_ten_years.py --benchmark-only

`extra_info` holds the records, and the seconds of the run itself, without configuration and start-up.
"""

import pytest
from tests.ten_years import RECORDINGS, moves, run


@pytest.mark.skipif(not RECORDINGS.is_dir(), reason="the recordings in ../shared/data are not here")
@pytest.mark.timeout(1_200)
def test_ten_years(benchmark, tmp_path):
    def once():
        with run(RECORDINGS, tmp_path).result as result:
            return result.report, moves(result)

    report, moved = benchmark.pedantic(once, rounds=1)
    benchmark.extra_info["records"] = report["events"]["P1"]["admitted"]
    benchmark.extra_info["run_s"] = report["run"]["wall_s"]
    assert moved["PROMOTION", "SCALP", "SWING"]
