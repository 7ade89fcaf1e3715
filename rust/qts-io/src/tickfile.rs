//! Tick files.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use qts_core::event::MarketRecord;
use qts_core::instrument::InstrumentTable;
use qts_core::market::source::{MarketSource, SourceError};
use qts_core::wire::csv::TickParser;

use crate::batch::{Batch, Delivery, FillBatch};
use crate::lines::Lines;
use crate::stats::FeedStats;
use crate::text::{fault, open};

/// Blocks that may wait between the reader thread and the taker.
const BATCHES_WAITING: usize = 4;

/// Rows of tick text as blocks of records.
struct TickRows<R: Read> {
    lines: Lines<R>,
    parser: TickParser,
    skip_bad_rows: bool,
    seen_rows: bool,
}

impl<R: Read> TickRows<R> {
    /// Reads and checks the header.
    fn new(
        path: &str,
        input: R,
        instruments: &InstrumentTable,
        skip_bad_rows: bool,
    ) -> Result<Self, SourceError> {
        let mut lines = Lines::new(path.to_owned(), input)?;
        read_header(&mut lines, TickParser::check_header)?;
        Ok(Self { lines, parser: TickParser::new(instruments), skip_bad_rows, seen_rows: false })
    }

    fn fill_rows(&mut self, batch: &mut Batch) -> Result<(), SourceError> {
        while !batch.is_full() {
            let Some(line) = self.lines.next()? else {
                batch.end = Some(Ok(()));
                return if self.seen_rows { Ok(()) } else { Err(no_rows(&self.lines)) };
            };
            let text = self.lines.get(&line);
            if is_blank(text) {
                continue;
            }
            self.seen_rows = true;
            match self.parser.parse_line(text) {
                Ok(record) => batch.records.push(record),
                Err(error) => {
                    let error = error.at(self.lines.path(), self.lines.line());
                    if !self.skip_bad_rows {
                        return Err(error);
                    }
                    batch.skip_row(error);
                }
            }
        }
        Ok(())
    }
}

impl<R: Read> FillBatch for TickRows<R> {
    fn fill(&mut self, batch: &mut Batch) {
        if let Err(error) = self.fill_rows(batch) {
            batch.end = Some(Err(error));
        }
    }
}

/// Reads the first line and has it checked.
pub(crate) fn read_header<R: Read, T>(
    lines: &mut Lines<R>,
    check: impl FnOnce(&[u8]) -> Result<T, qts_core::wire::csv::RowError>,
) -> Result<T, SourceError> {
    let Some(line) = lines.next()? else {
        return Err(fault(lines.path(), 0, "an empty file", "a header and at least one row"));
    };
    let text = lines.get(&line);
    check(text).map_err(|error| {
        let error = error.at(lines.path(), 1);
        let is_text = std::str::from_utf8(text).is_ok_and(|text| !text.trim_end().contains(char::is_control));
        if is_text {
            return error;
        }
        let expected = format!("gzip data or {}", error.expected);
        fault(lines.path(), 0, "data that is neither gzip nor text", &expected)
    })
}

pub(crate) fn no_rows<R: Read>(lines: &Lines<R>) -> SourceError {
    fault(lines.path(), lines.line(), "a header and nothing else", "at least one row")
}

/// An empty line says nothing, mostly at the end of a file.
pub(crate) fn is_blank(line: &[u8]) -> bool {
    matches!(line, b"" | b"\r")
}

/// Ticks from any stream of text, read on the caller's thread; plain or gzip.
pub struct TickReader<R: Read> {
    rows: TickRows<R>,
    delivery: Delivery,
}

impl<R: Read> TickReader<R> {
    /// Ticks of the `instruments` from `input`, which is called `name` in errors. Reads the header at once.
    ///
    /// Bad rows are an error, or with `skip_bad_rows` left out and counted; a bad header or damaged data is always an
    /// error.
    ///
    /// # Errors
    /// [`SourceError`] if there is no header or a wrong one.
    pub fn new(
        name: &str,
        input: R,
        instruments: &InstrumentTable,
        skip_bad_rows: bool,
    ) -> Result<Self, SourceError> {
        let rows = TickRows::new(name, input, instruments, skip_bad_rows)?;
        Ok(Self { rows, delivery: Delivery::new(name.to_owned()) })
    }

    /// What has been delivered; stays valid when the source is given away.
    pub fn stats(&self) -> Arc<FeedStats> {
        self.delivery.stats()
    }
}

