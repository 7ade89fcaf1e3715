//! The activity of a session over its time: busy open, lunch lull, busy close.

use super::random::EXPONENTIAL_BITS;

/// Relative activity at 20 evenly spaced points from the open to the end of continuous trading.
const POINTS: [i64; 20] =
    [300, 195, 150, 128, 112, 100, 90, 80, 72, 65, 60, 60, 64, 70, 76, 84, 94, 108, 130, 190];

/// Steps between two points; the activity is constant within a step.
const STEPS_PER_POINT: i64 = 4;

/// Steps of a session.
const STEPS: usize = 76;

/// When arrivals come, and how much of the volume should have been traded by then.
#[derive(Debug, Clone)]
pub(super) struct Curve {
    step_ns: i64,
    /// Mean time between two arrivals in each step, in nanoseconds.
    mean_gap_ns: Vec<i64>,
    /// Share of the session's activity before each step, in millionths; one entry more than there are steps.
    before_ppm: Vec<i64>,
}

impl Curve {
    /// A session of `length_ns` nanoseconds with `events` arrivals on average.
    #[allow(
        clippy::arithmetic_side_effects,
        reason = "weights are small constants, a session is at most a day (2^47 ns), and events are at least 100"
    )]
    pub(super) fn new(length_ns: i64, events: u32) -> Self {
        let weights: Vec<i64> = POINTS
            .iter()
            .zip(POINTS.iter().skip(1))
            .flat_map(|(&from, &to)| (0..STEPS_PER_POINT).map(move |step| from * (4 - step) + to * step))
            .collect();
        debug_assert_eq!(weights.len(), STEPS);
        let total: i64 = weights.iter().sum();
        let step_ns = length_ns / 76;
        let events = i64::from(events);
        let mut sum = 0;
        let mut before_ppm = vec![0];
        for weight in &weights {
            sum += weight;
            before_ppm.push(sum * 1_000_000 / total);
        }
        let mean_gap_ns = weights.iter().map(|weight| {
            let gap = i128::from(step_ns) * i128::from(total) / i128::from(weight * events);
            i64::try_from(gap).unwrap_or(i64::MAX).max(1)
        });
        Self { step_ns, mean_gap_ns: mean_gap_ns.collect(), before_ppm }
    }

    /// Time from the open to the next arrival, for a waiting time of mean 1 drawn at `past_ns` after the open.
    ///
    /// `Err` gives the end of the present step if nothing arrives in it: the caller draws again from there, which is
    /// what an exponential waiting time allows.
    #[inline]
    pub(super) fn next_arrival(&self, past_ns: i64, waiting: u64) -> Result<i64, i64> {
        let step = self.step(past_ns);
        let end_ns = self.step_ns.saturating_mul(i64::try_from(step.saturating_add(1)).unwrap_or(i64::MAX));
        let Some(&mean_gap_ns) = self.mean_gap_ns.get(step) else { return Ok(i64::MAX) };
        let gap =
            u128::from(mean_gap_ns.unsigned_abs()).saturating_mul(u128::from(waiting)) >> EXPONENTIAL_BITS;
        let at_ns = past_ns.saturating_add(i64::try_from(gap).unwrap_or(i64::MAX));
        if at_ns < end_ns { Ok(at_ns) } else { Err(end_ns) }
    }

    /// Share of the session's activity up to `past_ns` after the open, in millionths.
    #[inline]
    pub(super) fn done_ppm(&self, past_ns: i64) -> i64 {
        let step = self.step(past_ns);
        let Some(&[before, after]) = self.before_ppm.get(step..step.saturating_add(2)) else {
            return 1_000_000;
        };
        let into_ns = past_ns.checked_rem_euclid(self.step_ns).unwrap_or(0);
        // A step is at most 2^41 ns and carries less than 2^16 millionths.
        let part =
            after.saturating_sub(before).saturating_mul(into_ns).checked_div(self.step_ns).unwrap_or(0);
        before.saturating_add(part)
    }

    fn step(&self, past_ns: i64) -> usize {
        past_ns.checked_div(self.step_ns).and_then(|step| usize::try_from(step).ok()).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH_NS: i64 = 380 * 60 * 1_000_000_000;
    const HOUR_NS: i64 = 3_600 * 1_000_000_000;

    #[test]
    fn the_share_done_grows_from_nothing_to_all() {
        let curve = Curve::new(LENGTH_NS, 1_000);
        let shares: Vec<i64> = (0..=380).map(|minute| curve.done_ppm(minute * LENGTH_NS / 380)).collect();
        assert_eq!((shares[0], shares[380]), (0, 1_000_000));
        assert!(shares.is_sorted_by(|one, next| one < next));
    }

    #[test]
    fn the_ends_are_busier_than_noon() {
        let curve = Curve::new(LENGTH_NS, 1_000);
        let share = |from_ns, to_ns| curve.done_ppm(to_ns) - curve.done_ppm(from_ns);
        let ends = share(0, HOUR_NS / 2) + share(LENGTH_NS - HOUR_NS / 2, LENGTH_NS);
        assert!(ends > 2 * share(3 * HOUR_NS, 4 * HOUR_NS), "{ends}");
    }

    #[test]
    fn waiting_for_the_mean_gives_the_number_of_arrivals_asked_for() {
        let curve = Curve::new(LENGTH_NS, 20_000);
        let (mut at_ns, mut arrivals) = (0, 0);
        while at_ns < LENGTH_NS {
            match curve.next_arrival(at_ns, 1 << EXPONENTIAL_BITS) {
                Ok(next_ns) => (at_ns, arrivals) = (next_ns, arrivals + 1),
                Err(end_ns) => at_ns = end_ns,
            }
        }
        assert!((19_800..=20_000).contains(&arrivals), "{arrivals}");
        assert_eq!(curve.next_arrival(LENGTH_NS, 0), Ok(i64::MAX));
    }
}
