//! Power cuts: what may lie on a disk when some blocks were written and others were not.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use qts_core::journal::{RECORD_HEADER, SEGMENT_HEADER, record_bytes};

use super::*;

type Image = BTreeMap<PathBuf, Vec<u8>>;

/// A moment in which the power may go: what is on the disk for sure, and what is on its way.
#[derive(Debug, Clone)]
struct Moment {
    durable: Image,
    written: Image,
}

#[derive(Debug, Default)]
struct Log {
    /// What the syncs so far made durable, names included.
    durable: Image,
    /// Synced, but the name was not yet.
    nameless: Image,
    moments: Vec<Moment>,
}

/// Notes at every sync what is on the disk before it is over.
#[derive(Debug, Clone)]
struct NotingDisk(PathBuf, Arc<Mutex<Log>>);

fn image(dir: &Path) -> Image {
    segments(dir).into_iter().map(|path| (path.clone(), fs::read(path).expect("a file"))).collect()
}

impl Disk for NotingDisk {
    fn create(&self, path: &Path, bytes: u64) -> io::Result<File> {
        SystemDisk.create(path, bytes)
    }

    fn sync(&self, _file: &File, path: &Path) -> io::Result<()> {
        let written = image(&self.0);
        let mut log = self.1.lock().expect("whole");
        let durable = log.durable.clone();
        let bytes = written[path].clone();
        log.moments.push(Moment { durable, written });
        if let Some(known) = log.durable.get_mut(path) {
            *known = bytes;
        } else {
            log.nameless.insert(path.to_owned(), bytes);
        }
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut log = self.1.lock().expect("whole");
        for path in segments(dir) {
            let bytes = log.nameless.remove(&path).unwrap_or_default();
            log.durable.entry(path).or_insert(bytes);
        }
        Ok(())
    }
}

/// A run of a journal: its moments, and what was appended.
struct Run {
    moments: Vec<Moment>,
    last: Image,
    appended: BTreeMap<u64, (RecordKind, Vec<u8>)>,
}

fn run(steps: &[(u8, u16, bool)]) -> Run {
    let dir = tempfile::tempdir().expect("a directory");
    let log = Arc::new(Mutex::new(Log::default()));
    let disk = Box::new(NotingDisk(dir.path().to_owned(), Arc::clone(&log)));
    let config = JournalConfig { segment_bytes: 8 << 10, group_records: 8, ..JournalConfig::default() };
    let (journal, _) = Journal::open_on(dir.path(), config, utc(), disk).expect("a good journal");
    let mut appended = BTreeMap::new();
    let mut events = Vec::new();
    for (byte, length, waits) in steps {
        let (kind, payload) = match events.pop() {
            Some(seq) if byte % 3 == 0 => (RecordKind::P0Done, u64::to_le_bytes(seq).to_vec()),
            _ => (RecordKind::P0Event, vec![*byte; usize::from(*length)]),
        };
        let seq = journal.append(kind, &payload).expect("room");
        if kind == RecordKind::P0Event {
            events.push(seq);
        }
        appended.insert(seq, (kind, payload));
        if *waits {
            journal.wait_durable(seq, LONG).expect("durable");
        }
    }
    journal.close().expect("closed");
    let mut log = log.lock().expect("whole");
    Run { moments: std::mem::take(&mut log.moments), last: image(dir.path()), appended }
}

/// Where a file of one run would lie in another directory.
fn lay_out(image: &Image) -> (tempfile::TempDir, BTreeMap<PathBuf, PathBuf>) {
    let dir = tempfile::tempdir().expect("a directory");
    let mut paths = BTreeMap::new();
    for (from, bytes) in image {
        let to = dir.path().join(from.file_name().expect("a name"));
        fs::write(&to, bytes).expect("written");
        paths.insert(from.clone(), to);
    }
    (dir, paths)
}

/// Some blocks of 512 bytes as they were written, some as they were before, some half and half.
fn cut(moment: &Moment, mut random: impl FnMut() -> u32) -> Image {
    let mut image = moment.durable.clone();
    for (path, written) in &moment.written {
        if !image.contains_key(path) && random().is_multiple_of(4) {
            continue; // Not even its name.
        }
        let known = image.entry(path.clone()).or_default();
        known.resize(written.len().max(known.len()), 0);
        for (old, new) in known.chunks_mut(512).zip(written.chunks(512)) {
            let kept = match random() % 4 {
                0 => 0,
                1 => usize::try_from(random() % 512).expect("small").min(new.len()),
                _ => new.len(),
            };
            old[..kept].copy_from_slice(&new[..kept]);
        }
    }
    image
}

