//! Moments at which the host wants to be called.

use std::collections::BTreeSet;

use crate::event::MarketRecord;
use crate::instrument::InstrumentId;

/// Timers by the instrument they are about.
#[derive(Debug)]
pub(super) struct Timers {
    /// Those of instruments that have shown a quote: due at their time.
    timed: BTreeSet<(i64, u32)>,
    /// Those of instruments that have not: due behind a record of their own.
    waiting: BTreeSet<(u32, i64)>,
    /// When those that have met their record are due.
    released: BTreeSet<i64>,
    has_quoted: Vec<bool>,
    /// The latest time that was pending when the data ended: nothing fires after it.
    horizon_ns: Option<i64>,
    is_closed: bool,
    /// Quotes stand beside made-up prints and say nothing of the time between them.
    prints_only: bool,
}

impl Timers {
    pub(super) fn new(instruments: usize) -> Self {
        Self {
            timed: BTreeSet::new(),
            waiting: BTreeSet::new(),
            released: BTreeSet::new(),
            has_quoted: vec![false; instruments],
            horizon_ns: None,
            is_closed: false,
            prints_only: false,
        }
    }

    /// Takes no quote for a market that goes on between two prints.
    pub(super) const fn wait_for_prints(&mut self) {
        self.prints_only = true;
    }

    fn has_quoted(&self, instrument: InstrumentId) -> bool {
        usize::try_from(instrument.0).ok().and_then(|at| self.has_quoted.get(at)).copied().unwrap_or(true)
    }

    pub(super) fn set(&mut self, instrument: InstrumentId, at_ns: i64) {
        if self.is_closed {
            return;
        }
        if self.horizon_ns.is_some() || self.has_quoted(instrument) {
            self.timed.insert((at_ns, instrument.0));
        } else {
            self.waiting.insert((instrument.0, at_ns));
        }
    }

    /// When the next one is due; at once if that is past.
    #[inline]
    pub(super) fn next_due_ns(&self) -> Option<i64> {
        let first = self.timed.first().map(|&(at_ns, _)| at_ns);
        let first = first.filter(|&at_ns| self.horizon_ns.is_none_or(|horizon_ns| at_ns <= horizon_ns));
        match (first, self.released.first().copied()) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }

    /// Takes away everything that is due by `now_ns`: one call stands for all of it.
    pub(super) fn fire(&mut self, now_ns: i64) {
        while self.timed.first().is_some_and(|&(at_ns, _)| at_ns <= now_ns) {
            self.timed.pop_first();
        }
        while self.released.first().is_some_and(|&at_ns| at_ns <= now_ns) {
            self.released.pop_first();
        }
    }

    /// A record at `now_ns` has been applied; what the venue says to it is known at `answered_ns`.
    #[inline]
    pub(super) fn on_record(&mut self, record: &MarketRecord, now_ns: i64, answered_ns: i64) {
        let is_quote = !self.prints_only && (record.bid.0 > 0 || record.ask.0 > 0);
        if is_quote
            && let Some(has_quoted) =
                usize::try_from(record.instrument.0).ok().and_then(|at| self.has_quoted.get_mut(at))
        {
            *has_quoted = true;
        }
        if !self.waiting.is_empty() {
            self.release(record.instrument.0, is_quote, now_ns, answered_ns);
        }
    }

    fn release(&mut self, instrument: u32, is_quote: bool, now_ns: i64, answered_ns: i64) {
        let until_ns = if is_quote { i64::MAX } else { now_ns };
        let met: Vec<i64> = self
            .waiting
            .range((instrument, i64::MIN)..=(instrument, until_ns))
            .map(|&(_, at_ns)| at_ns)
            .collect();
        for at_ns in met {
            self.waiting.remove(&(instrument, at_ns));
            if at_ns > now_ns {
                self.timed.insert((at_ns, instrument));
            } else {
                self.released.insert(answered_ns);
            }
        }
    }

    /// No record comes any more: there is nothing to wait for but time, and only up to the last one pending.
    pub(super) fn end_of_data(&mut self) {
        if self.horizon_ns.is_some() {
            return;
        }
        for (instrument, at_ns) in std::mem::take(&mut self.waiting) {
            self.timed.insert((at_ns, instrument));
        }
        self.horizon_ns = Some(self.timed.last().map_or(i64::MIN, |&(at_ns, _)| at_ns));
    }

    /// The session is closed: what has not fired will not.
    pub(super) fn close(&mut self) {
        self.is_closed = true;
        self.timed.clear();
        self.waiting.clear();
        self.released.clear();
    }
}
