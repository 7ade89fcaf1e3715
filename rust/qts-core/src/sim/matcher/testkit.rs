//! What the tests of the market and of the venue are built from.

use crate::event::{MarketRecord, TickKind};
use crate::fixed::{Price, Qty, Rate, Scale};
use crate::instrument::{
    CostRates, Dated, Instrument, InstrumentId, InstrumentSpec, InstrumentTable, TickBand,
};
use crate::testing::krx_table;

/// A KRX share (lot 1; ticks of 1 below 2,000, of 5 above), then an instrument that trades in lots of 10.
pub(crate) fn instruments() -> InstrumentTable {
    let none = Scale::new(0).unwrap();
    let mut table = krx_table(&["005930"]);
    let lots = Instrument::new(InstrumentSpec {
        symbol: "LOTS".to_owned(),
        currency: "KRW".to_owned(),
        price_scale: none,
        qty_scale: none,
        money_scale: none,
        lot: Qty(10),
        price_increment: Price(1),
        ladder: vec![Dated {
            effective_from_ns: 0,
            value: vec![TickBand { from: Price(0), tick: Price(1) }],
        }],
        costs: vec![Dated {
            effective_from_ns: 0,
            value: CostRates { buy_fee: Rate(0), sell_fee: Rate(0), sell_tax: Rate(0) },
        }],
        limit_rate: vec![Dated { effective_from_ns: 0, value: None }],
    });
    table.push(lots.unwrap()).unwrap();
    table
}

/// A record of `kind` that says nothing yet.
pub(crate) const fn record(instrument: InstrumentId, kind: TickKind) -> MarketRecord {
    MarketRecord {
        ts_event_ns: 0,
        ts_recv_ns: 0,
        instrument,
        kind,
        aggressor: None,
        price: Price(0),
        qty: Qty(0),
        bid: Price(0),
        bid_qty: Qty(0),
        ask: Price(0),
        ask_qty: Qty(0),
        open: Price(0),
        high: Price(0),
        low: Price(0),
    }
}
