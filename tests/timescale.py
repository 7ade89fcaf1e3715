"""A real TimescaleDB for the tests: PostgreSQL with the extension, compiled to WebAssembly, in a process of Node.

It is asked over a pipe, in SQL, and answers in the text of the server, so the project's SQL and the code that runs it
are the ones that run in production; only the driver's socket is not there.
"""

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent / "integration" / "timescale"
_INSTALL_S = 300

_READ = {
    16: lambda text: text == "t",
    20: int,
    21: int,
    23: int,
    26: int,
    114: json.loads,
    700: float,
    701: float,
    1082: date.fromisoformat,
    1184: lambda text: datetime.fromisoformat(text).astimezone(UTC),
    1700: Decimal,
    3802: json.loads,
}


class Row(tuple):
    """A row that is read by number or name, as the driver's."""

    __slots__ = ()
    names: tuple[str, ...] = ()

    def __getitem__(self, place: Any) -> Any:
        return tuple.__getitem__(self, self.names.index(place) if isinstance(place, str) else place)

    def keys(self) -> tuple[str, ...]:
        return self.names


class Timescale:
    """One database and the one connection to it, with the methods of `qts.data.postgres.link.Link`."""

    def __init__(self, modules: Path) -> None:
        self._process = subprocess.Popen(
            [shutil.which("node") or "node", HERE / "answer.mjs", modules],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        self._depth = 0

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()

    def _ask(self, sql: str, values: list[Any] | None) -> dict[str, Any]:
        import asyncpg

        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"sql": sql, "values": values}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the database has ended"
        answer = json.loads(line)
        if "error" in answer:
            error = answer["error"]
            raise asyncpg.PostgresError.new({"C": error["code"], "M": error["message"], "D": error["detail"]})
        return answer

    def query(self, sql: str, *values: Any) -> list[Row]:
        answer = self._ask(sql, [_given(value) for value in values])
        names = tuple(name for name, _ in answer["fields"])
        kind = type("NamedRow", (Row,), {"__slots__": (), "names": names})
        types = [number for _, number in answer["fields"]]
        return [kind(_taken(value, number) for value, number in zip(row, types, strict=True)) for row in answer["rows"]]

    async def execute(self, query: str, *values: Any) -> str:
        answer = self._ask(query, [_given(value) for value in values] if values else None)
        return str(answer["affected"])

    async def executemany(self, command: str, args: Sequence[Sequence[Any]]) -> None:
        for values in args:
            await self.execute(command, *values)

    async def fetch(self, query: str, *values: Any) -> list[Any]:
        return self.query(query, *values)

    async def fetchrow(self, query: str, *values: Any) -> Any:
        rows = self.query(query, *values)
        return rows[0] if rows else None

    async def fetchval(self, query: str, *values: Any) -> Any:
        row = await self.fetchrow(query, *values)
        return None if row is None else row[0]

    @asynccontextmanager
    async def transaction(self, **_options: Any) -> AsyncIterator[None]:
        inside = self._depth > 0
        name = f"s{self._depth}"
        await self.execute(f"SAVEPOINT {name}" if inside else "BEGIN")
        self._depth += 1
        try:
            yield
        except BaseException:
            self._depth -= 1
            await self.execute(f"ROLLBACK TO {name}" if inside else "ROLLBACK")
            raise
        self._depth -= 1
        await self.execute(f"RELEASE {name}" if inside else "COMMIT")

    async def cursor(self, query: str, *values: Any, prefetch: int = 0) -> AsyncIterator[Any]:
        for row in self.query(query, *values):
            yield row


def _given(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_given(one) for one in value]
    if isinstance(value, datetime | date):
        return value.isoformat()
    # As text: a number of JavaScript has 53 bits.
    return str(value) if isinstance(value, (Decimal, int)) and not isinstance(value, bool) else value


def _taken(value: Any, kind: int) -> Any:
    return None if value is None else _READ.get(kind, str)(value)


def modules() -> Path:
    """Directory of the installed packages, outside of the repository; installed when it is not there yet."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed, and TimescaleDB runs in it here")
    lock = HERE / "package-lock.json"
    name = hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
    base = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "qts-engine-tests"
    target = base / f"timescale-{name}"
    if not target.is_dir():
        base.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=base) as fresh:
            for file in ("package.json", "package-lock.json"):
                shutil.copy(HERE / file, fresh)
            command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
            done = subprocess.run(command, cwd=fresh, capture_output=True, text=True, timeout=_INSTALL_S, check=False)
            assert done.returncode == 0, done.stderr[-2000:]
            try:
                (Path(fresh) / "node_modules").rename(target)
            except OSError:
                assert target.is_dir()  # somebody else was quicker
    return target


@pytest.fixture(scope="session")
def timescale_process() -> Iterator[Timescale]:
    """A TimescaleDB with the project's schema in it."""
    import asyncio

    from qts.clock import SystemClock
    from qts.data.postgres.migrate import migrate

    database = Timescale(modules())
    try:
        done = asyncio.run(migrate(database, clock=SystemClock()))
        assert done.profile == "timescale", done.found
        yield database
    finally:
        database.close()


def clearing() -> list[str]:
    """Statements that empty every table, for the owner of them."""
    from qts.data.tables import TABLES

    views = {"daily_pnl", "ohlcv_1m", "hourly_execution_metrics", "schema_version"}
    guarded = ("t_ledger", "audit_log", "decisions", "operating_state_history", "capital_ledger")
    return [
        *(f"ALTER TABLE {name} DISABLE TRIGGER USER" for name in guarded),
        f"TRUNCATE {', '.join(sorted(TABLES.keys() - views))} RESTART IDENTITY",
        *(f"ALTER TABLE {name} ENABLE TRIGGER USER" for name in guarded),
        *(
            f"CALL refresh_continuous_aggregate('{name}', NULL, NULL)"
            for name in ("ohlcv_1m", "hourly_execution_metrics")
        ),
    ]


@pytest.fixture
def timescale(timescale_process: Timescale) -> Timescale:
    """The same without any rows of another test."""
    for statement in clearing():
        timescale_process._ask(statement, None)
    return timescale_process


@pytest.fixture(scope="session")
def timescale_server() -> Iterator[Any]:
    """Settings of a database of its own on the server that QTS_TEST_TIMESCALE_DSN names; its role may create some."""
    import asyncio
    from urllib.parse import unquote, urlsplit

    import asyncpg
    from pydantic import SecretStr

    from qts.clock import SystemClock
    from qts.data.postgres.connect import connect
    from qts.data.postgres.migrate import migrate
    from qts.data.settings import ServerSettings

    parts = urlsplit(os.environ["QTS_TEST_TIMESCALE_DSN"])
    name = f"qts_test_{os.getpid()}"
    settings = ServerSettings(
        host=parts.hostname or "localhost",
        port=parts.port or 5432,
        database=name,
        user=unquote(parts.username or "postgres"),
        password=SecretStr(unquote(parts.password or "")),
        profile="timescale",
        mirror=True,
    )

    async def admin(statement: str) -> None:
        link = await asyncpg.connect(os.environ["QTS_TEST_TIMESCALE_DSN"])
        await link.execute(statement)
        await link.close()

    async def prepare() -> None:
        link = await connect(settings, "tests")
        await migrate(link, clock=SystemClock(), profile="timescale")
        await link.close()

    asyncio.run(admin(f"CREATE DATABASE {name}"))
    try:
        asyncio.run(prepare())
        yield settings
    finally:
        asyncio.run(admin(f"DROP DATABASE {name} WITH (FORCE)"))
