use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::thread;

use proptest::prelude::*;

use super::codes::{self, Effect, FS040, FS043, FS050};
use super::{ActionClass as A, Flags, ProtectiveExits, Raise, ReleaseError, SafetyWord, State};

fn word() -> SafetyWord {
    SafetyWord::new(ProtectiveExits::TrustedOnly)
}

fn in_state(state: State, flags: Flags, exits: ProtectiveExits) -> SafetyWord {
    let word = SafetyWord::new(exits);
    word.raise(state, flags, &FS040, 0);
    word
}

/// The matrix as the specification prints it, row by row: class, then NORMAL, WARNING, FAIL, LOCKDOWN.
const MATRIX: [(A, &str); 19] = [
    (A::NewCycle, "yy--"),
    (A::MonitoringExtract, "yyyy"),
    (A::Entry, "yy--"),
    (A::StrategyExit, "yy--"),
    (A::ProtectiveExit, "yyy-"),
    (A::TrustedExit, "yyyy"),
    (A::KillPlan, "----"),
    (A::RunningExit, "yyyy"),
    (A::Cancel, "yyyy"),
    (A::Amend, "yy--"),
    (A::AmendTowardsExit, "yyy-"),
    (A::Accounting, "yyyy"),
    (A::CapitalMove, "y---"),
    (A::ConfigReload, "yy--"),
    (A::SafetyConfigReload, "yyyy"),
    (A::OperatorReduce, "yyy-"),
    (A::OperatorReduceApproved, "yyyy"),
    (A::OperatorIncrease, "----"),
    (A::Housekeeping, "yyyy"),
];

#[test]
fn each_state_permits_what_the_specification_says() {
    assert_eq!(MATRIX.map(|(action, _)| action), A::ALL);
    for (action, row) in MATRIX {
        for (state, cell) in State::ALL.into_iter().zip(row.chars()) {
            let word = in_state(state, Flags::NONE, ProtectiveExits::TrustedOnly);
            assert_eq!(word.permits(action), cell == 'y', "{} in {}", action.name(), state.name());
        }
    }
}

/// What a flag takes away, in a state where everything else goes on.
fn refused(flags: Flags, state: State) -> Vec<A> {
    let (free, held) = (
        in_state(state, Flags::NONE, ProtectiveExits::TrustedOnly),
        in_state(state, flags, ProtectiveExits::TrustedOnly),
    );
    A::ALL.into_iter().filter(|&action| free.permits(action) && !held.permits(action)).collect()
}

#[test]
fn each_flag_takes_away_what_it_is_for_and_no_more() {
    let normal = State::Normal;
    assert_eq!(refused(Flags::SAFE_MODE, normal), [A::Entry, A::StrategyExit, A::Amend]);
    assert_eq!(refused(Flags::ETEDA_SUSPENDED, normal), [A::NewCycle, A::Entry, A::StrategyExit, A::Amend]);
    assert_eq!(refused(Flags::ENTRIES_BLOCKED, normal), [A::Entry, A::Amend]);
    assert_eq!(refused(Flags::JOURNAL_FAILED, normal), [A::Entry, A::StrategyExit, A::Amend, A::CapitalMove]);
    assert_eq!(refused(Flags::JOURNAL_FAILED, State::Fail), [], "emergency exits need no journal");
    assert_eq!(refused(Flags::JOURNAL_FAILED, State::Lockdown), [A::TrustedExit]);
    let orders = [A::Entry, A::StrategyExit, A::ProtectiveExit, A::TrustedExit, A::RunningExit, A::Amend];
    let by_hand = [A::AmendTowardsExit, A::OperatorReduce, A::OperatorReduceApproved];
    assert_eq!(refused(Flags::HALT_ALL, normal), [&orders[..], &by_hand[..]].concat());
    assert_eq!(
        refused(Flags::HALT_ALL, State::Lockdown),
        [A::TrustedExit, A::RunningExit, A::OperatorReduceApproved]
    );
}

#[test]
fn an_engaged_kill_switch_is_a_lockdown_before_the_state_is_raised() {
    for (flag, level) in [(Flags::KILL_HALT, 1), (Flags::KILL_CANCEL, 2), (Flags::KILL_FLATTEN, 3)] {
        let killed = word();
        assert!(killed.set_flags(flag));
        assert_eq!(killed.state(), State::Normal);
        let lockdown = in_state(State::Lockdown, Flags::NONE, ProtectiveExits::TrustedOnly);
        for action in A::ALL {
            let may = if action == A::KillPlan { level == 3 } else { lockdown.permits(action) };
            assert_eq!(killed.permits(action), may, "{} at K{level}", action.name());
        }
    }
}

