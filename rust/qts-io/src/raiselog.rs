//! What raised the safety word, on disk before Python has heard of it: a raise outlives a process that is killed while
//! Python hangs.
//!
//! A header of 64 bytes, then records of 64 bytes, little-endian, none across a sector:
//!
//! | Bytes | Content |
//! |---|---|
//! | 0–3 | CRC32C of the rest |
//! | 4, 5 | state before, state after |
//! | 6–7 | zero |
//! | 8–15 | number of the raise; higher in each record |
//! | 16–23 | nanoseconds of whoever raised it |
//! | 24–31 | UTC nanoseconds when it was written |
//! | 32–39 | flags that were set with it |
//! | 40–55 | code, filled up with zeros |
//! | 56–63 | zero |
//!
//! One thread writes. It sleeps until there is a raise, and empties the file once Python has recorded all that is in it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use qts_core::clock::Clock;
use qts_core::safety::codes::{self, FS063};
use qts_core::safety::{Flags, Raise, SafetyWord, State};

use crate::clock::{HostClock, utc_ns};

const RECORD_BYTES: usize = 64;
const HEADER: &[u8; RECORD_BYTES] = b"qts raises 1\n\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// A raise as it stands in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// The raise.
    pub raise: Raise,
    /// UTC nanoseconds when it was written.
    pub wall_ns: i64,
}

/// Why a log cannot be opened or used.
#[derive(Debug, thiserror::Error)]
pub enum RaiseLogError {
    /// The disk.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is not what was written.
    #[error("record {record}: found {found}; expected what was written")]
    Damaged {
        /// Number of the record in the file, from 1; 0 is the header.
        record: usize,
        /// What is there.
        found: &'static str,
    },
    /// Another log has the word, or this one has a word.
    #[error("the word or the log is taken; expected one log for each word")]
    Taken,
}

/// The log of the raises of one word.
#[derive(Debug)]
pub struct RaiseLog {
    shared: Arc<Shared>,
    left: Vec<Written>,
    cut_bytes: usize,
    scribe: Mutex<Option<(Arc<SafetyWord>, JoinHandle<()>)>>,
}

#[derive(Debug)]
struct Shared {
    file: File,
    /// Number up to which Python has recorded raises.
    heard: AtomicU64,
    /// How often the scribe was asked to look again.
    asked: AtomicU64,
    is_failing: AtomicBool,
    is_over: AtomicBool,
}

impl RaiseLog {
    /// Opens a log, or begins one, and reads what is in it. A record that was not written to its end is cut.
    ///
    /// # Errors
    /// [`RaiseLogError::Damaged`] if it is not what was written; [`RaiseLogError::Io`].
    pub fn open(path: &Path) -> Result<Self, RaiseLogError> {
        let file = match OpenOptions::new().read(true).write(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => begin(path)?,
            other => other?,
        };
        let bytes = fs::read(path)?;
        let (left, cut_bytes) = read(&bytes)?;
        if cut_bytes > 0 {
            file.set_len(bytes.len().saturating_sub(cut_bytes) as u64)?;
            file.sync_all()?;
        }
        let shared = Shared {
            file,
            heard: AtomicU64::new(0),
            asked: AtomicU64::new(0),
            is_failing: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
        };
        Ok(Self { shared: Arc::new(shared), left, cut_bytes, scribe: Mutex::new(None) })
    }

    /// What was in it when it was opened, oldest first.
    pub fn left(&self) -> &[Written] {
        &self.left
    }

    /// Bytes of a record that was not written to its end: there was a raise that nobody knows.
    pub const fn cut_bytes(&self) -> usize {
        self.cut_bytes
    }

