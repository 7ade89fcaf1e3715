"""The other end of the operator's socket."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from qts.codes import QtsError, UsageError, language
from qts.ops.operator.messages import say
from qts.ops.operator.place import connect
from qts.ops.operator.wire import MAX_ANSWER_BYTES, answer, request

DEFAULT_TIMEOUT_S: Final = 10.0
_CHUNK: Final = 65_536


class EngineUnreachable(QtsError):  # noqa: N818 - a state of the engine
    """An engine is there but gives no answer that makes sense."""

    exit_code = 1


class NoAnswer(EngineUnreachable):
    """It has not answered in time."""


class RemoteError(QtsError):
    """What the engine answered instead of a result; the exit code is the engine's choice."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        super().__init__(
            found=str(body.get("found", "")), expected=str(body.get("expected", "")), hint=str(body.get("hint", ""))
        )
        self.kind = str(body.get("kind", ""))
        self.code = str(body.get("code", ""))
        self.exit_code = 2 if body.get("exit_code") == 2 else 1  # type: ignore[misc]  # each answer has its own


class OperatorClient:
    """A connection to the engine of a home.

    Args:
        home: `QTS_HOME` of the engine.
        timeout_s: longest wait for an answer.

    Raises:
        UsageError: no engine runs there, or its socket is closed to this user.
    """

    def __init__(self, home: Path, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        try:
            self._connection = connect(home, timeout_s)
        except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
            raise UsageError(
                found=say("no_engine", home=home), expected=say("no_engine_expected"), hint=say("no_engine_hint")
            ) from None
        except (TimeoutError, BlockingIOError):  # the second one: it has not even accepted those who wait already
            raise self._silent(timeout_s) from None
        except OSError as error:
            raise UsageError(
                found=say("no_way", reason=error.strerror or error), expected=say("no_way_expected")
            ) from None
        self._rest = b""

    def call(self, verb: str, args: Mapping[str, object] | None = None, *, wait_s: float | None = None) -> Any:  # noqa: ANN401
        """Send a request and return the result of its answer, a mapping. Blocks for up to `wait_s`.

        Raises:
            RemoteError: the engine answered with an error.
            EngineUnreachable: it did not answer, or with something else.
        """
        self._connection.settimeout(self._timeout_s if wait_s is None else wait_s)
        with suppress(OSError):  # it may have said why before it hung up
            self._connection.sendall(request(verb, args or {}, language()))
        document = self._answer()
        if document.get("ok") is not True:
            raise RemoteError(document["error"])
        return document["result"]

    def _answer(self) -> Mapping[str, Any]:
        line = self._line()
        try:
            return answer(line)
        except ValueError as error:
            raise EngineUnreachable(
                found=say("strange_answer", found=error), expected=say("answer_expected"), hint=say("same_release")
            ) from None

    def _line(self) -> bytes:
        while b"\n" not in self._rest and len(self._rest) <= MAX_ANSWER_BYTES:
            try:
                chunk = self._connection.recv(_CHUNK)
            except TimeoutError:
                raise self._silent(self._connection.gettimeout() or 0.0) from None
            except OSError:
                chunk = b""
            if not chunk:
                raise EngineUnreachable(found=say("hung_up"), expected=say("answer_expected"), hint=say("hung_up_hint"))
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    def _silent(self, waited_s: float) -> NoAnswer:
        return NoAnswer(
            found=say("no_answer", seconds=f"{waited_s:g}"),
            expected=say("answer_expected"),
            hint=say("no_answer_hint"),
        )

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
