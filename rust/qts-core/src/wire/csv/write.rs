//! Records as rows of text.

use std::io::{self, Write as _};

use thiserror::Error;

use super::bar::BarRow;
use super::time::write_bar_time;
use crate::event::{MarketRecord, Side, TickKind};
use crate::fixed::{Decimal, Scale};
use crate::instrument::{Instrument, InstrumentId, InstrumentTable};

/// First line of a tick file, with its line feed.
pub const TICK_HEADER: &str = "ts_event_ns,ts_recv_ns,symbol,kind,price,qty,side,bid,bid_qty,ask,ask_qty\n";

/// First line of a file of daily bars, with its line feed.
pub const DAILY_BAR_HEADER: &str = "date,symbol,open,high,low,close,volume\n";

/// First line of a file of minute bars, with its line feed.
pub const MINUTE_BAR_HEADER: &str = "time,symbol,open,high,low,close,volume\n";

/// A record that a file has no row for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NotATick {
    /// A closed bar is no tick.
    #[error("a closed bar has no row in a tick file")]
    BarClose,
    /// The instrument is not in the table.
    #[error("instrument number {} is not in the table", .0.0)]
    UnknownInstrument(InstrumentId),
}

/// Appends `record` as a row of a tick file, with its line feed.
///
/// The file knows quotes and trades only: an auction print is written as a trade without a side.
///
/// # Errors
/// [`NotATick`]; nothing is appended then.
pub fn write_tick_row(
    record: &MarketRecord,
    instruments: &InstrumentTable,
    out: &mut Vec<u8>,
) -> Result<(), NotATick> {
    let kind = match record.kind {
        TickKind::Quote => 'Q',
        TickKind::Trade | TickKind::Auction => 'T',
        TickKind::BarClose => return Err(NotATick::BarClose),
    };
    let instrument = find(record.instrument, instruments)?;
    let (price_scale, qty_scale) = (instrument.price_scale(), instrument.qty_scale());
    let side = match record.aggressor {
        Some(Side::Buy) => "BUY",
        Some(Side::Sell) => "SELL",
        None => "",
    };
    let mut write = || -> io::Result<()> {
        write!(out, "{},{},{},{kind},", record.ts_event_ns, record.ts_recv_ns, instrument.symbol())?;
        present(record.price.0, price_scale, out)?;
        out.push(b',');
        present(record.qty.0, qty_scale, out)?;
        write!(out, ",{side}")?;
        for (price, qty) in [(record.bid, record.bid_qty), (record.ask, record.ask_qty)] {
            out.push(b',');
            present(price.0, price_scale, out)?;
            out.push(b',');
            present(qty.0, qty_scale, out)?;
        }
        Ok(())
    };
    // Writing to memory cannot fail.
    let _ = write();
    out.push(b'\n');
    Ok(())
}

/// Appends `row` as a row of a bar file, with its line feed; minutes are written as UTC.
///
/// # Errors
/// [`NotATick::UnknownInstrument`]; nothing is appended then.
pub fn write_bar_row(row: &BarRow, instruments: &InstrumentTable, out: &mut Vec<u8>) -> Result<(), NotATick> {
    let instrument = find(row.instrument, instruments)?;
    write_bar_time(row.time, out);
    let price = |value| Decimal { value, scale: instrument.price_scale() };
    // Writing to memory cannot fail.
    let _ = writeln!(
        out,
        ",{},{},{},{},{},{}",
        instrument.symbol(),
        price(row.open.0),
        price(row.high.0),
        price(row.low.0),
        price(row.close.0),
        Decimal { value: row.volume.0, scale: instrument.qty_scale() },
    );
    Ok(())
}

fn find(id: InstrumentId, instruments: &InstrumentTable) -> Result<&Instrument, NotATick> {
    instruments.get(id).ok_or(NotATick::UnknownInstrument(id))
}

/// A value, or nothing where it is absent.
fn present(value: i64, scale: Scale, out: &mut Vec<u8>) -> io::Result<()> {
    if value == 0 { Ok(()) } else { write!(out, "{}", Decimal { value, scale }) }
}
