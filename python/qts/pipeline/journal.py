"""Decision records: their identity, their one canonical form, and the hash that proves two runs equal."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from qts.pipeline.contracts import Cycle, OrderDecision
    from qts.pipeline.interfaces import DecisionLog

_ID_BYTES: Final = 16


def decision_id(cycle: Cycle, scope: str, strategy_id: str, symbol: str, side: str, ordinal: int) -> str:
    """Return the 128-bit identity of a decision as text: the same inputs give the same id."""
    identity = f"{cycle.session_date}|{scope}|{cycle.no}|{strategy_id}|{symbol}|{side}|{ordinal}"
    return hashlib.blake2b(identity.encode(), digest_size=_ID_BYTES).hexdigest()


def plain(units: int, scale: int) -> str:
    """Return an integer of `scale` decimals as decimal text without trailing zeros."""
    if scale == 0 or units == 0:
        return str(units)
    digits = str(abs(units)).zfill(scale + 1)
    text = f"{digits[:-scale]}.{digits[-scale:]}".rstrip("0").rstrip(".")
    return f"-{text}" if units < 0 else text


_quoted = lru_cache(maxsize=4_096)(json.dumps)
"""JSON text of a string. Ids, symbols and reasons repeat, and so does their escaping."""


def decision_line(cycle: Cycle, decision: OrderDecision, equity: int) -> str:
    """Return a decision as canonical JSON: keys sorted, no blanks, numbers with a unit as decimal text.

    Written out by hand because every order pays for it; a test holds it against `json.dumps(sort_keys=True)`.
    """
    evaluation = decision.evaluation
    terms = decision.terms
    qty_scale, price_scale = terms.qty_scale, terms.price_scale
    risk, portfolio = evaluation.risk, evaluation.portfolio
    limit_price = f'"{plain(decision.limit_price, price_scale)}"' if decision.limit_price else "null"
    ref_price = f'"{plain(decision.ref_price, price_scale)}"' if decision.ref_price else "null"
    confidence = evaluation.proposal.intent.confidence
    allowed = "null" if risk is None else f'"{plain(risk.allowed_qty, qty_scale)}"'
    binding = "null" if portfolio is None else _quoted(portfolio.binding_constraint)
    codes = ",".join([_quoted(code) for code in decision.codes])
    return (
        f'{{"action":"{decision.action}","allowed_qty":{allowed},"attempt":{decision.attempt}'
        f',"binding":{binding},"cause":"{cycle.cause}","codes":[{codes}]'
        f',"confidence":{confidence if 0 <= confidence <= 1 else "null"},"cycle":{cycle.no}'
        f',"decision_id":"{decision.decision_id}"'
        f',"equity":"{plain(equity, terms.money_scale)}","limit_price":{limit_price}'
        f',"order_type":"{decision.order_type}","purpose":"{decision.purpose}"'
        f',"qty":"{plain(decision.qty, qty_scale)}","reason":{_quoted(decision.reason)}'
        f',"ref_price":{ref_price}'
        f',"ref_ts_ns":{decision.ref_ts_ns},"session_date":"{cycle.session_date}","side":"{decision.side}"'
        f',"strategy":{_quoted(decision.strategy_id)},"symbol":{_quoted(terms.symbol)},"tif":"{decision.tif}"'
        f',"track":"{decision.track}","ts_ns":{cycle.ts_ns}'
        f',"wanted_qty":"{plain(evaluation.desired_qty, qty_scale)}"}}'
    )


class DecisionJournal:
    """Writes decision lines and keeps their hash. Lines are written before anything is sent."""

    def __init__(self, log: DecisionLog) -> None:
        self._log = log
        self._hash = hashlib.sha256()
        self.lines = 0

    def write(self, cycle: Cycle, decisions: Iterable[OrderDecision], equity: int) -> None:
        """Append one line per decision."""
        for decision in decisions:
            line = decision_line(cycle, decision, equity)
            self._log.append(line)
            self._hash.update(f"{line}\n".encode())
            self.lines += 1

    @property
    def decision_hash(self) -> str:
        """SHA-256 over all lines so far, each with its newline: the hash of the file that holds them."""
        return self._hash.hexdigest()
