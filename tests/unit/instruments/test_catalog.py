"""Instruments and the table they form."""

from decimal import Decimal

import pytest

from qts.clock import midnight_ns
from qts.codes import DataError
from qts.config import ConfigManager
from qts.instruments import Catalog, SynthParams


def test_symbols_of_the_recordings_and_of_the_paper_session_are_known(catalog):
    recorded = {"005930", "000660", "005380", "035420", "069500", "114800", "122630", "ETHUSDT"}
    assert recorded <= set(catalog.symbols())
    session = ConfigManager().load().sim.session.symbols
    assert len(session) == 10
    for symbol in session:
        instrument = catalog[symbol]
        assert (instrument.market, instrument.calendar, instrument.currency) == ("KOSPI", "XKRX", "KRW")
        assert instrument.synth is not None


def test_simulated_sessions_start_on_the_tick_ladder(catalog, reference):
    day = midnight_ns(reference.calendars["XKRX"].hours[-1].effective_from) + 10 * 365 * 86_400 * 10**9
    for instrument in catalog:
        if instrument.synth is not None:
            price = instrument.synth.base_price
            assert catalog.core.floor_to_tick(instrument.id, price, day) == price, instrument.symbol


def test_ids_are_those_of_the_core(catalog):
    assert len(catalog) == len(catalog.core) == 14
    for number, instrument in enumerate(catalog):
        assert (instrument.id, catalog.core.find(instrument.symbol)) == (number, number)
        assert catalog.by_id(number) is instrument
        assert catalog.core.symbol(number) == instrument.symbol
    assert catalog.core.find("nothing") is None


def test_membership_goes_by_symbol(catalog):
    assert "005930" in catalog
    assert "5930" not in catalog


def test_an_unknown_symbol_is_told_with_the_nearest_and_the_file_to_edit(catalog):
    with pytest.raises(DataError) as caught:
        catalog["005931"]
    error = caught.value
    assert error.found == "unknown symbol '005931'"
    assert "005930" in error.expected
    assert error.expected.endswith(", ...")
    assert error.hint.startswith("did you mean '005930'? add it to reference/instruments.yaml")
    with pytest.raises(DataError, match="add it to reference") as caught:
        catalog["ZZZZZ"]
    assert "did you mean" not in caught.value.hint


def test_numbers_travel_between_text_and_units(catalog):
    coin, share = catalog["ETHUSDT"], catalog["005930"]
    assert coin.price_units("2681.62000000") == 268_162_000_000
    assert coin.qty_units(Decimal("0.0001")) == coin.lot == 10_000
    assert (coin.price(268_162_000_000), coin.qty(10_000)) == (Decimal("2681.62"), Decimal("0.0001"))
    assert (share.price_units(71_300), share.money(71_300)) == (71_300, Decimal(71_300))


@pytest.mark.parametrize(
    ("convert", "value", "message"),
    [
        ("price_units", "71300.5", "price '71300.5' of 005930"),
        ("qty_units", "1,000", "quantity '1,000' of 005930"),
    ],
)
def test_a_number_that_does_not_fit_is_told(catalog, convert, value, message):
    with pytest.raises(DataError, match=message):
        getattr(catalog["005930"], convert)(value)


def test_parameters_of_the_simulated_market_are_in_units(catalog):
    assert catalog["005930"].synth == SynthParams(71_300, 15_000_000, 280_000, 40_000)
    assert catalog["ETHUSDT"].synth is None


def test_currencies_are_known_by_code(catalog):
    assert (catalog.currency("KRW").scale, catalog.currency("USDT").scale) == (0, 8)


@pytest.mark.parametrize(
    ("update", "reason"),
    [
        ({"lot": Decimal("0.5")}, "0.5 has more than 0 decimals"),
        ({"price_scale": 8, "price_increment": Decimal("0.00000001")}, "005930"),
    ],
)
def test_an_instrument_whose_rules_do_not_fit_together_is_told(reference, update, reason):
    kind = reference.classes["KOSPI_SHARE"].model_copy(update=update)
    broken = reference.model_copy(update={"classes": {**reference.classes, "KOSPI_SHARE": kind}})
    with pytest.raises(DataError, match=reason) as caught:
        Catalog.load(broken)
    assert caught.value.found.startswith("instrument '005930' is not usable: ")
