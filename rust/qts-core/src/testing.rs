//! Builders that tests of several rooms share.

use crate::fixed::{Price, Qty, Rate, Scale};
use crate::instrument::{CostRates, Dated, Instrument, InstrumentSpec, InstrumentTable, TickBand};

/// A KRX share with the ladder of 2023, 1.5 bps commission and 20 bps tax, limits of 30 %.
pub(crate) fn krx_share(symbol: &str) -> Instrument {
    Instrument::new(krx_spec(symbol)).unwrap()
}

/// What [`krx_share`] is built from.
pub(crate) fn krx_spec(symbol: &str) -> InstrumentSpec {
    let band = |from, tick| TickBand { from: Price(from), tick: Price(tick) };
    InstrumentSpec {
        symbol: symbol.to_owned(),
        currency: "KRW".to_owned(),
        price_scale: Scale::new(0).unwrap(),
        qty_scale: Scale::new(0).unwrap(),
        money_scale: Scale::new(0).unwrap(),
        lot: Qty(1),
        price_increment: Price(1),
        ladder: vec![Dated {
            effective_from_ns: 0,
            value: vec![
                band(0, 1),
                band(2_000, 5),
                band(5_000, 10),
                band(20_000, 50),
                band(50_000, 100),
                band(200_000, 500),
                band(500_000, 1_000),
            ],
        }],
        costs: vec![Dated {
            effective_from_ns: 0,
            value: CostRates { buy_fee: Rate(15_000), sell_fee: Rate(15_000), sell_tax: Rate(200_000) },
        }],
        limit_rate: vec![Dated { effective_from_ns: 0, value: Some(Rate(30_000_000)) }],
    }
}

/// A table of [`krx_share`]s.
pub(crate) fn krx_table(symbols: &[&str]) -> InstrumentTable {
    let mut table = InstrumentTable::default();
    for symbol in symbols {
        table.push(krx_share(symbol)).unwrap();
    }
    table
}
