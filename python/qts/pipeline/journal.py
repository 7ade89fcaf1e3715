"""Decision records: their identity, their one canonical form, and the hash that proves two runs equal."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

from qts.codes import EngineFault
from qts.engines.faults import one_line
from qts.pipeline.exceptions import StageFailure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

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


@runtime_checkable
class DecisionStore(Protocol):
    """Where decisions are kept so that they outlive the process; the books of a run are one."""

    def record_decision(self, decision_id: str, ts_ns: int, line: bytes) -> None:
        """Append a decision line."""
        ...

    def decisions_durable(self) -> None:
        """Return when everything recorded is on disk; at once where nothing has to outlive the process."""
        ...


class DecisionJournal:
    """Writes decision lines and keeps their hash. Lines are written before anything is sent.

    Args:
        log: takes every line, for the report.
        store: keeps them; None: `log` itself if it can, else nobody.
    """

    def __init__(self, log: DecisionLog, store: DecisionStore | None = None) -> None:
        self._log = log
        self._store = log if store is None and isinstance(log, DecisionStore) else store
        self._hash = hashlib.sha256()
        self.lines = 0

    def write(self, cycle: Cycle, decisions: Iterable[OrderDecision], equity: int) -> None:
        """Append one line per decision.

        Raises:
            StageFailure: FS063, or the code of the store, if it does not take one; nothing may be sent then.
        """
        for decision in decisions:
            line = decision_line(cycle, decision, equity)
            self._log.append(line)
            text = line.encode()
            if self._store is not None:
                self._kept(self._store.record_decision, decision.decision_id, cycle.ts_ns, text)
            self._hash.update(text + b"\n")
            self.lines += 1

    def barrier(self, decisions: Iterable[OrderDecision]) -> None:
        """Return when what was written is durable. Waits only if one of `decisions` is to be sent.

        Raises:
            StageFailure: FS063, or the code of the store, if it does not become durable.
        """
        if self._store is not None and any(decision.action != "NONE" for decision in decisions):
            self._kept(self._store.decisions_durable)

    def _kept(self, call: Callable[..., None], *args: object) -> None:
        try:
            call(*args)
        except EngineFault as fault:
            raise StageFailure(fault.code, "decide", fault.found) from fault
        except Exception as error:
            raise StageFailure("FS063", "decide", f"decisions are not durable: {one_line(error)}") from error

    @property
    def decision_hash(self) -> str:
        """SHA-256 over all lines so far, each with its newline: the hash of the file that holds them."""
        return self._hash.hexdigest()
