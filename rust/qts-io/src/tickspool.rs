//! Every market record on its way to a store: blocks in a journal of their own, which somebody else empties.
//!
//! A [`TickTap`] takes records before any queue can drop them and hands blocks of them to a [`TickSpool`], which appends
//! them to its journal. Neither waits for the disk. What the journal cannot take at once waits in memory, up to a bound;
//! what does not fit there is lost, and counted: in [`Figures`], and in the first block that is written afterwards. What
//! has been written is read back in order, once it is durable, and goes when the reader has said that nobody needs it.
//!
//! The number of a record is made of the number of its block in the journal and its place in the block. So numbers rise
//! and never come twice, over restarts and retirement, without anybody keeping count.

mod reading;

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use qts_core::event::{MarketRecord, Side, TickKind};
use qts_core::instrument::InstrumentTable;
use qts_core::journal::RecordKind;
use qts_core::market::source::RecordLog;

use crate::clock::utc_ns;
use crate::journal::{Health, Journal, JournalConfig, JournalError, Retired, Tail};
use reading::Reading;

/// Bytes of a record in a block.
pub const RECORD_BYTES: usize = 72;
/// Bytes of a record as it is read: its number in front.
pub const READ_BYTES: usize = RECORD_BYTES + 8;
/// Names and numpy types of the fields of a record as it is read. Prices and sizes are integers in the scales of the
/// instrument, 0 where absent; `kind` is 0 for a quote and 1 for a trade; `side` is 1 for BUY, 2 for SELL, 0 if not told.
pub const FIELDS: [(&str, &str); 13] = [
    ("seq", "<i8"),
    ("ts_event_ns", "<i8"),
    ("ts_recv_ns", "<i8"),
    ("price", "<i8"),
    ("qty", "<i8"),
    ("bid", "<i8"),
    ("bid_qty", "<i8"),
    ("ask", "<i8"),
    ("ask_qty", "<i8"),
    ("instrument", "<u4"),
    ("kind", "u1"),
    ("side", "u1"),
    ("reserved", "<u2"),
];
/// Most records of a block.
pub const BLOCK_RECORDS: usize = 256;
/// Number of the table of symbols u64, records lost in front of the block u64.
const BLOCK_HEADER: usize = 16;
/// Bits of a record's number that are its place in the block.
const PLACE_BITS: u32 = 10;
const _: () = assert!(BLOCK_RECORDS <= 1 << PLACE_BITS);

/// How a spool is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpoolConfig {
    /// Most that its files may take up.
    pub quota_bytes: u64,
    /// Size of a file.
    pub segment_bytes: usize,
    /// Milliseconds until what has been written is durable, and can be read.
    pub group_ms: u32,
    /// Blocks that may wait in memory.
    pub pending_blocks: usize,
}

impl Default for SpoolConfig {
    fn default() -> Self {
        Self { quota_bytes: 8 << 30, segment_bytes: 64 << 20, group_ms: 20, pending_blocks: 1_024 }
    }
}

/// What became of the records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figures {
    /// Handed over so far, lost ones among them.
    pub taken: u64,
    /// Written to the journal.
    pub written: u64,
    /// Waiting in memory.
    pub pending: u64,
    /// Lost: they could not be written, and there was no room to wait.
    pub lost: u64,
    /// Bytes of the files, and how many they may have.
    pub bytes: (u64, u64),
    /// What keeps the spool from being written, if anything does.
    pub trouble: Option<String>,
}

/// What has been read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Records of [`READ_BYTES`] each.
    pub bytes: Vec<u8>,
    /// The table that their instruments are numbered in.
    pub table: u64,
    /// Number of the last record; that of the request if there is none.
    pub through_seq: u64,
    /// Records that were lost somewhere in front of these and behind those read before.
    pub lost: u64,
}

/// One row of a table of symbols: symbol, decimals of prices, decimals of quantities.
pub type SymbolRow = (String, u8, u8);

