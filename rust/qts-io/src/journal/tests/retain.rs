//! Segments that go.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicI64, Ordering};

use super::*;

const CHILD: &str = "QTS_RETIRING_CHILD";
/// In the fourth segment that [`filled`] makes.
const KEEP_FROM: u64 = 80;
const DAY_NS: i64 = 86_400_000_000_000;

fn tight(sync: bool) -> JournalConfig {
    JournalConfig { quota_bytes: 160 << 10, sync, ..small() }
}

fn used(dir: &Path) -> u64 {
    segments(dir).iter().map(|path| fs::metadata(path).expect("a file").len()).sum()
}

/// Fills some segments and ends the journal; what was appended.
fn filled(dir: &Path) -> Vec<(u64, Vec<u8>)> {
    let (journal, _) = open(dir, JournalConfig { sync: false, ..small() });
    let append = |at: u8| (journal.append(RecordKind::Fill, &[at; 700]).expect("room"), vec![at; 700]);
    let appended = (0..120).map(append).collect();
    journal.close().expect("closed");
    appended
}

fn retiring() -> JournalConfig {
    JournalConfig { keep_days: 0, keep_from: u64::MAX, ..small() }
}

#[test]
fn writing_goes_on_below_the_quota() {
    for sync in [true, false] {
        let dir = tempfile::tempdir().expect("a directory");
        let (journal, _) = open(dir.path(), tight(sync));
        let mut appended = Vec::new();
        let mut warnings = 0;
        for at in 0..2_000_u16 {
            let payload = at.to_le_bytes().repeat(250);
            let seq = journal.append(RecordKind::Fill, &payload).expect("room");
            appended.push((seq, payload));
            journal.keep_from(seq);
            warnings += usize::from(journal.take_quota_warning().is_some_and(Usage::is_near_quota));
        }
        // Once each time that it comes near: less often than it makes segments.
        assert!((1..100).contains(&warnings), "{warnings}");
        journal.close().expect("closed");
        assert!(used(dir.path()) <= 160 << 10);
        for _ in 0..2 {
            let (records, summary) = read(dir.path()).expect("clean");
            assert!(summary.anchor.segments > 50, "{summary:?}");
            assert_eq!(records[0].meta.seq, summary.anchor.next_seq);
            let left = payloads(&records);
            assert_eq!(left, appended[appended.len() - left.len()..]);
            assert!(!left.is_empty());
            drop(open(dir.path(), tight(sync)));
        }
    }
}

#[test]
fn threads_append_while_segments_are_retired() {
    let dir = tempfile::tempdir().expect("a directory");
    let (journal, _) = open(dir.path(), JournalConfig { keep_from: u64::MAX, ..tight(true) });
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                // Whoever comes to run may fill the journal behind an event of somebody who does not.
                let append = |kind, payload: &[u8]| loop {
                    match journal.append(kind, payload) {
                        Err(JournalError::Quota { pin: Pin::Event(_), .. }) => std::thread::yield_now(),
                        appended => break appended.expect("room"),
                    }
                };
                for at in 0..2_000_u32 {
                    append(RecordKind::Fill, &[7; 300]);
                    let event = append(RecordKind::P0Event, &at.to_le_bytes());
                    journal.append(RecordKind::P0Done, &event.to_le_bytes()).expect("room for a mark");
                }
            });
        }
    });
    journal.close().expect("closed");
    assert!(read(dir.path()).expect("clean").1.anchor.segments > 50);
    let (_, recovery) = open(dir.path(), small());
    assert_eq!(recovery.unfinished, []);
}

