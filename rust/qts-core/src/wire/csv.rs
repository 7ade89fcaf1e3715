//! Tick and bar files: comma-separated text in, records out, and back.
//!
//! A file has a header with exactly the expected column names, plain decimal numbers and no quoting. Lines may end in
//! LF or CRLF and the text may start with a UTF-8 byte order mark. Parsers see one line at a time and know nothing of
//! files: whoever reads lines adds path and line number with [`RowError::at`].

use std::collections::HashMap;

use memchr::memchr_iter;

use crate::fixed::{Price, Qty, Scale, parse_decimal};
use crate::instrument::{InstrumentId, InstrumentTable};
use crate::market::source::SourceError;

mod bar;
mod tick;
mod time;
mod write;

pub use bar::{BAR_COLUMNS, BarParser, BarRow, BarTime};
pub use tick::{TICK_COLUMNS, TickParser};
pub use time::local_midnight_ns;
pub use write::{DAILY_BAR_HEADER, MINUTE_BAR_HEADER, NotATick, TICK_HEADER, write_bar_row, write_tick_row};

/// What is wrong with one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowError {
    /// Column at fault, if it is one column.
    pub column: Option<&'static str>,
    /// What was found.
    pub found: String,
    /// What was expected instead.
    pub expected: String,
}

impl RowError {
    /// A fault in `column`, where `text` was found.
    #[cold]
    fn in_column(column: &'static str, text: &[u8], expected: impl Into<String>) -> Self {
        Self { column: Some(column), found: quoted(text), expected: expected.into() }
    }

    /// A fault of the line as a whole.
    #[cold]
    fn in_line(found: impl Into<String>, expected: impl Into<String>) -> Self {
        Self { column: None, found: found.into(), expected: expected.into() }
    }

    /// The same with the file and line (from 1) it was found in.
    #[must_use]
    pub fn at(self, path: &str, line: u64) -> SourceError {
        SourceError {
            path: path.to_owned(),
            line,
            column: self.column,
            found: self.found,
            expected: self.expected,
        }
    }
}

/// Text for an error message: in quotes, control characters and foreign bytes made visible, never longer than a line.
fn quoted(text: &[u8]) -> String {
    const SHOWN_CHARS: usize = 40;
    let text = String::from_utf8_lossy(text);
    let mut shown: String = text.chars().take(SHOWN_CHARS).collect();
    if text.chars().nth(SHOWN_CHARS).is_some() {
        shown.push('…');
    }
    format!("{shown:?}")
}

/// The line without its line ending and, at the start of a file, without its byte order mark.
fn header_text(line: &[u8]) -> &[u8] {
    let line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line);
    line_text(line)
}

