"""Talks to the spreadsheet through gspread: one thread, one request after the other, within the quota, reads repeated.

A request that could not be answered raises; nothing is ever taken for empty. A read is repeated after errors that pass.
A write is repeated only when the server has said that it did not take it; where nobody knows, the caller is told.
"""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from google.auth.exceptions import GoogleAuthError
from google.auth.transport.requests import AuthorizedSession
from google.oauth2.service_account import Credentials
from gspread.auth import DEFAULT_SCOPES
from gspread.exceptions import APIError
from gspread.http_client import HTTPClient
from gspread.urls import SPREADSHEETS_API_V4_BASE_URL

from qts.clock import NS_PER_S
from qts.codes import UsageError
from qts.data.exceptions import DeadlineExceeded, RowInvalid, SchemaMismatch, SourceUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from qts.clock import Clock

_BAD_REQUEST: Final = 400
_UNAUTHENTICATED: Final = 401
_FORBIDDEN: Final = 403
_NOT_FOUND: Final = 404
_TOO_MANY: Final = 429
_SERVER_ERROR: Final = 500
_WINDOW_NS: Final = 60 * NS_PER_S
_TIMEOUT_S: Final = (3.05, 20.0)


class WriteUnknown(SourceUnavailable):
    """A write was sent and not answered: it may have happened or not."""


class SheetsSettings(NamedTuple):
    """Where the spreadsheet is and how to treat its server."""

    credentials_file: Path
    """Key file of a service account."""
    key: str
    """Key of the spreadsheet, as in its address."""
    endpoint: str = SPREADSHEETS_API_V4_BASE_URL
    """Another server that answers for the service."""
    quota_per_min: int = 60
    max_retries: int = 3
    backoff_s: float = 1.0
    """First pause before a read is repeated; doubles each time."""
    backoff_cap_s: float = 60.0
    deadline_s: float = 90.0
    """Longest that a call may take, pauses included."""


