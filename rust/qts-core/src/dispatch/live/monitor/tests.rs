#![allow(clippy::arithmetic_side_effects, reason = "an overflow here fails the test")]

use super::*;

const MS: u64 = 1_000_000;

fn monitor() -> Monitor {
    Monitor::new(LiveConfig::default())
}

fn deep(at: usize, depth: usize) -> Depths {
    let mut depths = Depths::default();
    depths.depth[at] = depth;
    depths
}

fn grades(alerts: &[Alert]) -> Vec<Grade> {
    alerts
        .iter()
        .filter_map(|alert| match alert {
            Alert::Depth { grade, .. } => Some(*grade),
            _ => None,
        })
        .collect()
}

/// T15: strictly more than the threshold.
#[test]
fn depths_are_reported_above_their_thresholds_and_not_at_them() {
    let limits = [(0, 50, 80), (1, 7_000, 9_000), (2, 800, 950), (3, 40_000, 47_500)];
    for (level, warning, critical) in limits {
        for (depth, expected) in [
            (warning, None),
            (warning + 1, Some(Grade::Warning)),
            (critical, Some(Grade::Warning)),
            (critical + 1, Some(Grade::Critical)),
        ] {
            let alerts = monitor().look(&deep(level, depth), MS).alerts;
            assert_eq!(grades(&alerts), Vec::from_iter(expected), "level {level}, depth {depth}");
        }
    }
}

#[test]
fn the_same_alert_is_not_given_again_within_ten_seconds_unless_it_gets_worse() {
    let mut monitor = monitor();
    let mut at_ms = 0;
    let mut look = |depth, after_ms| {
        at_ms += after_ms;
        grades(&monitor.look(&deep(2, depth), at_ms * MS).alerts)
    };
    assert_eq!(look(801, 1), [Grade::Warning]);
    assert_eq!(look(801, 100), []);
    assert_eq!(look(951, 100), [Grade::Critical], "worse");
    assert_eq!(look(801, 100), [], "better");
    assert_eq!(look(0, 100), []);
    assert_eq!(look(951, 100), [], "the same again, too soon");
    assert_eq!(look(951, 10_000), [Grade::Critical], "it lasts");
    assert_eq!(look(0, 10_000), []);
    assert_eq!(look(801, 100), [Grade::Warning], "long after");
}

/// T14.
#[test]
fn batches_grow_step_by_step_and_shrink_after_a_second_of_rest() {
    let mut monitor = monitor();
    let mut at_ms = 0;
    let mut factors = |p1, p2, after_ms| {
        at_ms += after_ms;
        monitor.look(&Depths { depth: [0, p1, p2, 0], ..Depths::default() }, at_ms * MS).batch_factor
    };
    assert_eq!(factors(7_000, 800, 1), [1, 1], "not above the warning");
    assert_eq!(factors(7_001, 801, 100), [2, 2]);
    assert_eq!(factors(7_001, 0, 100), [4, 2]);
    assert_eq!(factors(9_999, 0, 100), [4, 2], "at most four times");
    assert_eq!(factors(6_000, 0, 900), [4, 1], "P1 is not 0.10 below its warning yet");
    assert_eq!(factors(5_999, 0, 999), [4, 1]);
    assert_eq!(factors(5_999, 0, 1), [1, 1]);
}

#[test]
fn pressure_pauses_what_is_below_it_at_once_and_lets_go_after_a_second() {
    use DegradationLevel::{Normal, P2P3Paused, P3Paused};
    let mut monitor = monitor();
    let mut at_ms = 0;
    let mut level = |p1, p2, after_ms| {
        at_ms += after_ms;
        monitor.look(&Depths { depth: [0, p1, p2, 0], ..Depths::default() }, at_ms * MS).backpressure
    };
    assert_eq!(level(9_000, 950, 1), Normal, "not above the threshold");
    assert_eq!(level(0, 951, 100), P3Paused, "a P2 that is full does not pause itself");
    assert_eq!(level(0, 0, 999), P3Paused);
    assert_eq!(level(0, 0, 1), Normal);
    assert_eq!(level(9_001, 0, 100), P3Paused);
    assert_eq!(level(9_001, 0, 999), P3Paused);
    assert_eq!(level(9_001, 0, 1), P2P3Paused, "still critical after a second");
    assert_eq!(level(8_000, 0, 100), P2P3Paused, "above the warning nothing is taken back");
    assert_eq!(level(7_000, 0, 999), P2P3Paused);
    assert_eq!(level(7_000, 0, 1), Normal);
}