#[test]
fn lockdown_exits_follow_their_setting() {
    let permitted = |exits, flags| {
        let word = in_state(State::Lockdown, flags, exits);
        [A::ProtectiveExit, A::TrustedExit, A::KillPlan, A::RunningExit, A::OperatorReduceApproved]
            .map(|action| word.permits(action))
    };
    let kill = Flags::KILL_FLATTEN;
    assert_eq!(permitted(ProtectiveExits::TrustedOnly, kill), [false, true, true, true, true]);
    assert_eq!(permitted(ProtectiveExits::KillPlanOnly, kill), [false, false, true, true, true]);
    assert_eq!(permitted(ProtectiveExits::None, kill), [false, false, false, true, true]);
    assert_eq!(permitted(ProtectiveExits::TrustedOnly, kill.and(Flags::HALT_ALL)), [false; 5]);
    for exits in ProtectiveExits::ALL {
        let fail = in_state(State::Fail, Flags::NONE, exits);
        assert!(fail.permits(A::ProtectiveExit), "the setting is about LOCKDOWN only");
    }
}

#[test]
fn a_raise_never_lowers_and_is_recorded_even_if_it_changes_nothing() {
    let word = word();
    assert!(word.raise(State::Fail, Flags::ENTRIES_BLOCKED, &FS040, 5));
    assert!(!word.raise(State::Warning, Flags::NONE, &FS043, 6));
    assert!(word.raise(State::Lockdown, Flags::NONE, &FS050, 7));
    assert!(!word.raise(State::Fail, Flags::NONE, &FS040, 8));
    assert_eq!((word.state(), word.flags()), (State::Lockdown, Flags::ENTRIES_BLOCKED));
    let raise = |code, from, to, at_ns| {
        let flags = if at_ns == 5 { Flags::ENTRIES_BLOCKED } else { Flags::NONE };
        Raise { seq: at_ns - 4, code, from, to, flags, at_ns }
    };
    let expected = [
        raise(&FS040, State::Normal, State::Fail, 5),
        raise(&FS043, State::Fail, State::Fail, 6),
        raise(&FS050, State::Fail, State::Lockdown, 7),
        raise(&FS040, State::Lockdown, State::Lockdown, 8),
    ];
    assert_eq!(word.take_raises(), expected);
    assert_eq!(word.take_raises(), []);
}

#[test]
fn a_release_needs_the_word_that_was_seen() {
    let word = word();
    word.raise(State::Fail, Flags::NONE, &FS040, 1);
    let seen = word.value();
    assert_eq!(word.release(seen, State::Normal), Err(ReleaseError::Unheard));
    word.take_raises();
    assert_eq!(word.release(seen, State::Fail), Err(ReleaseError::NotLower));
    assert_eq!(word.release(seen, State::Lockdown), Err(ReleaseError::NotLower));
    word.raise(State::Fail, Flags::NONE, &FS043, 2);
    word.take_raises();
    assert_eq!(
        word.release(seen, State::Normal),
        Err(ReleaseError::Changed),
        "another fault since, in the same state"
    );
    let seen = word.value();
    word.set_flags(Flags::SAFE_MODE);
    assert_eq!(word.release(seen, State::Normal), Err(ReleaseError::Changed));
    assert_eq!(word.state(), State::Fail);
    assert_eq!(word.release(word.value(), State::Warning), Ok(()));
    assert_eq!((word.state(), word.flags()), (State::Warning, Flags::SAFE_MODE));
}

#[test]
fn a_kill_switch_is_released_as_a_whole_and_before_the_state() {
    let word = word();
    word.raise(State::Lockdown, Flags::KILL_FLATTEN.and(Flags::HALT_ALL), &FS050, 1);
    word.take_raises();
    assert_eq!(word.release(word.value(), State::Normal), Err(ReleaseError::KillEngaged));
    let seen = word.value();
    assert_eq!(word.clear_flags(seen, Flags::KILL_HALT), Ok(()));
    assert_eq!(word.flags(), Flags::HALT_ALL);
    assert_eq!(word.clear_flags(seen, Flags::HALT_ALL), Err(ReleaseError::Changed));
    assert_eq!(word.release(word.value(), State::Normal), Ok(()));
}

