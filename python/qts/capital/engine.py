"""The capital engine: an input in, targets, proposals, alerts and limits out (spec 14 §10).

It moves nothing, reads nothing and knows no time but the one it is given. Proposals are carried out by the transfer
service, on schedule and outside of the cycle.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from qts.capital.alerts import Findings
from qts.capital.allocation import (
    check_bands,
    has_drifted,
    pool_limits,
    rebalancing_required,
    target_shares,
)
from qts.capital.checks import check_shape, safety_checks
from qts.capital.contracts import POOLS, CapitalAlert, CapitalEngineOutput, PoolLimit
from qts.capital.demotion import demotions
from qts.capital.digest import Digester
from qts.capital.measures import Measures
from qts.capital.messages import say
from qts.capital.promotion import promotions
from qts.capital.room import STOPPING, Room
from qts.codes import language

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qts.capital.checks import Locks
    from qts.capital.contracts import CapitalEngineInput, Pool
    from qts.codes import Lang

FAILURES_IN_A_ROW: Final = 3
"""Evaluations in a row that raised, at which the engine is reported as impaired (AN081)."""


class CapitalEngine:
    """Evaluates capital. Equal input gives equal output, to the byte; evaluation never moves money.

    Args:
        lang: language of the messages; default: that of the user when the engine is made.
    """

    def __init__(self, lang: Lang | None = None) -> None:
        self._lang: Lang = language() if lang is None else lang
        self._digester = Digester()

    def evaluate(self, inp: CapitalEngineInput) -> CapitalEngineOutput:
        """Return what capital should do now.

        Fail-safe checks come first, then demotions, promotions, the need for a rebalance and what is out of its band.
        In FAIL and LOCKDOWN, and without any capital, only the checks are made: targets hold, nothing is proposed.

        Raises:
            UsageError: the pools are not exactly the three.
        """
        check_shape(inp.pool_states)
        findings = Findings(self._lang)
        locks = safety_checks(inp, findings)
        targets = target_shares(inp, findings)
        if locks.is_exhausted or inp.safety_state in STOPPING:
            return self._checks_only(inp, locks, targets, findings)
        room, measures = Room(inp, locks, findings), Measures(inp)
        down = demotions(inp, measures, room, findings)
        up, standings = promotions(inp, measures, room, findings)
        is_off = has_drifted(inp, room, targets, findings)
        is_small = check_bands(inp, room, targets, findings)
        is_required = rebalancing_required(inp, room, is_wanted=is_off or is_small)
        return CapitalEngineOutput(
            targets=targets,
            pending_promotions=up,
            pending_demotions=down,
            rebalancing_required=is_required,
            capital_alerts=tuple(findings.alerts),
            pool_limits=pool_limits(inp, locks),
            locks=locks.orders,
            promotion_eligible={pool: standings[pool].is_eligible for pool in POOLS},
            promotion_progress={pool: standings[pool].progress for pool in POOLS},
            input_digest=self._digester.digest(inp),
        )

    def _checks_only(
        self, inp: CapitalEngineInput, locks: Locks, targets: Mapping[Pool, Decimal], findings: Findings
    ) -> CapitalEngineOutput:
        return CapitalEngineOutput(
            targets=targets,
            pending_promotions=(),
            pending_demotions=(),
            rebalancing_required=False,
            capital_alerts=tuple(findings.alerts),
            pool_limits=pool_limits(inp, locks),
            locks=locks.orders,
            promotion_eligible=dict.fromkeys(POOLS, False),
            promotion_progress=dict.fromkeys(POOLS, Decimal("0.0000")),
            input_digest=self._digester.digest(inp),
        )


class EvaluationGuard:
    """Lets a cycle go on without entries when an evaluation raises, and reports it when that does not end (AN081).

    Args:
        engine: what evaluates.
        lang: language of the messages, as of the engine.
    """

    def __init__(self, engine: CapitalEngine, lang: Lang | None = None) -> None:
        self._engine = engine
        self._lang: Lang = language() if lang is None else lang
        self._last: CapitalEngineOutput | None = None
        self.failures = 0
        """Evaluations that have raised since the last one that did not."""

    def evaluate(self, inp: CapitalEngineInput) -> CapitalEngineOutput:
        """Return what the engine says, or that no pool may enter and nothing moves if it raises."""
        try:
            self._last = self._engine.evaluate(inp)
        except Exception as error:
            self.failures += 1
            return self._without_entries(inp, error)
        self.failures = 0
        return self._last

    def _without_entries(self, inp: CapitalEngineInput, error: Exception) -> CapitalEngineOutput:
        told = {"count": str(self.failures), "error": f"{type(error).__name__}: {error}"}
        message = say("failed", self._lang, **told)
        alert = CapitalAlert("AN081", None, "WARNING", message, tuple(sorted(told.items())))
        targets = inp.config.targets[inp.operating_state] if self._last is None else self._last.targets
        return CapitalEngineOutput(
            targets=targets,
            pending_promotions=(),
            pending_demotions=(),
            rebalancing_required=False,
            capital_alerts=(alert,) if self.failures >= FAILURES_IN_A_ROW else (),
            pool_limits=dict.fromkeys(POOLS, PoolLimit(0, entries_allowed=False, reason="AN081")),
            locks=(),
            promotion_eligible=dict.fromkeys(POOLS, False),
            promotion_progress=dict.fromkeys(POOLS, Decimal("0.0000")),
            input_digest="",
        )
