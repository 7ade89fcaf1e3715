"""What stands on which sheet: columns by name, their kinds, the other names they go by, and how a header is read.

Columns are found by their header. A column may move and may carry one of its declared other names; a column that is
required must be there. Headers stay where they are: a blank one holds its place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from qts.data.exceptions import SchemaMismatch

if TYPE_CHECKING:
    from collections.abc import Sequence

Kind = Literal["text", "symbol", "decimal", "signed", "whole", "date", "moment", "flag"]

ROW_START: Final = 2
"""First row of data; the header is the row above."""


class Field(NamedTuple):
    """A column of a sheet."""

    name: str
    kind: Kind
    required: bool = False
    synonyms: tuple[str, ...] = ()


class Variant(NamedTuple):
    """A set of columns under which a sheet is in use."""

    name: str
    fields: tuple[Field, ...]
    key: tuple[str, ...]
    """Columns that name a row; empty if rows have no name."""
    strict: bool = False
    """Only the exact name of a column or a declared other one will do."""


class SheetSpec(NamedTuple):
    """A sheet."""

    name: str
    table: str
    """Table of the logical schema that it stands for; empty for none."""
    variants: tuple[Variant, ...]
    blocks: tuple[tuple[str, str], ...] = ()
    """Name and range of each block of a dashboard, which has no columns."""


class Layout(NamedTuple):
    """Where the columns of a sheet are."""

    sheet: str
    variant: Variant
    header: tuple[str, ...]
    columns: dict[str, int]
    """Column to its number, from 0."""
    renamed: dict[str, str]
    """Column to the other name under which it was found."""

    def missing(self) -> list[Field]:
        """Return the columns that the header lacks."""
        return [field for field in self.variant.fields if field.name not in self.columns]


def _fields(text: str) -> tuple[Field, ...]:
    """Read columns written as `name kind [!] [= other, names]`, one a line; `!` marks what is required."""
    found = []
    for line in filter(None, map(str.strip, text.splitlines())):
        head, _, others = line.partition(" = ")
        name, kind, *marks = head.split()
        synonyms = tuple(filter(None, map(str.strip, others.split(","))))
        found.append(Field(name, kind, "!" in marks, synonyms))  # type: ignore[arg-type]
    return tuple(found)


_POSITION: Final = _fields("""
    symbol symbol ! = Symbol, Ticker
    qty decimal ! = Qty, Quantity
    avg_price decimal ! = Avg_Price, Avg_Price(Current_Currency)
    market text = Market
    exposure_value signed
    exposure_pct signed
    account_id text
    pool_id text
    cost_total decimal
    realized_pnl signed
    currency text
    opened_at moment
    last_fill_key text
    version whole
    oversold flag
""")

_LEDGER: Final = _fields("""
    timestamp moment ! = Timestamp
    symbol symbol ! = Symbol, Ticker
    side text ! = Side
    qty decimal ! = Qty, Quantity
    price decimal ! = Price
    amount decimal = Amount
    fee decimal = Fee
    strategy_tag text = Strategy, Strategy_Tag
    market text = Market
    fill_key text
    order_id text
    broker text
    currency text
    entry_type text
    account_id text
    pool_id text
    trade_date date
    tax decimal
    realized_pnl signed
    exec_ref text
    exec_ns whole
    recv_ns whole
    cum_filled_qty decimal
    client_order_id text
    decision_id text
    broker_exec_id text
    slippage_bps signed
    reason text
    run_id text
    reverses_key text
    raw text
""")

_BARS: Final = _fields("""
    date date ! = Date
    open decimal ! = Open
    high decimal ! = High
    low decimal ! = Low
    close decimal ! = Close
    volume whole ! = Volume
    symbol symbol = Symbol, Ticker
    source text = Source
