//! Where market records come from: the one interface of files, generators and feeds, and their merger.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::fmt;

use thiserror::Error;

use crate::event::MarketRecord;

/// A stream of market records in order of receive time.
pub trait MarketSource {
    /// The next record, or `None` at the end. May block while data is on its way.
    ///
    /// # Errors
    /// [`SourceError`] once every record before the fault has been delivered; the source has ended then.
    fn next(&mut self) -> Result<Option<MarketRecord>, SourceError>;
}

impl<S: MarketSource + ?Sized> MarketSource for Box<S> {
    fn next(&mut self) -> Result<Option<MarketRecord>, SourceError> {
        (**self).next()
    }
}

/// Somebody who keeps every market record, told before anything else is done with it.
pub trait RecordLog {
    /// Takes a record. Must not wait: what cannot be kept is counted by whoever keeps it.
    fn put(&mut self, record: &MarketRecord);

    /// Hands on what has been gathered so far.
    fn flush(&mut self);
}

/// What is wrong with the data of a source, and where.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct SourceError {
    /// File, or name of the source.
    pub path: String,
    /// Line in the file, from 1; 0 where no line is at fault.
    pub line: u64,
    /// Column at fault, if it is one column.
    pub column: Option<&'static str>,
    /// What was found.
    pub found: String,
    /// What was expected instead.
    pub expected: String,
}

impl fmt::Display for SourceError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: ", self.path)?;
        match (self.line, self.column) {
            (0, _) => {}
            (line, None) => write!(out, "line {line}: ")?,
            (line, Some(column)) => write!(out, "line {line}, column {column}: ")?,
        }
        write!(out, "found {}; expected {}", self.found, self.expected)
    }
}

/// Several sources as one, in order of receive time; at one time the source named first comes first.
///
/// Each source must itself be in order of receive time. Memory is one record per source. The first error ends the
/// merged source, after every record that precedes it has been delivered.
pub struct MergedSource {
    sources: Vec<Box<dyn MarketSource + Send>>,
    /// The record each source offers next, by source number.
    heads: Vec<Option<MarketRecord>>,
    /// Receive time and number of every source that offers a record.
    order: BinaryHeap<Reverse<(i64, usize)>>,
    /// A source is asked for more only when its last record has been handed out: that is how the records before a
    /// fault come out first.
    stale: Stale,
}

#[derive(Debug, Clone, Copy)]
enum Stale {
    /// Nothing has been read yet.
    All,
    /// The source on top of the order has handed out its record.
    Top,
    /// An error or the end has been reported.
    Ended,
}

impl MergedSource {
    /// The merger of `sources`; reads nothing yet.
    pub fn new(sources: Vec<Box<dyn MarketSource + Send>>) -> Self {
        Self {
            heads: vec![None; sources.len()],
            order: BinaryHeap::with_capacity(sources.len()),
            sources,
            stale: Stale::All,
        }
    }

    fn refill(&mut self) -> Result<(), SourceError> {
        match self.stale {
            Stale::All => {
                for (number, source) in self.sources.iter_mut().enumerate() {
                    if let Some(record) = source.next()? {
                        self.order.push(Reverse((record.ts_recv_ns, number)));
                        if let Some(head) = self.heads.get_mut(number) {
                            *head = Some(record);
                        }
                    }
                }
                self.stale = Stale::Top;
            }
            Stale::Top => {
                let Some(mut top) = self.order.peek_mut() else { return Ok(()) };
                let number = top.0.1;
                let next = match self.sources.get_mut(number) {
                    Some(source) => source.next()?,
                    None => None,
                };
                match &next {
                    // Changing the top in place costs one sift instead of a pop and a push.
                    Some(record) => top.0.0 = record.ts_recv_ns,
                    None => drop(PeekMut::pop(top)),
                }
                if let Some(head) = self.heads.get_mut(number) {
                    *head = next;
                }
            }
            Stale::Ended => {}
        }
        Ok(())
    }

    fn end(&mut self) {
        self.order.clear();
        self.stale = Stale::Ended;
    }
}

