//! The segments in use: their files and mappings beside the places in which appenders reserve room.
#![allow(unsafe_code, reason = "reserved room is mapped memory")]

use std::ops::Deref;
use std::sync::{Mutex, MutexGuard, PoisonError};

use qts_core::journal::{COMMIT_BYTES, ChainHash, Meta, Place, Room, encode, encode_commit, record_bytes};

use super::map::{Segment, Window};

/// Writes the record that the room was reserved for.
#[inline]
pub(super) fn write(room: Room, meta: &Meta, payload: &[u8]) {
    let size = record_bytes(payload.len());
    // SAFETY: the room is reserved, and the segment stays mapped until the record is published.
    let is_written = unsafe { Window::of(room).publish(room.at, size, |out| encode(out, meta, payload)) };
    debug_assert!(is_written, "sizes are checked before the reservation");
}

/// Writes the commit that the room was reserved for.
pub(super) fn write_commit(room: Room, ts_ns: i64, records: u32, hash: &ChainHash) {
    let encode = |out: &mut [u8]| encode_commit(out, room.seq, ts_ns, records, hash);
    // SAFETY: the room is reserved, and the segment stays mapped until the record is published.
    let is_written = unsafe { Window::of(room).publish(room.at, COMMIT_BYTES, encode) };
    debug_assert!(is_written, "the last commit always has room");
}

/// A [`Place`] and the segment in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot<'a> {
    pub(super) place: &'a Place,
    pub(super) held: &'a Mutex<Option<Segment>>,
}

impl Deref for Slot<'_> {
    type Target = Place;

    fn deref(&self) -> &Place {
        self.place
    }
}

impl<'a> Slot<'a> {
    /// Puts a segment here that no appender knows yet. The place is sealed.
    pub(super) fn fill(self, segment: Segment) {
        let window = segment.window();
        self.place.fill(window.base, window.bytes);
        *self.segment() = Some(segment);
    }

    /// Takes the segment out. The place is sealed and everything in it published.
    pub(super) fn empty(self) -> Option<Segment> {
        let segment = self.segment().take();
        self.place.empty();
        segment
    }

    pub(super) fn segment(self) -> MutexGuard<'a, Option<Segment>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
