//! Bar files: each bar is played as the prints it stands for.
//!
//! A bar of a day covers the session of that day, a bar of a minute covers the minute from its time on. It becomes
//!
//! | at | record | price |
//! |---|---|---|
//! | start | auction print | open |
//! | 1/4 of the interval | trade | high or low, whichever is nearer to the open (the low if both are) |
//! | 1/2 | trade | the other one |
//! | 3/4 | trade | close |
//! | end | closed bar | close, with open, high, low and the volume of the whole bar |
//!
//! Each print carries a quarter of the volume rounded down to the lot, the last trade also what is left over; a print
//! without size is left out, so that a bar without volume (a halted day) has no print at all. No print falls on the
//! end: bars that are built from the prints hold all of them. The event time of a closed bar is the start of the
//! interval it covers; every other record has one time.
//!
//! With a [`Bridge`] the trades of a *day* are made up by chance between the bar's prices instead of these three: the
//! auction print at the open stays, then the first of `prints` trades follows at the same time, the others evenly
//! spaced, the last one, at the close's price, 12.5 minutes before the session's end: within the last minutes of
//! continuous trading, in which whoever has to be flat at the close gets out. See
//! [`qts_core::sim::bridge`] for what such a day can stand for. Each trade carries the quotes that stand after it in
//! the same record, so that nobody meets quotes older than the last trade, and an order that waits is filled by the
//! trade before it can take a better quote. The closed bar is the same with and without a bridge.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use qts_core::event::{MarketRecord, TickKind};
use qts_core::fixed::{Price, Qty};
use qts_core::instrument::{Dated, InstrumentTable};
use qts_core::market::source::{MarketSource, SourceError};
use qts_core::sim::bridge::{Bridge, BridgedDay};
use qts_core::wire::csv::{BarParser, BarRow, BarTime, RowError, local_midnight_ns};
use thiserror::Error;

use crate::batch::{Batch, Delivery, FillBatch};
use crate::lines::Lines;
use crate::stats::FeedStats;
use crate::text::open;
use crate::tickfile::{is_blank, no_rows, read_header};

const DAY_S: u32 = 86_400;
const SECOND_NS: i64 = 1_000_000_000;
const HALF_DAY_NS: i64 = 43_200 * SECOND_NS;
const MINUTE_NS: i64 = 60 * SECOND_NS;
/// Time from the last trade of a bridged day to the end of its session (KRX: 15:17:30 of 15:30).
const LAST_BEFORE_END_NS: i64 = 750 * SECOND_NS;

/// Trading hours of a day, in seconds of the local day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// Open, 0 to 86,399.
    pub open_s: u32,
    /// Close, after the open and at most 86,400.
    pub close_s: u32,
}

/// What is wrong with a table of sessions.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SessionsError {
    /// No row.
    #[error("the table of sessions is empty, expected at least one dated row")]
    Empty,
    /// Rows out of order.
    #[error("sessions must be in ascending order of date: {found_ns} ns comes after {previous_ns} ns")]
    Order {
        /// Date of the row at fault, UTC nanoseconds.
        found_ns: i64,
        /// Date of the row before it.
        previous_ns: i64,
    },
    /// A session that does not fit into a day.
    #[error(
        "session from {open_s} s to {close_s} s, expected an open before the close and both within a day"
    )]
    Hours {
        /// Open, seconds of the local day.
        open_s: u32,
        /// Close, seconds of the local day.
        close_s: u32,
    },
    /// A local time that exists nowhere.
    #[error("local time is {found_s} s from UTC, expected less than a day")]
    Offset {
        /// The offset given, in seconds.
        found_s: i32,
    },
}

/// Trading hours by date, in one local time.
#[derive(Debug, Clone)]
pub struct Sessions {
    rows: Vec<Dated<Session>>,
    utc_offset_s: i32,
}

