"""Which broker a new entry goes to, where there are two.

A switch is made only when the first broker is proven down and nothing that was sent there is in doubt: an order whose
answer is lost may be live, and the same wish sent elsewhere would be a second one. An execution stays with its broker
to the end, and what is held at a broker is sold there: this decides about new entries and nothing else.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias

from qts.execution.contracts import Refusal

Broker: TypeAlias = Literal["PRIMARY", "SECONDARY"]

FAILURES_PROVING: Final = 3
"""Failures in a row that prove a broker down."""
HEALTHY_NS: Final = 5 * 60 * 1_000_000_000
"""How long the first broker must have been well before entries go back to it by themselves."""
HEARTBEAT_GAP_NS: Final = 90 * 1_000_000_000
"""Heartbeats come once a minute: a longer gap is a missed one, and what was well has to prove it anew."""


class BrokerHealth(NamedTuple):
    """What is known of a broker."""

    connected: bool
    consecutive_failures: int = 0
    unknown_orders: int = 0
    """Orders there whose fate is not proven."""
    reconciled: bool = False
    """Its own cash, holds and positions have been compared and agree."""
    open_exposure: bool = False
    """Positions or live orders are there."""

    @property
    def is_down(self) -> bool:
        """Whether it is proven that it cannot be traded with."""
        return not self.connected or self.consecutive_failures >= FAILURES_PROVING

    @property
    def is_usable(self) -> bool:
        """Whether an entry may go there: up, without a failure in a row, and with books that agree."""
        return self.connected and self.consecutive_failures == 0 and self.reconciled


class BrokerChoice(NamedTuple):
    """Where a new entry goes."""

    broker: Broker | None
    """None: nowhere, for `reason`."""
    reason: Refusal | None = None
    codes: tuple[str, ...] = ()
    """FS090 once for each outage of both brokers."""
    switched: bool = False
    """This choice has changed the broker; it is to be told and journaled."""


class Failover:
    """Remembers which broker entries go to. Off, it never leaves the first one."""

    __slots__ = ("_active", "_enabled", "_healthy_since_ns", "_last_beat_ns", "_outage_told")

    def __init__(self, *, enabled: bool = False, active: Broker = "PRIMARY") -> None:
        """`active` is the broker that a run before a restart had come to."""
        self._enabled = enabled
        self._active: Broker = active if enabled else "PRIMARY"
        self._healthy_since_ns: int | None = None
        self._last_beat_ns = 0
        self._outage_told = False

    @property
    def active(self) -> Broker:
        """The broker that entries go to."""
        return self._active

    def heartbeat(self, primary: BrokerHealth, now_ns: int) -> None:
        """Take note of a heartbeat of the first broker, answered or missed."""
        missed = now_ns - self._last_beat_ns > HEARTBEAT_GAP_NS
        self._last_beat_ns = now_ns
        if not primary.is_usable:
            self._healthy_since_ns = None
        elif self._healthy_since_ns is None or missed:
            self._healthy_since_ns = now_ns

    def choose(self, primary: BrokerHealth, secondary: BrokerHealth | None, now_ns: int) -> BrokerChoice:
        """Return where a new entry goes. Not to be asked about exits: they go to where the position is."""
        if self._active == "SECONDARY":
            return self._at_secondary(primary, secondary, now_ns)
        if not primary.is_down:
            self._outage_told = False
            return BrokerChoice("PRIMARY")
        if not self._enabled or secondary is None or primary.unknown_orders:
            return _nowhere()
        if not secondary.is_usable:
            return self._both_down() if secondary.is_down else _nowhere()
        self._active = "SECONDARY"
        self._healthy_since_ns = None
        self._outage_told = False
        return BrokerChoice("SECONDARY", switched=True)

    def fail_back(self, primary: BrokerHealth) -> bool:
        """Go back to the first broker as an operator wishes; False if it is not fit for it."""
        if self._active == "PRIMARY" or not primary.is_usable or primary.unknown_orders:
            return False
        self._active = "PRIMARY"
        self._outage_told = False
        return True

    def _at_secondary(self, primary: BrokerHealth, secondary: BrokerHealth | None, now_ns: int) -> BrokerChoice:
        if self._may_return(primary, now_ns):
            self._active = "PRIMARY"
            self._outage_told = False
            return BrokerChoice("PRIMARY", switched=True)
        if secondary is None or secondary.is_down:
            return self._both_down()
        if not secondary.reconciled:
            return _nowhere()
        self._outage_told = False
        return BrokerChoice("SECONDARY")

    def _may_return(self, primary: BrokerHealth, now_ns: int) -> bool:
        since = self._healthy_since_ns
        return (
            since is not None
            and now_ns - since >= HEALTHY_NS
            and now_ns - self._last_beat_ns <= HEARTBEAT_GAP_NS
            and primary.is_usable
            and not primary.unknown_orders
            and not primary.open_exposure
        )

    def _both_down(self) -> BrokerChoice:
        codes = () if self._outage_told else ("FS090",)
        self._outage_told = True
        return BrokerChoice(None, Refusal.BROKER_DISCONNECTED, codes)


def _nowhere() -> BrokerChoice:
    return BrokerChoice(None, Refusal.BROKER_DISCONNECTED)
