"""Configuration: strict files in, one immutable object out."""

from qts.config.actions import CORPORATE_FILE
from qts.config.classes import KeyClass, class_of
from qts.config.describe import Shown, check, diff, schema, show
from qts.config.difference import Change, differences
from qts.config.findings import Finding
from qts.config.live_gate import LiveEvidence, LiveGate
from qts.config.manager import ConfigManager
from qts.config.models.cache import CacheSettings
from qts.config.models.capital import CapitalSettings, TargetSettings
from qts.config.models.corporate import DividendRow, SplitRow
from qts.config.models.data import DataSettings, OutageSettings, ServerSettings
from qts.config.models.event import EventSettings
from qts.config.models.execution import ExecSettings
from qts.config.models.local import (
    HARD_MAX_DAILY_LOSS,
    HARD_MAX_EXPOSURE,
    HARD_MAX_PER_TRADE,
    HARD_MAX_SYMBOL_EXPOSURE,
    LocalConfig,
    RiskConfig,
    VolIndexConfig,
)
from qts.config.models.pipeline import (
    ReentryCooldown,
    SimSession,
    SimSettings,
    StrategySettings,
)
from qts.config.models.reference import (
    AlwaysOpenCalendar,
    CostRow,
    ExchangeCalendar,
    InstrumentClass,
    InstrumentRow,
    LimitRow,
    Phases,
    Reference,
    Synth,
    TickRow,
)
from qts.config.models.safety import (
    AnomalySettings,
    GuardrailSettings,
    LockdownSettings,
    RecoverySettings,
    SafetyFile,
    WarningSettings,
)
from qts.config.models.state import OperatingStateSettings, StatePropertySettings
from qts.config.models.strategies import SessionPhase, Strategies
from qts.config.paths import home_dir, shipped_dir
from qts.config.reload import ConfigReloader, ReloadRecord
from qts.config.resolved import QtsConfig
from qts.config.secrets import DB_PASSWORD, REDIS_PASSWORD, Secrets, load_secrets

__all__ = [
    "CORPORATE_FILE",
    "DB_PASSWORD",
    "HARD_MAX_DAILY_LOSS",
    "HARD_MAX_EXPOSURE",
    "HARD_MAX_PER_TRADE",
    "HARD_MAX_SYMBOL_EXPOSURE",
    "REDIS_PASSWORD",
    "AlwaysOpenCalendar",
    "AnomalySettings",
    "CacheSettings",
    "CapitalSettings",
    "Change",
    "ConfigManager",
    "ConfigReloader",
    "CostRow",
    "DataSettings",
    "DividendRow",
    "EventSettings",
    "ExchangeCalendar",
    "ExecSettings",
    "Finding",
    "GuardrailSettings",
    "InstrumentClass",
    "InstrumentRow",
    "KeyClass",
    "LimitRow",
    "LiveEvidence",
    "LiveGate",
    "LocalConfig",
    "LockdownSettings",
    "OperatingStateSettings",
    "OutageSettings",
    "Phases",
    "QtsConfig",
    "RecoverySettings",
    "ReentryCooldown",
    "Reference",
    "ReloadRecord",
    "RiskConfig",
    "SafetyFile",
    "Secrets",
    "ServerSettings",
    "SessionPhase",
    "Shown",
    "SimSession",
    "SimSettings",
    "SplitRow",
    "StatePropertySettings",
    "Strategies",
    "StrategySettings",
    "Synth",
    "TargetSettings",
    "TickRow",
    "VolIndexConfig",
    "WarningSettings",
    "check",
    "class_of",
    "diff",
    "differences",
    "home_dir",
    "load_secrets",
    "schema",
    "shipped_dir",
    "show",
]
