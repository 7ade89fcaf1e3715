"""A local server that answers the Google Sheets v4 requests that gspread sends, as far as the engine uses them.

It does what the real one does where that matters: `USER_ENTERED` turns "005930" into a number and evaluates formulas,
`RAW` does not; trailing blanks are cut off an answer; a cell holds 50 000 characters; a grid has an edge; a protected
sheet takes writes of its editors only; too many requests are refused with 429. Latency comes from a seeded generator.
Faults are ordered by the test: an error status, a connection cut before the request is applied, an answer lost after.
"""

import base64
import json
import random
import re
import socket
import threading
import time
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

MAX_CELL = 50_000
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
SUM = re.compile(r"=\s*(\d+)\s*\+\s*(\d+)\s*")
RANGE = re.compile(r"(?:'((?:[^']|'')*)'|([^'!]+))(?:!(.*))?")
CORNER = re.compile(r"\$?([A-Za-z]*)\$?(\d*)")
KINDS = ("addSheet", "appendCells", "appendDimension", "addProtectedRange", "deleteProtectedRange")
ENGINE = "engine@sheets.test"
OPERATOR = "operator@sheets.test"
STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}


class Refused(Exception):  # noqa: N818 - what a server does
    """An answer with an error status."""

    def __init__(self, code, message, retry_after=None):
        super().__init__(message)
        self.code = code
        self.retry_after = retry_after


def column_number(letters):
    number = 0
    for letter in letters.upper():
        number = number * 26 + ord(letter) - 64
    return number - 1


def column_letters(number):
    letters = ""
    number += 1
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(65 + rest) + letters
    return letters


def user_entered(value):
    """What a cell holds after somebody typed `value` into it."""
    if not isinstance(value, str):
        return value
    if value.startswith("'"):
        return value[1:]
    if value.startswith("="):
        match = SUM.fullmatch(value)
        return int(match[1]) + int(match[2]) if match else "#NAME?"
    if value in ("TRUE", "FALSE"):
        return value == "TRUE"
    if NUMBER.fullmatch(value):
        return float(value) if any(sign in value for sign in ".eE") else int(value)
    return value


def typed(rows):
    """The cells of rows as `appendCells` has them: text stays text."""
    return [
        [next(iter(cell.get("userEnteredValue", {"stringValue": ""}).values())) for cell in row.get("values", [])]
        for row in rows
    ]


def shown(value):
    if isinstance(value, bool):
        return str(value).upper()
    return value if isinstance(value, str) else str(value)


class Sheet:
    """One sheet: cells by row, an edge, and who may edit it."""

    def __init__(self, sheet_id, title, rows=1000, columns=26):
        self.sheet_id = sheet_id
        self.title = title
        self.row_count = rows
        self.column_count = columns
        self.cells = []
        self.protected = {}

    def get(self, row, column):
        return self.cells[row][column] if row < len(self.cells) and column < len(self.cells[row]) else ""

    def put(self, row, column, value):
        while len(self.cells) <= row:
            self.cells.append([])
        line = self.cells[row]
        line.extend([""] * (column + 1 - len(line)))
        line[column] = value

    def metadata(self):
        return {
            "properties": {
                "sheetId": self.sheet_id,
                "title": self.title,
                "index": self.sheet_id,
                "sheetType": "GRID",
                "gridProperties": {"rowCount": self.row_count, "columnCount": self.column_count},
            },
            "protectedRanges": list(self.protected.values()),
        }


