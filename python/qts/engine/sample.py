"""Sample data from the paper market's own generator."""

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final

from qts._core import synth_daily_csv, synth_ticks_csv
from qts.engine.build import catalog_in, load_config
from qts.engine.synthetic import sessions_from, simulable, synth_config
from qts.feed import write_csv, write_csv_gz
from qts.instruments import load_calendars

if TYPE_CHECKING:
    from qts.config import QtsConfig

FIRST_DAY: Final = date(2024, 1, 2)
"""First session of the samples: a day of the past, so that the files do not depend on when they are made."""
_DAILY_EVENTS: Final = 600
"""Arrivals per symbol and day that are enough for a daily bar."""


def write_sample(
    out: Path | str, *, seed: int = 7, days: int = 250, config: "Path | str | QtsConfig | None" = None
) -> list[tuple[Path, int]]:
    """Write `ticks.csv.gz` (one session of all symbols) and `daily.csv` (so many sessions); return (path, rows).

    The same seed and configuration give the same bytes.

    Raises:
        UsageError: `out` cannot be written to.
    """
    config = load_config(config)
    catalog = catalog_in(config, "KRW", config.sim.session.symbols)
    calendar = load_calendars(config.reference)[catalog.by_id(0).calendar]
    instruments = list(catalog)
    sessions = sessions_from(calendar, FIRST_DAY, days)
    out = Path(out)
    with simulable():
        ticks = synth_ticks_csv(catalog.core, synth_config(instruments, sessions[:1], seed))
        daily = synth_daily_csv(catalog.core, synth_config(instruments, sessions, seed, events=_DAILY_EVENTS))
    return [
        (out / "ticks.csv.gz", write_csv_gz(out / "ticks.csv.gz", ticks)),
        (out / "daily.csv", write_csv(out / "daily.csv", daily)),
    ]
