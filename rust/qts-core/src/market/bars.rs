//! Time bars from trades, and recorded bars passed on.

use thiserror::Error;

use crate::event::{MarketRecord, TickKind};
use crate::fixed::{FixedError, Price, Qty};
use crate::instrument::InstrumentId;

/// Length of a recorded daily bar, in nanoseconds.
pub const DAY_NS: i64 = 86_400_000_000_000;

/// What traded in one interval of engine time, in the instrument's own units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bar {
    /// Instrument.
    pub instrument: InstrumentId,
    /// Length in nanoseconds.
    pub interval_ns: i64,
    /// First instant that belongs to the bar, UTC nanoseconds.
    pub start_ns: i64,
    /// First instant that no longer does, UTC nanoseconds; for a recorded bar, when it was received.
    pub end_ns: i64,
    /// Price of the first trade.
    pub open: Price,
    /// Highest trade price.
    pub high: Price,
    /// Lowest trade price.
    pub low: Price,
    /// Price of the last trade.
    pub close: Price,
    /// Quantity traded.
    pub volume: Qty,
}

/// Why a series cannot be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BarSeriesError {
    /// The interval is not positive.
    #[error("bar interval is {interval_ns} ns, expected more than 0")]
    Interval {
        /// The interval given, in nanoseconds.
        interval_ns: i64,
    },
    /// The instrument is not in the table.
    #[error("bar series names instrument number {}, expected one below {instruments}", .instrument.0)]
    UnknownInstrument {
        /// The instrument given.
        instrument: InstrumentId,
        /// Number of instruments in the table.
        instruments: usize,
    },
}

/// One instrument's place in a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    /// Not part of the series.
    Excluded,
    /// No trade since the last bar closed.
    Flat,
    /// A bar is being built.
    Open(Bar),
}

#[derive(Debug)]
struct Series {
    interval_ns: i64,
    /// Dense by instrument number.
    slots: Vec<Slot>,
}

/// Builds the bars of every series from the records that pass by.
///
/// Bars are aligned to multiples of their interval since the Unix epoch in engine (receive) time, built from trades
/// and auction prints with a size. An interval without one has no bar. A bar comes out of [`BarBuilder::drain`] once
/// engine time has reached its end, never before.
///
/// A recorded closing bar ([`TickKind::BarClose`]) comes out as it is, ending when it is received: as a bar of one day
/// if it covers a session, else of the interval that it covers. It takes the place of a bar of that interval that was
/// being built from the same prints.
#[derive(Debug)]
pub struct BarBuilder {
    instruments: usize,
    series: Vec<Series>,
    /// Complete bars that nobody has drained yet.
    closed: Vec<Bar>,
    /// Earliest end of anything not drained; the largest value if there is nothing.
    next_end_ns: i64,
}

impl BarBuilder {
    /// A builder without series for `instruments` instruments, numbered from 0.
    pub const fn new(instruments: usize) -> Self {
        Self { instruments, series: Vec::new(), closed: Vec::new(), next_end_ns: i64::MAX }
    }

    /// Adds a series of `interval_ns` nanoseconds for every instrument. A series that is there already stays one.
    ///
    /// # Errors
    /// [`BarSeriesError::Interval`].
    pub fn add_series(&mut self, interval_ns: i64) -> Result<(), BarSeriesError> {
        self.include(interval_ns, 0..self.instruments)
    }

    /// Adds a series of `interval_ns` nanoseconds for the given instruments, or those instruments to the series.
    ///
    /// # Errors
    /// [`BarSeriesError`]; nothing was added.
    pub fn add_series_for(
        &mut self,
        interval_ns: i64,
        instruments: &[InstrumentId],
    ) -> Result<(), BarSeriesError> {
        for &instrument in instruments {
            if slot_of(instrument).is_none_or(|slot| slot >= self.instruments) {
                return Err(BarSeriesError::UnknownInstrument { instrument, instruments: self.instruments });
            }
        }
        self.include(interval_ns, instruments.iter().filter_map(|&instrument| slot_of(instrument)))
    }

    fn include(
        &mut self,
        interval_ns: i64,
        instruments: impl Iterator<Item = usize>,
    ) -> Result<(), BarSeriesError> {
        if interval_ns <= 0 {
            return Err(BarSeriesError::Interval { interval_ns });
        }
        let at = self.series.iter().position(|series| series.interval_ns == interval_ns);
        let at = at.unwrap_or_else(|| {
            self.series.push(Series { interval_ns, slots: vec![Slot::Excluded; self.instruments] });
            self.series.len().saturating_sub(1)
        });
        if let Some(series) = self.series.get_mut(at) {
            for slot in instruments {
                if let Some(slot) = series.slots.get_mut(slot)
                    && *slot == Slot::Excluded
                {
                    *slot = Slot::Flat;
                }
            }
        }
        Ok(())
    }

