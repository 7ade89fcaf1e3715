"""Codes, errors and the two languages in which they are told."""

from qts.codes.columns import aligned, columns
from qts.codes.document import facts
from qts.codes.errors import ConfigError, DataError, EngineFault, QtsError, UsageError
from qts.codes.messages import Lang, Phrasebook, code_words, language, text
from qts.codes.nearest import nearest
from qts.codes.table import LOCKDOWN, TABLE, Code, Effect, Escalation, Lockdown, Told, lookup

__all__ = [
    "LOCKDOWN",
    "TABLE",
    "Code",
    "ConfigError",
    "DataError",
    "Effect",
    "EngineFault",
    "Escalation",
    "Lang",
    "Lockdown",
    "Phrasebook",
    "QtsError",
    "Told",
    "UsageError",
    "aligned",
    "code_words",
    "columns",
    "facts",
    "language",
    "lookup",
    "nearest",
    "text",
]
