//! Rows of tick files: quotes and trades.

use super::{RowError, Symbols, Units, check_header, explain, line_text, quoted, split, wrong_count};
use crate::event::{MarketRecord, Side, TickKind};
use crate::fixed::{Price, Qty};
use crate::instrument::InstrumentTable;

/// Columns of a tick file, in order.
///
/// Times are UTC nanoseconds. `kind` is `Q` (best bid and ask) or `T` (trade); `side` is the aggressor of a trade
/// (`BUY`, `SELL`, or empty where it is not told). Prices and sizes are decimals within the scales of the instrument;
/// an empty cell is an absent value.
pub const TICK_COLUMNS: [&str; 11] = [
    "ts_event_ns",
    "ts_recv_ns",
    "symbol",
    "kind",
    "price",
    "qty",
    "side",
    "bid",
    "bid_qty",
    "ask",
    "ask_qty",
];

/// Reads tick rows one line at a time and checks that receive time does not run backwards.
#[derive(Debug, Clone)]
pub struct TickParser {
    symbols: Symbols,
    last_recv_ns: i64,
}

impl TickParser {
    /// A parser for the symbols of `instruments`.
    pub fn new(instruments: &InstrumentTable) -> Self {
        Self { symbols: Symbols::new(instruments), last_recv_ns: i64::MIN }
    }

    /// Checks that the first line of a file names exactly [`TICK_COLUMNS`].
    ///
    /// # Errors
    /// Which columns are missing, unexpected or out of order.
    pub fn check_header(line: &[u8]) -> Result<(), RowError> {
        check_header(line, &TICK_COLUMNS)
    }

    /// Reads one line (without its line feed) as a record.
    ///
    /// A trade needs price and size. A quote has no price, size or side of its own; each of its sides is given with
    /// price and size or left out, and a quote without sides is an empty book. Sizes and prices are above zero and
    /// prices are on the price increment of the instrument. A bid equal to the ask is accepted.
    ///
    /// # Errors
    /// The first fault of the row. The parser goes on as if the row had not been there.
    #[inline]
    pub fn parse_line(&mut self, line: &[u8]) -> Result<MarketRecord, RowError> {
        match self.parse(line_text(line)) {
            Ok(record) => {
                self.last_recv_ns = record.ts_recv_ns;
                Ok(record)
            }
            Err(error) => Err(explain(line, error)),
        }
    }

    #[inline]
    fn parse(&mut self, line: &[u8]) -> Result<MarketRecord, RowError> {
        let fields = split::<11>(line).map_err(|count| wrong_count(count, &TICK_COLUMNS))?;
        let [ts_event, ts_recv, symbol, kind, price, qty, side, bid, bid_qty, ask, ask_qty] = fields;
        let ts_event_ns = nanoseconds("ts_event_ns", ts_event)?;
        let ts_recv_ns = nanoseconds("ts_recv_ns", ts_recv)?;
        if ts_recv_ns < self.last_recv_ns {
            return Err(backwards(ts_recv_ns, self.last_recv_ns));
        }
        let units = self.symbols.find(symbol)?;
        let mut record =
            MarketRecord { ts_event_ns, ts_recv_ns, instrument: units.instrument, ..MarketRecord::default() };
        match kind {
            b"Q" => {
                for (column, text) in [("price", price), ("qty", qty), ("side", side)] {
                    if !text.is_empty() {
                        return Err(RowError::in_column(column, text, "nothing on a quote row"));
                    }
                }
            }
            b"T" => {
                record.kind = TickKind::Trade;
                record.price = units.price("price", price)?;
                record.qty = units.size("qty", qty)?;
                record.aggressor = aggressor(side)?;
            }
            _ => return Err(RowError::in_column("kind", kind, "Q (quote) or T (trade)")),
        }
        (record.bid, record.bid_qty) = shown(&units, "bid", bid, "bid_qty", bid_qty)?;
        (record.ask, record.ask_qty) = shown(&units, "ask", ask, "ask_qty", ask_qty)?;
        if record.bid > record.ask && record.ask.0 > 0 {
            return Err(crossed(bid, ask));
        }
        Ok(record)
    }
}

/// One shown side: price and size, or neither.
#[inline]
fn shown(
    units: &Units,
    price_column: &'static str,
    price: &[u8],
    size_column: &'static str,
    size: &[u8],
) -> Result<(Price, Qty), RowError> {
    if price.is_empty() && size.is_empty() {
        return Ok((Price(0), Qty(0)));
    }
    Ok((units.price(price_column, price)?, units.size(size_column, size)?))
}

#[inline]
fn aggressor(text: &[u8]) -> Result<Option<Side>, RowError> {
    match text {
        b"BUY" => Ok(Some(Side::Buy)),
        b"SELL" => Ok(Some(Side::Sell)),
        b"" => Ok(None),
        _ => Err(RowError::in_column("side", text, "BUY, SELL or nothing")),
    }
}

/// A time in whole nanoseconds since 1970, UTC.
#[inline]
fn nanoseconds(column: &'static str, text: &[u8]) -> Result<i64, RowError> {
    let value = text.iter().try_fold(0_i64, |value, &byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value.checked_mul(10)?.checked_add(i64::from(digit))
    });
    value
        .filter(|_| !text.is_empty())
        .ok_or_else(|| RowError::in_column(column, text, "a time in whole nanoseconds, UTC"))
}

#[cold]
fn backwards(found_ns: i64, previous_ns: i64) -> RowError {
    RowError {
        column: Some("ts_recv_ns"),
        found: format!("{found_ns} after {previous_ns}"),
        expected: "a receive time that does not run backwards".to_owned(),
    }
}

#[cold]
fn crossed(bid: &[u8], ask: &[u8]) -> RowError {
    RowError {
        column: Some("bid"),
        found: format!("bid {} above ask {}", quoted(bid), quoted(ask)),
        expected: "a bid at or below the ask".to_owned(),
    }
}