impl Sessions {
    /// Trading hours in a local time `utc_offset_s` seconds east of UTC (Seoul: 32,400).
    ///
    /// A row holds for a date if it is in force at noon of that date, local time, so a row may be dated by the local
    /// or by the UTC midnight of its first day; before the first row the first row holds. A special day is a row for
    /// the day and one for the day after it.
    ///
    /// # Errors
    /// [`SessionsError`] names the first fault.
    pub fn new(rows: Vec<Dated<Session>>, utc_offset_s: i32) -> Result<Self, SessionsError> {
        if utc_offset_s.unsigned_abs() >= DAY_S {
            return Err(SessionsError::Offset { found_s: utc_offset_s });
        }
        if rows.is_empty() {
            return Err(SessionsError::Empty);
        }
        for (row, next) in rows.iter().zip(rows.iter().skip(1)) {
            if row.effective_from_ns >= next.effective_from_ns {
                let (found_ns, previous_ns) = (next.effective_from_ns, row.effective_from_ns);
                return Err(SessionsError::Order { found_ns, previous_ns });
            }
        }
        for Session { open_s, close_s } in rows.iter().map(|row| row.value) {
            if open_s >= close_s || close_s > DAY_S {
                return Err(SessionsError::Hours { open_s, close_s });
            }
        }
        Ok(Self { rows, utc_offset_s })
    }

    /// Open and close of a local day (days since 1970-01-01) in UTC nanoseconds; `None` outside the years that 64-bit
    /// nanoseconds can express.
    pub fn span_ns(&self, day: i32) -> Option<(i64, i64)> {
        let midnight_ns = local_midnight_ns(day, self.utc_offset_s)?;
        let noon_ns = midnight_ns.checked_add(HALF_DAY_NS)?;
        let after = self.rows.partition_point(|row| row.effective_from_ns <= noon_ns);
        let Session { open_s, close_s } = self.rows.get(after.saturating_sub(1))?.value;
        let at = |second: u32| midnight_ns.checked_add(i64::from(second).checked_mul(SECOND_NS)?);
        Some((at(open_s)?, at(close_s)?))
    }
}

/// What the expansion of bars needs of an instrument.
struct Traded {
    lot: i64,
    /// The close of its last bar.
    close: Option<Price>,
    /// Time of the last bar, to find a second bar of the same time.
    last: Option<BarTime>,
}

/// Rows of bar text as blocks of records. Rows of one time are played together, so that time does not run backwards
/// in a file of many symbols: memory is one row per symbol.
struct BarRows<R: Read> {
    lines: Lines<R>,
    parser: BarParser,
    sessions: Sessions,
    traded: Vec<Traded>,
    bridge: Option<Bridging>,
    skip_bad_rows: bool,
    /// Rows of one time, and the interval they cover.
    group: Vec<BarRow>,
    span_ns: (i64, i64),
    /// The first row of the time after.
    ahead: Option<(BarRow, (i64, i64))>,
    seen_rows: bool,
}

impl<R: Read> BarRows<R> {
    fn new(
        path: &str,
        input: R,
        instruments: &InstrumentTable,
        sessions: Sessions,
        skip_bad_rows: bool,
    ) -> Result<Self, SourceError> {
        let mut lines = Lines::new(path.to_owned(), input)?;
        let parser =
            read_header(&mut lines, |line| BarParser::new(line, instruments, sessions.utc_offset_s))?;
        let traded =
            instruments.iter().map(|(_, row)| Traded { lot: row.lot().0, close: None, last: None }).collect();
        Ok(Self {
            lines,
            parser,
            sessions,
            traded,
            bridge: None,
            skip_bad_rows,
            group: Vec::new(),
            span_ns: (0, 0),
            ahead: None,
            seen_rows: false,
        })
    }