class Book:
    """A spreadsheet."""

    def __init__(self, key):
        self.key = key
        self.sheets = {}
        self._ids = count()
        self._protected_ids = count(100)

    def add(self, title, **size):
        if title in self.sheets:
            raise Refused(400, f'A sheet with the name "{title}" already exists. Please enter another name.')
        sheet = self.sheets[title] = Sheet(next(self._ids), title, **size)
        return sheet

    def area(self, text):
        """Sheet and bounds (first row, first column, last row, last column), both included, of an A1 range."""
        match = RANGE.fullmatch(text)
        title = (match[1].replace("''", "'") if match[1] is not None else match[2]) if match else text
        sheet = self.sheets.get(title)
        if sheet is None:
            raise Refused(400, f"Unable to parse range: {text}")
        corners = (match[3] or "").split(":")
        first = CORNER.fullmatch(corners[0])
        last = CORNER.fullmatch(corners[-1])
        if first is None or last is None:
            raise Refused(400, f"Unable to parse range: {text}")
        single = len(corners) == 1 and match[3]
        top = int(first[2] or 1) - 1
        left = column_number(first[1]) if first[1] else 0
        bottom = int(last[2]) - 1 if last[2] else (top if single else sheet.row_count - 1)
        right = column_number(last[1]) if last[1] else sheet.column_count - 1
        if top >= sheet.row_count or left >= sheet.column_count:
            raise self._outside(text, sheet)
        return sheet, top, left, bottom, right

    @staticmethod
    def _outside(text, sheet):
        return Refused(
            400,
            f"Range ({text}) exceeds grid limits. Max rows: {sheet.row_count}, max columns: {sheet.column_count}",
        )

    def values(self, text, render):
        sheet, top, left, bottom, right = self.area(text)
        rows = []
        for row in range(top, min(bottom + 1, len(sheet.cells))):
            line = [sheet.get(row, column) for column in range(left, min(right + 1, len(sheet.cells[row])))]
            while line and line[-1] == "":
                line.pop()
            rows.append(line if render == "UNFORMATTED_VALUE" else [shown(value) for value in line])
        while rows and not rows[-1]:
            rows.pop()
        answer = {"range": text, "majorDimension": "ROWS"}
        return {**answer, "values": rows} if rows else answer

    def check_writer(self, sheet, user):
        for protected in sheet.protected.values():
            if user not in protected.get("editors", {}).get("users", []):
                raise Refused(
                    403, "You are trying to edit a protected cell or object. Please contact the spreadsheet owner."
                )

    def prepare(self, values, option):
        if option not in ("RAW", "USER_ENTERED"):
            raise Refused(400, "'valueInputOption' is required but not specified")
        for line in values:
            for value in line:
                if isinstance(value, str) and len(value) > MAX_CELL:
                    raise Refused(
                        400, "Your input contains more than the maximum of 50000 characters in a single cell."
                    )
                if isinstance(value, (list, dict)):
                    raise Refused(400, "Invalid values: struct_value")
        return values if option == "RAW" else [[user_entered(value) for value in line] for line in values]

    def check_update(self, text, values, user):
        sheet, top, left, bottom, right = self.area(text)
        self.check_writer(sheet, user)
        height, width = len(values), max(map(len, values), default=0)
        if top + height > sheet.row_count or left + width > sheet.column_count:
            raise self._outside(text, sheet)
        if top + height > bottom + 1 or left + width > right + 1:
            raise Refused(400, f"Requested writing within range [{text}], but tried writing outside of it")
        return sheet, top, left

    def update(self, sheet, top, left, values):
        for row, line in enumerate(values):
            for column, value in enumerate(line):
                if value is not None:  # null leaves a cell as it is
                    sheet.put(top + row, left + column, value)

    def append_cells(self, sheet, rows):
        """Write below the last row that holds anything, from the first column, whatever the table looks like."""
        last = max((row for row, line in enumerate(sheet.cells) if any(cell != "" for cell in line)), default=-1)
        sheet.row_count = max(sheet.row_count, last + 1 + len(rows))
        sheet.column_count = max(sheet.column_count, *(len(line) for line in rows), 1)
        self.update(sheet, last + 1, 0, rows)

    def change(self, requests, user):
        """Apply the requests of a batchUpdate, all or none."""
        for request in requests:
            kind = next(iter(request))
            if kind not in KINDS:
                raise Refused(400, f"Invalid JSON payload received. Unknown name {kind!r}")
            if kind == "addSheet" and request[kind]["properties"]["title"] in self.sheets:
                title = request[kind]["properties"]["title"]
                raise Refused(400, f'A sheet with the name "{title}" already exists. Please enter another name.')
            if kind == "appendCells":
                self.check_writer(self._by_id(request[kind]["sheetId"]), user)
                self.prepare(typed(request[kind]["rows"]), "RAW")
        return [self._change(request, user) for request in requests]

    def _change(self, request, user):
        kind, body = next(iter(request.items()))
        if kind == "addSheet":
            size = body["properties"].get("gridProperties", {})
            sheet = self.add(
                body["properties"]["title"], rows=size.get("rowCount", 1000), columns=size.get("columnCount", 26)
            )
            return {"addSheet": {"properties": sheet.metadata()["properties"]}}
        if kind == "appendDimension":
            sheet = self._by_id(body["sheetId"])
            if body["dimension"] == "ROWS":
                sheet.row_count += body["length"]
            else:
                sheet.column_count += body["length"]
            return {}
        if kind == "addProtectedRange":
            wanted = dict(body["protectedRange"])
            wanted["protectedRangeId"] = next(self._protected_ids)
            editors = dict(wanted.get("editors", {}))
            editors["users"] = sorted({*editors.get("users", []), user})
            wanted["editors"] = editors
            self._by_id(wanted["range"]["sheetId"]).protected[wanted["protectedRangeId"]] = wanted
            return {"addProtectedRange": {"protectedRange": wanted}}
        if kind == "appendCells":
            self.append_cells(self._by_id(body["sheetId"]), typed(body["rows"]))
            return {}
        for sheet in self.sheets.values():
            sheet.protected.pop(body["protectedRangeId"], None)
        return {}

    def _by_id(self, sheet_id):
        for sheet in self.sheets.values():
            if sheet.sheet_id == sheet_id:
                return sheet
        raise Refused(400, f"No grid with id: {sheet_id}")


