"""The close of paper sessions on the record, and what the next start makes of one that was left."""

import asyncio
import json
from datetime import date

from qts.config import shipped_dir
from qts.engine import Engine
from qts.engine.build import load_config
from qts.ops.close import CloseFiles, CloseStatus, announce

DAY = date(2026, 1, 5)


def engine_in(home, **data):
    config = load_config(shipped_dir())
    session = config.sim.session.model_copy(update={"symbols": ("005930", "000660")})
    update = {"sim": config.sim.model_copy(update={"session": session})}
    if data:
        update["data"] = config.data.model_copy(update=data)
    return Engine.from_config(config.model_copy(update=update), day=DAY, seed=3, home=home, strategy="quote_reversion")


def test_a_session_is_closed_on_record_and_one_that_was_left_is_closed_by_the_next_start(tmp_path):
    home, kept = tmp_path / "home", tmp_path / "kept"
    announce(home, "paper-0123456789abcdef", DAY)
    engine = engine_in(home, backup_dir=str(kept))
    with asyncio.run(engine.run()) as result:
        account = result.report["account"]
        assert result.report["fills"] > 0
    left, own = engine.closes
    assert left.record.account == "paper-0123456789abcdef"
    assert [step.name for step in left.record.steps] == ["reconcile", "report", "backup"]
    assert [step.name for step in own.record.steps] == ["reconcile", "settle", "report", "backup", "state_review"]
    for outcome in (left, own):
        assert outcome.status is CloseStatus.DONE, str(outcome)
        record = CloseFiles(home, outcome.record.account).load(DAY)
        assert record.is_finished
    told = json.loads((home / "reports" / "close" / own.record.account / f"{DAY}.json").read_text())
    assert told["account_figures"] == account
    assert list(kept.iterdir())
    again = engine_in(home, backup_dir=None)
    asyncio.run(again.run()).close()
    assert len(again.closes) == 1, "what is closed is not closed again"
