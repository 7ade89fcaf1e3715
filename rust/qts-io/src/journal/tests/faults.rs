//! Disks that fail.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use super::*;

/// Fails the syncs with these numbers, from 1, or holds them for a while.
#[derive(Debug, Default)]
struct Faults {
    failing: Mutex<BTreeSet<u64>>,
    syncs: AtomicU64,
    is_slow: AtomicBool,
    is_full: AtomicBool,
}

#[derive(Debug, Clone)]
struct FaultyDisk(Arc<Faults>);

impl Disk for FaultyDisk {
    fn create(&self, path: &Path, bytes: u64) -> io::Result<File> {
        if self.0.is_full.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        SystemDisk.create(path, bytes)
    }

    fn sync(&self, file: &File, path: &Path) -> io::Result<()> {
        let number = self.0.syncs.fetch_add(1, Ordering::Relaxed) + 1;
        if self.0.is_slow.load(Ordering::Relaxed) {
            thread::park_timeout(Duration::from_millis(1_300));
        }
        if self.0.failing.lock().expect("whole").contains(&number) {
            return Err(io::Error::other("a bad block"));
        }
        SystemDisk.sync(file, path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        SystemDisk.sync_dir(dir)
    }
}

fn faulty(dir: &Path, failing: impl IntoIterator<Item = u64>) -> (Journal, Arc<Faults>) {
    let faults = Arc::new(Faults { failing: Mutex::new(failing.into_iter().collect()), ..Faults::default() });
    let disk = Box::new(FaultyDisk(Arc::clone(&faults)));
    let (journal, _) = Journal::open_on(dir, small(), utc(), disk).expect("a good journal");
    (journal, faults)
}

#[test]
fn after_a_failed_sync_everything_is_written_again() {
    for failing in 1..12 {
        let dir = tempfile::tempdir().expect("a directory");
        let (journal, _) = faulty(dir.path(), [failing]);
        let (mut appended, mut told) = (Vec::new(), 0);
        for at in 0..60_u8 {
            for _ in 0..20 {
                appended.push((journal.append(RecordKind::Fill, &[at; 100]).expect("room"), vec![at; 100]));
            }
            match journal.wait_durable(appended[appended.len() - 1].0, LONG) {
                Ok(()) => {}
                Err(JournalError::Failed(failure)) => {
                    assert_eq!((failure.cause, failure.is_final), (FailureCause::Error, false));
                    told += 1;
                }
                Err(error) => panic!("{error}"),
            }
        }
        // A sync that fails while nobody waits is told by the health alone.
        assert!(told <= 1, "sync {failing}: {told}");
        assert!(matches!(journal.health(), Health::Failed(_)));
        journal.clear_failure();
        assert_eq!(journal.health(), Health::Good);
        journal.wait_durable(appended[appended.len() - 1].0, LONG).expect("written again");
        journal.close().expect("closed");
        assert_eq!(payloads(&read(dir.path()).expect("clean").0), appended);
        let (_, recovery) = open(dir.path(), small());
        assert_eq!(recovery.summary.torn, []);
    }
}

#[test]
fn appends_go_on_while_a_failed_sync_is_made_good() {
    for round in 0..5 {
        let dir = tempfile::tempdir().expect("a directory");
        let (journal, _) = faulty(dir.path(), [3 + round, 20, 26 + round, 41]);
        let written = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for at in 0..3_000_u32 {
                        let payload = at.to_le_bytes().to_vec();
                        let seq = journal.append(RecordKind::Audit, &payload).expect("room");
                        written.lock().expect("whole").push((seq, payload));
                    }
                });
            }
        });
        journal.close().expect("closed");
        let mut written = written.into_inner().expect("whole");
        written.sort();
        assert_eq!(payloads(&read(dir.path()).expect("clean").0), written);
    }
}

#[test]
fn a_disk_that_stays_bad_ends_the_journal() {
    let dir = tempfile::tempdir().expect("a directory");
    let (journal, _) = faulty(dir.path(), 2..1_000);
    let first = journal.append(RecordKind::Fill, b"good").expect("room");
    journal.wait_durable(first, LONG).expect("durable");
    let second = journal.append(RecordKind::Fill, b"lost").expect("room");
    assert!(matches!(journal.wait_durable(second, LONG), Err(JournalError::Failed(_))));
    let error = loop {
        match journal.append(RecordKind::Fill, b"more") {
            Ok(_) => thread::yield_now(),
            Err(error) => break error,
        }
    };
    assert!(matches!(&error, JournalError::Failed(failure) if failure.is_final), "{error}");
    assert!(matches!(journal.wait_durable(second, LONG), Err(JournalError::Failed(_))));
    assert_eq!(journal.durable_seq(), 2);
    assert!(journal.close().is_err());
    drop(journal);
    // What was durable is there; what was not may be.
    let (records, _) = read(dir.path()).expect("clean");
    assert_eq!(payloads(&records)[0], (first, b"good".to_vec()));
}

#[test]
fn a_slow_sync_counts_as_failed_while_it_lasts_and_after() {
    let dir = tempfile::tempdir().expect("a directory");
    let (journal, faults) = faulty(dir.path(), []);
    faults.is_slow.store(true, Ordering::Relaxed);
    let seq = journal.append(RecordKind::Fill, b"late").expect("room");
    let error = journal.wait_durable(seq, LONG).expect_err("more than a second");
    assert!(
        matches!(&error, JournalError::Failed(failure) if failure.cause == FailureCause::Slow),
        "{error}"
    );
    assert!(matches!(journal.health(), Health::Failed(_)));
    assert!(journal.durable_seq() < seq);
    faults.is_slow.store(false, Ordering::Relaxed);
    while journal.durable_seq() < seq {
        thread::yield_now();
    }
    assert!(matches!(journal.health(), Health::Failed(_)));
    journal.wait_durable(seq, LONG).expect("durable after all");
}

#[test]
fn a_full_disk_refuses_and_recovers() {
    let dir = tempfile::tempdir().expect("a directory");
    let (journal, faults) = faulty(dir.path(), []);
    faults.is_full.store(true, Ordering::Relaxed);
    let mut appended = Vec::new();
    let error = loop {
        match journal.append(RecordKind::Fill, &[1; 500]) {
            Ok(seq) => appended.push((seq, vec![1; 500])),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, JournalError::Io { .. }), "{error}");
    faults.is_full.store(false, Ordering::Relaxed);
    appended.push((journal.append(RecordKind::Fill, &[2; 500]).expect("room again"), vec![2; 500]));
    journal.close().expect("closed");
    assert_eq!(payloads(&read(dir.path()).expect("clean").0), appended);
}

#[test]
fn damage_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().expect("a directory");
    let (journal, _) = open(dir.path(), small());
    for _ in 0..3 {
        let seq = journal.append(RecordKind::Fill, b"good").expect("room");
        journal.wait_durable(seq, LONG).expect("durable");
    }
    journal.close().expect("closed");
    let path = &segments(dir.path())[0];
    let good = std::fs::read(path).expect("a file");
    // The first record's length, its number, its payload.
    for (byte, bits) in [(64, 36), (64 + 16, 1), (64 + 33, 8)] {
        let mut bytes = good.clone();
        bytes[byte] ^= bits;
        std::fs::write(path, &bytes).expect("written");
        match Journal::open(dir.path(), small(), utc()) {
            Err(JournalError::Damaged { segment, damage }) => {
                assert_eq!((&segment, damage.at), (path, 64), "{damage}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(std::fs::read(path).expect("a file"), bytes);
    }
}
