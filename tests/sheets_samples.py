"""A spreadsheet for tests: the sheets as the engine expects them, and an adapter on it."""

import asyncio
from pathlib import Path

from qts.clock import SimClock, SystemClock
from qts.data.sheets import GoogleSheetsAdapter, SheetsClient, SheetsSettings
from qts.data.sheets.layout import SHEETS

CONFIG_HEADER = ["CATEGORY", "SUB_CATEGORY", "KEY", "VALUE", "DESCRIPTION", "TAG"]
POSITION_HEADER = ["symbol", "qty", "avg_price", "market", "exposure_value", "exposure_pct"]
LEDGER_HEADER = ["timestamp", "symbol", "side", "qty", "price", "amount", "fee", "strategy_tag"]
HEADERS = {
    "Position": POSITION_HEADER,
    "T_Ledger": LEDGER_HEADER,
    "History": ["date", "open", "high", "low", "close", "volume", "symbol", "source"],
    "Strategy": ["param_name", "value", "description", "strategy_id"],
    "Dividend": ["record_date", "amount", "symbol"],
    "Config_Scalp": CONFIG_HEADER,
    "Config_Swing": CONFIG_HEADER,
    "Portfolio": [],
    "Performance": [],
    "R_Dash": [],
}
START_NS = 1_704_150_000_000_000_000


def make_book(server, key="book"):
    """Put every sheet with its header and nothing else on the server."""
    for name in SHEETS:
        server.fill(name, [HEADERS[name]], key)


class Waiting:
    """Pauses that take no time: they move a simulated clock."""

    def __init__(self, clock):
        self.clock = clock
        self.pauses = []

    async def __call__(self, seconds):
        self.pauses.append(seconds)
        self.clock.advance_to(self.clock.now_ns() + int(seconds * 1_000_000_000))
        await asyncio.sleep(0)


def sheets(server, directory, *, clock=None, key="book", settings=None, **options):
    """An adapter that is not open yet. Without a clock of its own, pauses take no time."""
    own = SimClock(START_NS) if clock is None else clock
    pause = {} if isinstance(own, SystemClock) else {"pause": Waiting(own)}
    options_of_client = {"endpoint": server.endpoint, "quota_per_min": 100_000, **(settings or {})}
    where = SheetsSettings(server.credentials(Path(directory)), key, **options_of_client)
    return GoogleSheetsAdapter(SheetsClient(where, own, **pause), own, **options)