#[test]
fn a_flag_set_again_is_not_cleared_by_whoever_saw_it_before() {
    let word = word();
    assert!(word.set_flags(Flags::ENTRIES_BLOCKED));
    let seen = word.value();
    assert!(!word.set_flags(Flags::ENTRIES_BLOCKED));
    assert_eq!(word.clear_flags(seen, Flags::ENTRIES_BLOCKED), Err(ReleaseError::Changed));
    assert_eq!(word.flags(), Flags::ENTRIES_BLOCKED);
}

#[test]
fn a_mask_brings_the_kill_levels_below_it_and_nothing_foreign() {
    assert_eq!(Flags::from_bits(1 << 4), Some(Flags::KILL_FLATTEN));
    assert_eq!(Flags::from_bits(1 << 3), Some(Flags::KILL_CANCEL));
    assert_eq!(Flags::from_bits(1 << 2), Some(Flags::KILL_HALT));
    for bit in (0..2).chain(10..64) {
        assert_eq!(Flags::from_bits(1 << bit), None, "bit {bit}");
    }
    for (_, flag) in Flags::NAMES {
        assert_eq!(Flags::from_bits(flag.bits()), Some(flag));
    }
}

#[test]
fn raises_beyond_those_kept_are_counted_and_must_be_heard_of_too() {
    let word = word();
    for at_ns in 0..300 {
        word.raise(State::Fail, Flags::NONE, &FS040, at_ns);
    }
    assert_eq!(word.raises_lost(), 44);
    let raises = word.take_raises();
    assert_eq!(
        (raises.len(), raises[0].at_ns, raises[255].at_ns),
        (256, 0, 255),
        "the first ones tell the cause"
    );
    assert_eq!(word.raises_lost(), 44);
    assert_eq!(word.release(word.value(), State::Normal), Ok(()));
}

#[test]
fn a_scribe_gets_what_nobody_has_taken_and_all_that_comes() {
    let word = word();
    word.raise(State::Fail, Flags::NONE, &FS040, 1);
    word.take_raises();
    word.raise(State::Fail, Flags::NONE, &FS043, 2);
    assert_eq!((word.unwritten(), word.taken_seq(), word.last_seq()), (vec![], 1, 2));
    assert!(word.attach_scribe(10));
    assert!(!word.attach_scribe(20), "one at a time");
    word.raise(State::Fail, Flags::NONE, &FS050, 3);
    let numbers =
        |raises: Vec<Raise>| raises.iter().map(|raise| (raise.seq, raise.at_ns)).collect::<Vec<_>>();
    assert_eq!(numbers(word.unwritten()), [(11, 2), (12, 3)]);
    assert_eq!(numbers(word.take_raises()), [(11, 2), (12, 3)], "whatever the scribe does");
    assert_eq!(word.taken_seq(), 12);
    word.written(11);
    assert_eq!(numbers(word.unwritten()), [(12, 3)]);
    word.detach_scribe();
    assert_eq!(word.unwritten(), []);
    assert!(word.attach_scribe(5));
    word.raise(State::Fail, Flags::NONE, &FS040, 4);
    assert_eq!(numbers(word.unwritten()), [(13, 4)], "numbers never go back");
}

#[test]
fn of_the_raises_beyond_those_kept_the_strongest_is_written() {
    let word = word();
    word.attach_scribe(0);
    for at_ns in 0..300 {
        word.raise(State::Warning, Flags::NONE, &FS040, at_ns);
    }
    word.raise(State::Lockdown, Flags::NONE, &FS050, 300);
    word.raise(State::Fail, Flags::NONE, &FS043, 301);
    let unwritten = word.unwritten();
    let last = unwritten[255];
    assert_eq!((unwritten.len(), unwritten[254].seq), (256, 255));
    assert_eq!((last.seq, last.code, last.to), (301, &FS050, State::Lockdown));
}

#[test]
fn who_records_it_himself_raises_without_a_record() {
    let word = word();
    word.attach_scribe(0);
    assert!(word.strengthen(State::Fail));
    let seen = word.value();
    assert!(!word.strengthen(State::Warning));
    assert_eq!(word.state(), State::Fail);
    assert_eq!((word.take_raises(), word.unwritten()), (vec![], vec![]));
    assert_eq!(word.release(seen, State::Normal), Err(ReleaseError::Changed), "it counts all the same");
    assert_eq!(word.release(word.value(), State::Normal), Ok(()));
}

