"""Daily sets of everything that must survive: made while trading goes on, verified, restored, kept for years."""

from qts.ops.backup.contracts import (
    BackupAge,
    BackupFile,
    BackupSet,
    BackupSource,
    Manifest,
    ServerDump,
    Verification,
)
from qts.ops.backup.create import create_backup, mark_verified, verify_backup
from qts.ops.backup.keeping import Keeping, apply_keeping, backup_age, backups, plan_keeping
from qts.ops.backup.manifest import read_manifest
from qts.ops.backup.restore import restore_backup
from qts.ops.backup.upkeep import DayFiles, Upkeep, plan_upkeep, run_upkeep

__all__ = [
    "BackupAge",
    "BackupFile",
    "BackupSet",
    "BackupSource",
    "DayFiles",
    "Keeping",
    "Manifest",
    "ServerDump",
    "Upkeep",
    "Verification",
    "apply_keeping",
    "backup_age",
    "backups",
    "create_backup",
    "mark_verified",
    "plan_keeping",
    "plan_upkeep",
    "read_manifest",
    "restore_backup",
    "run_upkeep",
    "verify_backup",
]