#[test]
fn an_event_that_is_not_done_keeps_its_segment() {
    for sync in [true, false] {
        let dir = tempfile::tempdir().expect("a directory");
        let config = JournalConfig { keep_from: u64::MAX, ..tight(sync) };
        let (journal, _) = open(dir.path(), config);
        for _ in 0..60 {
            journal.append(RecordKind::Fill, &[1; 700]).expect("room");
        }
        let event = journal.append(RecordKind::P0Event, b"not done").expect("room");
        let error = loop {
            match journal.append(RecordKind::Fill, &[1; 700]) {
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert!(matches!(error, JournalError::Quota { pin: Pin::Event(seq), .. } if seq == event), "{error}");
        // A mark still has its room.
        journal.append(RecordKind::P0Done, &u64::MAX.to_le_bytes()).expect("room for a mark");
        journal.close().expect("closed");
        drop(journal);
        let (_, summary) = read(dir.path()).expect("clean");
        assert!(summary.anchor.segments > 0 && summary.anchor.next_seq <= event);
        // The next start has room for the mark, and then there is room for everything.
        let (journal, recovery) = open(dir.path(), config);
        assert_eq!(recovery.unfinished.iter().map(|found| found.meta.seq).collect::<Vec<_>>(), [event]);
        journal.append(RecordKind::P0Done, &event.to_le_bytes()).expect("room");
        for _ in 0..1_000 {
            journal.append(RecordKind::Fill, &[1; 700]).expect("room");
        }
        journal.close().expect("closed");
        assert!(read(dir.path()).expect("clean").1.anchor.next_seq > event);
    }
}

#[test]
fn nothing_goes_that_the_owner_or_the_calendar_keeps() {
    static NOW: AtomicI64 = AtomicI64::new(1_750_000_000_000_000_000);
    let dir = tempfile::tempdir().expect("a directory");
    let config = JournalConfig { sync: false, ..small() };
    let clock: UtcClock = Box::new(|| NOW.load(Ordering::Relaxed));
    let (journal, _) = Journal::open(dir.path(), config, clock).expect("a good journal");
    let mut firsts = Vec::new();
    // Without a flusher the last commit of a segment is written when the one after it is over.
    for _ in 0..5 {
        firsts.push(journal.append(RecordKind::Audit, b"of that day").expect("room"));
        NOW.fetch_add(DAY_NS, Ordering::Relaxed);
    }
    NOW.fetch_add(27 * DAY_NS + DAY_NS / 2, Ordering::Relaxed);
    let retire =
        || journal.retire().map(|found| (found.segments.len(), found.next_seq, found.pin)).expect("good");
    assert_eq!(retire(), (0, 1, Pin::KeptFrom(0)), "nobody has said anything");
    journal.keep_from(firsts[1] - 1);
    assert_eq!(retire(), (0, 1, Pin::KeptFrom(firsts[1] - 1)));
    journal.keep_from(firsts[1]);
    assert_eq!(retire(), (1, firsts[1], Pin::KeptFrom(firsts[1])));
    journal.keep_from(firsts[4]);
    assert_eq!(retire(), (0, firsts[1], Pin::Young));
    NOW.fetch_add(DAY_NS, Ordering::Relaxed);
    assert_eq!(retire(), (1, firsts[2], Pin::Young));
    journal.close().expect("closed");
    let (records, summary) = read(dir.path()).expect("clean");
    assert_eq!((summary.anchor.segments, records[0].meta.seq), (2, firsts[2]));
    let later = plan(dir.path(), firsts[4], 30, NOW.load(Ordering::Relaxed) + DAY_NS).expect("clean");
    assert_eq!((later.segments.len(), later.next_seq, later.pin), (1, firsts[3], Pin::Young));
    assert!(later.segments.iter().all(|path| path.exists()), "a plan changes nothing");
}

#[test]
fn what_is_old_enough_goes_when_a_segment_is_made() {
    static NOW: AtomicI64 = AtomicI64::new(1_750_000_000_000_000_000);
    let dir = tempfile::tempdir().expect("a directory");
    let config = JournalConfig { keep_days: 2, keep_from: u64::MAX, ..small() };
    let clock: UtcClock = Box::new(|| NOW.load(Ordering::Relaxed));
    let (journal, _) = Journal::open(dir.path(), config, clock).expect("a good journal");
    let mut days = Vec::new();
    for _ in 0..30 {
        days.push(journal.append(RecordKind::Audit, b"of that day").expect("room"));
        journal.wait_durable(days[days.len() - 1], LONG).expect("durable");
        NOW.fetch_add(DAY_NS, Ordering::Relaxed);
    }
    journal.close().expect("closed");
    let (records, summary) = read(dir.path()).expect("clean");
    assert!((20..28).contains(&summary.anchor.segments), "{summary:?}");
    let left = payloads(&records);
    assert!((3..8).contains(&left.len()), "the last two days at least: {left:?}");
    assert_eq!(left[left.len() - 1].0, days[29]);
}

#[test]
fn a_segment_that_somebody_else_removed_is_missed() {
    for retired in [false, true] {
        let dir = tempfile::tempdir().expect("a directory");
        filled(dir.path());
        if retired {
            let (journal, _) = open(dir.path(), JournalConfig { keep_from: 30, ..retiring() });
            assert!(!journal.retire().expect("no fault").segments.is_empty());
        }
        read(dir.path()).expect("clean");
        fs::remove_file(&segments(dir.path())[0]).expect("removed");
        let first = segments(dir.path())[0].clone();
        match read(dir.path()) {
            Err(JournalError::Damaged { segment, .. }) => assert_eq!(segment, first),
            other => panic!("{other:?}"),
        }
        assert!(Journal::open(dir.path(), small(), utc()).is_err());
    }
    // Nor can the anchor itself go, or change.
    let dir = tempfile::tempdir().expect("a directory");
    filled(dir.path());
    open(dir.path(), retiring()).0.retire().expect("no fault");
    let path = dir.path().join("anchor");
    let mut bytes = fs::read(&path).expect("an anchor");
    fs::remove_file(&path).expect("removed");
    assert!(matches!(read(dir.path()), Err(JournalError::Damaged { .. })));
    bytes[20] ^= 1;
    fs::write(&path, &bytes).expect("written");
    assert!(matches!(read(dir.path()), Err(JournalError::Damaged { segment, .. }) if segment == path));
}

/// Every state in which a power cut can leave the directory: names that were removed may be there or not.
#[test]
fn a_power_cut_while_segments_go_leaves_a_good_journal() {
    let dir = tempfile::tempdir().expect("a directory");
    filled(dir.path());
    let before: Vec<_> = segments(dir.path())
        .into_iter()
        .map(|path| (path.clone(), fs::read(&path).expect("a file")))
        .collect();
    let (journal, _) = open(dir.path(), JournalConfig { keep_from: KEEP_FROM, ..retiring() });
    let gone = journal.retire().expect("no fault");
    journal.close().expect("closed");
    drop(journal);
    let left = payloads(&read(dir.path()).expect("clean").0);
    let gone: Vec<_> = before.iter().filter(|(path, _)| gone.segments.contains(path)).collect();
    assert_eq!(gone.len(), 3);
    for kept in 0..1_u32 << gone.len() {
        for (at, (path, bytes)) in gone.iter().enumerate() {
            if kept >> at & 1 == 1 {
                fs::write(path, bytes).expect("written");
            }
        }
        assert_eq!(payloads(&read(dir.path()).expect("clean").0), left, "{kept:b}");
        if kept.count_ones() % 2 == 1 {
            drop(open(dir.path(), small()));
        }
        for (path, _) in &gone {
            let _ = fs::remove_file(path);
        }
    }
}

thread_local! {
    static IS_RETIRING: Cell<bool> = const { Cell::new(false) };
}

/// Tells each step of a retirement and waits for a line before it takes it.
#[derive(Debug)]
struct SteppingDisk;

impl SteppingDisk {
    fn step(name: &str) {
        if !IS_RETIRING.get() {
            return;
        }
        let line = format!("\nstep {name}\n");
        io::stdout().lock().write_all(line.as_bytes()).expect("a reader");
        io::stdin().lock().read_line(&mut String::new()).expect("a writer");
    }
}

impl Disk for SteppingDisk {
    fn create(&self, path: &Path, bytes: u64) -> io::Result<File> {
        Self::step("create");
        SystemDisk.create(path, bytes)
    }

    fn sync(&self, file: &File, path: &Path) -> io::Result<()> {
        Self::step("sync");
        SystemDisk.sync(file, path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        Self::step("sync_dir");
        SystemDisk.sync_dir(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        Self::step("rename");
        SystemDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        Self::step("remove");
        SystemDisk.remove(path)
    }
}

/// Not a test of its own: what the killed process runs.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(CHILD) else { return };
    let config = JournalConfig { keep_from: KEEP_FROM, ..retiring() };
    let (journal, _) = Journal::open_on(dir, config, utc(), Box::new(SteppingDisk)).expect("a good journal");
    IS_RETIRING.set(true);
    journal.retire().expect("no fault");
    IS_RETIRING.set(false);
    io::stdout().lock().write_all(b"\nstep over\n").expect("a reader");
    io::stdin().lock().read_line(&mut String::new()).expect("a writer");
}

#[test]
fn a_process_killed_at_any_step_of_a_retirement_leaves_a_good_journal() {
    let mut steps = Vec::new();
    while steps.last().is_none_or(|step| step != "step over") {
        let dir = tempfile::tempdir().expect("a directory");
        let appended = filled(dir.path());
        let mut child = Command::new(std::env::current_exe().expect("a path"))
            .args(["--exact", "journal::tests::retain::child", "--nocapture"])
            .env(CHILD, dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a process");
        let mut answers = child.stdin.take().expect("piped");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        // One step further than the process before.
        let mut told = lines.map(|line| line.expect("text")).filter(|line| line.starts_with("step "));
        for step in &steps {
            assert_eq!(told.next().as_ref(), Some(step));
            answers.write_all(b"\n").expect("it waits");
        }
        steps.push(told.next().expect("one more step"));
        child.kill().expect("running");
        child.wait().expect("dead");
        let check = || {
            let (records, summary) = read(dir.path()).expect("no damage");
            let left = payloads(&records);
            assert_eq!(left, appended[appended.len() - left.len()..], "{steps:?}");
            assert!(left[0].0 <= KEEP_FROM && summary.anchor.next_seq <= left[0].0, "{steps:?}");
        };
        check();
        drop(open(dir.path(), small()));
        check();
        let (journal, _) = open(dir.path(), JournalConfig { keep_from: KEEP_FROM, ..retiring() });
        journal.retire().expect("no fault");
        drop(journal);
        check();
        assert!(segments(dir.path()).iter().all(|path| path.metadata().expect("a file").len() < 16 << 10));
        assert!(!dir.path().join("anchor.new").exists());
        assert!(payloads(&read(dir.path()).expect("clean").0).len() < appended.len(), "some have gone");
    }
    let of = |name: &str| steps.iter().filter(|step| **step == format!("step {name}")).count();
    assert_eq!((of("create"), of("rename")), (1, 1), "{steps:?}");
    assert_eq!((of("remove"), of("sync"), of("sync_dir")), (3, 1, 1), "{steps:?}");
}
