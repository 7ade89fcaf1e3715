"""What the manager writes down: acts in the audit trail, state and kill switch in the vault."""

from collections import deque
from typing import Final

from qts.clock import Clock
from qts.safety.audit import AuditTrail, Entry
from qts.safety.record import KillRecord, StateRecord, Vault

_BACKLOG: Final = 10_000


class Books:
    """Writes records and remembers what could not be written, so that the trail is whole when the disk is back.

    No method raises OSError: the error is returned, because the state has been raised already and must stand.

    Args:
        vault: where the records are kept.
        audit: where acts are recorded.
        clock: labels what has to wait.
    """

    def __init__(self, vault: Vault, audit: AuditTrail, clock: Clock) -> None:
        self.vault = vault
        self.audit = audit
        self._clock = clock
        self._backlog: deque[Entry] = deque()
        self.lost = 0
        self._kept: StateRecord | None = None
        self._kill: KillRecord | None = None

    def record(self, entry: Entry) -> OSError | None:
        """Record an act durably; what waits goes first."""
        self._backlog.append(entry._replace(at_ns=entry.at_ns or self._clock.now_ns()))
        if len(self._backlog) > _BACKLOG:
            self._backlog.popleft()
            self.lost += 1
        return self.catch_up()

    def catch_up(self) -> OSError | None:
        """Record what waits."""
        try:
            while self._backlog:
                self.audit.append(self._backlog[0])
                self._backlog.popleft()
        except OSError as error:
            return error
        return None

    @property
    def is_behind(self) -> bool:
        """Whether acts wait to be recorded."""
        return bool(self._backlog)

    def keep_state(self, record: StateRecord) -> OSError | None:
        """Keep the state, unless nothing but the head of the audit trail is new."""
        head = {"audit_seq": 0, "audit_hash": ""}
        if self._kept is not None and self._kept.model_copy(update=head) == record.model_copy(update=head):
            return None
        try:
            self.vault.save_state(record)
        except OSError as error:
            self._kept = None
            return error
        self._kept = record
        return None

    def keep_kill(self, record: KillRecord) -> OSError | None:
        """Keep the kill switch."""
        if record == self._kill:
            return None
        try:
            self.vault.save_kill(record)
        except OSError as error:
            self._kill = None
            return error
        self._kill = record
        return None