    /// Reads on to the end of a time. `false` at the end of the file.
    fn read_group(&mut self, batch: &mut Batch) -> Result<bool, SourceError> {
        if let Some((row, span_ns)) = self.ahead.take() {
            self.group.push(row);
            self.span_ns = span_ns;
        }
        loop {
            let Some(line) = self.lines.next()? else {
                return if self.seen_rows { Ok(false) } else { Err(no_rows(&self.lines)) };
            };
            let text = self.lines.get(&line);
            if is_blank(text) {
                continue;
            }
            self.seen_rows = true;
            let row = self.parser.parse_line(text);
            let row = row.and_then(|row| Ok((row, admit(&self.sessions, &mut self.traded, &row)?)));
            match row {
                Ok((row, span_ns)) if self.group.first().is_none_or(|first| first.time == row.time) => {
                    self.group.push(row);
                    self.span_ns = span_ns;
                }
                Ok(ahead) => {
                    self.ahead = Some(ahead);
                    return Ok(true);
                }
                Err(error) => {
                    let error = error.at(self.lines.path(), self.lines.line());
                    if !self.skip_bad_rows {
                        return Err(error);
                    }
                    batch.skip_row(error);
                }
            }
        }
    }

    /// Turns the rows of one time into records in order of time.
    fn play_group(&mut self, batch: &mut Batch) {
        let days = match (&mut self.bridge, self.group.first().map(|row| row.time)) {
            (Some(bridge), Some(BarTime::Day(_))) => Some(bridge),
            _ => None,
        };
        if let Some(bridge) = days {
            bridge.play(&self.group, &self.traded, self.span_ns, batch);
        } else {
            for part in Part::ALL {
                for row in &self.group {
                    let lot = slot_of(&self.traded, row).map_or(1, |traded| traded.lot);
                    batch.records.extend(part.record(row, self.span_ns, lot));
                }
            }
        }
        for row in self.group.drain(..) {
            let slot = usize::try_from(row.instrument.0).ok().and_then(|slot| self.traded.get_mut(slot));
            if let Some(traded) = slot {
                traded.close = Some(row.close);
            }
        }
    }
}

fn slot_of<'a>(traded: &'a [Traded], row: &BarRow) -> Option<&'a Traded> {
    usize::try_from(row.instrument.0).ok().and_then(|slot| traded.get(slot))
}

/// Plays days over a bridge.
struct Bridging {
    bridge: Bridge,
    instruments: InstrumentTable,
    /// Days of one date, in the order of their rows.
    days: Vec<BridgedDay>,
}

impl Bridging {
    /// Turns the rows of one date into records in order of time.
    fn play(&mut self, group: &[BarRow], traded: &[Traded], span_ns: (i64, i64), batch: &mut Batch) {
        self.days.clear();
        for row in group {
            let base = slot_of(traded, row).and_then(|traded| traded.close);
            let day = self.instruments.get(row.instrument);
            let day = day.map(|instrument| self.bridge.day(instrument, row, base, span_ns.0));
            self.days.push(day.unwrap_or_default());
        }
        let rows = || group.iter().zip(&self.days);
        for (row, day) in rows().filter(|(_, day)| day.opening.0 > 0) {
            let print = (TickKind::Auction, row.open, day.opening);
            batch.records.push(print_record(row, print, span_ns.0));
        }
        let mut at = vec![0_usize; group.len()];
        for number in 0..self.bridge.prints() {
            let ts_ns = self.time_of(number, span_ns);
            for ((row, day), at) in rows().zip(&mut at) {
                if let Some(print) = day.prints.get(*at).filter(|print| print.number == number) {
                    *at = at.saturating_add(1);
                    batch.records.push(MarketRecord {
                        aggressor: print.aggressor,
                        bid: print.bid,
                        bid_qty: if print.bid.0 > 0 { print.shown } else { Qty(0) },
                        ask: print.ask,
                        ask_qty: if print.ask.0 > 0 { print.shown } else { Qty(0) },
                        ..print_record(row, (TickKind::Trade, print.price, print.qty), ts_ns)
                    });
                }
            }
        }
        batch.records.extend(group.iter().map(|row| close_record(row, span_ns)));
    }

