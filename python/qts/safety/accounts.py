"""Changing the operators of a home: only while no engine holds it, and each act is on record before it takes effect."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from qts.clock import Clock
from qts.codes import EngineFault, UsageError
from qts.safety.audit import AuditFile, Entry, Head
from qts.safety.exceptions import Refusal
from qts.safety.files import lock_directory
from qts.safety.messages import say
from qts.safety.operators import Account, OperatorBook, Recorded, Role
from qts.safety.record import FileVault, Found, KillRecord, StateRecord
from qts.safety.registry import STORAGE_FAILED


class AccountDesk:
    """The operators of a home, to be added, changed and removed.

    An engine that runs holds its home, and nothing is changed under it: who may release a running engine is settled
    before it starts.

    Args:
        home: `QTS_HOME`.
        clock: labels the records.
        by: who makes the changes, as records name them.

    Raises:
        UsageError: an engine holds the home.
        Refusal: the audit trail is damaged; nothing is changed that could not be recorded.
        EngineFault: FS063, the directory or the trail cannot be written.
    """

    def __init__(self, home: Path, clock: Clock, by: str) -> None:
        state = home / "state"
        self._by = by
        self._book = OperatorBook.at(home)
        with ExitStack() as held:
            try:
                held.callback(os.close, _lock(state))
                self._audit = _trail(state / "audit.jsonl", clock)
                held.callback(self._audit.close)
                _require_whole(FileVault(state), self._audit.head, state / "audit.jsonl", clock.now_ns())
            except OSError as error:
                raise _not_written(error, state) from None
            self._held = held.pop_all()
        self._directory = state

    def add(self, operator_id: str, role: Role, secret: str) -> None:
        """Add an operator.

        Raises:
            Refusal: there is such an operator, the id or secret will not do, or the file cannot be trusted.
            EngineFault: FS063, the change could not be recorded or made.
        """
        with self._on_record("operator_add", operator_id) as recorded:
            self._book.add(operator_id, role, secret, recorded=recorded)

    def change_secret(self, operator_id: str, secret: str) -> None:
        """Give an operator another secret; errors as `add`, and there is no such operator."""
        with self._on_record("operator_secret", operator_id) as recorded:
            self._book.change_secret(operator_id, secret, recorded=recorded)

    def remove(self, operator_id: str) -> None:
        """Remove an operator; errors as `change_secret`."""
        with self._on_record("operator_remove", operator_id) as recorded:
            self._book.remove(operator_id, recorded=recorded)

    def accounts(self) -> tuple[Account, ...]:
        """Return who there is; Refusal if the file cannot be trusted."""
        return self._book.accounts()

    def close(self) -> None:
        """Let go of the home."""
        self._held.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _on_record(self, act: str, operator_id: str) -> Iterator[Recorded]:
        """Record an act before it is made, a refused one too, and that it came to nothing if the disk fails."""
        try:
            yield lambda account: self._note(act, operator_id, role=account.role.value)
        except Refusal as refusal:
            self._note(act, operator_id, reason=refusal.reason)
            raise
        except OSError as error:
            with suppress(OSError):
                self._note(act, operator_id, reason="not_written")
            raise _not_written(error, self._directory) from None

    def _note(self, act: str, operator_id: str, *, reason: str = "", role: str = "") -> None:
        payload = {"operator": operator_id, **({"role": role} if role else {})}
        self._audit.append(Entry(self._by, act, is_applied=not reason, reason=reason, payload=payload))


def _lock(state: Path) -> int:
    try:
        return lock_directory(state)
    except UsageError as held:
        raise UsageError(found=held.found, expected=say("no_engine_expected"), hint=say("no_engine_hint")) from None


def _trail(path: Path, clock: Clock) -> AuditFile:
    try:
        return AuditFile(path, clock)
    except ValueError:
        raise Refusal("trail_damaged", path=path) from None


def _require_whole(vault: FileVault, head: Head, path: Path, now_ns: int) -> None:
    """Refuse to write after a gap, which would hide it from the next start; begin the records of an unused home.

    Lines without a record of the state would mean to the next start that the record was lost.
    """
    state, kill = vault.load_state(), vault.load_kill()
    if state.record is not None and head.seq < state.record.audit_seq:
        raise Refusal("trail_damaged", path=path)
    if head.seq == 0 and state == Found(None) and kill == Found(None):
        vault.save_kill(KillRecord())
        vault.save_state(StateRecord(since_ns=now_ns))


def _not_written(error: OSError, state: Path) -> EngineFault:
    return EngineFault(STORAGE_FAILED, found=str(error), expected=say("writable", path=state))
