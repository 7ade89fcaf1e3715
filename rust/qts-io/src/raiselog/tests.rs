use std::path::PathBuf;

use qts_core::safety::codes::{FS040, FS096};
use qts_core::safety::{ActionClass, ProtectiveExits};
use tempfile::TempDir;

use super::*;

struct Desk {
    _dir: TempDir,
    path: PathBuf,
    word: Arc<SafetyWord>,
}

fn desk() -> Desk {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("raises.log");
    Desk { _dir: dir, path, word: Arc::new(SafetyWord::new(ProtectiveExits::TrustedOnly)) }
}

impl Desk {
    /// A log that holds a raise to FAIL, one that sets flags, and one to LOCKDOWN.
    fn with_three(&self) -> Vec<u8> {
        let log = RaiseLog::open(&self.path).unwrap();
        log.attach(&self.word, 6).unwrap();
        self.word.raise(State::Fail, Flags::NONE, &FS096, 1);
        self.word.raise(State::Fail, Flags::KILL_CANCEL.and(Flags::HALT_ALL), &FS040, 2);
        self.word.raise(State::Lockdown, Flags::NONE, &FS040, 3);
        log.close();
        fs::read(&self.path).unwrap()
    }

    fn left(&self) -> Vec<(u64, u64)> {
        let log = RaiseLog::open(&self.path).unwrap();
        log.left().iter().map(|written| (written.raise.seq, written.raise.at_ns)).collect()
    }

    fn refused(&self) -> String {
        RaiseLog::open(&self.path).unwrap_err().to_string()
    }
}

fn until(mut condition: impl FnMut() -> bool) {
    let begin_ns = HostClock.monotonic_ns();
    while !condition() {
        assert!(HostClock.monotonic_ns().saturating_sub(begin_ns) < 30_000_000_000, "it does not come about");
        thread::yield_now();
    }
}

fn len(path: &Path) -> u64 {
    fs::metadata(path).unwrap().len()
}

#[test]
fn what_raised_the_word_is_read_back_as_it_was() {
    let desk = desk();
    let first = desk.with_three();
    assert_eq!(first.len(), 4 * RECORD_BYTES);
    let log = RaiseLog::open(&desk.path).unwrap();
    let raises: Vec<_> = log.left().iter().map(|written| written.raise).collect();
    assert_eq!(raises, desk.word.take_raises());
    assert_eq!(raises[1].flags, Flags::KILL_CANCEL.and(Flags::HALT_ALL));
    assert!(log.left().iter().all(|written| written.wall_ns > 1_600_000_000_000_000_000));
    assert_eq!(log.cut_bytes(), 0);
}

#[test]
fn numbers_go_on_after_a_restart_and_what_was_heard_goes() {
    let desk = desk();
    desk.with_three();
    assert_eq!(desk.left(), [(7, 1), (8, 2), (9, 3)]);
    let word = Arc::new(SafetyWord::new(ProtectiveExits::TrustedOnly));
    let log = RaiseLog::open(&desk.path).unwrap();
    log.attach(&word, 7).unwrap();
    word.raise(State::Fail, Flags::NONE, &FS040, 4);
    until(|| len(&desk.path) == 5 * RECORD_BYTES as u64);
    log.acknowledge(9);
    until(|| word.unwritten().is_empty());
    assert_eq!(desk.left(), [(7, 1), (8, 2), (9, 3), (10, 4)], "until all of it has been heard");
    log.acknowledge(10);
    until(|| len(&desk.path) == RECORD_BYTES as u64);
    word.raise(State::Fail, Flags::NONE, &FS040, 5);
    log.close();
    assert_eq!(desk.left(), [(11, 5)]);
}

#[test]
fn what_is_heard_before_it_is_written_is_not_written() {
    let desk = desk();
    desk.word.raise(State::Fail, Flags::NONE, &FS040, 1);
    let log = RaiseLog::open(&desk.path).unwrap();
    desk.word.take_raises();
    log.attach(&desk.word, 1).unwrap();
    log.acknowledge(2);
    desk.word.raise(State::Fail, Flags::NONE, &FS040, 2);
    log.close();
    assert_eq!(desk.left(), []);
}

#[test]
fn one_log_has_one_word() {
    let (desk, other) = (desk(), super::tests::desk());
    let log = RaiseLog::open(&desk.path).unwrap();
    log.attach(&desk.word, 0).unwrap();
    assert!(matches!(log.attach(&other.word, 0), Err(RaiseLogError::Taken)));
    let second = RaiseLog::open(&other.path).unwrap();
    assert!(matches!(second.attach(&desk.word, 0), Err(RaiseLogError::Taken)));
    drop(log);
    second.attach(&desk.word, 0).unwrap();
}

