//! Seeded transport latency: a fixed part plus a uniform jitter.

use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use thiserror::Error;

/// Why a latency model cannot be built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LatencyError {
    /// A message cannot arrive before it was sent.
    #[error("latency {field} is {found} ns, expected 0 or more")]
    Negative {
        /// Which part is at fault: `base` or `jitter`.
        field: &'static str,
        /// The value given, in nanoseconds.
        found: i64,
    },
    /// Base plus jitter leaves the range of 64-bit nanoseconds.
    #[error("latency of {base_ns} ns with a jitter of {jitter_ns} ns is beyond the range of time")]
    TooLong {
        /// The fixed part, in nanoseconds.
        base_ns: i64,
        /// The largest jitter, in nanoseconds.
        jitter_ns: i64,
    },
}

/// Time a message takes one way: `base` plus a jitter drawn uniformly from `0..=jitter`.
///
/// The sequence depends on the seed alone, so a run can be repeated exactly on any machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LatencyModel {
    base_ns: i64,
    jitter_ns: i64,
    rng: Xoshiro256PlusPlus,
}

impl LatencyModel {
    /// A model of `base_ns` plus up to `jitter_ns` nanoseconds.
    ///
    /// # Errors
    /// [`LatencyError`] if a part is negative or their sum is out of range.
    pub fn new(base_ns: i64, jitter_ns: i64, seed: u64) -> Result<Self, LatencyError> {
        for (field, found) in [("base", base_ns), ("jitter", jitter_ns)] {
            if found < 0 {
                return Err(LatencyError::Negative { field, found });
            }
        }
        if base_ns.checked_add(jitter_ns).is_none() {
            return Err(LatencyError::TooLong { base_ns, jitter_ns });
        }
        Ok(Self { base_ns, jitter_ns, rng: Xoshiro256PlusPlus::seed_from_u64(seed) })
    }

    /// A way that takes no time.
    pub fn none() -> Self {
        Self { base_ns: 0, jitter_ns: 0, rng: Xoshiro256PlusPlus::seed_from_u64(0) }
    }

    /// Latency of the next message, in nanoseconds; never negative.
    pub fn sample(&mut self) -> i64 {
        if self.jitter_ns == 0 {
            return self.base_ns;
        }
        // The high half of a 64 x 64 bit product maps the draw onto 0..span without a division; the bias is span/2^64.
        let span = u128::from(self.jitter_ns.unsigned_abs()).saturating_add(1);
        let scaled = u128::from(self.rng.next_u64()).saturating_mul(span) >> 64;
        let jitter_ns = i64::try_from(scaled).unwrap_or(self.jitter_ns);
        self.base_ns.saturating_add(jitter_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_jitter_the_latency_is_the_base() {
        let mut model = LatencyModel::new(5_000, 0, 1).unwrap();
        assert!((0..100).all(|_| model.sample() == 5_000));
        assert_eq!(LatencyModel::none().sample(), 0);
    }

    #[test]
    fn jitter_covers_its_range_evenly_and_never_leaves_it() {
        let mut model = LatencyModel::new(100, 9, 7).unwrap();
        let mut counts = [0_u32; 10];
        for _ in 0..10_000 {
            counts[usize::try_from(model.sample() - 100).unwrap()] += 1;
        }
        assert!(counts.iter().all(|&count| (800..1_200).contains(&count)), "{counts:?}");
    }

    #[test]
    fn the_widest_jitter_stays_in_range() {
        let mut model = LatencyModel::new(0, i64::MAX, 3).unwrap();
        assert!((0..1_000).all(|_| model.sample() >= 0));
    }

    #[test]
    fn the_same_seed_gives_the_same_sequence_for_ever() {
        let draw = |seed| {
            let mut model = LatencyModel::new(0, 1_000_000, seed).unwrap();
            std::array::from_fn::<i64, 4, _>(|_| model.sample())
        };
        assert_eq!(draw(42), draw(42));
        assert_ne!(draw(42), draw(43));
    }

    #[test]
    fn parts_that_make_no_sense_are_refused() {
        assert_eq!(LatencyModel::new(-1, 0, 0), Err(LatencyError::Negative { field: "base", found: -1 }));
        assert_eq!(
            LatencyModel::new(0, -2, 0).unwrap_err().to_string(),
            "latency jitter is -2 ns, expected 0 or more"
        );
        assert_eq!(
            LatencyModel::new(i64::MAX, 1, 0),
            Err(LatencyError::TooLong { base_ns: i64::MAX, jitter_ns: 1 })
        );
    }
}
