"""The operator's desk: a local socket by which a person asks a running engine and tells it what to do."""

from qts.ops.operator.client import EngineUnreachable, NoAnswer, OperatorClient, RemoteError
from qts.ops.operator.contracts import (
    EngineStatus,
    Login,
    OperatingStatus,
    Operator,
    Outcome,
    OverrideView,
    PositionView,
    SafetyStatus,
)
from qts.ops.operator.inbox import EngineBusy, EngineInbox
from qts.ops.operator.interfaces import (
    EngineControls,
    OperatorPort,
    ReloadControls,
    SafetyControls,
    StateControls,
)
from qts.ops.operator.messages import say
from qts.ops.operator.place import RunPlace, user_name
from qts.ops.operator.server import OperatorServer

__all__ = [
    "EngineBusy",
    "EngineControls",
    "EngineInbox",
    "EngineStatus",
    "EngineUnreachable",
    "Login",
    "NoAnswer",
    "OperatingStatus",
    "Operator",
    "OperatorClient",
    "OperatorPort",
    "OperatorServer",
    "Outcome",
    "OverrideView",
    "PositionView",
    "ReloadControls",
    "RemoteError",
    "RunPlace",
    "SafetyControls",
    "SafetyStatus",
    "StateControls",
    "say",
    "user_name",
]
