"""Google Sheets: the spreadsheet as a source of positions, ledger, bars and parameters, and as a mirror."""

from qts.data.sheets.adapter import GoogleSheetsAdapter
from qts.data.sheets.client import SheetsClient, SheetsSettings, WriteUnknown
from qts.data.sheets.cycle import CycleData, read_cycle
from qts.data.sheets.mirror import SheetsMirror
from qts.data.sheets.schema import Diff, SchemaKeeper

__all__ = [
    "CycleData",
    "Diff",
    "GoogleSheetsAdapter",
    "SchemaKeeper",
    "SheetsClient",
    "SheetsMirror",
    "SheetsSettings",
    "WriteUnknown",
    "read_cycle",
]