#[test]
fn raises_of_many_threads_all_stand() {
    let word = Arc::new(word());
    let raisers: Vec<_> = (0..4)
        .map(|number| {
            let word = Arc::clone(&word);
            thread::spawn(move || {
                let (_, flag) = Flags::NAMES[number + 3];
                for at_ns in 0..10_000 {
                    word.raise(State::ALL[number], flag, &FS040, at_ns);
                    assert!(word.state() >= State::ALL[number] && word.flags().contains(flag));
                }
            })
        })
        .collect();
    let mut taken = 0;
    while !raisers.iter().all(thread::JoinHandle::is_finished) {
        taken += word.take_raises().len() as u64;
    }
    for raiser in raisers {
        raiser.join().unwrap();
    }
    taken += word.take_raises().len() as u64;
    assert_eq!(taken + word.raises_lost(), 40_000);
    assert_eq!(word.value() >> 32, 40_000);
    assert_eq!(word.state(), State::Lockdown);
}

fn any_state() -> impl Strategy<Value = State> {
    prop::sample::select(State::ALL.to_vec())
}

fn any_flags() -> impl Strategy<Value = Flags> {
    any::<u64>().prop_map(|bits| Flags::from_bits(bits & Flags::ALL.bits()).unwrap_or_default())
}

proptest! {
    #[test]
    fn more_protection_never_permits_more_but_the_kill_plan(
        (weak, strong) in (any_state(), any_state()),
        (few, more) in (any_flags(), any_flags()),
        exits in prop::sample::select(ProtectiveExits::ALL.to_vec()),
    ) {
        let before = in_state(weak, few, exits);
        let after = in_state(weak.max(strong), few.and(more), exits);
        for action in A::ALL.into_iter().filter(|&action| action != A::KillPlan) {
            prop_assert!(before.permits(action) || !after.permits(action), "{}", action.name());
        }
    }

    #[test]
    fn a_cancel_is_always_permitted(state in any_state(), flags in any_flags()) {
        prop_assert!(in_state(state, flags, ProtectiveExits::None).permits(A::Cancel));
    }
}

#[test]
fn every_row_is_complete_and_alone() {
    let mut seen = HashSet::new();
    for row in codes::all() {
        assert!(seen.insert(row.code), "{} twice", row.code);
        let texts = [row.name, row.trigger, row.action, row.release, row.next];
        let steps = row.escalations.iter().map(|step| step.when);
        for text in texts.into_iter().chain(steps) {
            assert!(!text.en.trim().is_empty() && !text.ko.trim().is_empty(), "{}", row.code);
            let hangul = text.ko.chars().any(|letter| ('가'..='힣').contains(&letter));
            assert!(hangul, "{}: {}", row.code, text.ko);
            assert!(
                !text.en.chars().any(|letter| ('가'..='힣').contains(&letter)),
                "{}: {}",
                row.code,
                text.en
            );
        }
        for word in [row.owner, row.emitter, row.stage, row.origin] {
            assert!(!word.is_empty(), "{}", row.code);
        }
        let mut effects: Vec<_> =
            [row.effect].into_iter().chain(row.escalations.iter().map(|step| step.effect)).collect();
        let given = effects.clone();
        effects.sort();
        effects.dedup();
        assert_eq!(effects, given, "{} only ever escalates", row.code);
        let graded = row.code.starts_with("GR") || row.code.starts_with("AN");
        assert_eq!(row.level.is_some(), graded, "{}", row.code);
        assert_eq!(codes::lookup(row.code), Some(row));
    }
    assert_eq!(codes::lookup("FS999"), None);
}

#[test]
fn a_row_has_one_emitter_in_one_document() {
    let mut owners: HashMap<&str, HashSet<&str>> = HashMap::new();
    for row in codes::all().filter(|row| row.owner != "01") {
        owners.entry(row.emitter).or_default().insert(row.owner);
    }
    assert!(owners.values().all(|owners| owners.len() == 1), "{owners:?}");
}

#[test]
fn the_effects_of_the_seeds_stand() {
    let effect = |code| codes::lookup(code).map(|row| row.effect);
    for code in ["FS003", "FS046", "FS050", "FS053", "FS054", "FS080", "FS104"] {
        assert_eq!(effect(code), Some(Effect::Lockdown), "{code}");
    }
    for code in ["FS085", "FS092", "FS093", "FS095", "FS102", "FS103", "FS106"] {
        assert_eq!(effect(code), Some(Effect::Note), "{code}");
    }
}
