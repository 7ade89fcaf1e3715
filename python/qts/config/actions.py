"""Rows of corporate actions that contradict each other or the instruments."""

from collections.abc import Iterator

from qts.codes import nearest, text
from qts.config.findings import Finding
from qts.config.messages import say
from qts.config.models.corporate import DividendRow
from qts.config.models.reference import Reference

CORPORATE_FILE = "reference/corporate_actions.yaml"
_INSTRUMENTS = "reference/instruments.yaml"


def broken_actions(reference: Reference) -> Iterator[Finding]:
    """Yield every row that cannot be right, whatever the calendar says."""
    for table in ("dividends", "splits"):
        for symbol in getattr(reference, table):
            if symbol not in reference.instruments:
                yield _unknown(f"{table}.{symbol}", symbol, reference)
    for symbol, dividends in reference.dividends.items():
        key = f"dividends.{symbol}"
        yield from _twice(key, "record_date", [row.record_date for row in dividends])
        yield from _foreign(key, symbol, dividends, reference)
    for symbol, splits in reference.splits.items():
        key = f"splits.{symbol}"
        yield from _twice(key, "effective_date", [row.effective_date for row in splits])
        for number, row in enumerate(splits):
            if row.numerator == row.denominator:
                yield _finding(
                    f"{key}.{number}",
                    say("idle_split", key=f"{key}.{number}", count=row.numerator),
                    say("idle_split_expected"),
                    say("correct_value"),
                )


def _twice(key: str, field: str, days: list[object]) -> Iterator[Finding]:
    first: dict[object, int] = {}
    for number, day in enumerate(days):
        if day in first:
            yield _finding(
                f"{key}.{number}.{field}",
                say("action_twice", key=f"{key}.{number}", field=field, day=day, first=first[day]),
                say("action_twice_expected", field=field),
                say("action_twice_hint"),
            )
        first.setdefault(day, number)


def _foreign(key: str, symbol: str, rows: tuple[DividendRow, ...], reference: Reference) -> Iterator[Finding]:
    """Yield the dividends that are not in the currency of their instrument."""
    instrument = reference.instruments.get(symbol)
    kind = None if instrument is None else reference.classes.get(instrument.class_name)
    if kind is None:
        return  # told elsewhere
    for number, row in enumerate(rows):
        if row.currency != kind.currency:
            yield _finding(
                f"{key}.{number}.currency",
                say("value", key=f"{key}.{number}.currency", value=repr(row.currency)),
                say("dividend_currency", currency=kind.currency, symbol=symbol),
                say("correct_value"),
            )


def _unknown(key: str, symbol: str, reference: Reference) -> Finding:
    known = list(reference.instruments)
    near = nearest(symbol, known)
    hint = say("no_such_row_hint") if near is None else text("did_you_mean", word=near)
    found = say("no_such_row", key=key, value=repr(symbol), file=_INSTRUMENTS)
    return _finding(key, found, say("one_of", known=", ".join(known)), hint)


def _finding(key: str, found: str, expected: str, hint: str) -> Finding:
    return Finding(CORPORATE_FILE, None, key, found, expected, hint)
