//! Every interleaving of the safety word in small cases, under the model checker:
//! `RUSTFLAGS="--cfg loom" cargo test -p qts-core --lib --release models`.

use loom::model::Builder;
use loom::thread;

use super::codes::{FS040, FS043, FS050};
use super::{ActionClass, Flags, ProtectiveExits, SafetyWord, State};
use crate::sync::{Arc, AtomicU64, Ordering};

fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

fn word() -> Arc<SafetyWord> {
    Arc::new(SafetyWord::new(ProtectiveExits::TrustedOnly))
}

/// A raise that changes nothing else beside a manager that reads, takes what was raised since (or not) and releases.
///
/// The raiser is the first thread of the model: the load that prepares an exchange hides the loads of other threads from
/// the checker, so that it would not try the exchange before them if it had not seen it there first.
fn raise_beside_release(takes: bool) {
    check(move || {
        let word = word();
        word.raise(State::Fail, Flags::NONE, &FS040, 1);
        assert_eq!(word.take_raises().len(), 1);
        let before = word.value();
        let manager = {
            let word = Arc::clone(&word);
            thread::spawn(move || {
                let seen = word.value();
                let heard = if takes { word.take_raises().len() } else { 0 };
                (seen, heard, word.release(seen, State::Normal).is_ok())
            })
        };
        word.raise(State::Fail, Flags::NONE, &FS043, 2);
        let (seen, heard, released) = manager.join().unwrap();
        let late = word.take_raises();
        assert_eq!(heard + late.len(), 1, "each raise is recorded once");
        if seen == before || heard == 0 {
            assert_eq!(word.state(), State::Fail, "a fault that was not heard of stands");
        }
        if let (true, Some(raise)) = (released, late.first()) {
            assert_eq!((raise.from, raise.to), (State::Normal, State::Fail), "it struck after the release");
        }
    });
}

/// Fails if a raise that changes nothing else leaves no trace in the word, if a release stores instead of comparing, if
/// it looks at no count of unheard raises, or if that count goes up only after the word has changed.
#[test]
fn a_raise_beside_a_release_is_never_lost() {
    raise_beside_release(true);
}

/// Fails as well if the word is exchanged or read without order: the count of unheard raises would be an old one.
#[test]
fn a_raise_beside_a_release_of_one_who_takes_nothing_is_never_lost() {
    raise_beside_release(false);
}

/// Fails if the word is stored instead of exchanged, or if a raise does not look again at what it has lost to.
#[test]
fn a_reader_never_sees_a_state_weaker_than_one_raised_before() {
    check(|| {
        let (word, told) = (word(), Arc::new(AtomicU64::new(0)));
        let raiser = {
            let (word, told) = (Arc::clone(&word), Arc::clone(&told));
            thread::spawn(move || {
                word.raise(State::Fail, Flags::NONE, &FS040, 1);
                told.store(1, Ordering::Release);
                word.raise(State::Warning, Flags::NONE, &FS043, 2);
            })
        };
        let other = {
            let word = Arc::clone(&word);
            thread::spawn(move || word.raise(State::Lockdown, Flags::NONE, &FS050, 3))
        };
        let first = word.state();
        if told.load(Ordering::Acquire) == 1 {
            assert!(!word.permits(ActionClass::Entry), "whoever has heard of it is held back");
        }
        assert!(word.state() >= first);
        raiser.join().unwrap();
        other.join().unwrap();
        assert_eq!(word.state(), State::Lockdown);
    });
}

/// Fails if flags are stored instead of exchanged, or if setting a flag that is set leaves no trace in the word.
#[test]
fn a_flag_set_beside_a_clear_stands() {
    check(|| {
        let word = word();
        word.set_flags(Flags::ENTRIES_BLOCKED);
        let before = word.value();
        let manager = {
            let word = Arc::clone(&word);
            thread::spawn(move || {
                let seen = word.value();
                (seen, word.clear_flags(seen, Flags::ENTRIES_BLOCKED).is_ok())
            })
        };
        word.set_flags(Flags::ENTRIES_BLOCKED);
        word.raise(State::Fail, Flags::SAFE_MODE, &FS040, 1);
        let (seen, cleared) = manager.join().unwrap();
        if !cleared || seen == before {
            assert!(word.flags().contains(Flags::ENTRIES_BLOCKED), "set again after it was seen");
        }
        assert!(word.flags().contains(Flags::SAFE_MODE));
        assert_eq!(word.state(), State::Fail);
    });
}

/// Fails if a raise wakes nobody, or wakes before it is there to be written.
#[test]
fn a_scribe_who_sleeps_writes_every_raise() {
    check(|| {
        let word = word();
        word.attach_scribe(0);
        let raisers = [1, 2].map(|at_ns| {
            let word = Arc::clone(&word);
            thread::spawn(move || word.raise(State::Fail, Flags::NONE, &FS040, at_ns))
        });
        let (mut seen, mut count) = (0, 0);
        while count < 2 {
            word.wait_as_scribe(|| word.last_seq() > seen);
            let unwritten = word.unwritten();
            seen = unwritten.last().map_or(seen, |raise| raise.seq);
            count += unwritten.len();
            word.written(seen);
        }
        raisers.map(|raiser| raiser.join().unwrap());
        assert_eq!((seen, word.unwritten().len()), (2, 0));
    });
}