    /// Start of the session and even steps from there to shortly before its end.
    fn time_of(&self, number: u32, (start_ns, end_ns): (i64, i64)) -> i64 {
        let span_ns = end_ns.saturating_sub(start_ns);
        let late_ns = if span_ns > 2 * LAST_BEFORE_END_NS { LAST_BEFORE_END_NS } else { span_ns / 20 };
        let past = i128::from(span_ns.saturating_sub(late_ns)).saturating_mul(i128::from(number));
        let past = past.checked_div(i128::from(self.bridge.prints().saturating_sub(1))).unwrap_or(0);
        start_ns.saturating_add(i64::try_from(past).unwrap_or(0))
    }
}

fn print_record(row: &BarRow, (kind, price, qty): (TickKind, Price, Qty), ts_ns: i64) -> MarketRecord {
    MarketRecord {
        ts_event_ns: ts_ns,
        ts_recv_ns: ts_ns,
        instrument: row.instrument,
        kind,
        price,
        qty,
        ..MarketRecord::default()
    }
}

/// The closed bar of a row over `(start, end)`.
fn close_record(row: &BarRow, (start_ns, end_ns): (i64, i64)) -> MarketRecord {
    MarketRecord {
        ts_event_ns: start_ns,
        open: row.open,
        high: row.high,
        low: row.low,
        ..print_record(row, (TickKind::BarClose, row.close, row.volume), end_ns)
    }
}

/// Finds what a row covers and refuses a second row of an instrument for the same time.
fn admit(sessions: &Sessions, traded: &mut [Traded], row: &BarRow) -> Result<(i64, i64), RowError> {
    let (column, span_ns) = match row.time {
        BarTime::Day(day) => ("date", sessions.span_ns(day)),
        BarTime::Minute(start_ns) => {
            ("time", start_ns.checked_add(MINUTE_NS).map(|end_ns| (start_ns, end_ns)))
        }
    };
    let fault = |found: &str, expected: &str| RowError {
        column: Some(column),
        found: found.to_owned(),
        expected: expected.to_owned(),
    };
    let span_ns = span_ns.ok_or_else(|| fault("a date out of range", "a date between 1678 and 2261"))?;
    let slot = usize::try_from(row.instrument.0).ok().and_then(|slot| traded.get_mut(slot));
    if let Some(traded) = slot {
        if traded.last == Some(row.time) {
            return Err(fault("a second bar of this symbol for this time", "one bar"));
        }
        traded.last = Some(row.time);
    }
    Ok(span_ns)
}

impl<R: Read> FillBatch for BarRows<R> {
    fn fill(&mut self, batch: &mut Batch) {
        while !batch.is_full() && batch.end.is_none() {
            match self.read_group(batch) {
                Ok(true) => {}
                Ok(false) => batch.end = Some(Ok(())),
                Err(error) => batch.end = Some(Err(error)),
            }
            self.play_group(batch);
        }
    }
}

/// The five records of a bar, in order of time.
#[derive(Debug, Clone, Copy)]
enum Part {
    Open,
    NearExtreme,
    FarExtreme,
    Close,
    Bar,
}

impl Part {
    const ALL: [Self; 5] = [Self::Open, Self::NearExtreme, Self::FarExtreme, Self::Close, Self::Bar];