impl<R: Read> MarketSource for TickReader<R> {
    #[inline]
    fn next(&mut self) -> Result<Option<MarketRecord>, SourceError> {
        loop {
            if let Some(record) = self.delivery.next(|_| true) {
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

/// A tick file, plain or gzip, read ahead by a thread of its own.
///
/// Records before a fault are delivered before the fault is told. Dropping the file stops the thread and waits for
/// its end.
pub struct TickFile {
    delivery: Delivery,
    reader: Reader,
}

impl TickFile {
    /// Opens `path`, checks its header and starts reading.
    ///
    /// Bad rows are an error, or with `skip_bad_rows` left out and counted; a bad header or damaged data is always an
    /// error.
    ///
    /// # Errors
    /// [`SourceError`] if the file cannot be opened, is a directory, is empty, or has a wrong header.
    pub fn open(
        path: impl AsRef<Path>,
        instruments: &InstrumentTable,
        skip_bad_rows: bool,
    ) -> Result<Self, SourceError> {
        Self::read(&path.as_ref().to_string_lossy(), open(path.as_ref())?, instruments, skip_bad_rows)
    }

    pub(crate) fn read(
        name: &str,
        input: impl Read + Send + 'static,
        instruments: &InstrumentTable,
        skip_bad_rows: bool,
    ) -> Result<Self, SourceError> {
        let rows = TickRows::new(name, input, instruments, skip_bad_rows)?;
        let reader = Reader::start(name, rows)?;
        Ok(Self { delivery: Delivery::new(name.to_owned()), reader })
    }

    /// What has been delivered; stays valid when the source is given away.
    pub fn stats(&self) -> Arc<FeedStats> {
        self.delivery.stats()
    }
}

impl MarketSource for TickFile {
    #[inline]
    fn next(&mut self) -> Result<Option<MarketRecord>, SourceError> {
        loop {
            if let Some(record) = self.delivery.next(|_| true) {
                return Ok(Some(record));
            }
            if let Some(end) = self.delivery.take_end() {
                return end.map(|()| None);
            }
            let path = self.delivery.stats();
            self.delivery.renew(|used| self.reader.exchange(used, path.path()));
        }
    }
}

/// The thread behind a [`TickFile`], and the way to it and back.
struct Reader {
    /// `None` only while being dropped.
    full: Option<Receiver<Batch>>,
    /// Used blocks go back, so that a long file needs no more memory than a short one.
    used: SyncSender<Batch>,
    thread: Option<JoinHandle<()>>,
}

impl Reader {
    fn start<R: Read + Send + 'static>(path: &str, mut rows: TickRows<R>) -> Result<Self, SourceError> {
        let (to_taker, full) = sync_channel(BATCHES_WAITING);
        let (used, from_taker) = sync_channel::<Batch>(BATCHES_WAITING);
        let read = move || {
            loop {
                let mut batch = from_taker.try_recv().unwrap_or_else(|_| Batch::new());
                batch.clear();
                rows.fill(&mut batch);
                let is_last = batch.end.is_some();
                // A taker that has gone is no error: the file was dropped.
                if to_taker.send(batch).is_err() || is_last {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name("qts-tick-file".to_owned()).spawn(read);
        let thread = thread.map_err(|error| fault(path, 0, &error.to_string(), "a thread to read with"))?;
        Ok(Self { full: Some(full), used, thread: Some(thread) })
    }

    /// Waits for the next block and gives the used one back.
    fn exchange(&mut self, batch: Batch, path: &str) -> Batch {
        // A full way back means that enough blocks are in use; this one is then freed.
        let _ = self.used.try_send(batch);
        let next = self.full.as_ref().and_then(|full| full.recv().ok());
        next.unwrap_or_else(|| Batch {
            // Only a reader that broke off leaves without a last block.
            end: Some(Err(fault(path, 0, "a reader that stopped before the end", "the rest of the file"))),
            ..Batch::default()
        })
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // Closing the channel first ends a thread that waits for room in it.
        drop(self.full.take());
        if let Some(thread) = self.thread.take() {
            // What the thread had to say went through the channel.
            let _ = thread.join();
        }
    }
}

impl<R: Read> std::fmt::Debug for TickReader<R> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("TickReader").field("path", &self.rows.lines.path()).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for TickFile {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("TickFile").field("path", &self.delivery.stats().path()).finish_non_exhaustive()
    }
}