    /// Takes in a record; quotes change nothing.
    ///
    /// # Errors
    /// [`FixedError::Overflow`] if the volume of a bar leaves its range.
    #[inline]
    pub fn on_record(&mut self, record: &MarketRecord) -> Result<(), FixedError> {
        match record.kind {
            TickKind::Quote => Ok(()),
            TickKind::Trade | TickKind::Auction => self.on_print(record),
            TickKind::BarClose => {
                self.on_bar_close(record);
                Ok(())
            }
        }
    }

    fn on_print(&mut self, record: &MarketRecord) -> Result<(), FixedError> {
        if record.price.0 <= 0 || record.qty.0 <= 0 {
            return Ok(());
        }
        let Some(at) = slot_of(record.instrument) else { return Ok(()) };
        for series in &mut self.series {
            let Some(slot) = series.slots.get_mut(at) else { continue };
            match slot {
                Slot::Excluded => continue,
                Slot::Open(bar) if record.ts_recv_ns < bar.end_ns => {
                    bar.volume = bar.volume.checked_add(record.qty)?;
                    bar.high = bar.high.max(record.price);
                    bar.low = bar.low.min(record.price);
                    bar.close = record.price;
                    continue;
                }
                Slot::Open(bar) => self.closed.push(*bar),
                Slot::Flat => {}
            }
            let bar = first_of(record, series.interval_ns);
            self.next_end_ns = self.next_end_ns.min(bar.end_ns);
            *slot = Slot::Open(bar);
        }
        Ok(())
    }

    fn on_bar_close(&mut self, record: &MarketRecord) {
        let interval_ns = if record.closes_session() { DAY_NS } else { record.bar_span_ns() };
        let built = self.series.iter_mut().find(|series| series.interval_ns == interval_ns);
        let slot = slot_of(record.instrument);
        if let Some(slot) = built.zip(slot).and_then(|(series, slot)| series.slots.get_mut(slot))
            && let Slot::Open(_) = slot
        {
            *slot = Slot::Flat;
        }
        self.closed.push(Bar {
            instrument: record.instrument,
            interval_ns,
            start_ns: record.ts_recv_ns.saturating_sub(interval_ns),
            end_ns: record.ts_recv_ns,
            open: record.open,
            high: record.high,
            low: record.low,
            close: record.price,
            volume: record.qty,
        });
        self.next_end_ns = self.next_end_ns.min(record.ts_recv_ns);
    }

    /// When the next bar can be drained, UTC nanoseconds; `None` if none is being built or waiting.
    #[inline]
    pub const fn next_end_ns(&self) -> Option<i64> {
        if self.next_end_ns == i64::MAX { None } else { Some(self.next_end_ns) }
    }

    /// Appends every bar that ended at or before `now_ns` to `out`, by (end, interval, instrument).
    #[inline]
    pub fn drain(&mut self, now_ns: i64, out: &mut Vec<Bar>) {
        if self.next_end_ns <= now_ns {
            self.drain_closed(now_ns, out);
        }
    }

    fn drain_closed(&mut self, now_ns: i64, out: &mut Vec<Bar>) {
        self.next_end_ns = i64::MAX;
        for series in &mut self.series {
            for slot in &mut series.slots {
                if let Slot::Open(bar) = *slot {
                    if bar.end_ns <= now_ns {
                        self.closed.push(bar);
                        *slot = Slot::Flat;
                    } else {
                        self.next_end_ns = self.next_end_ns.min(bar.end_ns);
                    }
                }
            }
        }
        // Stable, so that two recorded bars of one instant keep the order they came in.
        self.closed.sort_by_key(|bar| (bar.end_ns, bar.interval_ns, bar.instrument));
        let ended = self.closed.partition_point(|bar| bar.end_ns <= now_ns);
        out.extend(self.closed.drain(..ended));
        if let Some(bar) = self.closed.first() {
            self.next_end_ns = self.next_end_ns.min(bar.end_ns);
        }
    }
}

/// The bar that opens with a print.
fn first_of(print: &MarketRecord, interval_ns: i64) -> Bar {
    // The interval is positive, so the remainder exists and is not negative.
    let into_ns = print.ts_recv_ns.checked_rem_euclid(interval_ns).unwrap_or(0);
    let start_ns = print.ts_recv_ns.saturating_sub(into_ns);
    Bar {
        instrument: print.instrument,
        interval_ns,
        start_ns,
        end_ns: start_ns.saturating_add(interval_ns),
        open: print.price,
        high: print.price,
        low: print.price,
        close: print.price,
        volume: print.qty,
    }
}

fn slot_of(instrument: InstrumentId) -> Option<usize> {
    usize::try_from(instrument.0).ok()
}

#[cfg(test)]
#[path = "bars_tests.rs"]
mod tests;