    /// Writes every raise of `word` from now on, on a thread of its own. Their numbers are above `heard`, up to which
    /// everything is recorded elsewhere, and above those in the log.
    ///
    /// # Errors
    /// [`RaiseLogError::Taken`], or the system refuses a thread.
    pub fn attach(&self, word: &Arc<SafetyWord>, heard: u64) -> Result<(), RaiseLogError> {
        let mut scribe = self.scribe.lock().unwrap_or_else(PoisonError::into_inner);
        let last = self.left.last().map_or(0, |written| written.raise.seq);
        if scribe.is_some() || !word.attach_scribe(last.max(heard)) {
            return Err(RaiseLogError::Taken);
        }
        self.shared.heard.store(heard, Ordering::Release);
        let writer = Writer {
            shared: Arc::clone(&self.shared),
            word: Arc::clone(word),
            records: self.left.len(),
            last_written: last,
        };
        match thread::Builder::new().name("qts-raises".to_owned()).spawn(|| writer.run()) {
            Ok(thread) => *scribe = Some((Arc::clone(word), thread)),
            Err(error) => {
                word.detach_scribe();
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// Says that the raises up to that number are recorded elsewhere for good: they need not be here any more.
    pub fn acknowledge(&self, through: u64) {
        let before = self.shared.heard.fetch_max(through, Ordering::AcqRel);
        if before < through || self.shared.is_failing.load(Ordering::Acquire) {
            self.look_again();
        }
    }

    /// Writes what is left to write and ends the thread. Blocks for a sync of the disk.
    pub fn close(&self) {
        self.shared.is_over.store(true, Ordering::Release);
        self.look_again();
        let scribe = self.scribe.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((word, thread)) = scribe {
            word.wake_scribe();
            // A thread that has panicked is as much at its end as any other.
            drop(thread.join());
            word.detach_scribe();
        }
    }

    fn look_again(&self) {
        self.shared.asked.fetch_add(1, Ordering::AcqRel);
        if let Some((word, _)) = &*self.scribe.lock().unwrap_or_else(PoisonError::into_inner) {
            word.wake_scribe();
        }
    }
}

impl Drop for RaiseLog {
    fn drop(&mut self) {
        self.close();
    }
}

struct Writer {
    shared: Arc<Shared>,
    word: Arc<SafetyWord>,
    /// In the file.
    records: usize,
    last_written: u64,
}

impl Writer {
    fn run(mut self) {
        let (mut tried, mut asked) = (0, 0);
        loop {
            self.word.wait_as_scribe(|| {
                self.word.last_seq() > tried || self.shared.asked.load(Ordering::Acquire) != asked
            });
            asked = self.shared.asked.load(Ordering::Acquire);
            tried = self.word.last_seq();
            let is_over = self.shared.is_over.load(Ordering::Acquire);
            match self.look() {
                Ok(()) => self.shared.is_failing.store(false, Ordering::Release),
                // The state stands; that it does not outlive the process is a fault of its own, told once.
                Err(_) if !self.shared.is_failing.swap(true, Ordering::AcqRel) => {
                    let now_ns = HostClock.monotonic_ns();
                    self.word.raise(State::Fail, Flags::JOURNAL_FAILED, &FS063, now_ns);
                }
                Err(_) => {}
            }
            if is_over {
                return;
            }
        }
    }

    /// Writes what is new and not recorded elsewhere; empties the file if nothing in it is needed.
    fn look(&mut self) -> io::Result<()> {
        let heard = self.shared.heard.load(Ordering::Acquire);
        let unwritten = self.word.unwritten();
        let mut bytes = Vec::new();
        for raise in unwritten.iter().filter(|raise| raise.seq > heard) {
            bytes.extend_from_slice(&encode(&Written { raise: *raise, wall_ns: utc_ns() }));
        }
        if !bytes.is_empty() {
            // What failed half-way is written over: the place moves on only when it is durable.
            let at = self.records.saturating_add(1).saturating_mul(RECORD_BYTES);
            self.shared.file.write_all_at(&bytes, at as u64)?;
            self.shared.file.sync_data()?;
            self.records = self.records.saturating_add(bytes.len() / RECORD_BYTES);
        }
        if let Some(last) = unwritten.last() {
            self.last_written = last.seq;
            self.word.written(last.seq);
        }
        if self.records > 0 && self.last_written <= heard {
            self.shared.file.set_len(RECORD_BYTES as u64)?;
            self.records = 0;
        }
        Ok(())
    }
}

/// A new log, whole or not there at all after a crash.
fn begin(path: &Path) -> io::Result<File> {
    let fresh = path.with_extension("new");
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all_at(HEADER, 0)?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    if let Some(directory) = path.parent() {
        File::open(directory)?.sync_all()?;
    }
    Ok(file)
}

/// The records of a file and the length of a torn tail.
fn read(bytes: &[u8]) -> Result<(Vec<Written>, usize), RaiseLogError> {
    let damaged = |record, found| RaiseLogError::Damaged { record, found };
    let body = bytes.strip_prefix(HEADER).ok_or_else(|| damaged(0, "another header"))?;
    // A file can have grown without its bytes: what was never synced.
    let is_blank = |record: &&[u8]| record.len() < RECORD_BYTES || record.iter().all(|byte| *byte == 0);
    let blank: usize = body.chunks(RECORD_BYTES).rev().take_while(is_blank).map(<[u8]>::len).sum();
    let whole = body.get(..body.len().saturating_sub(blank)).unwrap_or_default();
    let mut found: Vec<Written> = Vec::new();
    for (at, bytes) in whole.chunks(RECORD_BYTES).enumerate() {
        let number = at.saturating_add(1);
        let written = decode(bytes).map_err(|found| damaged(number, found))?;
        if found.last().is_some_and(|last| last.raise.seq >= written.raise.seq) {
            return Err(damaged(number, "a number that is not above the one before"));
        }
        found.push(written);
    }
    Ok((found, blank))
}

fn encode(written: &Written) -> [u8; RECORD_BYTES] {
    let Written { raise, wall_ns } = written;
    let mut code = [0; 16];
    for (cell, letter) in code.iter_mut().zip(raise.code.code.bytes()) {
        *cell = letter;
    }
    let mut body = Vec::with_capacity(RECORD_BYTES);
    body.extend([raise.from as u8, raise.to as u8, 0, 0]);
    body.extend(raise.seq.to_le_bytes());
    body.extend(raise.at_ns.to_le_bytes());
    body.extend(wall_ns.to_le_bytes());
    body.extend(raise.flags.bits().to_le_bytes());
    body.extend(code);
    body.extend([0; 8]);
    let mut out = [0; RECORD_BYTES];
    for (cell, byte) in out.iter_mut().zip(crc32c::crc32c(&body).to_le_bytes().into_iter().chain(body)) {
        *cell = byte;
    }
    out
}

fn decode(bytes: &[u8]) -> Result<Written, &'static str> {
    let fault = || "no record";
    let (crc, body) = bytes.split_first_chunk::<4>().ok_or_else(fault)?;
    if u32::from_le_bytes(*crc) != crc32c::crc32c(body) {
        return Err("another checksum");
    }
    let (&[from, to, 0, 0], rest) = body.split_first_chunk::<4>().ok_or_else(fault)? else {
        return Err("other states");
    };
    let mut rest = rest;
    let mut number = || {
        let (word, others) = rest.split_first_chunk::<8>()?;
        rest = others;
        Some(u64::from_le_bytes(*word))
    };
    let numbers = [number(), number(), number(), number()];
    let [Some(seq), Some(at_ns), Some(wall_ns), Some(flags)] = numbers else { return Err(fault()) };
    let code =
        rest.get(..16).and_then(|code| std::str::from_utf8(code).ok()).ok_or("a code that is no text")?;
    let state = |number| State::from_number(number).ok_or("a state that does not exist");
    let code = codes::lookup(code.trim_end_matches('\0')).ok_or("a code that is not in the table")?;
    let (from, to) = (state(from)?, state(to)?);
    let flags = Flags::from_bits(flags).ok_or("flags that do not exist")?;
    Ok(Written { raise: Raise { seq, code, from, to, flags, at_ns }, wall_ns: wall_ns.cast_signed() })
}

#[cfg(test)]
mod tests;