/// The line without the carriage return of a CRLF ending (the line feed is not part of a line).
#[inline]
fn line_text(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Splits a line into exactly `N` fields, or tells how many it has.
#[inline]
fn split<const N: usize>(line: &[u8]) -> Result<[&[u8]; N], usize> {
    let mut fields: [&[u8]; N] = [&[]; N];
    let mut start = 0;
    let mut count: usize = 0;
    let ends = memchr_iter(b',', line).chain(std::iter::once(line.len()));
    for end in ends {
        if let Some(field) = fields.get_mut(count) {
            *field = line.get(start..end).unwrap_or_default();
        }
        start = end.saturating_add(1);
        count = count.saturating_add(1);
    }
    if count == N { Ok(fields) } else { Err(count) }
}

/// Compares a header with the `expected` column names and says what is missing, unexpected or out of order.
fn check_header(line: &[u8], expected: &[&'static str]) -> Result<(), RowError> {
    let text = header_text(line);
    let found: Vec<&[u8]> = text.split(|&byte| byte == b',').collect();
    if found.iter().copied().eq(expected.iter().map(|name| name.as_bytes())) {
        return Ok(());
    }
    let missing: Vec<&'static str> =
        expected.iter().copied().filter(|name| !found.contains(&name.as_bytes())).collect();
    let mut faults = Vec::new();
    if !missing.is_empty() {
        faults.push(format!("without {}", missing.join(", ")));
    }
    let known = |name: &&[u8]| expected.iter().any(|expected| expected.as_bytes() == *name);
    let unexpected: Vec<String> =
        found.iter().copied().filter(|name| !known(name)).take(5).map(quoted).collect();
    if !unexpected.is_empty() {
        faults.push(format!("with unexpected {}", unexpected.join(", ")));
    }
    if faults.is_empty() {
        let is_permuted = found.len() == expected.len();
        let order = || format!("in another order: {}", String::from_utf8_lossy(text));
        faults.push(if is_permuted { order() } else { "with a column twice".to_owned() });
    }
    Err(RowError {
        column: missing.first().copied(),
        found: format!("a header {}", faults.join(" and ")),
        expected: format!("the header {}", expected.join(",")),
    })
}

/// The cold end of a row that cannot be read: text that is no text at all is reported as such.
#[cold]
fn explain(line: &[u8], error: RowError) -> RowError {
    if std::str::from_utf8(line).is_ok() {
        return error;
    }
    RowError { found: quoted(line), expected: "UTF-8 text".to_owned(), ..error }
}

#[cold]
fn wrong_count(count: usize, columns: &[&'static str]) -> RowError {
    let found = if count == 1 { "1 column".to_owned() } else { format!("{count} columns") };
    RowError::in_line(found, format!("{} columns: {}", columns.len(), columns.join(",")))
}

/// The units of one instrument, as far as a file's columns need them.
#[derive(Debug, Clone, Copy)]
struct Units {
    instrument: InstrumentId,
    price_scale: Scale,
    qty_scale: Scale,
    increment: i64,
}

impl Units {
    /// A price above zero on the price increment.
    #[inline]
    fn price(&self, column: &'static str, text: &[u8]) -> Result<Price, RowError> {
        match parse_decimal(text, self.price_scale) {
            Ok(value)
                if value > 0 && (self.increment == 1 || value.checked_rem(self.increment) == Some(0)) =>
            {
                Ok(Price(value))
            }
            Ok(value) => {
                let expected =
                    if value > 0 { "a multiple of the price increment" } else { "a price above 0" };
                Err(RowError::in_column(column, text, expected))
            }
            Err(_) => Err(bad_decimal(column, text, "price", self.price_scale)),
        }
    }

    /// A size that is not negative.
    #[inline]
    fn qty(&self, column: &'static str, text: &[u8]) -> Result<Qty, RowError> {
        match parse_decimal(text, self.qty_scale) {
            Ok(value) if value >= 0 => Ok(Qty(value)),
            Ok(_) => Err(RowError::in_column(column, text, "a size of 0 or more")),
            Err(_) => Err(bad_decimal(column, text, "size", self.qty_scale)),
        }
    }

    /// A size above zero.
    #[inline]
    fn size(&self, column: &'static str, text: &[u8]) -> Result<Qty, RowError> {
        match self.qty(column, text) {
            Ok(Qty(0)) => Err(RowError::in_column(column, text, "a size above 0")),
            other => other,
        }
    }
}

#[cold]
fn bad_decimal(column: &'static str, text: &[u8], what: &str, scale: Scale) -> RowError {
    let decimals = match scale.get() {
        0 => "no decimals".to_owned(),
        1 => "at most 1 decimal".to_owned(),
        decimals => format!("at most {decimals} decimals"),
    };
    RowError::in_column(column, text, format!("a {what} as a plain decimal number with {decimals}"))
}

/// Instruments by symbol, with the last one at hand: files mostly repeat a symbol row after row.
#[derive(Debug, Clone)]
struct Symbols {
    by_symbol: HashMap<Box<[u8]>, Units>,
    last: Option<(Box<[u8]>, Units)>,
}

impl Symbols {
    fn new(instruments: &InstrumentTable) -> Self {
        let units = instruments.iter().map(|(id, instrument)| {
            let units = Units {
                instrument: id,
                price_scale: instrument.price_scale(),
                qty_scale: instrument.qty_scale(),
                increment: instrument.price_increment().0,
            };
            (instrument.symbol().as_bytes().into(), units)
        });
        Self { by_symbol: units.collect(), last: None }
    }

    #[inline]
    fn find(&mut self, symbol: &[u8]) -> Result<Units, RowError> {
        match &self.last {
            Some((last, units)) if last.as_ref() == symbol => Ok(*units),
            _ => self.look_up(symbol),
        }
    }

    fn look_up(&mut self, symbol: &[u8]) -> Result<Units, RowError> {
        let Some((name, units)) = self.by_symbol.get_key_value(symbol) else {
            return Err(RowError::in_column("symbol", symbol, "a symbol of the instrument table"));
        };
        let units = *units;
        match &mut self.last {
            // Reuses the memory where the symbols are of one length.
            Some((last, last_units)) if last.len() == name.len() => {
                last.copy_from_slice(name);
                *last_units = units;
            }
            last => *last = Some((name.clone(), units)),
        }
        Ok(units)
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