class _Http(HTTPClient):
    """The client of gspread, with the address of the server to be chosen."""

    def __init__(self, session: AuthorizedSession, endpoint: str) -> None:
        super().__init__(auth=None, session=session)  # type: ignore[arg-type]
        self._endpoint = endpoint
        self.set_timeout(_TIMEOUT_S)

    def request(self, method: str, endpoint: str, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as gspread has it
        """Send a request to the server chosen."""
        path = endpoint.removeprefix(SPREADSHEETS_API_V4_BASE_URL)
        return super().request(method, f"{self._endpoint}{path}", *args, **kwargs)


class SheetsClient:
    """One spreadsheet.

    Args:
        settings: where it is.
        clock: measures pauses and the quota.
        pause: waits so many seconds.
    """

    def __init__(
        self, settings: SheetsSettings, clock: Clock, *, pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._pause = pause
        self._thread: ThreadPoolExecutor | None = None
        self._http: _Http | None = None
        self._account = ""
        self._sent: deque[int] = deque()
        self.requests = 0
        """Sent so far."""

    @property
    def account(self) -> str:
        """Address of the service account, known once it is open."""
        return self._account

    def open(self) -> None:
        """Read the key file; nothing is sent yet.

        Raises:
            UsageError: it cannot be read, or is no key file.
        """
        if self._http is not None:
            return
        path = self._settings.credentials_file
        try:
            credentials = Credentials.from_service_account_file(str(path), scopes=DEFAULT_SCOPES)  # type: ignore[no-untyped-call]
        except (OSError, ValueError, KeyError, GoogleAuthError) as error:
            raise UsageError(
                found=f"{path} is no key of a service account ({error})",
                expected="the JSON key file of a service account",
                hint="download the key again and set GOOGLE_CREDENTIALS_FILE to it",
            ) from None
        self._account = credentials.service_account_email
        self._http = _Http(AuthorizedSession(credentials), self._settings.endpoint)  # type: ignore[no-untyped-call]
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="qts-sheets")

    def check_open(self) -> None:
        """Raise SourceUnavailable if it is closed."""
        if self._http is None:
            raise _closed()

    async def close(self) -> None:
        """End the connection and its thread; a request under way is let go of."""
        http, thread = self._http, self._thread
        self._http = self._thread = None
        if http is not None:
            http.session.close()
        if thread is not None:
            thread.shutdown(wait=False, cancel_futures=True)

    # What is asked

    async def read(self, ranges: Sequence[str]) -> list[list[list[Any]]]:
        """Return the cells of ranges in one request, numbers as numbers and dates as shown, trailing blanks cut off.

        Raises:
            SchemaMismatch: FS001, a range does not exist.
            SourceUnavailable: no answer, or a refusal.
        """
        params = {"valueRenderOption": "UNFORMATTED_VALUE", "dateTimeRenderOption": "FORMATTED_STRING"}
        answer = await self._ask(
            lambda http, key: http.values_batch_get(key, list(ranges), dict(params)), what=", ".join(ranges)
        )
        found = [block.get("values", []) for block in _part(answer, "valueRanges")]
        if len(found) != len(ranges):
            raise SourceUnavailable(
                found=f"{len(found)} ranges in the answer", expected=f"{len(ranges)}", hint="try again", code="FS126"
            )
        return found

    async def metadata(self) -> dict[str, Any]:
        """Return titles, sizes and protection of every sheet; raises as `read`."""
        found: dict[str, Any] = await self._ask(
            lambda http, key: http.fetch_sheet_metadata(key), what="the spreadsheet"
        )
        _part(found, "sheets")
        return found

    async def update(self, data: Sequence[tuple[str, Sequence[Sequence[str | None]]]]) -> None:
        """Write text into ranges, all or none; None leaves a cell as it is.

        The same again does no harm, so it is repeated as a read is.

        Raises:
            RowInvalid: the server refuses the values.
            SourceUnavailable: no answer, or a refusal.
        """
        body = {
            "valueInputOption": "RAW",
            "data": [{"range": where, "majorDimension": "ROWS", "values": values} for where, values in data],
        }
        await self._ask(
            lambda http, key: http.values_batch_update(key, body),
            what=", ".join(where for where, _ in data),
            writes=True,
        )

    async def append(self, sheet_id: int, rows: Sequence[Sequence[str | None]]) -> None:
        """Write rows of text below the last row of a sheet, from its first column, all or none.

        Raises:
            RowInvalid: the server refuses the values.
            WriteUnknown: no answer; whether the rows are there has to be looked up.
            SourceUnavailable: a refusal.
        """
        lines = [
            {"values": [{"userEnteredValue": {"stringValue": cell}} if cell else {} for cell in row]} for row in rows
        ]
        await self.change([{"appendCells": {"sheetId": sheet_id, "rows": lines, "fields": "userEnteredValue"}}])

    async def change(self, requests: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Change sheets, their size or protection, all or none; return the replies. Raises as `append`."""
        answer = await self._ask(
            lambda http, key: http.batch_update(key, {"requests": list(requests)}),
            what="the structure of the spreadsheet",
            writes=True,
            once=True,
        )
        try:
            return _part(answer, "replies")
        except SourceUnavailable as error:
            raise self._unknown("the structure of the spreadsheet", error.found) from None

    # How

    async def _ask(
        self, call: Callable[[HTTPClient, str], Any], *, what: str, writes: bool = False, once: bool = False
    ) -> Any:  # noqa: ANN401 - JSON
        deadline_ns = self._clock.monotonic_ns() + int(self._settings.deadline_s * NS_PER_S)
        attempt = 0
        while True:
            await self._within_quota(deadline_ns, what)
            try:
                return await self._in_thread(call)
            except APIError as error:
                refusal = _status(error)
                if refusal not in (_TOO_MANY,) and refusal < _SERVER_ERROR:
                    raise self._refused(refusal, str(error.error.get("message", "")), what, writes=writes) from None
                if once and refusal >= _SERVER_ERROR:
                    raise self._unknown(what, f"status {refusal}") from None
                cause, wait_s = f"status {refusal}: {error.error.get('message', '')}", _retry_after(error)
            except (OSError, GoogleAuthError, ValueError) as error:
                if once and not isinstance(error, GoogleAuthError):
                    raise self._unknown(what, type(error).__name__) from None
                cause, wait_s = f"{type(error).__name__}: {error}", None
            if attempt >= self._settings.max_retries:
                raise SourceUnavailable(
                    found=f"{what} is not to be had ({cause})",
                    expected="an answer of the spreadsheet server",
                    hint="check the network and the quota; it is tried again by itself",
                    code="" if writes else "FS126",
                )
            pause_s = self._settings.backoff_s * 2**attempt if wait_s is None else wait_s
            await self._wait(min(pause_s, self._settings.backoff_cap_s), deadline_ns, f"{what} ({cause})")
            attempt += 1

    async def _in_thread(self, call: Callable[[HTTPClient, str], Any]) -> Any:  # noqa: ANN401 - JSON
        http, thread = self._http, self._thread
        if http is None or thread is None:
            raise _closed()
        self.requests += 1
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(thread, partial(call, http, self._settings.key))

    async def _within_quota(self, deadline_ns: int, what: str) -> None:
        """Wait until another request stays within the requests that any 60 seconds may have."""
        while True:
            now_ns = self._clock.monotonic_ns()
            while self._sent and self._sent[0] <= now_ns - _WINDOW_NS:
                self._sent.popleft()
            if len(self._sent) < self._settings.quota_per_min:
                self._sent.append(now_ns)
                return
            await self._wait((self._sent[0] + _WINDOW_NS - now_ns) / NS_PER_S, deadline_ns, f"{what} (quota used up)")

    async def _wait(self, seconds: float, deadline_ns: int, what: str) -> None:
        if self._clock.monotonic_ns() + int(seconds * NS_PER_S) > deadline_ns:
            raise DeadlineExceeded(
                found=f"{what}, to be tried again in {seconds:.0f} s",
                expected=f"an answer within {self._settings.deadline_s:.0f} s",
                hint="check the network and the quota",
            )
        await self._pause(seconds)

    @staticmethod
    def _unknown(what: str, cause: str) -> WriteUnknown:
        return WriteUnknown(
            found=f"no answer to a write of {what} ({cause})",
            expected="an answer",
            hint="look up whether it is there before it is repeated",
        )

    def _refused(self, status: int, message: str, what: str, *, writes: bool) -> Exception:
        if status == _BAD_REQUEST and writes:
            return RowInvalid(
                found=f"the server refuses to write {what}: {message}",
                expected="values that a sheet can hold",
                hint="mend the row where it comes from",
            )
        if status == _BAD_REQUEST:
            return SchemaMismatch(
                found=f"RC003: {message}",
                expected=f"a spreadsheet with {what}",
                hint="restore the sheet, or let `qts-engine db init` make it",
                code="FS001",
            )
        hint = {
            _UNAUTHENTICATED: "the key is not accepted: make a new one and set GOOGLE_CREDENTIALS_FILE",
            _FORBIDDEN: f"share the spreadsheet with {self._account} as editor, of protected sheets too",
            _NOT_FOUND: "check GOOGLE_SHEET_KEY",
        }.get(status, "see the message of the server")
        return SourceUnavailable(
            found=f"the server refuses {what}: status {status}, {message}",
            expected="access to the spreadsheet",
            hint=hint,
            code="" if writes else "FS126",
        )


def _closed() -> SourceUnavailable:
    return SourceUnavailable(found="the spreadsheet is closed", expected="open() first", hint="open it")


def _part(answer: object, name: str) -> list[dict[str, Any]]:
    """Return a list of an answer; SourceUnavailable FS126 if it is the answer of something else than the service."""
    part = answer.get(name) if isinstance(answer, dict) else None
    if not isinstance(part, list) or not all(isinstance(one, dict) for one in part):
        raise SourceUnavailable(
            found=f"an answer without {name}",
            expected="an answer of the spreadsheet server",
            hint="check what stands between this host and the server",
            code="FS126",
        )
    return part


def _status(error: APIError) -> int:
    """Return the status of a refusal; the body of one that comes from a proxy need not be JSON."""
    return int(error.response.status_code)


def _retry_after(error: APIError) -> float | None:
    text = str(error.response.headers.get("Retry-After", ""))
    return float(text) if text.isdigit() else None