/// Blocks of market records in a directory of their own. Shared; one process at a time.
#[derive(Debug)]
pub struct TickSpool {
    journal: Journal,
    dir: PathBuf,
    pending: Mutex<Pending>,
    /// Something waits in memory: whatever comes has to wait behind it.
    is_behind: AtomicBool,
    pending_blocks: usize,
    taken: AtomicU64,
    written: AtomicU64,
    lost: AtomicU64,
    /// Lost, and not yet noted in a block.
    unnoted: AtomicU64,
    /// Nothing is taken: the disk is needed for other things.
    is_shut: AtomicBool,
    /// Waiting for the disk was in vain, and nothing has been written since.
    is_hopeless: AtomicBool,
    refused: Mutex<Option<String>>,
    /// And the number of the record that was read last.
    tail: Mutex<(Tail, u64)>,
}

#[derive(Debug, Default)]
struct Pending {
    blocks: VecDeque<Vec<u8>>,
    records: u64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn records_in(block: &[u8]) -> u64 {
    u64::try_from(block.len().saturating_sub(BLOCK_HEADER) / RECORD_BYTES).unwrap_or(u64::MAX)
}

const fn block_of(seq: u64) -> u64 {
    seq >> PLACE_BITS
}

impl TickSpool {
    /// Opens or makes the spool in `dir` and repairs what a crash left behind.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn open(dir: impl AsRef<Path>, config: SpoolConfig) -> Result<Self, JournalError> {
        let dir = dir.as_ref().to_owned();
        let settings = JournalConfig {
            segment_bytes: config.segment_bytes,
            group_records: 4_096,
            group_ms: config.group_ms,
            quota_bytes: config.quota_bytes,
            keep_days: 0,
            keep_from: 0,
            sync: true,
        };
        let (journal, _) = Journal::open(&dir, settings, Box::new(utc_ns))?;
        Ok(Self {
            journal,
            tail: Mutex::new((Tail::new(&dir, 1), 0)),
            dir,
            pending: Mutex::default(),
            is_behind: AtomicBool::new(false),
            pending_blocks: config.pending_blocks,
            taken: AtomicU64::new(0),
            written: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            unnoted: AtomicU64::new(0),
            is_shut: AtomicBool::new(false),
            is_hopeless: AtomicBool::new(false),
            refused: Mutex::default(),
        })
    }

    /// A tap for records whose instruments are numbered in `instruments`. The table is durable in the spool's directory
    /// when this returns.
    ///
    /// # Errors
    /// [`JournalError`] if the table cannot be written.
    pub fn tap(self: &Arc<Self>, instruments: &InstrumentTable) -> Result<TickTap, JournalError> {
        let rows = instruments
            .iter()
            .map(|(_, one)| (one.symbol().to_owned(), one.price_scale().get(), one.qty_scale().get()));
        self.tap_of(&rows.collect::<Vec<_>>())
    }

    /// As [`Self::tap`], with the rows of the table.
    ///
    /// # Errors
    /// As [`Self::tap`].
    pub fn tap_of(self: &Arc<Self>, rows: &[SymbolRow]) -> Result<TickTap, JournalError> {
        let table = self.keep_table(rows)?;
        Ok(TickTap { spool: Arc::clone(self), table, block: Vec::new(), is_patient: false })
    }

    /// Notes a table of symbols and returns its number: the same for the same rows.
    ///
    /// # Errors
    /// [`JournalError`] if it cannot be written.
    pub fn keep_table(&self, rows: &[SymbolRow]) -> Result<u64, JournalError> {
        let is_plain =
            |symbol: &str| (1..=20).contains(&symbol.chars().count()) && !symbol.contains(char::is_control);
        if let Some((symbol, ..)) = rows.iter().find(|(symbol, ..)| !is_plain(symbol)) {
            return Err(JournalError::Foreign {
                path: self.dir.clone(),
                found: format!("the symbol {symbol:?}"),
                expected: "symbols of 1 to 20 characters without tabs and line feeds",
            });
        }
        let text = rows.iter().fold(String::new(), |mut text, (symbol, price, qty)| {
            // Text grows without errors.
            _ = writeln!(text, "{symbol}\t{price}\t{qty}");
            text
        });
        let number = table_number(&text);
        let path = self.table_path(number);
        if !path.exists() {
            self.write_table(&path, &text).map_err(JournalError::io("write", &path))?;
        }
        Ok(number)
    }

