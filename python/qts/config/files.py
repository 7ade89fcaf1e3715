"""The files of a configuration directory, what each holds, and the keys they declare."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from qts.config.models.base import Section
from qts.config.models.cache import CacheFile
from qts.config.models.capital import CapitalFile
from qts.config.models.corporate import CorporateFile
from qts.config.models.data import DataFile
from qts.config.models.event import EventFile
from qts.config.models.execution import ExecutionFile
from qts.config.models.local import LocalConfig
from qts.config.models.pipeline import PipelineFile
from qts.config.models.reference import CalendarFile, CostsFile, InstrumentsFile, TicksFile
from qts.config.models.safety import SafetyFile
from qts.config.models.state import StateFile
from qts.config.models.strategies import PortfolioFile, ScalpFile, SwingFile

LOCAL_FILE: Final = "config_local.json"


@dataclass(frozen=True, slots=True)
class FileSpec:
    """A file of the configuration: its name below the directory, and the model of its root."""

    name: str
    model: type[Section]
    is_reference: bool = False


SETTINGS: Final = (
    FileSpec(LOCAL_FILE, LocalConfig),
    FileSpec("event.yaml", EventFile),
    FileSpec("safety.yaml", SafetyFile),
    FileSpec("pipeline.yaml", PipelineFile),
    FileSpec("state.yaml", StateFile),
    FileSpec("capital.yaml", CapitalFile),
    FileSpec("data.yaml", DataFile),
    FileSpec("cache.yaml", CacheFile),
    FileSpec("execution.yaml", ExecutionFile),
    FileSpec("strategies/scalp.yaml", ScalpFile),
    FileSpec("strategies/swing.yaml", SwingFile),
    FileSpec("strategies/portfolio.yaml", PortfolioFile),
)

REFERENCE: Final = (
    FileSpec("reference/calendar.yaml", CalendarFile, is_reference=True),
    FileSpec("reference/ticks.yaml", TicksFile, is_reference=True),
    FileSpec("reference/costs.yaml", CostsFile, is_reference=True),
    FileSpec("reference/instruments.yaml", InstrumentsFile, is_reference=True),
    FileSpec("reference/corporate_actions.yaml", CorporateFile, is_reference=True),
)

FILES: Final = (*SETTINGS, *REFERENCE)


@dataclass(frozen=True, slots=True)
class Key:
    """A key of the settings: dotted name, the file it lives in, meaning."""

    name: str
    file: str
    description: str


def keys() -> Iterator[Key]:
    """Yield every key of the settings files, in order. Reference data have rows, not keys."""
    for spec in SETTINGS:
        for name, info in leaves(spec.model):
            yield Key(name, spec.name, info.description or "")


def leaves(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Yield dotted name and field of every key below `model` that holds a value, not more keys."""
    for name, info in model.model_fields.items():
        annotation = info.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from leaves(annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", info
