//! Files as they come: good, packed, damaged, and not there.

#![allow(clippy::arithmetic_side_effects, reason = "an overflow here fails the test")]

mod bars;
mod bridged;
mod recordings;
mod ticks;

use std::io::Write as _;
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;
use qts_core::event::MarketRecord;
use qts_core::fixed::{Price, Qty, Rate, Scale};
use qts_core::instrument::{CostRates, Dated, Instrument, InstrumentSpec, InstrumentTable, TickBand};
use qts_core::market::source::{MarketSource, SourceError};
use tempfile::TempDir;

/// An instrument with one tick size and no costs.
fn instrument(symbol: &str, price_decimals: u8, qty_decimals: u8, lot: i64) -> Instrument {
    let free = CostRates { buy_fee: Rate(0), sell_fee: Rate(0), sell_tax: Rate(0) };
    Instrument::new(InstrumentSpec {
        symbol: symbol.to_owned(),
        currency: "KRW".to_owned(),
        price_scale: Scale::new(price_decimals).unwrap(),
        qty_scale: Scale::new(qty_decimals).unwrap(),
        money_scale: Scale::new(price_decimals + qty_decimals).unwrap(),
        lot: Qty(lot),
        price_increment: Price(1),
        ladder: vec![Dated {
            effective_from_ns: 0,
            value: vec![TickBand { from: Price(0), tick: Price(1) }],
        }],
        costs: vec![Dated { effective_from_ns: 0, value: free }],
        limit_rate: vec![Dated { effective_from_ns: 0, value: None }],
    })
    .unwrap()
}

fn table(symbols: &[&str]) -> InstrumentTable {
    let mut table = InstrumentTable::default();
    for symbol in symbols {
        table.push(instrument(symbol, 0, 0, 1)).unwrap();
    }
    table
}

/// A directory with files made for one test.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

fn gzip(content: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content.as_ref()).unwrap();
    encoder.finish().unwrap()
}

/// Everything a source gives, and how it ends. After its end it must stay ended.
fn drain(source: &mut dyn MarketSource) -> (Vec<MarketRecord>, Result<(), SourceError>) {
    let mut records = Vec::new();
    let end = loop {
        match source.next() {
            Ok(Some(record)) => records.push(record),
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    assert_eq!(source.next(), Ok(None), "stays ended");
    (records, end)
}

/// The part of an error message after the directory, which differs from run to run.
fn message(error: &SourceError) -> String {
    let text = error.to_string();
    text.rsplit_once(".tmp").map_or(text.clone(), |(_, rest)| {
        rest.split_once('/').map_or(rest.to_owned(), |(_, rest)| rest.to_owned())
    })
}
