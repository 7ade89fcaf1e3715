//! Room that a killed process had reserved and not filled.
//!
//! Several threads append at once. Where one of them was killed between reserving and publishing, whole records of the
//! others may stand behind the hole, and their appends have returned: they count. The hole is filled with records that
//! say nothing ([`VOID`]), so that numbers stay without gaps.
//!
//! This is right only as long as the memory that was written is what is read: in the boot that the journal was written
//! in. After a power cut a hole may be a lost record that later ones build on, and the segment is cut there instead.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use qts_core::journal::{
    MAX_PAYLOAD, Meta, RECORD_HEADER, RecordKind, SEGMENT_HEADER, SegmentHeader, decode, encode, record_bytes,
};

use super::error::JournalError;

/// Flag of an `AUDIT` record that stands where a killed process had reserved room.
pub const VOID: u8 = 1;

/// Whether the journal was last opened in this boot; notes this boot in the lock file, which the caller has locked.
pub(super) fn is_same_boot(lock: &mut File) -> bool {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let mut before = String::new();
    let is_same = lock.read_to_string(&mut before).is_ok() && !boot.is_empty() && before == boot;
    let mut note = || {
        lock.set_len(0)?;
        lock.rewind()?;
        lock.write_all(boot.as_bytes())
    };
    // Without the note the next start cuts at the first hole, as after a power cut.
    let _: io::Result<()> = note();
    is_same
}

/// Fills the holes in the segments at the end of the journal.
pub(super) fn fill(segments: &[(u32, PathBuf)]) -> Result<(), JournalError> {
    let mut next_first = None;
    // From the last one back to the first whose successor was begun in good order.
    for (_, path) in segments.iter().rev() {
        let bytes = fs::read(path).map_err(JournalError::io("read", path))?;
        let Some(head) = SegmentHeader::decode(&bytes) else { continue };
        fill_segment(path, bytes, head, next_first).map_err(JournalError::io("repair", path))?;
        next_first = Some(head.first_seq);
        if head.chain.is_some() {
            break;
        }
    }
    Ok(())
}

/// Fills the holes of one segment; its successor, if there is one, begins with `next_first`.
fn fill_segment(
    path: &Path,
    mut bytes: Vec<u8>,
    head: SegmentHeader,
    next_first: Option<u64>,
) -> io::Result<()> {
    let (mut at, mut seq, mut ts_ns) = (SEGMENT_HEADER, head.first_seq, 0);
    let mut patches = Vec::new();
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        if let Ok(record) = decode(rest) {
            if record.meta.seq != seq {
                return Ok(()); // Not what a killed process leaves; the verifier tells what is wrong.
            }
            (at, seq, ts_ns) = (at.saturating_add(record.size()), seq.saturating_add(1), record.meta.ts_ns);
            continue;
        }
        // Room that was never published has no length, and no commit follows it: commits wait for what is in front.
        if rest.is_empty() || !rest.starts_with(&[0; 4]) || has_commit(rest) {
            break;
        }
        // A hole ends where the next whole record stands; at the end of a segment that is over, with its last number.
        let found = next_record(rest, seq);
        let (missing, room) = match (found, next_first) {
            (Some((to, next)), _) => (next.saturating_sub(seq), to),
            // The last number of a segment is that of its commit, which the verifier knows to be missing.
            (None, Some(first)) if first.saturating_sub(1) > seq => {
                let missing = first.saturating_sub(1).saturating_sub(seq);
                (missing, usize::try_from(missing).unwrap_or(usize::MAX).saturating_mul(RECORD_HEADER))
            }
            _ => break,
        };
        let Some(filling) = voids(seq, missing, room, ts_ns) else { return Ok(()) };
        let Some(out) = bytes.get_mut(at..at.saturating_add(room)) else { return Ok(()) };
        out.copy_from_slice(&filling);
        patches.push((at, filling));
    }
    if patches.is_empty() {
        return Ok(());
    }
    let file = OpenOptions::new().write(true).open(path)?;
    patches
        .iter()
        .try_for_each(|(at, filling)| file.write_all_at(filling, u64::try_from(*at).unwrap_or(u64::MAX)))
}

/// Where the next whole record with a number above `seq` stands, with a number that the room in front of it allows.
fn next_record(bytes: &[u8], seq: u64) -> Option<(usize, u64)> {
    let (words, _) = bytes.as_chunks::<8>();
    let starts =
        words.iter().enumerate().skip(RECORD_HEADER / 8).filter(|(_, word)| !word.starts_with(&[0; 4]));
    starts.map(|(at, _)| at.saturating_mul(8)).find_map(|at| {
        let next = decode(bytes.get(at..)?).ok()?.meta.seq;
        let most = u64::try_from(at / RECORD_HEADER).ok()?;
        (next > seq && next.saturating_sub(seq) <= most).then_some((at, next))
    })
}

/// Whether a whole commit stands anywhere in `bytes`.
fn has_commit(bytes: &[u8]) -> bool {
    let (words, _) = bytes.as_chunks::<8>();
    let starts = words.iter().enumerate().filter(|(_, word)| !word.starts_with(&[0; 4]));
    let mut records = starts.filter_map(|(at, _)| decode(bytes.get(at.saturating_mul(8)..)?).ok());
    records.any(|record| record.commit().is_some())
}

/// So many records that say nothing and take up exactly that room.
fn voids(seq: u64, records: u64, room: usize, ts_ns: i64) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(room);
    for (number, behind) in (seq..).zip((0..records).rev()) {
        let least = usize::try_from(behind).ok()?.checked_mul(RECORD_HEADER)?;
        let size = room.checked_sub(out.len())?.checked_sub(least)?.min(record_bytes(MAX_PAYLOAD));
        let payload = vec![0; size.checked_sub(RECORD_HEADER)?];
        let meta = Meta { kind: RecordKind::Audit, version: 1, flags: VOID, seq: number, ts_ns };
        let mut record = vec![0; size];
        let (length_out, rest) = record.split_first_chunk_mut::<4>()?;
        *length_out = encode(rest, &meta, &payload)?.to_le_bytes();
        out.extend(record);
    }
    (out.len() == room).then_some(out)
}
