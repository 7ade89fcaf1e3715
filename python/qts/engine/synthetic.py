"""The simulated KRX session: what the paper market is built from."""

from contextlib import contextmanager
from datetime import date
from typing import TYPE_CHECKING, Final

from qts.codes import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from qts._shapes import SynthConfig, SynthSymbolConfig
    from qts.instruments import Calendar, Catalog, Instrument, Session

_MAX_SEED: Final = 2**63 - 1


def synth_config(
    instruments: "Sequence[Instrument]",
    sessions: "Sequence[Session]",
    seed: int,
    *,
    events: int | None = None,
) -> "SynthConfig":
    """Return the configuration of a synthetic market.

    Args:
        instruments: who trades; each needs synth parameters.
        sessions: the sessions, each from the close of the one before it.
        seed: the same seed gives the same market.
        events: quotes and trades per symbol and session; None = as the reference data say.

    Raises:
        UsageError: a symbol has no synth parameters, or the seed is out of range.
    """
    if not 0 <= seed <= _MAX_SEED:
        raise UsageError(found=f"seed {seed}", expected=f"a whole number from 0 to {_MAX_SEED}", hint="try --seed 7")
    return {
        "seed": seed,
        "sessions": [(row.open_ns, row.continuous_end_ns, row.close_ns) for row in sessions],
        "symbols": [_symbol(instrument, events) for instrument in instruments],
    }


@contextmanager
def simulable() -> "Iterator[None]":
    """Tell in the user's words why the core cannot build a synthetic market.

    A base price off the tick ladder is the usual reason: the ladder of the session's date holds, and the shipped prices
    are of today.
    """
    try:
        yield
    except ValueError as error:
        raise UsageError(
            found=f"a market that cannot be simulated: {error}",
            expected="`synth` parameters that fit the rules in force on the session's date",
            hint="choose a later date, or change the `synth` block in reference/instruments.yaml",
        ) from None


def _symbol(instrument: "Instrument", events: int | None) -> "SynthSymbolConfig":
    synth = instrument.synth
    if synth is None:
        raise UsageError(
            found=f"symbol {instrument.symbol} in sim.session.symbols has no synth parameters",
            expected="a `synth` block with base_price, daily_volume, annual_volatility and events_per_day",
            hint="add it in reference/instruments.yaml, or take the symbol out of pipeline.yaml",
        )
    return {
        "symbol": instrument.symbol,
        "base_price": synth.base_price,
        "daily_volume": synth.daily_volume,
        "daily_events": synth.events_per_day if events is None else events,
        "annual_vol_ppm": synth.annual_volatility_ppm,
    }


def base_prices(catalog: "Catalog") -> dict[int, int]:
    """Return the close before the first session of a synthetic market, by instrument id."""
    return {row.id: row.synth.base_price for row in catalog if row.synth is not None}


def session_on(calendar: "Calendar", day: date) -> "Session":
    """Return the session of `day`, or the next one if the market is closed on it."""
    if calendar.is_session(day):
        return calendar.session(day)
    return calendar.next_session(day)


def sessions_from(calendar: "Calendar", day: date, count: int) -> "list[Session]":
    """Return `count` consecutive sessions, the first on or after `day`."""
    sessions = [session_on(calendar, day)]
    while len(sessions) < count:
        sessions.append(calendar.next_session(sessions[-1].date))
    return sessions
