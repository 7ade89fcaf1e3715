use std::os::unix::fs::PermissionsExt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread;

use super::*;

#[test]
fn records_come_back_in_their_order() {
    for sync in [true, false] {
        let dir = tempfile::tempdir().expect("a directory");
        let (journal, recovery) = open(dir.path(), JournalConfig { sync, ..small() });
        assert_eq!((recovery.summary.records, recovery.unfinished.len()), (0, 0));
        let mut expected = Vec::new();
        for at in 0..1_000_usize {
            let payload = vec![u8::try_from(at % 256).expect("a byte"); at % 300];
            expected.push((journal.append(RecordKind::Fill, &payload).expect("room"), payload));
        }
        journal.wait_durable(expected[999].0, LONG).expect("durable");
        assert!(journal.durable_seq() >= expected[999].0);
        journal.close().expect("closed");
        assert!(matches!(journal.append(RecordKind::Fill, b""), Err(JournalError::Closed)));
        let (records, summary) = read(dir.path()).expect("clean");
        assert_eq!(payloads(&records), expected);
        assert_eq!((summary.uncommitted, summary.torn.len()), (0, 0));
        assert!(summary.segments > 5, "{summary:?}");
        assert!(records.iter().zip(1..).all(|(record, seq)| record.meta.seq == seq));
        let of_users = records.iter().filter(|record| record.meta.kind != RecordKind::Commit);
        assert!(of_users.is_sorted_by_key(|record| record.meta.ts_ns));
    }
}

#[test]
fn a_journal_goes_on_where_it_ended() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut last = 0;
    for round in 0..4_u8 {
        let (journal, recovery) = open(dir.path(), small());
        assert_eq!(recovery.summary.torn, []);
        for _ in 0..10 {
            let seq = journal.append(RecordKind::Audit, &[round]).expect("room");
            assert!(seq > last);
            last = seq;
        }
    }
    let (records, _) = read(dir.path()).expect("clean");
    assert_eq!(payloads(&records).len(), 40);
    assert!(segments(dir.path()).iter().all(|path| {
        let metadata = std::fs::metadata(path).expect("a file");
        metadata.permissions().mode() & 0o777 == 0o600 && metadata.len() < 4_096
    }));
}

#[test]
fn four_threads_lose_nothing() {
    const EACH: u32 = 5_000;
    for sync in [true, false] {
        let dir = tempfile::tempdir().expect("a directory");
        let (journal, _) = open(dir.path(), JournalConfig { sync, ..small() });
        let written = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for thread in 0..4_u32 {
                let (journal, written) = (&journal, &written);
                scope.spawn(move || {
                    let mut mine = Vec::new();
                    for at in 0..EACH {
                        let payload = [thread.to_le_bytes(), at.to_le_bytes()].concat();
                        mine.push((journal.append(RecordKind::Decision, &payload).expect("room"), payload));
                    }
                    assert!(mine.is_sorted());
                    journal.wait_durable(mine[mine.len() - 1].0, LONG).expect("durable");
                    written.lock().expect("whole").extend(mine);
                });
            }
        });
        journal.close().expect("closed");
        let mut written = written.into_inner().expect("whole");
        written.sort();
        let (records, summary) = read(dir.path()).expect("clean");
        assert_eq!(payloads(&records), written);
        assert!(records.iter().zip(1..).all(|(record, seq)| record.meta.seq == seq));
        assert!(summary.segments > 40);
    }
}

#[test]
fn a_new_day_gets_a_new_segment() {
    static NOW: AtomicI64 = AtomicI64::new(1_709_164_799_000_000_000); // 2024-02-28T23:59:59Z
    let dir = tempfile::tempdir().expect("a directory");
    let clock: UtcClock = Box::new(|| NOW.load(Ordering::Relaxed));
    let (journal, _) = Journal::open(dir.path(), small(), clock).expect("a good journal");
    let first = journal.append(RecordKind::Audit, b"today").expect("room");
    journal.wait_durable(first, LONG).expect("durable");
    NOW.fetch_add(1_000_000_000, Ordering::Relaxed);
    journal.append(RecordKind::Audit, b"tomorrow").expect("room");
    NOW.fetch_sub(5_000_000_000, Ordering::Relaxed);
    journal.append(RecordKind::Audit, b"set back").expect("room");
    journal.close().expect("closed");
    let names: Vec<String> =
        segments(dir.path()).iter().map(|path| path.file_name().unwrap().display().to_string()).collect();
    assert_eq!(names, ["20240228-000001.qtsj", "20240229-000002.qtsj"]);
    let (records, _) = read(dir.path()).expect("clean");
    assert!(records.is_sorted_by_key(|record| record.meta.ts_ns));
}

#[test]
fn what_cannot_be_appended_is_told() {
    let dir = tempfile::tempdir().expect("a directory");
    let (journal, _) = open(dir.path(), JournalConfig { segment_bytes: 1 << 20, ..JournalConfig::default() });
    let long = vec![0; qts_core::journal::MAX_PAYLOAD + 1];
    assert!(matches!(journal.append(RecordKind::Audit, &long), Err(JournalError::TooLong { .. })));
    journal.append(RecordKind::Audit, &long[1..]).expect("the longest");
    assert!(matches!(journal.append(RecordKind::Commit, b""), Err(JournalError::Reserved)));
    assert!(matches!(Journal::open(dir.path(), small(), utc()).map(|_| ()), Err(JournalError::InUse { .. })));
    let timeout = journal.wait_durable(1_000_000, Duration::from_millis(5));
    assert!(matches!(timeout, Err(JournalError::Timeout { .. })));
    let config = JournalConfig { segment_bytes: 100, ..JournalConfig::default() };
    assert!(matches!(Journal::open(dir.path(), config, utc()).map(|_| ()), Err(JournalError::Config { .. })));
}

#[test]
fn a_full_quota_refuses_and_leaves_the_rest_whole() {
    for sync in [true, false] {
        let dir = tempfile::tempdir().expect("a directory");
        let (journal, _) = open(dir.path(), JournalConfig { quota_bytes: 40 << 10, sync, ..small() });
        let mut appended = Vec::new();
        let error = loop {
            match journal.append(RecordKind::Fill, &[1; 500]) {
                Ok(seq) => appended.push((seq, vec![1; 500])),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, JournalError::Quota { .. }), "{error}");
        assert!(matches!(journal.append(RecordKind::Fill, &[1; 500]), Err(JournalError::Quota { .. })));
        journal.wait_durable(appended[appended.len() - 1].0, LONG).expect("durable");
        journal.close().expect("closed");
        assert_eq!(payloads(&read(dir.path()).expect("clean").0), appended);
    }
}

#[test]
fn events_without_a_mark_are_to_be_done_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let (journal, _) = open(dir.path(), small());
    let events: Vec<u64> =
        (0..20_u8).map(|at| journal.append(RecordKind::P0Event, &[at]).expect("room")).collect();
    for seq in events.iter().step_by(2) {
        journal.append(RecordKind::P0Done, &seq.to_le_bytes()).expect("room");
    }
    drop(journal);
    let (_, recovery) = open(dir.path(), small());
    let open: Vec<u64> = recovery.unfinished.iter().map(|record| record.meta.seq).collect();
    assert_eq!(open, events.iter().skip(1).step_by(2).copied().collect::<Vec<_>>());
}