class Fault:
    """What goes wrong with the next requests that match."""

    def __init__(self, kind, times, match, status=0, retry_after=None, after=0):
        self.kind = kind
        self.times = times
        self.match = re.compile(match)
        self.status = status
        self.retry_after = retry_after
        self.after = after


class SheetsServer:
    """The server. `url` is where it listens; `requests` counts what was asked, as (method, path)."""

    def __init__(self, *, latency_ms=(0, 0), seed=0, quota_per_min=None):
        self.books = {}
        self.requests = []
        self.latencies_s = []
        self.latency_ms = latency_ms
        self.quota_per_min = quota_per_min
        self.lock = threading.RLock()
        self._faults = deque()
        self._random = random.Random(seed)  # noqa: S311 - latencies
        self._asked = deque()
        self._http = _Server(("127.0.0.1", 0), _Handler)
        self._http.daemon_threads = True
        self._http.block_on_close = False
        self._http.stand_in = self
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self.endpoint = f"{self.url}/v4/spreadsheets"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def book(self, key="book"):
        if key not in self.books:
            self.books[key] = Book(key)
        return self.books[key]

    def fill(self, title, rows, key="book", **size):
        """Make or replace a sheet, cells exactly as given."""
        book = self.book(key)
        with self.lock:
            sheet = book.sheets.get(title) or book.add(title, **size)
            sheet.cells = [list(row) for row in rows]
            sheet.column_count = max(sheet.column_count, *(len(row) for row in rows), 1)
            sheet.row_count = max(sheet.row_count, len(rows) + 1)
        return sheet

    def cells(self, title, key="book"):
        with self.lock:
            return [list(row) for row in self.book(key).sheets[title].cells]

    def fail(self, status, times=1, match="", retry_after=None, after=0):
        """Answer requests whose `METHOD path` matches with an error status, after some that pass; none is applied."""
        self._faults.append(Fault("status", times, match, status, retry_after, after))

    def cut(self, times=1, match=""):
        """Close the connection before the request is applied."""
        self._faults.append(Fault("cut", times, match))

    def lose_answer(self, times=1, match=""):
        """Apply the request and close the connection without an answer."""
        self._faults.append(Fault("lose", times, match))

    def heal(self):
        self._faults.clear()

    def fault_for(self, line):
        with self.lock:
            for fault in self._faults:
                if fault.match.search(line):
                    if fault.after:
                        fault.after -= 1
                        continue
                    fault.times -= 1
                    if fault.times <= 0:
                        self._faults.remove(fault)
                    return fault
        return None

    def delay_s(self):
        low, high = self.latency_ms
        with self.lock:
            delay = self._random.uniform(low, high) / 1e3
            self.latencies_s.append(delay)
        return delay

    def check_quota(self):
        if self.quota_per_min is None:
            return
        now = time.monotonic()
        with self.lock:
            while self._asked and self._asked[0] <= now - 60:
                self._asked.popleft()
            if len(self._asked) >= self.quota_per_min:
                raise Refused(429, "Quota exceeded for quota metric 'Read requests'", retry_after=1)
            self._asked.append(now)

    def credentials(self, directory, email=ENGINE):
        """Write the key file of a service account whose tokens this server gives out, and return its path."""
        path = Path(directory) / f"{email.partition('@')[0]}.json"
        info = {
            "type": "service_account",
            "project_id": "test",
            "private_key_id": "1",
            "private_key": private_key(),
            "client_email": email,
            "client_id": "1",
            "token_uri": f"{self.url}/token",
            "universe_domain": "sheets.test",  # of a universe of its own, an account signs its tokens itself
        }
        path.write_text(json.dumps(info), encoding="utf-8")
        path.chmod(0o600)
        return path

    def answer(self, method, path, query, body, user):
        """Answer a request to the API."""
        match = re.fullmatch(r"/v4/spreadsheets/([^/:]+)(.*)", path)
        if match is None:
            raise Refused(404, "Requested entity was not found.")
        book = self.books.get(unquote(match[1]))
        if book is None:
            raise Refused(404, "Requested entity was not found.")
        rest = match[2]
        with self.lock:
            if rest == "" and method == "GET":
                return {
                    "spreadsheetId": book.key,
                    "properties": {"title": book.key},
                    "sheets": [sheet.metadata() for sheet in book.sheets.values()],
                }
            if rest == ":batchUpdate" and method == "POST":
                return {"spreadsheetId": book.key, "replies": book.change(body["requests"], user)}
            return self._values(book, method, rest, query, body, user)

    def _values(self, book, method, rest, query, body, user):
        render = query.get("valueRenderOption", ["FORMATTED_VALUE"])[0]
        if rest == "/values:batchGet":
            ranges = [book.values(text, render) for text in query.get("ranges", [])]
            return {"spreadsheetId": book.key, "valueRanges": ranges}
        if rest == "/values:batchUpdate":
            places = []
            for block in body["data"]:
                values = book.prepare(block["values"], body.get("valueInputOption"))
                places.append((*book.check_update(block["range"], values, user), values))
            for place in places:
                book.update(*place)
            return {"spreadsheetId": book.key, "totalUpdatedRows": len(places)}
        text = unquote(rest.removeprefix("/values/"))
        option = query.get("valueInputOption", [None])[0]
        if method == "POST" and text.endswith(":clear"):
            sheet, top, left, bottom, right = book.area(text.removesuffix(":clear"))
            book.check_writer(sheet, user)
            for row in range(top, min(bottom + 1, len(sheet.cells))):
                for column in range(left, min(right + 1, len(sheet.cells[row]))):
                    sheet.cells[row][column] = ""
            return {"spreadsheetId": book.key, "clearedRange": text.removesuffix(":clear")}
        if method == "PUT":
            values = book.prepare(body["values"], option)
            book.update(*book.check_update(text, values, user), values)
            return {"spreadsheetId": book.key, "updatedRange": text}
        return book.values(text, render)