""")

_EQUITY: Final = _fields("""
    date date ! = Date
    total_equity signed ! = Total_Equity
    daily_pnl signed = Daily_PnL
    daily_return signed = Daily_Return
    cumulative_return signed = Cumulative_Return
    volatility_20d signed = Volatility_20D
    high_watermark signed = High_Watermark
    drawdown signed = Drawdown
    mdd signed = MDD
""")

_PARAMETERS: Final = _fields("""
    param_name text ! = Param_Name, Parameter
    value text ! = Value
    description text = Description
    strategy_id text = Strategy_Id, Strategy_ID
    value_type text = Value_Type
""")

_RESULTS: Final = _fields("""
    strategy text ! = Strategy
    trades whole ! = Trades
    win_rate signed = Win_Rate
    avg_pnl signed = Avg_PnL
    total_pnl signed = Total_PnL
    cumulative_ret signed = Cumulative_Ret
    mdd signed = MDD
    volatility signed = Volatility
""")

_DIVIDENDS: Final = _fields("""
    record_date date ! = Record_Date
    amount decimal ! = Amount
    symbol symbol ! = Symbol, Ticker
    currency text = Currency
""")

_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DIVIDEND_MATRIX: Final = (
    Field("year", "whole", required=True, synonyms=("Year",)),
    *(Field(month.lower(), "signed", synonyms=(month,)) for month in _MONTHS),
)

_CONFIG: Final = _fields("""
    category text ! = CATEGORY
    sub_category text ! = SUB_CATEGORY
    key text ! = KEY
    value text ! = VALUE
    description text = DESCRIPTION
    tag text = TAG
""")

_JOURNAL: Final = _fields("""
    journal text !
    seq whole !
    acked_at moment
""")

_QUARANTINE: Final = _fields("""
    fill_key text !
    cause text
    content text
    at moment
