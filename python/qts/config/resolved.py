"""The resolved configuration: one immutable object, and the hash that names it."""

import hashlib
import json
from collections.abc import Mapping
from datetime import date, time
from decimal import Decimal
from functools import cached_property

from pydantic import BaseModel, Field

from qts.config.models.base import Section
from qts.config.models.cache import CacheSettings
from qts.config.models.capital import CapitalSettings
from qts.config.models.data import DataSettings
from qts.config.models.event import EventSettings
from qts.config.models.execution import ExecSettings
from qts.config.models.local import LocalConfig
from qts.config.models.pipeline import PipelineFile, SimSettings, StrategySettings
from qts.config.models.reference import Reference
from qts.config.models.safety import SafetyFile
from qts.config.models.state import OperatingStateSettings
from qts.config.models.strategies import Strategies
from qts.money import plain


class QtsConfig(Section):
    """Everything that a run is configured by."""

    local: LocalConfig
    event: EventSettings
    safety: SafetyFile
    pipeline: PipelineFile
    operating_state: OperatingStateSettings
    capital: CapitalSettings
    data: DataSettings
    cache: CacheSettings
    exec: ExecSettings
    strategies: Strategies
    reference: Reference
    sources: Mapping[str, str] = Field(
        default_factory=dict,
        exclude=True,
        repr=False,
        description="Where each key that is not a default came from.",
    )

    @property
    def strategy(self) -> StrategySettings:
        """Settings `strategy.*`."""
        return self.pipeline.strategy

    @property
    def sim(self) -> SimSettings:
        """Settings `sim.*`."""
        return self.pipeline.sim

    @cached_property
    def config_hash(self) -> str:
        """SHA-256 over the canonical form of all values, reference data included, their sources not."""
        return hashlib.sha256(canonical_json(self).encode()).hexdigest()


def canonical_json(model: BaseModel) -> str:
    """Return a model as JSON with sorted keys, no blanks, and one spelling for each value."""
    tree = _canonical(model.model_dump(by_alias=True))
    return json.dumps(tree, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def jsonable(value: object) -> object:
    """Return a value of the configuration as plain JSON types; decimals become text and so stay exact."""
    return _canonical(value.model_dump(by_alias=True) if isinstance(value, BaseModel) else value)


def _canonical(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _canonical(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(entry) for entry in value]
    if isinstance(value, Decimal):
        return plain(value)  # 0.5 and 0.50 are one value
    if isinstance(value, time):
        return value.strftime("%H:%M")
    if isinstance(value, date):
        return value.isoformat()
    return value