impl MarketSource for MergedSource {
    fn next(&mut self) -> Result<Option<MarketRecord>, SourceError> {
        if let [only] = self.sources.as_mut_slice() {
            if matches!(self.stale, Stale::Ended) {
                return Ok(None);
            }
            let next = only.next();
            if !matches!(next, Ok(Some(_))) {
                self.end();
            }
            return next;
        }
        if let Err(error) = self.refill() {
            self.end();
            return Err(error);
        }
        let Some(&Reverse((_, number))) = self.order.peek() else { return Ok(None) };
        Ok(self.heads.get(number).copied().flatten())
    }
}

impl fmt::Debug for MergedSource {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("MergedSource").field("sources", &self.sources.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instrument::InstrumentId;

    struct Script {
        records: std::vec::IntoIter<MarketRecord>,
        fault: Option<SourceError>,
    }

    impl MarketSource for Script {
        fn next(&mut self) -> Result<Option<MarketRecord>, SourceError> {
            match self.records.next() {
                Some(record) => Ok(Some(record)),
                None => self.fault.take().map_or(Ok(None), Err),
            }
        }
    }

    fn fault() -> SourceError {
        SourceError {
            path: "ticks.csv".to_owned(),
            line: 7,
            column: Some("price"),
            found: "\"7x\"".to_owned(),
            expected: "a price".to_owned(),
        }
    }

    fn script(instrument: u32, times: &[i64], fault: Option<SourceError>) -> Box<dyn MarketSource + Send> {
        let records: Vec<MarketRecord> = times
            .iter()
            .map(|&ts_recv_ns| MarketRecord {
                ts_recv_ns,
                instrument: InstrumentId(instrument),
                ..MarketRecord::default()
            })
            .collect();
        Box::new(Script { records: records.into_iter(), fault })
    }

    fn drain(merged: &mut MergedSource) -> (Vec<(i64, u32)>, Option<SourceError>) {
        let mut seen = Vec::new();
        loop {
            match merged.next() {
                Ok(Some(record)) => seen.push((record.ts_recv_ns, record.instrument.0)),
                Ok(None) => return (seen, None),
                Err(error) => return (seen, Some(error)),
            }
        }
    }

    #[test]
    fn records_come_out_by_time_and_then_by_source() {
        let mut merged = MergedSource::new(vec![
            script(0, &[1, 5, 5, 9], None),
            script(1, &[], None),
            script(2, &[1, 4, 5, 12, 13], None),
        ]);
        let (seen, error) = drain(&mut merged);
        assert_eq!(seen, [(1, 0), (1, 2), (4, 2), (5, 0), (5, 0), (5, 2), (9, 0), (12, 2), (13, 2)]);
        assert_eq!(error, None);
        assert_eq!(merged.next(), Ok(None), "stays at its end");
    }

    #[test]
    fn without_sources_there_is_nothing_and_one_source_passes_through() {
        assert_eq!(drain(&mut MergedSource::new(Vec::new())), (Vec::new(), None));
        let mut merged = MergedSource::new(vec![script(3, &[2, 4], Some(fault()))]);
        assert_eq!(drain(&mut merged), (vec![(2, 3), (4, 3)], Some(fault())));
        assert_eq!(merged.next(), Ok(None));
    }

    #[test]
    fn a_fault_comes_after_every_record_before_it_and_ends_the_run() {
        let mut merged =
            MergedSource::new(vec![script(0, &[1, 3, 8], None), script(1, &[2, 4], Some(fault()))]);
        assert_eq!(drain(&mut merged), (vec![(1, 0), (2, 1), (3, 0), (4, 1)], Some(fault())));
        assert_eq!(merged.next(), Ok(None));
    }

    #[test]
    fn an_error_reads_as_one_line() {
        let mut error = fault();
        assert_eq!(error.to_string(), "ticks.csv: line 7, column price: found \"7x\"; expected a price");
        error.column = None;
        assert_eq!(error.to_string(), "ticks.csv: line 7: found \"7x\"; expected a price");
        error.line = 0;
        assert_eq!(error.to_string(), "ticks.csv: found \"7x\"; expected a price");
    }
}