#[test]
fn a_full_p0_is_told_at_most_once_a_second_until_it_has_room_for_a_second() {
    let mut monitor = monitor();
    let mut at_ms = 0;
    let mut look = |depth, p0_full, after_ms| {
        at_ms += after_ms;
        let alerts = monitor
            .look(&Depths { depth: [depth, 0, 0, 0], p0_full, ..Depths::default() }, at_ms * MS)
            .alerts;
        alerts.into_iter().filter(|alert| !matches!(alert, Alert::Depth { .. })).collect::<Vec<_>>()
    };
    assert_eq!(look(10, 0, 1), []);
    assert_eq!(look(100, 3, 100), [Alert::P0Full { times: 3, lasting: false }]);
    assert_eq!(look(100, 8, 100), [], "too soon");
    assert_eq!(look(100, 9, 1_000), [Alert::P0Full { times: 6, lasting: true }]);
    assert_eq!(look(50, 9, 2_000), [], "50 is not below 50");
    assert_eq!(look(49, 9, 999), []);
    assert_eq!(look(49, 9, 1), [Alert::P0Relieved]);
    assert_eq!(look(0, 9, 5_000), [], "told once");
    assert_eq!(look(100, 10, 100), [Alert::P0Full { times: 1, lasting: false }]);
}

/// §7: strictly more than one in a hundred is a 99th percentile above the limit; windows follow each other.
#[test]
fn isolation_is_judged_at_the_end_of_each_window_and_exactly() {
    let mut monitor = monitor();
    let mut look = |measured, slow, at_ns| {
        let measures = monitor.look(&Depths { measured, slow, ..Depths::default() }, at_ns);
        (measures.alerts, measures.violations)
    };
    let window_ns = 60_000 * MS;
    assert_eq!(
        look([5, 5], [5, 5], 7),
        (vec![], [false; 2]),
        "what was before the first look does not count"
    );
    assert_eq!(look([205, 105], [8, 7], 7 + window_ns - 1), (vec![], [false; 2]), "a nanosecond early");
    let alert = |level, grade, events, slow| Alert::Isolation { level, grade, events, slow };
    let p0 = |events, slow| alert(EventPriority::P0Critical, Grade::Critical, events, slow);
    let p1 = |events, slow| alert(EventPriority::P1High, Grade::Warning, events, slow);
    let end_ns = 7 + window_ns;
    assert_eq!(
        look([205, 105], [8, 7], end_ns),
        (vec![p0(200, 3), p1(100, 2)], [true; 2]),
        "each level by itself"
    );
    assert_eq!(
        look([405, 205], [10, 8], end_ns + window_ns),
        (vec![], [false; 2]),
        "exactly one in a hundred"
    );
    assert_eq!(look([405, 205], [10, 8], end_ns + 2 * window_ns), (vec![], [false; 2]), "nothing happened");
    let late = (vec![p1(1, 1)], [false, true]);
    assert_eq!(look([405, 206], [10, 9], end_ns + 3 * window_ns + 5), late);
    assert_eq!(
        look([406, 206], [11, 9], end_ns + 4 * window_ns + 4),
        (vec![], [false; 2]),
        "from the last end"
    );
    assert_eq!(look([406, 206], [11, 9], end_ns + 4 * window_ns + 5), (vec![p0(1, 1)], [true, false]));
}

#[test]
fn the_isolation_window_is_that_of_the_settings() {
    let mut monitor = Monitor::new(LiveConfig { isolation_window_s: 10, ..LiveConfig::default() });
    let mut look = |slow, at_ns| {
        let seen = Depths { measured: [slow, 0], slow: [slow, 0], ..Depths::default() };
        monitor.look(&seen, at_ns).violations
    };
    assert_eq!(look(0, 1), [false; 2]);
    assert_eq!(look(1, 10_000 * MS), [false; 2]);
    assert_eq!(look(1, 10_000 * MS + 1), [true, false]);
}
