//! Latency distributions.

use hdrhistogram::Histogram;

/// Longest latency told apart, in nanoseconds; longer ones count as this.
const MAX_NS: u64 = 10_000_000_000;

/// A latency distribution, 1 ns to 10 s at three significant digits, in constant memory.
#[derive(Debug, Clone)]
pub struct Latencies(Histogram<u64>);

/// Key figures of a distribution, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LatencySummary {
    /// Number of measurements.
    pub n: u64,
    /// Median.
    pub p50_ns: u64,
    /// 99th percentile.
    pub p99_ns: u64,
    /// 99.9th percentile.
    pub p999_ns: u64,
    /// Longest.
    pub max_ns: u64,
}

impl Default for Latencies {
    #[allow(clippy::expect_used, reason = "the bounds are constants that the constructor accepts")]
    fn default() -> Self {
        Self(Histogram::new_with_bounds(1, MAX_NS, 3).expect("constant bounds"))
    }
}

impl Latencies {
    /// Adds a measurement in nanoseconds.
    #[inline]
    pub fn record(&mut self, latency_ns: u64) {
        self.0.saturating_record(latency_ns.max(1));
    }

    /// Adds the measurements of another one.
    pub(crate) fn add(&mut self, other: &Self) {
        self.0.add(&other.0).unwrap_or_else(|_| debug_assert!(false, "both have the same bounds"));
    }

    /// Key figures so far; all zero without measurements.
    pub fn summary(&self) -> LatencySummary {
        if self.0.is_empty() {
            return LatencySummary::default();
        }
        LatencySummary {
            n: self.0.len(),
            p50_ns: self.0.value_at_quantile(0.5),
            p99_ns: self.0.value_at_quantile(0.99),
            p999_ns: self.0.value_at_quantile(0.999),
            max_ns: self.0.max(),
        }
    }
}