    fn write_table(&self, path: &Path, text: &str) -> std::io::Result<()> {
        let temporary = path.with_extension("new");
        let mut file = File::create(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        File::open(&self.dir)?.sync_all()
    }

    fn table_path(&self, number: u64) -> PathBuf {
        self.dir.join(format!("symbols-{number:016x}.tsv"))
    }

    /// The table of that number.
    ///
    /// # Errors
    /// [`JournalError::Foreign`] if it is not what was noted, [`JournalError::Io`] if it cannot be read.
    pub fn table(&self, number: u64) -> Result<Vec<SymbolRow>, JournalError> {
        let path = self.table_path(number);
        let text = fs::read_to_string(&path).map_err(JournalError::io("read", &path))?;
        let row = |line: &str| {
            let mut cells = line.split('\t');
            let row = (cells.next()?.to_owned(), cells.next()?.parse().ok()?, cells.next()?.parse().ok()?);
            cells.next().is_none().then_some(row)
        };
        let rows: Option<Vec<SymbolRow>> = text.lines().map(row).collect();
        rows.filter(|_| table_number(&text) == number).ok_or_else(|| JournalError::Foreign {
            path,
            found: "a table of symbols that has been changed".to_owned(),
            expected: "the table that blocks of the spool refer to",
        })
    }

    /// Writes a block, or has it wait, or counts it as lost. Waits for the disk only for whoever is patient, and only as
    /// long as that helps.
    fn put(&self, block: &mut Vec<u8>, is_patient: bool) {
        let records = records_in(block);
        self.taken.fetch_add(records, Ordering::Relaxed);
        if self.is_shut.load(Ordering::Relaxed) {
            self.lost.fetch_add(records, Ordering::Relaxed);
            self.unnoted.fetch_add(records, Ordering::AcqRel);
            block.clear();
            return;
        }
        // What was lost is noted in the first block behind the gap.
        let lost = self.unnoted.swap(0, Ordering::AcqRel);
        if let Some(cell) = block.get_mut(8..BLOCK_HEADER) {
            cell.copy_from_slice(&lost.to_le_bytes());
        }
        if !self.is_behind.load(Ordering::Acquire) && self.write(block) {
            block.clear();
            return;
        }
        let mut pending = lock(&self.pending);
        self.relieve(&mut pending);
        if pending.blocks.is_empty() && self.write(block) {
            block.clear();
        } else if pending.blocks.len() < self.pending_blocks || is_patient && self.wait(&mut pending) {
            pending.blocks.push_back(std::mem::take(block));
            pending.records = pending.records.saturating_add(records);
            self.is_behind.store(true, Ordering::Release);
        } else {
            self.lost.fetch_add(records, Ordering::Relaxed);
            self.unnoted.fetch_add(lost.saturating_add(records), Ordering::AcqRel);
            block.clear();
        }
    }

    /// Writes what waits, as far as that goes without waiting.
    fn relieve(&self, pending: &mut Pending) {
        while let Some(block) = pending.blocks.front() {
            if !self.write(block) {
                return;
            }
            pending.records = pending.records.saturating_sub(records_in(block));
            pending.blocks.pop_front();
        }
        self.is_behind.store(false, Ordering::Release);
    }

    /// Writes the block that has waited longest, as soon as the disk lets it; whether that was done.
    #[cold]
    fn wait(&self, pending: &mut Pending) -> bool {
        let Some(block) = pending.blocks.front() else { return true };
        if self.is_hopeless.load(Ordering::Relaxed) {
            return false;
        }
        if let Err(error) = self.journal.append(RecordKind::Ticks, block) {
            *lock(&self.refused) = Some(error.to_string());
            self.is_hopeless.store(true, Ordering::Relaxed);
            return false;
        }
        let records = records_in(block);
        self.written.fetch_add(records, Ordering::Relaxed);
        pending.records = pending.records.saturating_sub(records);
        pending.blocks.pop_front();
        true
    }

    /// Appends a block if that goes at once.
    #[inline]
    fn write(&self, block: &[u8]) -> bool {
        match self.journal.append_now(RecordKind::Ticks, block) {
            Ok(Some(_)) => {
                self.written.fetch_add(records_in(block), Ordering::Relaxed);
                self.is_hopeless.store(false, Ordering::Relaxed);
                true
            }
            Ok(None) => false,
            Err(error) => {
                *lock(&self.refused) = Some(error.to_string());
                false
            }
        }
    }

    /// Takes nothing any more, or takes records again. What comes meanwhile is counted as lost.
    pub fn shut(&self, is_shut: bool) {
        self.is_shut.store(is_shut, Ordering::Relaxed);
    }

    /// Tries again to write what waits in memory.
    pub fn flush(&self) {
        if self.is_behind.load(Ordering::Acquire) {
            self.relieve(&mut lock(&self.pending));
        }
    }

    /// Appends whole records as another process or another language has made them, without the number in front.
    ///
    /// # Errors
    /// [`JournalError::TooLong`] if the bytes are no whole records.
    pub fn append(&self, table: u64, bytes: &[u8]) -> Result<(), JournalError> {
        let (records, rest) = bytes.as_chunks::<RECORD_BYTES>();
        if !rest.is_empty() {
            return Err(JournalError::TooLong { found: rest.len(), limit: 0 });
        }
        let mut block = Vec::new();
        for records in records.chunks(BLOCK_RECORDS) {
            begin(&mut block, table);
            block.extend_from_slice(records.as_flattened());
            self.put(&mut block, false);
        }
        Ok(())
    }

    /// Reads up to `most` durable records behind `after_seq`, of one table of symbols. Tries first to write what waits in
    /// memory.
    ///
    /// # Errors
    /// [`JournalError`] if a file cannot be read or is damaged.
    pub fn read(&self, after_seq: u64, most: usize) -> Result<Batch, JournalError> {
        self.flush();
        let durable = self.journal.durable_seq();
        let mut tail = lock(&self.tail);
        let (tail, at) = &mut *tail;
        // Where the last call ended, unless it is not the same reader.
        if *at != after_seq {
            *tail = Tail::new(&self.dir, block_of(after_seq).max(1));
        }
        let mut reading =
            Reading { batch: Batch { through_seq: after_seq, ..Batch::default() }, most, is_full: false };
        while !reading.is_full && tail.advance(durable, |record| reading.take(record))? {}
        *at = reading.batch.through_seq;
        Ok(reading.batch)
    }

    /// Number of the last record that may have been written; those to come are above it.
    pub fn last_seq(&self) -> u64 {
        (self.journal.last_seq().saturating_add(1) << PLACE_BITS).saturating_sub(1)
    }

    /// Records of the journal that have been written and are not durable yet.
    pub fn lag(&self) -> u64 {
        self.journal.lag()
    }

    /// Says that records up to this one are kept elsewhere.
    pub fn keep_behind(&self, seq: u64) {
        self.journal.keep_from(block_of(seq));
    }

    /// Removes files in which nothing is needed any more.
    ///
    /// # Errors
    /// As [`Journal::retire`].
    pub fn retire(&self) -> Result<Retired, JournalError> {
        self.journal.retire()
    }

    /// What became of the records.
    pub fn figures(&self) -> Figures {
        let pending = lock(&self.pending).records;
        let usage = self.journal.usage();
        let failed = match self.journal.health() {
            Health::Good => None,
            Health::Failed(failure) => Some(failure.to_string()),
        };
        let stuck = || if pending > 0 { self.journal.obstacle() } else { None };
        Figures {
            taken: self.taken.load(Ordering::Relaxed),
            written: self.written.load(Ordering::Relaxed),
            pending,
            lost: self.lost.load(Ordering::Relaxed),
            bytes: (usage.used, usage.quota),
            trouble: failed.or_else(stuck).or_else(|| lock(&self.refused).clone().filter(|_| pending > 0)),
        }
    }

    /// Writes what can be written and ends the spool.
    ///
    /// # Errors
    /// [`JournalError`] if it could not be synced.
    pub fn close(&self) -> Result<(), JournalError> {
        let mut pending = lock(&self.pending);
        // Nobody is kept from trading any more: wait for the disk as long as the journal does.
        while let Some(block) = pending.blocks.front() {
            if self.journal.append(RecordKind::Ticks, block).is_err() {
                break;
            }
            let records = records_in(block);
            self.written.fetch_add(records, Ordering::Relaxed);
            pending.records = pending.records.saturating_sub(records);
            pending.blocks.pop_front();
        }
        let left = pending.records;
        pending.blocks.clear();
        pending.records = 0;
        self.lost.fetch_add(left, Ordering::Relaxed);
        drop(pending);
        self.journal.close()
    }
}

/// Puts the header of a block without records.
fn begin(block: &mut Vec<u8>, table: u64) {
    block.reserve(BLOCK_HEADER + BLOCK_RECORDS * RECORD_BYTES);
    block.extend_from_slice(&table.to_le_bytes());
    block.extend_from_slice(&[0; 8]);
}

/// FNV-1a: names a table by what is in it.
fn table_number(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Takes records and hands blocks of them to its spool. Bars are no ticks and are passed over.
#[derive(Debug)]
pub struct TickTap {
    spool: Arc<TickSpool>,
    table: u64,
    block: Vec<u8>,
    is_patient: bool,
}

impl TickTap {
    /// Waits for the disk rather than lose a record while the disk keeps up at all: for time that is simulated.
    #[must_use]
    pub const fn patient(mut self) -> Self {
        self.is_patient = true;
        self
    }
}

impl RecordLog for TickTap {
    #[inline]
    fn put(&mut self, record: &MarketRecord) {
        if record.kind == TickKind::BarClose {
            return;
        }
        if self.block.is_empty() {
            begin(&mut self.block, self.table);
        }
        self.block.extend_from_slice(&encode(record));
        if self.block.len() >= BLOCK_HEADER + BLOCK_RECORDS * RECORD_BYTES {
            self.spool.put(&mut self.block, self.is_patient);
        }
    }

    fn flush(&mut self) {
        if !self.block.is_empty() {
            self.spool.put(&mut self.block, self.is_patient);
        }
        self.spool.flush();
    }
}

impl Drop for TickTap {
    fn drop(&mut self) {
        self.flush();
    }
}

#[inline]
fn encode(record: &MarketRecord) -> [u8; RECORD_BYTES] {
    let side = match record.aggressor {
        None => 0,
        Some(Side::Buy) => 1,
        Some(Side::Sell) => 2,
    };
    // A file of ticks knows an auction as a trade without a side, and so does the store.
    let kind = u64::from(record.kind != TickKind::Quote);
    let last = u64::from(record.instrument.0) | kind << 32 | side << 40;
    let words = [
        record.ts_event_ns,
        record.ts_recv_ns,
        record.price.0,
        record.qty.0,
        record.bid.0,
        record.bid_qty.0,
        record.ask.0,
        record.ask_qty.0,
        last.cast_signed(),
    ];
    let mut bytes = [0; RECORD_BYTES];
    let (cells, _) = bytes.as_chunks_mut::<8>();
    for (cell, word) in cells.iter_mut().zip(words) {
        *cell = word.to_le_bytes();
    }
    bytes
}

#[cfg(test)]
mod tests;