_KEYS = []


def private_key():
    """A key of a service account; made once in a process, because it takes a while."""
    if not _KEYS:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        _KEYS.append(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())
    return _KEYS[0]


def _refuse(code, message, retry_after=None):
    raise Refused(code, message, retry_after)


def _user_of(authorization):
    """Return the address of the account that signed the token of a request."""
    parts = authorization.removeprefix("Bearer ").split(".")
    try:
        return json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))["iss"]
    except (IndexError, ValueError, KeyError):
        raise Refused(401, "Request had invalid authentication credentials.") from None


class _Server(ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        """Say nothing: a client that is killed cuts its connections."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def do_GET(self):
        self._serve()

    def do_POST(self):
        self._serve()

    def do_PUT(self):
        self._serve()

    def _serve(self):
        stand_in = self.server.stand_in
        url = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length)
        with stand_in.lock:
            stand_in.requests.append((self.command, unquote(url.path)))
        time.sleep(stand_in.delay_s())
        fault = stand_in.fault_for(f"{self.command} {unquote(url.path)}")
        if fault is not None and fault.kind == "cut":
            self._cut()
            return
        try:
            if fault is not None and fault.kind == "status":
                _refuse(fault.status, f"ordered by the test: {fault.status}", fault.retry_after)
            user = _user_of(self.headers.get("Authorization", ""))
            stand_in.check_quota()
            body = json.loads(raw) if raw else {}
            answer = stand_in.answer(self.command, url.path, parse_qs(url.query), body, user)
        except Refused as error:
            document = {"error": {"code": error.code, "message": str(error), "status": STATUS.get(error.code, "")}}
            self._send(error.code, document, error.retry_after)
            return
        if fault is not None:
            self._cut()
            return
        self._send(200, answer)

    def _send(self, code, document, retry_after=None):
        content = json.dumps(document).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        if retry_after is not None:
            self.send_header("Retry-After", str(retry_after))
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()

    def _cut(self):
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)
