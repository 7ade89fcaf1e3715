//! Settings of the live dispatcher; the defaults are those of spec 17 §13.

/// Two depths or two ratios: above the first a warning, above the second an alarm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds<T> {
    /// Above this: warning.
    pub warning: T,
    /// Above this: critical.
    pub critical: T,
}

/// One level's batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    /// Most events of one batch.
    pub size: usize,
    /// Longest wait for an event, in milliseconds; a batch that has one goes as soon as no more are there.
    pub timeout_ms: u32,
}

/// Settings of a [`super::LiveDispatcher`].
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::struct_field_names, reason = "the levels are what tells them apart")]
pub struct LiveConfig {
    /// Events the P0 queue holds.
    pub p0_capacity: usize,
    /// Events its spill holds.
    pub p0_spill_capacity: usize,
    /// Producers of P0 that may not wait.
    pub p0_protected_producers: usize,
    /// Producers of P0 that may.
    pub p0_ordinary_producers: usize,
    /// Attempts at a P0 event, the first included.
    pub p0_max_attempts: u8,
    /// Longest sleep of the P0 thread, in milliseconds.
    pub p0_poll_ms: u32,
    /// P0 time from admission to the end of handling above which a warning is given, in milliseconds.
    pub p0_latency_ms: Thresholds<u32>,
    /// Events the P1 ring holds.
    pub p1_capacity: usize,
    /// Shards of P1, and threads that handle them.
    pub p1_shards: usize,
    /// Producers of P1.
    pub p1_producers: usize,
    /// Batches of P1.
    pub p1_batch: Batch,
    /// Events the P2 queue holds.
    pub p2_capacity: usize,
    /// Batches of P2.
    pub p2_batch: Batch,
    /// A signal older than this when it is taken is expired, in milliseconds.
    pub p2_max_event_age_ms: u32,
    /// Events the P3 queue holds.
    pub p3_capacity: usize,
    /// When P3 is full, one in so many is kept.
    pub p3_sample_period: u32,
    /// Batches of P3.
    pub p3_batch: Batch,
    /// A P3 handler that takes longer is given up, in milliseconds.
    pub p3_handler_timeout_ms: u32,
    /// Threads that share P2 and P3.
    pub workers: usize,
    /// How many of them may hold P3 work at once.
    pub p3_max_workers: usize,
    /// Time between two looks at the queues, in milliseconds.
    pub check_interval_ms: u32,
    /// Depths of P0 to P3 that are reported.
    pub depth_alerts: [Thresholds<usize>; 4],
    /// Fill ratios of P1 and P2 above which load is taken off.
    pub backpressure: [Thresholds<f64>; 2],
    /// How long a look at whether the levels are kept apart takes in, in seconds.
    pub isolation_window_s: u32,
    /// Times from admission to the end of handling that 99 of 100 events of P0 and of P1 are to keep within such a
    /// window, in milliseconds.
    pub isolation_p99_ms: [u32; 2],
    /// Batches grow at most by this factor.
    pub batch_max_factor: usize,
    /// How long a queue must be well before measures are taken back, in milliseconds.
    pub recover_ms: u32,
    /// Failed events kept in memory, and as many signals that were not acted on.
    pub dead_letters: usize,
    /// How long stopping may take to empty P0, in milliseconds.
    pub p0_drain_ms: u32,
    /// How long stopping may take to empty the protected events of P3, in milliseconds.
    pub p3_drain_ms: u32,
}

impl Default for LiveConfig {
    fn default() -> Self {
        let depths = |warning, critical| Thresholds { warning, critical };
        Self {
            p0_capacity: 100,
            p0_spill_capacity: 8_192,
            p0_protected_producers: 4,
            p0_ordinary_producers: 4,
            p0_max_attempts: 3,
            p0_poll_ms: 1,
            p0_latency_ms: Thresholds { warning: 10, critical: 20 },
            p1_capacity: 10_000,
            p1_shards: 2,
            p1_producers: 4,
            p1_batch: Batch { size: 100, timeout_ms: 10 },
            p2_capacity: 1_000,
            p2_batch: Batch { size: 50, timeout_ms: 100 },
            p2_max_event_age_ms: 1_000,
            p3_capacity: 50_000,
            p3_sample_period: 10,
            p3_batch: Batch { size: 100, timeout_ms: 1_000 },
            p3_handler_timeout_ms: 5_000,
            workers: 4,
            p3_max_workers: 2,
            check_interval_ms: 100,
            depth_alerts: [depths(50, 80), depths(7_000, 9_000), depths(800, 950), depths(40_000, 47_500)],
            backpressure: [
                Thresholds { warning: 0.70, critical: 0.90 },
                Thresholds { warning: 0.80, critical: 0.95 },
            ],
            isolation_window_s: 60,
            isolation_p99_ms: [10, 50],
            batch_max_factor: 4,
            recover_ms: 1_000,
            dead_letters: 1_024,
            p0_drain_ms: 5_000,
            p3_drain_ms: 2_000,
        }
    }
}
