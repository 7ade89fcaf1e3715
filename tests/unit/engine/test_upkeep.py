"""The upkeep of a run: what it tells of backups, and what it survives."""

import asyncio

from qts.engine import storage
from qts.ops.backup import BackupAge

OLD = BackupAge("qts_backup_1", 30.0, "GR108")
GOOD = BackupAge("qts_backup_2", 0.1, "")
NONE = BackupAge("", None, "GR108")


def told_by(monkeypatch, answers):
    """What is told while the upkeep answers so, one after the other."""
    told, answers = [], iter(answers)
    over = asyncio.CancelledError()

    async def work():
        answer = next(answers, over)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async def no_pause(_seconds):
        return None

    monkeypatch.setattr(storage.asyncio, "sleep", no_pause)

    async def run():
        try:
            await storage._keep_up(work, lambda code, text: told.append((code, text)))
        except asyncio.CancelledError:
            return

    asyncio.run(run())
    return told


def test_a_backup_that_is_too_old_is_told_once_until_there_is_a_good_one(monkeypatch):
    told = told_by(monkeypatch, [NONE, NONE, GOOD, OLD, OLD])
    assert [code for code, _ in told] == ["GR108", "GR108"]
    assert "no verified backup" in told[0][1]
    assert "qts_backup_1" in told[1][1]


def test_an_upkeep_that_fails_is_tried_again(monkeypatch, caplog):
    assert told_by(monkeypatch, [RuntimeError("no"), NONE]) != []
    assert "the upkeep of the database failed" in caplog.text
