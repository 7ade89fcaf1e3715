"""`QTS_HOME/run`: the lock that makes an engine the only one of its home, and the socket beside it."""

import fcntl
import os
import pwd
import socket
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from qts.codes import UsageError
from qts.ops.operator.messages import say

_DIR: Final = "run"
_LOCK: Final = "engine.lock"
_SOCKET: Final = "engine.sock"
_BACKLOG: Final = 16
_MAX_PID_DIGITS: Final = 16


def address(directory: int) -> str:
    """Return the socket's path by the descriptor of its directory: a path of any length fits into an address so."""
    return f"/proc/self/fd/{directory}/{_SOCKET}"


class RunPlace:
    """The run directory of a home, held by this process alone. A crash lets go of it.

    Args:
        home: `QTS_HOME`.

    Raises:
        UsageError: another engine holds it, or it cannot be made safe.
    """

    def __init__(self, home: Path) -> None:
        self.path = home / _DIR
        self.socket_path = self.path / _SOCKET
        self._lock = -1
        self._has_socket = False
        try:
            self._directory = _open_directory(self.path)
        except OSError as error:
            raise _unusable(self.path, error) from None
        try:
            self._take_lock(home)
        except OSError as error:
            self.close()
            raise _unusable(self.path, error) from None
        except UsageError:
            self.close()
            raise

    def _take_lock(self, home: Path) -> None:
        state = os.fstat(self._directory)
        if state.st_uid != os.geteuid():
            raise UsageError(
                found=say("foreign_dir", path=self.path, uid=state.st_uid),
                expected=say("own_dir"),
                hint=say("home_hint"),
            )
        os.fchmod(self._directory, 0o700)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self._lock = os.open(_LOCK, flags, 0o600, dir_fd=self._directory)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.read(self._lock, _MAX_PID_DIGITS).decode("ascii", errors="replace").strip() or "?"
            raise UsageError(
                found=say("already_runs", home=home, pid=pid),
                expected=say("one_engine"),
                hint=say("already_hint"),
            ) from None
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)

    def listen(self) -> socket.socket:
        """Return the listening socket, mode 0600. One that is there already is a leftover: we hold the lock.

        Raises:
            UsageError: the system refuses.
        """
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._remove_socket()
            listener.bind(address(self._directory))
            self._has_socket = True
            os.chmod(_SOCKET, 0o600, dir_fd=self._directory)
            listener.listen(_BACKLOG)
        except OSError as error:
            listener.close()
            raise _unusable(self.socket_path, error) from None
        return listener

    def _remove_socket(self) -> None:
        with suppress(FileNotFoundError):
            os.unlink(_SOCKET, dir_fd=self._directory)

    def close(self) -> None:
        """Remove the socket and let go of the lock. The lock's file stays: removing it would let two engines in."""
        if self._has_socket:  # otherwise the one that is there may be that of another engine
            self._remove_socket()
            self._has_socket = False
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
        if self._directory >= 0:
            os.close(self._directory)
            self._directory = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def user_name(uid: int) -> str:
    """Return the name of a user, the number itself where the system knows no name, as in a container."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def connect(home: Path, timeout_s: float) -> socket.socket:
    """Return a connection to the engine of `home`.

    Raises:
        FileNotFoundError, NotADirectoryError, ConnectionRefusedError: no engine runs there.
        OSError: something else stands against it.
    """
    directory = os.open(home / _DIR, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(timeout_s)
            connection.connect(address(directory))
        except BaseException:
            connection.close()
            raise
        return connection
    finally:
        os.close(directory)


def _open_directory(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(mode=0o700, exist_ok=True)
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)


def _unusable(path: Path, error: OSError) -> UsageError:
    return UsageError(
        found=say("unusable", path=path, reason=error.strerror or error),
        expected=say("own_dir"),
        hint=say("home_hint"),
    )
