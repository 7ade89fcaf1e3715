"""What one file says of another: names that point into it, values that must go with its values."""

from collections.abc import Iterable, Iterator

from qts.codes import nearest, text
from qts.config.actions import broken_actions
from qts.config.findings import Finding
from qts.config.messages import say
from qts.config.models.capital import CapitalSettings
from qts.config.models.pipeline import PipelineFile
from qts.config.models.reference import Reference
from qts.config.models.state import OperatingStateSettings
from qts.money import plain

_INSTRUMENTS = "reference/instruments.yaml"
_TARGETS = {
    "currency": ("currencies", _INSTRUMENTS),
    "tick_table": ("tick_tables", "reference/ticks.yaml"),
    "price_limit": ("price_limits", "reference/ticks.yaml"),
    "cost_table": ("cost_tables", "reference/costs.yaml"),
    "calendar": ("calendars", "reference/calendar.yaml"),
}


def broken_names(reference: Reference, pipeline: PipelineFile) -> Iterator[Finding]:
    """Yield every name that points at nothing."""
    for class_name, row in reference.classes.items():
        for field, (table, file) in _TARGETS.items():
            rows = getattr(reference, table)
            name = getattr(row, field)
            if name not in rows:
                yield _missing(_INSTRUMENTS, f"classes.{class_name}.{field}", name, file, rows)
    for symbol, instrument in reference.instruments.items():
        if instrument.class_name not in reference.classes:
            key = f"instruments.{symbol}.class"
            yield _missing(_INSTRUMENTS, key, instrument.class_name, _INSTRUMENTS, reference.classes)
    for symbol in pipeline.sim.session.symbols:
        row_of_symbol = reference.instruments.get(symbol)
        key = "sim.session.symbols"
        if row_of_symbol is None:
            yield _missing("pipeline.yaml", key, symbol, _INSTRUMENTS, reference.instruments)
        elif row_of_symbol.synth is None:
            found = say("no_synth", key=key, value=symbol, file=_INSTRUMENTS)
            yield Finding("pipeline.yaml", None, key, found, say("no_synth_expected"), say("no_synth_hint"))
    yield from broken_actions(reference)


def broken_targets(capital: CapitalSettings, state: OperatingStateSettings) -> Iterator[Finding]:
    """Yield every target share outside the range of its operating state, and a drift that ends before it begins."""
    for name in type(capital.targets).model_fields:
        targets, ranges = getattr(capital.targets, name), getattr(state.properties, name.lower())
        for pool in ("scalp", "swing", "portfolio"):
            value = getattr(targets, pool)
            least, most = getattr(ranges, f"{pool}_allocation_range")
            if not least <= value <= most:
                key = f"capital.targets.{name}.{pool}"
                found = say("target_outside", key=key, value=plain(value), state=name)
                section = name.lower()
                expected = say(
                    "target_outside_expected", least=plain(least), most=plain(most), section=section, pool=pool
                )
                yield Finding("capital.yaml", None, key, found, expected, say("target_outside_hint"))
    band = state.rebalance.stop_band_pct
    if capital.drift_threshold <= band:
        key = "capital.drift_threshold"
        found = say("stop_band", key=key, value=plain(capital.drift_threshold))
        yield Finding(
            "capital.yaml", None, key, found, say("stop_band_expected", band=plain(band)), say("ordered_hint")
        )


def _missing(file: str, key: str, name: str, target: str, rows: Iterable[str]) -> Finding:
    known = list(rows)
    near = nearest(name, known)
    hint = say("no_such_row_hint") if near is None else text("did_you_mean", word=near)
    found = say("no_such_row", key=key, value=repr(name), file=target)
    return Finding(file, None, key, found, say("one_of", known=", ".join(known)), hint)
