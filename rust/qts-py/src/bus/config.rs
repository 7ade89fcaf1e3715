//! Settings of the dispatcher from a dictionary whose keys are the names of its fields.

use pyo3::prelude::*;
use pyo3::types::PyDict;
use qts_core::dispatch::live::{Batch, LiveConfig, Thresholds};
use qts_io::journal::JournalConfig;
use qts_io::threads::Cores;

use crate::errors;

/// What a dispatcher of Python is made of.
pub(super) struct Settings {
    pub(super) live: LiveConfig,
    pub(super) cores: Cores,
    pub(super) journal: JournalConfig,
}

/// Pairs are (warning, critical) or (size, timeout in milliseconds). `ValueError` for an unknown key or an empty queue,
/// `TypeError` and `OverflowError` for a value of another shape. P1 has one producer here: all of Python shares one
/// way in. Of the journal only the dispatcher needs anything, and what it needs are the events that are not done.
pub(super) fn settings(settings: Option<&Bound<'_, PyDict>>) -> PyResult<Settings> {
    let mut config = LiveConfig { p1_producers: 1, ..LiveConfig::default() };
    let mut cores = Cores::default();
    let mut journal = JournalConfig { keep_from: u64::MAX, ..JournalConfig::default() };
    for (key, value) in settings.into_iter().flatten() {
        let key: String = key.extract()?;
        match key.as_str() {
            "p0_core" => cores.p0 = value.extract()?,
            "p1_core" => cores.p1 = value.extract()?,
            "journal_segment_bytes" => journal.segment_bytes = value.extract()?,
            "journal_quota_bytes" => journal.quota_bytes = value.extract()?,
            "journal_keep_days" => journal.keep_days = value.extract()?,
            _ => apply(&mut config, &key, &value)?,
        }
    }
    let sizes = [
        ("p0_capacity", config.p0_capacity),
        ("p0_ordinary_producers", config.p0_ordinary_producers),
        ("p1_capacity", config.p1_capacity),
        ("p1_shards", config.p1_shards),
        ("p2_capacity", config.p2_capacity),
        ("p3_capacity", config.p3_capacity),
        ("workers", config.workers),
    ];
    match sizes.into_iter().find(|(_, size)| *size == 0) {
        Some((name, _)) => Err(errors::value(format!("{name} is 0; expected at least 1"))),
        None => Ok(Settings { live: config, cores, journal }),
    }
}

fn apply(config: &mut LiveConfig, key: &str, value: &Bound<'_, PyAny>) -> PyResult<()> {
    match key {
        "p0_capacity" => config.p0_capacity = value.extract()?,
        "p0_spill_capacity" => config.p0_spill_capacity = value.extract()?,
        "p0_protected_producers" => config.p0_protected_producers = value.extract()?,
        "p0_ordinary_producers" => config.p0_ordinary_producers = value.extract()?,
        "p0_max_attempts" => config.p0_max_attempts = value.extract()?,
        "p0_poll_ms" => config.p0_poll_ms = value.extract()?,
        "p0_latency_ms" => config.p0_latency_ms = thresholds(value.extract()?),
        "p1_capacity" => config.p1_capacity = value.extract()?,
        "p1_shards" => config.p1_shards = value.extract()?,
        "p1_batch" => config.p1_batch = batch(value.extract()?),
        "p2_capacity" => config.p2_capacity = value.extract()?,
        "p2_batch" => config.p2_batch = batch(value.extract()?),
        "p2_max_event_age_ms" => config.p2_max_event_age_ms = value.extract()?,
        "p3_capacity" => config.p3_capacity = value.extract()?,
        "p3_sample_period" => config.p3_sample_period = value.extract()?,
        "p3_batch" => config.p3_batch = batch(value.extract()?),
        "p3_handler_timeout_ms" => config.p3_handler_timeout_ms = value.extract()?,
        "workers" => config.workers = value.extract()?,
        "p3_max_workers" => config.p3_max_workers = value.extract()?,
        "check_interval_ms" => config.check_interval_ms = value.extract()?,
        "depth_alerts" => {
            let pairs: [(usize, usize); 4] = value.extract()?;
            config.depth_alerts = pairs.map(thresholds);
        }
        "backpressure" => {
            let pairs: [(f64, f64); 2] = value.extract()?;
            config.backpressure = pairs.map(thresholds);
        }
        "isolation_window_s" => config.isolation_window_s = value.extract()?,
        "isolation_p99_ms" => config.isolation_p99_ms = value.extract::<(u32, u32)>()?.into(),
        "batch_max_factor" => config.batch_max_factor = value.extract()?,
        "recover_ms" => config.recover_ms = value.extract()?,
        "dead_letters" => config.dead_letters = value.extract()?,
        "p0_drain_ms" => config.p0_drain_ms = value.extract()?,
        "p3_drain_ms" => config.p3_drain_ms = value.extract()?,
        _ => return Err(errors::value(format!("unknown setting {key:?}"))),
    }
    Ok(())
}

const fn thresholds<T: Copy>((warning, critical): (T, T)) -> Thresholds<T> {
    Thresholds { warning, critical }
}

const fn batch((size, timeout_ms): (usize, u32)) -> Batch {
    Batch { size, timeout_ms }
}
