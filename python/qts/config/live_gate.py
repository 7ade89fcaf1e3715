"""The live gate: an order can reach a live host only if every condition holds (spec 02 §7.2)."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from qts.codes import ConfigError
from qts.config.fields import as_flag
from qts.config.messages import say
from qts.config.models.local import LocalConfig

ACK_VARIABLE: Final = "QTS_LIVE_ACK"
ACK_PHRASE: Final = "I_UNDERSTAND_LIVE_TRADING"
ORDERS_VARIABLE: Final = "ENABLE_REAL_ORDER"


@dataclass(frozen=True, slots=True)
class LiveEvidence:
    """What only the running engine knows. None = unknown, which does not hold."""

    host_is_live: bool | None = None
    """Host and account class of the broker are live, and the account is the configured one."""
    safety_permits: bool | None = None
    """Safety NORMAL or WARNING, reconciled, kill switch released."""
    build_is_certified: bool | None = None
    """A release build, certified for this broker."""


@dataclass(frozen=True, slots=True)
class LiveGate:
    """The gate as it stood when it was built. What would reach a live host takes one and calls `require`."""

    refusals: tuple[str, ...]
    """Why it is closed, in the order of the conditions; empty only if every one of them holds."""

    @classmethod
    def bind(cls, local: LocalConfig, evidence: LiveEvidence, environ: Mapping[str, str] | None = None) -> Self:
        """Evaluate the conditions once. No mode of this version is LIVE, so its gates are closed."""
        environ = os.environ if environ is None else environ
        return cls.of(
            mode=local.mode,
            live_enabled=local.live_enabled,
            failsafe_enabled=local.failsafe_enabled,
            acknowledgement=environ.get(ACK_VARIABLE, ""),
            real_orders=environ.get(ORDERS_VARIABLE, ""),
            evidence=evidence,
        )

    @classmethod
    def of(
        cls,
        *,
        mode: str,
        live_enabled: bool,
        failsafe_enabled: bool,
        acknowledgement: str,
        real_orders: str,
        evidence: LiveEvidence,
    ) -> Self:
        """Evaluate conditions given one by one."""
        conditions = (
            ("mode_not_live", mode == "LIVE"),
            ("live_enabled_false", live_enabled is True),
            ("ack_missing_or_invalid", acknowledgement == ACK_PHRASE),
            ("real_order_disabled", as_flag(real_orders) is True),
            ("host_mismatch", evidence.host_is_live is True),
            ("safety", evidence.safety_permits is True),
            ("failsafe_disabled", failsafe_enabled is True),
            ("build_not_certified", evidence.build_is_certified is True),
        )
        return cls(tuple(reason for reason, holds in conditions if not holds))

    @property
    def is_open(self) -> bool:
        """Whether every condition held."""
        return not self.refusals

    def require(self) -> None:
        """Return if the gate is open.

        Raises:
            ConfigError: FS003, with the reasons.
        """
        if self.refusals:
            raise ConfigError(
                found=say("gate_closed", reasons=", ".join(self.refusals)),
                expected=say("gate_expected"),
                hint=say("gate_hint"),
                code="FS003",
            )