#[test]
fn a_torn_tail_is_cut_and_told() {
    let desk = desk();
    let whole = desk.with_three();
    for torn in 1..RECORD_BYTES {
        fs::write(&desk.path, &whole[..whole.len() - torn]).unwrap();
        let log = RaiseLog::open(&desk.path).unwrap();
        assert_eq!((log.left().len(), log.cut_bytes()), (2, RECORD_BYTES - torn));
        assert_eq!(len(&desk.path), 3 * RECORD_BYTES as u64);
    }
    let mut grown = whole[..3 * RECORD_BYTES].to_vec();
    grown.resize(5 * RECORD_BYTES - 7, 0);
    fs::write(&desk.path, grown).unwrap();
    let log = RaiseLog::open(&desk.path).unwrap();
    assert_eq!((log.left().len(), log.cut_bytes()), (2, 2 * RECORD_BYTES - 7));
    drop(log);
    assert_eq!(RaiseLog::open(&desk.path).unwrap().cut_bytes(), 0);
}

#[test]
fn every_flipped_bit_is_found() {
    let desk = desk();
    let whole = desk.with_three();
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << bit;
            assert!(matches!(read(&bytes), Err(RaiseLogError::Damaged { .. })), "byte {at} bit {bit}");
        }
    }
    let mut bytes = whole;
    bytes[RECORD_BYTES + 9] ^= 1;
    fs::write(&desk.path, &bytes).unwrap();
    assert_eq!(desk.refused(), "record 1: found another checksum; expected what was written");
    assert_eq!(fs::read(&desk.path).unwrap(), bytes, "nothing of it is touched");
}

#[test]
fn what_is_whole_and_makes_no_sense_is_refused() {
    let desk = desk();
    let whole = desk.with_three();
    let mut twice = whole.clone();
    twice.extend_from_slice(&whole[RECORD_BYTES..2 * RECORD_BYTES]);
    fs::write(&desk.path, twice).unwrap();
    assert_eq!(
        desk.refused(),
        "record 4: found a number that is not above the one before; expected what was written"
    );
    let cases = [
        (40, b'X', "a code that is not in the table"),
        (5, 9, "a state that does not exist"),
        (6, 1, "other states"),
        (32, 1, "flags that do not exist"),
        (40, 0xFF, "a code that is no text"),
    ];
    for (at, byte, found) in cases {
        let mut record = whole[RECORD_BYTES..2 * RECORD_BYTES].to_vec();
        record[at] = byte;
        let crc = crc32c::crc32c(&record[4..]).to_le_bytes();
        record[..4].copy_from_slice(&crc);
        assert_eq!(decode(&record), Err(found));
    }
    fs::write(&desk.path, b"").unwrap();
    assert_eq!(desk.refused(), "record 0: found another header; expected what was written");
}

#[test]
fn a_log_that_takes_nothing_is_a_fault_told_once_and_goes_on_when_it_can() {
    let desk = desk();
    drop(RaiseLog::open(&desk.path).unwrap());
    let read_only = OpenOptions::new().read(true).open(&desk.path).unwrap();
    let log = RaiseLog::open(&desk.path).unwrap();
    let (left, cut_bytes) = (Vec::new(), 0);
    let shared = Shared {
        file: read_only,
        heard: AtomicU64::new(0),
        asked: AtomicU64::new(0),
        is_failing: AtomicBool::new(false),
        is_over: AtomicBool::new(false),
    };
    drop(log);
    let log = RaiseLog { shared: Arc::new(shared), left, cut_bytes, scribe: Mutex::new(None) };
    log.attach(&desk.word, 0).unwrap();
    desk.word.raise(State::Warning, Flags::NONE, &FS040, 1);
    until(|| desk.word.state() == State::Fail);
    assert!(desk.word.flags().contains(Flags::JOURNAL_FAILED));
    assert!(!desk.word.permits(ActionClass::CapitalMove));
    log.acknowledge(0);
    log.close();
    let codes: Vec<_> = desk.word.take_raises().iter().map(|raise| raise.code.code).collect();
    assert_eq!(codes, ["FS040", "FS063"], "once");
}

#[test]
fn nobody_polls_the_log_of_a_quiet_word() {
    let desk = desk();
    let log = RaiseLog::open(&desk.path).unwrap();
    log.attach(&desk.word, 0).unwrap();
    for at_ns in 1..=20 {
        desk.word.raise(State::Fail, Flags::NONE, &FS040, at_ns);
        until(|| len(&desk.path) == (at_ns + 1) * RECORD_BYTES as u64);
        assert!(!log.shared.is_failing.load(Ordering::Acquire));
    }
}