    /// The record of this part of a bar over `(start, end)`; `None` for a print without size.
    fn record(self, row: &BarRow, (start_ns, end_ns): (i64, i64), lot: i64) -> Option<MarketRecord> {
        let below = row.open.0.saturating_sub(row.low.0);
        let above = row.high.0.saturating_sub(row.open.0);
        let (near, far) = if below <= above { (row.low, row.high) } else { (row.high, row.low) };
        let quarter = row.volume.0.checked_div(4).unwrap_or(0);
        let quarter = Qty(quarter.saturating_sub(quarter.checked_rem(lot).unwrap_or(0)));
        let rest = Qty(row.volume.0.saturating_sub(quarter.0.saturating_mul(3)));
        let (kind, quarters, price, qty): (TickKind, i64, Price, Qty) = match self {
            Self::Open => (TickKind::Auction, 0, row.open, quarter),
            Self::NearExtreme => (TickKind::Trade, 1, near, quarter),
            Self::FarExtreme => (TickKind::Trade, 2, far, quarter),
            Self::Close => (TickKind::Trade, 3, row.close, rest),
            Self::Bar => return Some(close_record(row, (start_ns, end_ns))),
        };
        // An interval is at most a day long: no step of this leaves the range.
        let past_ns = end_ns.saturating_sub(start_ns).checked_div(4)?.saturating_mul(quarters);
        let ts_ns = start_ns.saturating_add(past_ns);
        (qty.0 > 0).then(|| print_record(row, (kind, price, qty), ts_ns))
    }
}

/// Bars from any stream of text, plain or gzip, read on the caller's thread and played as prints.
pub struct BarReader<R: Read> {
    rows: BarRows<R>,
    delivery: Delivery,
}

/// A bar file; [`BarReader::open`] opens one.
pub type BarFile = BarReader<File>;

impl BarFile {
    /// Opens `path` and checks its header. Rows are as [`BarReader::new`] has them.
    ///
    /// # Errors
    /// [`SourceError`] if the file cannot be opened, is a directory, is empty, or has a wrong header.
    pub fn open(
        path: impl AsRef<Path>,
        instruments: &InstrumentTable,
        sessions: Sessions,
        skip_bad_rows: bool,
    ) -> Result<Self, SourceError> {
        let name = path.as_ref().to_string_lossy().into_owned();
        Self::new(&name, open(path.as_ref())?, instruments, sessions, skip_bad_rows)
    }
}

impl<R: Read> BarReader<R> {
    /// Bars of the `instruments` from `input`, which is called `name` in errors. Reads the header at once.
    ///
    /// Rows are in order of time; rows of one time belong to different symbols. Bad rows are an error, or with
    /// `skip_bad_rows` left out and counted; a bad header or damaged data is always an error.
    ///
    /// # Errors
    /// [`SourceError`] if there is no header or a wrong one.
    pub fn new(
        name: &str,
        input: R,
        instruments: &InstrumentTable,
        sessions: Sessions,
        skip_bad_rows: bool,
    ) -> Result<Self, SourceError> {
        let rows = BarRows::new(name, input, instruments, sessions, skip_bad_rows)?;
        Ok(Self { rows, delivery: Delivery::new(name.to_owned()) })
    }

    /// Plays days over `bridge`; bars of a minute stay as they are. `instruments` are those it was opened with.
    #[must_use]
    pub fn bridged(mut self, bridge: Bridge, instruments: &InstrumentTable) -> Self {
        self.rows.bridge = Some(Bridging { bridge, instruments: instruments.clone(), days: Vec::new() });
        self
    }

    /// What has been delivered, in bars; stays valid when the source is given away.
    pub fn stats(&self) -> Arc<FeedStats> {
        self.delivery.stats()
    }
}

impl<R: Read> MarketSource for BarReader<R> {
    fn next(&mut self) -> Result<Option<MarketRecord>, SourceError> {
        loop {
            // Its closed bar is the last record of a row.
            if let Some(record) = self.delivery.next(|record| record.kind == TickKind::BarClose) {
                return Ok(Some(record));
            }
            if let Some(end) = self.delivery.take_end() {
                return end.map(|()| None);
            }
            self.delivery.renew(|mut batch| {
                batch.clear();
                self.rows.fill(&mut batch);
                batch
            });
        }
    }
}

impl<R: Read> std::fmt::Debug for BarReader<R> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("BarReader").field("path", &self.rows.lines.path()).finish_non_exhaustive()
    }
}
