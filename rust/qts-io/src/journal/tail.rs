//! Reading along behind a journal that is being written.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use qts_core::journal::{Damage, MAX_PAYLOAD, Record, SEGMENT_HEADER, SegmentHeader, decode, record_bytes};

use super::error::JournalError;
use super::files;

/// Bytes that are read at once; more than the longest record.
const CHUNK: usize = 256 << 10;
const _: () = assert!(CHUNK > record_bytes(MAX_PAYLOAD));
/// A header is rewritten once while its segment is in use: what cannot be read the first time is looked at again.
const LOOKS: usize = 3;

/// Goes through the durable records of a journal from a number on, as they come.
///
/// It opens the files anew and shares nothing with the writer. Every record is checked by its CRC; the chain is not, as
/// that is what opening a journal does.
#[derive(Debug)]
pub struct Tail {
    dir: PathBuf,
    next_seq: u64,
    segment: Option<Segment>,
    chunk: Vec<u8>,
    /// Of `chunk`: where the next record begins.
    at: usize,
}

#[derive(Debug)]
struct Segment {
    number: u32,
    path: PathBuf,
    file: File,
    /// Where in the file the chunk begins.
    offset: u64,
}

impl Tail {
    /// A reader of the journal in `dir` that begins with record `next_seq`. Opens nothing yet.
    pub fn new(dir: impl AsRef<Path>, next_seq: u64) -> Self {
        Self { dir: dir.as_ref().to_owned(), next_seq, segment: None, chunk: Vec::new(), at: 0 }
    }

    /// Number of the record that comes next, if nothing in front of it has been retired.
    pub const fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// Hands the next record to `take`, commits too, if it is none behind `durable`; whether there was one. What has
    /// been retired is passed over. With `false` from `take` the same record comes again.
    ///
    /// # Errors
    /// [`JournalError`] if a file cannot be read, or a durable record is not there.
    pub fn advance(
        &mut self,
        durable: u64,
        take: impl FnOnce(Record<'_>) -> bool,
    ) -> Result<bool, JournalError> {
        // Looked at again: where records have been retired, the next one is a later one.
        let is_there = self.next_seq <= durable && self.find()?;
        if !is_there || self.next_seq > durable {
            return Ok(false);
        }
        let rest = self.chunk.get(self.at..).unwrap_or_default();
        let Ok(record) = decode(rest) else { return Ok(false) };
        let size = record.size();
        if take(record) {
            self.at = self.at.saturating_add(size);
            self.next_seq = self.next_seq.saturating_add(1);
        }
        Ok(true)
    }

    /// Sees to it that the chunk holds the next record where it is pointed at; `false` if the journal has none yet.
    fn find(&mut self) -> Result<bool, JournalError> {
        if self.is_there() || self.refill()? {
            return Ok(true);
        }
        let mut missing = None;
        for _ in 0..LOOKS {
            match self.seek()? {
                Ok(is_there) => return Ok(is_there),
                Err(damage) => missing = Some(damage),
            }
        }
        missing.map_or(Ok(false), Err)
    }

    fn is_there(&self) -> bool {
        let rest = self.chunk.get(self.at..).unwrap_or_default();
        decode(rest).is_ok_and(|record| record.meta.seq == self.next_seq)
    }

    /// Reads on in the same file from the place pointed at; whether the next record stands there.
    fn refill(&mut self) -> Result<bool, JournalError> {
        let Some(segment) = self.segment.as_mut() else { return Ok(false) };
        segment.offset = segment.offset.saturating_add(u64::try_from(self.at).unwrap_or_default());
        self.at = 0;
        self.chunk.resize(CHUNK, 0);
        let read = read_at(&segment.file, &mut self.chunk, segment.offset);
        let read = read.map_err(JournalError::io("read", &segment.path))?;
        self.chunk.truncate(read);
        Ok(self.is_there())
    }

    /// Opens the segment that holds the next record and goes to it; the damage if it ought to be there and is not.
    fn seek(&mut self) -> Result<Result<bool, JournalError>, JournalError> {
        let mut found: Option<(u32, PathBuf, u64)> = None;
        let mut first: Option<(u32, PathBuf, u64)> = None;
        for (number, path) in files::list(&self.dir)? {
            let Some(first_seq) = first_seq(&path)? else { continue };
            let place = (number, path, first_seq);
            if first_seq <= self.next_seq {
                found = Some(place);
            } else if first.is_none() {
                first = Some(place);
            }
        }
        // Nothing left of what was asked for: it has been retired, and the journal begins behind it.
        let Some((number, path, first_seq)) = found.or(first) else { return Ok(Ok(false)) };
        if self.segment.as_ref().is_some_and(|segment| segment.number == number) {
            return Ok(Err(self.missing(path)));
        }
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Err(self.missing(path))),
            Err(error) => return Err(JournalError::io("open", &path)(error)),
        };
        let wanted = self.next_seq.max(first_seq);
        self.next_seq = first_seq;
        self.segment = Some(Segment { number, path, file, offset: SEGMENT_HEADER.try_into().unwrap_or(0) });
        self.chunk.clear();
        self.at = 0;
        while self.next_seq < wanted {
            if !self.is_there() && !self.refill()? {
                self.next_seq = wanted;
                let path = self.segment.take().map(|segment| segment.path).unwrap_or_default();
                return Ok(Err(self.missing(path)));
            }
            let size =
                decode(self.chunk.get(self.at..).unwrap_or_default()).map_or(0, |record| record.size());
            self.at = self.at.saturating_add(size);
            self.next_seq = self.next_seq.saturating_add(1);
        }
        Ok(Ok(self.is_there() || self.refill()?))
    }

    fn missing(&self, segment: PathBuf) -> JournalError {
        let at = self.segment.as_ref().map_or(0, |segment| usize::try_from(segment.offset).unwrap_or(0));
        let at = at.saturating_add(self.at);
        let expected = format!("record {}, which was durable", self.next_seq);
        JournalError::Damaged { segment, damage: Damage { at, found: "no such record".to_owned(), expected } }
    }
}

fn read_at(file: &File, out: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0_usize;
    while let Some(rest) = out.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset.saturating_add(u64::try_from(filled).unwrap_or_default())) {
            Ok(0) => break,
            Ok(read) => filled = filled.saturating_add(read),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Number of the first record of a segment; nothing if it has not been begun or has gone meanwhile.
fn first_seq(path: &Path) -> Result<Option<u64>, JournalError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(JournalError::io("open", path)(error)),
    };
    let mut head = [0; SEGMENT_HEADER];
    let read = read_at(&file, &mut head, 0).map_err(JournalError::io("read", path))?;
    Ok(head.get(..read).and_then(SegmentHeader::decode).map(|head| head.first_seq))
}
