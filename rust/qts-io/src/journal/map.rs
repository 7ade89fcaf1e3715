//! A mapped segment. With `slot`, the only unsafe code of the journal.
//!
//! The rules it rests on: a byte range belongs to whoever reserved it, until the record's length word is published;
//! from then on nobody writes it. No other process writes the file: it has mode 0600 and the directory is locked. A
//! segment is mapped for longer than anyone holds a range that is not published.
#![allow(unsafe_code, reason = "mapped memory is reached through pointers")]

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::AtomicU32;

use memmap2::{MmapOptions, MmapRaw};
use qts_core::journal::{
    ChainHash, RECORD_HEADER, Room, SEGMENT_HEADER, SegmentHeader, publish, published, record_bytes,
};

/// Bytes of the length word.
const LENGTH: usize = 4;

/// A segment's file with its mapping.
#[derive(Debug)]
pub(super) struct Segment {
    map: MmapRaw,
    pub(super) file: File,
    pub(super) path: PathBuf,
    pub(super) number: u32,
}

impl Segment {
    pub(super) fn new(file: File, path: PathBuf, number: u32, bytes: usize) -> io::Result<Self> {
        let map = MmapOptions::new().len(bytes).map_raw(&file)?;
        Ok(Self { map, file, path, number })
    }

    pub(super) fn window(&self) -> Window {
        Window { base: self.map.as_mut_ptr(), bytes: self.map.len() }
    }

    /// Writes the header. Called by the thread that puts the segment into use, and after that by the committer.
    pub(super) fn write_header(&self, first_seq: u64, chain: Option<ChainHash>) {
        let header = SegmentHeader { number: self.number, first_seq, chain };
        // SAFETY: no record lies in the header, and the two callers follow each other.
        if let Some(out) = unsafe { self.window().range_mut(0, SEGMENT_HEADER) } {
            out.copy_from_slice(&header.encode());
        }
    }

    /// Copies records behind the header of a segment that nobody knows yet.
    pub(super) fn fill(&mut self, records: &[u8]) -> bool {
        // SAFETY: the segment is borrowed alone.
        let Some(out) = (unsafe { self.window().range_mut(SEGMENT_HEADER, records.len()) }) else {
            return false;
        };
        out.copy_from_slice(records);
        true
    }

    /// The records from `from` to `to`, both ends of reservations, once the last of them is published.
    pub(super) fn records(&self, from: usize, to: usize) -> &[u8] {
        let window = self.window();
        let Some(bytes) = to.checked_sub(from).filter(|_| to <= window.bytes) else { return &[] };
        let mut at = from;
        while at < to {
            at = at.saturating_add(window.wait_for(at));
        }
        // SAFETY: inside of the mapping, which lives as long as `self`; every record in it has been seen published.
        unsafe { std::slice::from_raw_parts(window.base.add(from), bytes) }
    }

    /// Ends the mapping and cuts the file.
    pub(super) fn cut(self, bytes: usize) -> io::Result<()> {
        drop(self.map);
        self.file.set_len(u64::try_from(bytes).unwrap_or(u64::MAX))
    }
}

/// The bytes of a mapping that somebody else keeps alive.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub(super) base: *mut u8,
    pub(super) bytes: usize,
}

impl Window {
    /// The segment in which that room is.
    #[inline]
    pub(super) const fn of(room: Room) -> Self {
        Self { base: room.base, bytes: room.bytes }
    }

    /// Writes a record and publishes it; says whether there was room.
    ///
    /// # Safety
    /// The segment is mapped and the `size` bytes at `at`, a multiple of 8, are reserved by the caller.
    #[inline]
    pub(super) unsafe fn publish(
        self,
        at: usize,
        size: usize,
        encode: impl FnOnce(&mut [u8]) -> Option<u32>,
    ) -> bool {
        // SAFETY: the caller has reserved the range. Its length word is left out: others may read it meanwhile.
        let out = unsafe { self.range_mut(at.saturating_add(LENGTH), size.saturating_sub(LENGTH)) };
        let Some(length) = out.and_then(encode) else { return false };
        // SAFETY: the first word of the reserved range, aligned to 8 and outside of every slice.
        publish(unsafe { AtomicU32::from_ptr(self.base.add(at).cast()) }, length);
        true
    }

    /// Bytes of the record that begins at `at`, once it is published. Whoever has reserved room is about to.
    fn wait_for(self, at: usize) -> usize {
        if at.saturating_add(RECORD_HEADER) > self.bytes {
            return self.bytes;
        }
        // SAFETY: inside of the mapping that `self` was made of by the caller, aligned to 8; until it is published a
        // length word is reached as an atomic only.
        let word = unsafe { AtomicU32::from_ptr(self.base.add(at).cast()) };
        let mut looks = 0_u32;
        loop {
            let length = usize::try_from(published(word)).unwrap_or_default();
            if length != 0 {
                return record_bytes(length.saturating_sub(RECORD_HEADER));
            }
            looks = looks.saturating_add(1);
            if looks < 100 { std::hint::spin_loop() } else { std::thread::yield_now() }
        }
    }

    /// # Safety
    /// The segment is mapped and the range belongs to the caller alone.
    #[inline]
    unsafe fn range_mut<'a>(self, at: usize, size: usize) -> Option<&'a mut [u8]> {
        if at.checked_add(size)? > self.bytes {
            return None;
        }
        // SAFETY: inside of the mapping, and the caller's own.
        Some(unsafe { std::slice::from_raw_parts_mut(self.base.add(at), size) })
    }
}
