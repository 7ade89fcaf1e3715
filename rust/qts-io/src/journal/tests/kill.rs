//! A process that is killed.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::thread;

use super::*;

const CHILD: &str = "QTS_JOURNAL_CHILD";

/// Not a test of its own: what the killed process runs.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(CHILD) else { return };
    let (journal, _) = open(Path::new(&dir), small());
    let journal = &journal;
    thread::scope(|scope| {
        for thread in 0..3_u64 {
            scope.spawn(move || {
                for at in 0_u64.. {
                    let payload = [thread.to_le_bytes(), at.to_le_bytes()].concat();
                    let seq = journal.append(RecordKind::P0Event, &payload).expect("room");
                    // One write, so that a line is whole or not there.
                    let line = format!("{seq} {thread} {at}\n");
                    std::io::stdout().lock().write_all(line.as_bytes()).expect("a reader");
                    if at % 16 == 0 {
                        journal.wait_durable(seq, LONG).expect("durable");
                        let line = format!("durable {seq}\n");
                        std::io::stdout().lock().write_all(line.as_bytes()).expect("a reader");
                    }
                    if at % 3 == 0 {
                        journal.append(RecordKind::P0Done, &seq.to_le_bytes()).expect("room");
                    }
                }
            });
        }
    });
}

#[test]
fn a_killed_process_loses_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut appended = Vec::new();
    let mut rounds_with_records = 0;
    for round in 0..12_u64 {
        let mut child = Command::new(std::env::current_exe().expect("a path"))
            .args(["--exact", "journal::tests::kill::child", "--nocapture"])
            .env(CHILD, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a process");
        let lines = BufReader::new(child.stdout.take().expect("piped"));
        let reader = thread::spawn(move || lines.split(b'\n').map_while(Result::ok).collect::<Vec<_>>());
        thread::park_timeout(Duration::from_micros(15_000 + round * 7_919));
        child.kill().expect("running");
        child.wait().expect("dead");
        let before = appended.len();
        let mut durable = 0;
        for line in reader.join().expect("read") {
            if let Some(seq) = line.strip_prefix(b"durable ") {
                // The last line may be cut off: that only makes its number smaller.
                durable = durable.max(String::from_utf8_lossy(seq).parse().unwrap_or(0));
            }
            let numbers: Vec<u64> =
                String::from_utf8_lossy(&line).split(' ').map_while(|word| word.parse().ok()).collect();
            if let [seq, thread, at] = numbers[..] {
                appended.push((seq, [thread.to_le_bytes(), at.to_le_bytes()].concat()));
            }
        }
        rounds_with_records += u32::from(appended.len() > before);
        // As it lies there: at least what was durable. Repaired: everything, behind holes too.
        let (found, _) = read(dir.path()).expect("no damage");
        check(&found, &appended, durable);
        let (journal, recovery) = open(dir.path(), small());
        drop(journal);
        let (repaired, summary) = read(dir.path()).expect("no damage");
        check(&repaired, &appended, u64::MAX);
        assert_eq!((summary.uncommitted, summary.torn), (0, vec![]));
        // Records behind a hole count: an event may have been handled there, or have come in there.
        let expected = qts_core::journal::unfinished(
            repaired
                .iter()
                .map(|record| qts_core::journal::Record { meta: record.meta, payload: &record.payload }),
        );
        assert_eq!(recovery.unfinished, expected);
    }
    assert!(rounds_with_records > 6, "{rounds_with_records}");
}

fn check(found: &[OwnedRecord], appended: &[(u64, Vec<u8>)], last: u64) {
    let found: std::collections::BTreeMap<u64, Vec<u8>> = payloads(found).into_iter().collect();
    for (seq, payload) in appended.iter().filter(|(seq, _)| *seq <= last) {
        assert_eq!(found.get(seq), Some(payload), "record {seq}");
    }
}
