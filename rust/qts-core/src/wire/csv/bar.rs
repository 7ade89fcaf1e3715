//! Rows of bar files: one bar of a day or of a minute.

use super::{RowError, Symbols, check_header, explain, header_text, line_text, split, time, wrong_count};
use crate::fixed::{Price, Qty};
use crate::instrument::{InstrumentId, InstrumentTable};

/// Columns of a daily bar file, in order; a file of minute bars has `time` in place of `date`.
///
/// `date` is `YYYY-MM-DD`, the local day of trading. `time` is the start of the minute, in RFC 3339 or as local
/// `YYYY-MM-DD HH:MM[:SS]`. Prices and volume are decimals within the scales of the instrument.
pub const BAR_COLUMNS: [&str; 7] = ["date", "symbol", "open", "high", "low", "close", "volume"];

const MINUTE_COLUMNS: [&str; 7] = ["time", "symbol", "open", "high", "low", "close", "volume"];

/// What a bar covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BarTime {
    /// The session of a local day, counted in days since 1970-01-01.
    Day(i32),
    /// The minute that starts at this time, UTC nanoseconds.
    Minute(i64),
}

/// One recorded bar, in units of the instrument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BarRow {
    /// What the bar covers.
    pub time: BarTime,
    /// Instrument.
    pub instrument: InstrumentId,
    /// First price.
    pub open: Price,
    /// Highest price.
    pub high: Price,
    /// Lowest price.
    pub low: Price,
    /// Last price.
    pub close: Price,
    /// Size traded; 0 if nothing traded.
    pub volume: Qty,
}

/// Reads bar rows one line at a time and checks that they are in order of time.
#[derive(Debug, Clone)]
pub struct BarParser {
    symbols: Symbols,
    columns: &'static [&'static str; 7],
    utc_offset_s: i32,
    last: Option<BarTime>,
}

impl BarParser {
    /// A parser for the symbols of `instruments` and a file with this first line. `utc_offset_s` is the local time of
    /// the file in seconds east of UTC (Seoul: 32,400).
    ///
    /// # Errors
    /// Which columns are missing, unexpected or out of order.
    pub fn new(header: &[u8], instruments: &InstrumentTable, utc_offset_s: i32) -> Result<Self, RowError> {
        let is_minute = header_text(header).split(|&byte| byte == b',').any(|name| name == b"time");
        let columns = if is_minute { &MINUTE_COLUMNS } else { &BAR_COLUMNS };
        check_header(header, columns).map_err(|mut error| {
            error.expected.push_str(if is_minute { "" } else { " (or time in place of date)" });
            error
        })?;
        Ok(Self { symbols: Symbols::new(instruments), columns, utc_offset_s, last: None })
    }

    /// Reads one line (without its line feed) as a bar.
    ///
    /// Prices are above zero and on the price increment; high and low enclose open and close; the volume is not
    /// negative. Rows of one time may follow each other; an earlier time may not.
    ///
    /// # Errors
    /// The first fault of the row. The parser goes on as if the row had not been there.
    pub fn parse_line(&mut self, line: &[u8]) -> Result<BarRow, RowError> {
        match self.parse(line_text(line)) {
            Ok(row) => {
                self.last = Some(row.time);
                Ok(row)
            }
            Err(error) => Err(explain(line, error)),
        }
    }

    fn parse(&mut self, line: &[u8]) -> Result<BarRow, RowError> {
        let fields = split::<7>(line).map_err(|count| wrong_count(count, self.columns))?;
        let [time, symbol, open, high, low, close, volume] = fields;
        let bar_time = self.time(time)?;
        let units = self.symbols.find(symbol)?;
        let row = BarRow {
            time: bar_time,
            instrument: units.instrument,
            open: units.price("open", open)?,
            high: units.price("high", high)?,
            low: units.price("low", low)?,
            close: units.price("close", close)?,
            volume: units.qty("volume", volume)?,
        };
        if row.high < row.open.max(row.close) {
            return Err(RowError::in_column("high", high, "a high at or above open, low and close"));
        }
        if row.low > row.open.min(row.close) {
            return Err(RowError::in_column("low", low, "a low at or below open, high and close"));
        }
        Ok(row)
    }

    fn time(&self, text: &[u8]) -> Result<BarTime, RowError> {
        let [column, ..] = *self.columns;
        let (time, expected) = match column {
            "date" => (time::parse_date(text).map(BarTime::Day), "a date as YYYY-MM-DD"),
            _ => (
                time::parse_time(text, self.utc_offset_s).map(BarTime::Minute),
                "a time in RFC 3339 or as local YYYY-MM-DD HH:MM[:SS]",
            ),
        };
        let time = time.ok_or_else(|| RowError::in_column(column, text, expected))?;
        match self.last {
            Some(last) if time < last => Err(backwards(column, text, last)),
            _ => Ok(time),
        }
    }
}

#[cold]
fn backwards(column: &'static str, text: &[u8], last: BarTime) -> RowError {
    let mut previous = Vec::new();
    time::write_bar_time(last, &mut previous);
    let found = format!("{} after {}", String::from_utf8_lossy(text), String::from_utf8_lossy(&previous));
    RowError {
        column: Some(column),
        found,
        expected: format!("rows in order of {column}, which does not run backwards"),
    }
}