fn last_commit(image: &Image) -> u64 {
    let (dir, _) = lay_out(image);
    let (records, _) = read(dir.path()).expect("what was synced is whole");
    let commits = records.iter().filter(|record| record.meta.kind == RecordKind::Commit);
    commits.map(|record| record.meta.seq).max().unwrap_or(0)
}

fn unfinished(appended: &BTreeMap<u64, (RecordKind, Vec<u8>)>, last: u64) -> Vec<u64> {
    let done: Vec<u64> = appended
        .range(..=last)
        .filter(|(_, (kind, _))| *kind == RecordKind::P0Done)
        .map(|(_, (_, of))| u64::from_le_bytes(of[..].try_into().expect("eight bytes")))
        .collect();
    let events = appended.range(..=last).filter(|(_, (kind, _))| *kind == RecordKind::P0Event);
    events.map(|(seq, _)| *seq).filter(|seq| !done.contains(seq)).collect()
}

/// What stands at a byte of a segment: where it begins, and whether its loss is a loss at all.
fn place(bytes: &[u8], byte: usize) -> Option<(usize, bool)> {
    if byte < SEGMENT_HEADER {
        return Some((0, false));
    }
    let mut at = SEGMENT_HEADER;
    while let Ok(record) = qts_core::journal::decode(bytes.get(at..)?) {
        let end = at + record_bytes(record.payload.len());
        if byte < end {
            let is_last = bytes[end..].iter().all(|byte| *byte == 0);
            return Some((at, is_last && record.commit().is_some()));
        }
        at = end;
    }
    None
}

fn steps() -> impl Strategy<Value = Vec<(u8, u16, bool)>> {
    prop::collection::vec((any::<u8>(), 0..700_u16, prop::bool::weighted(0.15)), 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24,
        rng_seed: proptest::test_runner::RngSeed::Fixed(20_260_101),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_power_cut_takes_only_what_nobody_was_promised(steps in steps(), seed in any::<u64>()) {
        let run = run(&steps);
        let mut state = seed | 1;
        for moment in &run.moments {
            let acked = last_commit(&moment.durable);
            for _ in 0..3 {
                let image = cut(moment, || {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    u32::try_from(state >> 33).expect("31 bits")
                });
                let (dir, _) = lay_out(&image);
                let (journal, recovery) = open(dir.path(), small());
                let last = recovery.summary.last_seq;
                prop_assert!(last >= acked, "{last} of {acked}");
                let open: Vec<u64> = recovery.unfinished.iter().map(|record| record.meta.seq).collect();
                prop_assert_eq!(open, unfinished(&run.appended, last));
                drop(journal);
                let (records, summary) = read(dir.path()).expect("repaired");
                prop_assert_eq!(summary.torn.len(), 0);
                let found: BTreeMap<u64, Vec<u8>> = payloads(&records).into_iter().collect();
                for (seq, (_, payload)) in run.appended.range(..=last) {
                    prop_assert_eq!(found.get(seq), Some(payload), "record {}", seq);
                }
            }
        }
    }

    #[test]
    fn a_flipped_bit_in_durable_bytes_is_named(steps in steps(), flips in prop::collection::vec(any::<prop::sample::Index>(), 20)) {
        let run = run(&steps);
        for flip in flips {
            let mut image = run.last.clone();
            let file = flip.index(image.len());
            let is_last = file + 1 == image.len();
            let (path, bytes) = image.iter_mut().nth(file).expect("in range");
            let path = path.clone();
            let used = bytes.iter().rposition(|byte| *byte != 0).expect("a header") + 1;
            let bit = flip.index(used * 8);
            let expected = place(bytes, bit / 8);
            let holds_records = bytes.len() > SEGMENT_HEADER + record_bytes(40) + RECORD_HEADER;
            bytes[bit / 8] ^= 1 << (bit % 8);
            let (dir, paths) = lay_out(&image);
            match (Journal::open(dir.path(), small(), utc()), expected) {
                (Err(JournalError::Damaged { segment, damage }), Some((at, _))) => {
                    prop_assert_eq!((&segment, damage.at), (&paths[&path], at), "bit {}: {}", bit, damage);
                }
                // The commit that only proves the group before it, or the header of a segment with no other record.
                (Ok((_, recovery)), Some((at, is_proof))) => {
                    prop_assert!(is_last && (is_proof || at == 0 && !holds_records), "bit {} of {:?}", bit, path);
                    let found = recovery.summary.last_seq;
                    prop_assert!(run.appended.keys().all(|seq| *seq <= found), "lost records behind {}", found);
                }
                (Err(error), _) => return Err(TestCaseError::fail(error.to_string())),
                (Ok(_), None) => return Err(TestCaseError::fail("a byte that is no record's")),
            }
        }
    }
}
