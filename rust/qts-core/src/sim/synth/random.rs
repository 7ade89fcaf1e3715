//! Random draws in integers: no floating point, so no result depends on a machine's mathematics library.

use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// Binary places of [`Random::exponential`].
pub(in crate::sim) const EXPONENTIAL_BITS: u32 = 20;

/// ln 2 in units of 2^-20.
const LN_2: u64 = 726_817;

/// log2(1 + i/256) in units of 2^-20, for i from 0 to 256.
const LOG2: [u64; 257] = log2_table();

#[allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "run by the compiler, which checks it"
)]
const fn log2_table() -> [u64; 257] {
    let mut table = [0; 257];
    let mut at = 0;
    while at < 256 {
        // Squaring a number in [1, 2) and asking whether it passed 2 gives the next binary digit of its logarithm.
        let mut power = (256 + at as u64) << 23;
        let mut bits = 0;
        let mut digit = 0;
        while digit < EXPONENTIAL_BITS {
            power = (power * power) >> 31;
            bits <<= 1;
            if power >= 1 << 32 {
                power >>= 1;
                bits |= 1;
            }
            digit += 1;
        }
        table[at] = bits;
        at += 1;
    }
    table[256] = 1 << EXPONENTIAL_BITS;
    table
}

/// A stream of random numbers.
#[derive(Debug, Clone)]
pub(in crate::sim) struct Random(Xoshiro256PlusPlus);

impl Random {
    /// The stream of `name` under `seed`: other names have other streams.
    pub(in crate::sim) fn new(seed: u64, name: &str) -> Self {
        // FNV-1a spreads the name over 64 bits; seeding spreads those over the whole state of the generator.
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self(Xoshiro256PlusPlus::seed_from_u64(seed.rotate_left(32) ^ hash))
    }

    /// 64 random bits.
    #[inline]
    pub(in crate::sim) fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number from 0 to `span` − 1, for a positive span.
    #[inline]
    pub(in crate::sim) fn below(&mut self, span: i64) -> i64 {
        // The high half of the product maps the draw onto the span without a division; the bias is span/2^64.
        let scaled = u128::from(self.bits()).saturating_mul(u128::from(span.unsigned_abs())) >> 64;
        i64::try_from(scaled).unwrap_or(0)
    }

    /// Whether something with a chance of `parts` in 1,024 happens.
    #[inline]
    pub(in crate::sim) fn chance(&mut self, parts: u64) -> bool {
        self.bits() >> 54 < parts
    }

    /// A bell-shaped number: mean 0, standard deviation 4, from −32 to 32 (how many of 64 coins fall heads).
    #[inline]
    pub(in crate::sim) fn bell(&mut self) -> i64 {
        i64::from(self.bits().count_ones()).saturating_sub(32)
    }

    /// 0 with a chance of 1/2, 1 with 1/4, and so on up to `max`.
    #[inline]
    pub(in crate::sim) fn halvings(&mut self, max: u32) -> u32 {
        self.bits().trailing_zeros().min(max)
    }

    /// An exponential waiting time of mean 1 in units of 2^-20, from the logarithm of a uniform number.
    #[inline]
    pub(in crate::sim) fn exponential(&mut self) -> u64 {
        // The lowest bit keeps the number above zero.
        let uniform = self.bits() | 1;
        let zeros = uniform.leading_zeros();
        // Mantissa behind the leading one, left-aligned: eight bits choose the table row, the next sixteen
        // interpolate to the row after it.
        let mantissa = (uniform << zeros) << 1;
        let row = usize::from(mantissa.to_be_bytes()[0]);
        let log2 = match LOG2.get(row..row.saturating_add(2)) {
            Some(&[low, high]) => {
                let part = (mantissa >> 40) & 0xffff;
                low.saturating_add(high.saturating_sub(low).saturating_mul(part) >> 16)
            }
            _ => 0,
        };
        // −log2 of the number, which lies in [2^-(zeros+1), 2^-zeros).
        let halvings = u64::from(zeros).saturating_add(1) << EXPONENTIAL_BITS;
        halvings.saturating_sub(log2).saturating_mul(LN_2) >> EXPONENTIAL_BITS
    }
}

#[cfg(test)]
#[allow(clippy::cast_precision_loss, reason = "statistics")]
mod tests {
    use super::*;

    const DRAWS: usize = 200_000;

    fn random() -> Random {
        Random::new(7, "005930")
    }

    #[test]
    fn the_exponential_has_the_moments_and_the_tail_it_should() {
        let mut random = random();
        let one = f64::from(1 << EXPONENTIAL_BITS);
        let draws: Vec<f64> = (0..DRAWS).map(|_| random.exponential() as f64 / one).collect();
        let mean = draws.iter().sum::<f64>() / DRAWS as f64;
        let variance = draws.iter().map(|draw| (draw - mean).powi(2)).sum::<f64>() / DRAWS as f64;
        assert!((mean - 1.0).abs() < 0.01 && (variance - 1.0).abs() < 0.03, "{mean} {variance}");
        for (above, share) in [(0.1, 0.904_8), (1.0, 0.367_9), (3.0, 0.049_8)] {
            let seen = draws.iter().filter(|&&draw| draw > above).count() as f64 / DRAWS as f64;
            assert!((seen - share).abs() < 0.005, "{above}: {seen}");
        }
    }

    #[test]
    fn the_bell_has_the_spread_it_should() {
        let mut random = random();
        let draws: Vec<i64> = (0..DRAWS).map(|_| random.bell()).collect();
        let mean = draws.iter().sum::<i64>() as f64 / DRAWS as f64;
        let variance = draws.iter().map(|draw| draw * draw).sum::<i64>() as f64 / DRAWS as f64;
        assert!(mean.abs() < 0.05 && (variance - 16.0).abs() < 0.3, "{mean} {variance}");
    }

    #[test]
    fn uniform_draws_cover_their_span() {
        let mut random = random();
        let mut counts = [0_u32; 7];
        for _ in 0..70_000 {
            counts[usize::try_from(random.below(7)).unwrap()] += 1;
        }
        assert!(counts.iter().all(|count| (9_500..10_500).contains(count)), "{counts:?}");
        assert_eq!(random.below(1), 0);
        let hits = (0..DRAWS).filter(|_| random.chance(256)).count();
        assert!((48_500..51_500).contains(&hits), "{hits}");
        let halved = (0..DRAWS).filter(|_| random.halvings(6) == 0).count();
        assert!((98_500..101_500).contains(&halved), "{halved}");
    }

    #[test]
    fn streams_differ_by_seed_and_by_name_and_never_change() {
        let draw = |seed, name| Random::new(seed, name).bits();
        assert_eq!(draw(7, "005930"), draw(7, "005930"));
        assert_ne!(draw(7, "005930"), draw(8, "005930"));
        assert_ne!(draw(7, "005930"), draw(7, "005931"));
    }
}