""")


def _config(name: str) -> SheetSpec:
    return SheetSpec(name, "config", (Variant("config", _CONFIG, ("key",), strict=True),))


_ALL: Final = (
    SheetSpec(
        "Position", "positions", (Variant("positions", _POSITION, ("account_id", "pool_id", "symbol"), strict=True),)
    ),
    SheetSpec("T_Ledger", "t_ledger", (Variant("ledger", _LEDGER, ("fill_key",), strict=True),)),
    SheetSpec(
        "History", "ohlcv_1d", (Variant("bars", _BARS, ("date", "symbol")), Variant("equity", _EQUITY, ("date",)))
    ),
    SheetSpec(
        "Strategy",
        "strategies",
        (Variant("parameters", _PARAMETERS, ("strategy_id", "param_name")), Variant("results", _RESULTS, ())),
    ),
    SheetSpec(
        "Dividend",
        "dividends",
        (
            Variant("records", _DIVIDENDS, ("symbol", "record_date", "currency")),
            Variant("matrix", _DIVIDEND_MATRIX, ("year",)),
        ),
    ),
    _config("Config_Scalp"),
    _config("Config_Swing"),
    SheetSpec("Portfolio", "", (), (("kpi_overview_title", "A1"), ("kpi_overview", "A2:R3"))),
    SheetSpec("Performance", "", (), (("kpi", "A1:G3"),)),
    SheetSpec(
        "R_Dash",
        "",
        (),
        (
            ("account", "A1:D10"),
            ("symbols", "A12:D40"),
            ("risk", "F1:H20"),
            ("performance", "J1:M20"),
            ("pipeline", "F25:H33"),
            ("meta", "J25:M33"),
        ),
    ),
)

SHEETS: Final[dict[str, SheetSpec]] = {spec.name: spec for spec in _ALL}
"""The ten sheets, in the order in which their structure is looked after."""

JOURNAL_SHEET: Final = SheetSpec(
    "_Journal", "journal_ack", (Variant("journal_ack", _JOURNAL, ("journal",), strict=True),)
)
"""How far each journal is on the sheets."""
QUARANTINE_SHEET: Final = SheetSpec(
    "_Quarantine", "fill_quarantine", (Variant("fill_quarantine", _QUARANTINE, (), strict=True),)
)
"""Fills that contradict the ledger."""

OWN: Final[dict[str, SheetSpec]] = {spec.name: spec for spec in (JOURNAL_SHEET, QUARANTINE_SHEET)}
"""Sheets that the engine keeps for itself and makes when it needs them."""

CONFIG_LOCAL: Final = "Config_Local"
"""The one that is a file."""

MIRRORED: Final = ("Position", "T_Ledger")


def spec_of(name: str) -> SheetSpec:
    """Return what is known of a sheet.

    Raises:
        SchemaMismatch: FS001, there is no such sheet.
    """
    spec = OWN.get(name) or SHEETS.get(name)
    if spec is None:
        raise SchemaMismatch(
            found=f"RC003: sheet {name!r}",
            expected=", ".join([*SHEETS, CONFIG_LOCAL]),
            hint="check the name of the sheet",
            code="FS001",
        )
    return spec


def match_header(spec: SheetSpec, header: Sequence[Any]) -> Layout:
    """Find the columns of a sheet in its header row.

    Raises:
        SchemaMismatch: FS001, a required column is missing, or two headers name the same one.
    """
    names = tuple("" if cell is None else str(cell).strip() for cell in header)
    tried = [_matched(spec, variant, names) for variant in spec.variants]
    for layout in tried:
        if not any(field.required for field in layout.missing()):
            return layout
    nearest = max(
        tried, key=lambda layout: sum(field.required for field in layout.variant.fields if field.name in layout.columns)
    )
    lacking = [field for field in nearest.missing() if field.required]
    raise SchemaMismatch(
        found=f"RC003: no column {', '.join(repr(field.name) for field in lacking)} in the header "
        f"{', '.join(name or '(blank)' for name in names) or '(empty)'}",
        expected="; ".join(" or ".join((field.name, *field.synonyms)) for field in lacking),
        hint=f"restore the header in row {ROW_START - 1} of the sheet {spec.name}",
        where=spec.name,
        code="FS001",
    )


def _matched(spec: SheetSpec, variant: Variant, names: tuple[str, ...]) -> Layout:
    columns: dict[str, int] = {}
    renamed: dict[str, str] = {}
    for field in variant.fields:
        places = _places(field, names, strict=variant.strict)
        if len(places) > 1:
            raise SchemaMismatch(
                found=f"RC003: columns {', '.join(names[place] for place in places)} all stand for {field.name!r}",
                expected="one column for each field",
                hint="rename or remove all but one of them",
                where=spec.name,
                code="FS001",
            )
        if places:
            columns[field.name] = places[0]
            if names[places[0]] != field.name:
                renamed[field.name] = names[places[0]]
    return Layout(spec.name, variant, names, columns, renamed)


def _places(field: Field, names: tuple[str, ...], *, strict: bool) -> list[int]:
    """Return where a field is: under its own name, else under a declared one, else (not strict) in a longer one."""
    exact = [place for place, name in enumerate(names) if name == field.name]
    if exact:
        return exact
    others = {field.name.casefold(), *(synonym.casefold() for synonym in field.synonyms)}
    declared = [place for place, name in enumerate(names) if name.casefold() in others]
    if declared or strict:
        return declared
    word = field.name.casefold()
    partial = [place for place, name in enumerate(names) if word in name.casefold().replace(" ", "_").split("(")[0]]
    return partial if len(partial) == 1 else []


def size_of(area: str) -> tuple[int, int]:
    """Return rows and columns of a range such as `A2:R3` or `A1`, with columns of one letter."""
    first, last = area.split(":")[0], area.split(":")[-1]
    return int(last[1:]) - int(first[1:]) + 1, ord(last[0]) - ord(first[0]) + 1


def column_letters(number: int) -> str:
    """Return the letters of a column counted from 0."""
    letters = ""
    number += 1
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(65 + rest) + letters
    return letters
