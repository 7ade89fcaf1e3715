//! The write-ahead journal: what its bytes mean, and everything that can be decided on bytes alone.
//!
//! A journal is a row of segments; a segment is a [`SegmentHeader`] and records. Every record carries its own CRC and
//! a number without gaps. A [`RecordKind::Commit`] ends a group: it holds the hash over the group and the hash before
//! it, so that no record can be taken out or put in later. The groups of all segments form one chain.
//!
//! Segments that nobody needs are retired, oldest first; an [`Anchor`] then says where the journal begins.
//!
//! After a crash a [`Verifier`] tells apart what a crash can leave behind (a torn tail, which nobody was promised) and
//! what it cannot (damage before a later commit, [`Damage`], FS125). A group is synced before the commit of the next
//! one is written; a commit that begins behind the damage therefore proves that the damaged bytes were durable once.
//! Files and mappings are the business of `qts-io`, except for how appenders and the flusher share a segment: [`Row`].

mod anchor;
mod format;
mod pending;
mod row;
mod verify;
mod walk;

pub use anchor::{ANCHOR_BYTES, Anchor};
pub use format::{
    COMMIT_BYTES, ChainHash, Fault, GENESIS, MAX_PAYLOAD, Meta, RECORD_HEADER, Record, RecordKind,
    SEGMENT_HEADER, SegmentHeader, chain, decode, encode, encode_commit, record_bytes,
};
pub use pending::{OwnedRecord, Unfinished, unfinished};
pub use row::{Place, Room, Row, Tail, next, publish, published};
pub use verify::{Opening, SegmentEnd, Verifier};
pub use walk::{Damage, Torn, Walk, WalkEnd};

#[cfg(loom)]
mod models;
#[cfg(test)]
mod tests;
