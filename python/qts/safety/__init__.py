"""The safety state: how far the system is trusted, who may stop it and who may let it go on (spec 01)."""

from qts.safety.accounts import AccountDesk
from qts.safety.audit import AuditFile, AuditMemory, Entry, Head, Verdict, last_lines, verify
from qts.safety.channels import Channel as NoticeChannel
from qts.safety.channels import LogChannel, MemoryChannel, Route, TerminalChannel
from qts.safety.config import ProtectiveExits, SafetyConfig
from qts.safety.enforcement import FLAGS, ActionClass
from qts.safety.exceptions import Refusal
from qts.safety.guard import FailureGuard, FailureKind, GuardRefusal, GuardState
from qts.safety.machine import TABLE, Machine
from qts.safety.manager import SafetyStateManager
from qts.safety.notices import Notice, NoticeLevel
from qts.safety.notifier import Notifier
from qts.safety.operators import Account, Authority, Channel, Credential, OperatorBook, Role
from qts.safety.outbox import FileOutbox, MemoryOutbox
from qts.safety.record import FileVault, MemoryVault, Suspension, Unit
from qts.safety.recovery import CHECKS, RECONCILIATION, Checked, CheckOutcome, CheckRequest, Evidence, ReleaseCheck
from qts.safety.snapshot import KillSwitch, RunVerdict, SafetySnapshot, StateChange
from qts.safety.states import (
    AnomalyLevel,
    EventKind,
    KillLevel,
    SafetyEvent,
    SafetyState,
    TransitionResult,
)

__all__ = [
    "CHECKS",
    "FLAGS",
    "RECONCILIATION",
    "TABLE",
    "Account",
    "AccountDesk",
    "ActionClass",
    "AnomalyLevel",
    "AuditFile",
    "AuditMemory",
    "Authority",
    "Channel",
    "CheckOutcome",
    "CheckRequest",
    "Checked",
    "Credential",
    "Entry",
    "EventKind",
    "Evidence",
    "FailureGuard",
    "FailureKind",
    "FileOutbox",
    "FileVault",
    "GuardRefusal",
    "GuardState",
    "Head",
    "KillLevel",
    "KillSwitch",
    "LogChannel",
    "Machine",
    "MemoryChannel",
    "MemoryOutbox",
    "MemoryVault",
    "Notice",
    "NoticeChannel",
    "NoticeLevel",
    "Notifier",
    "OperatorBook",
    "ProtectiveExits",
    "Refusal",
    "ReleaseCheck",
    "Role",
    "Route",
    "RunVerdict",
    "SafetyConfig",
    "SafetyEvent",
    "SafetySnapshot",
    "SafetyState",
    "SafetyStateManager",
    "StateChange",
    "Suspension",
    "TerminalChannel",
    "TransitionResult",
    "Unit",
    "Verdict",
    "last_lines",
    "verify",
]
