//! Who is called by an engine, and how large its queues are.

use pyo3::prelude::*;
use pyo3::types::PyDict;
use qts_core::dispatch::DispatchConfig;
use qts_core::event::Track;
use qts_core::instrument::InstrumentId;
use qts_core::session::Interest;

use crate::errors;

/// Callable, track name, instrument ids or `None` for all.
pub(super) type TickHandlerSpec = (Py<PyAny>, String, Option<Vec<u32>>);

pub(super) struct TickHandler {
    pub(super) call: Py<PyAny>,
    pub(super) track: Track,
    /// `wanted[instrument]`; empty = every instrument.
    pub(super) wanted: Vec<bool>,
}

impl TickHandler {
    pub(super) fn wants(&self, instrument: InstrumentId) -> bool {
        self.wanted.is_empty()
            || usize::try_from(instrument.0).ok().and_then(|id| self.wanted.get(id)).copied().unwrap_or(false)
    }
}

/// Python's side of the run: who is called for what. Shared, so that no call holds the engine borrowed.
#[derive(Default)]
pub(super) struct Callbacks {
    pub(super) ticks: Vec<TickHandler>,
    pub(super) cycle: Option<Py<PyAny>>,
    pub(super) p0: Option<Py<PyAny>>,
    pub(super) answer: Option<Py<PyAny>>,
    pub(super) timer: Option<Py<PyAny>>,
}

impl Callbacks {
    pub(super) const fn interest(&self) -> Interest {
        Interest {
            ticks: !self.ticks.is_empty(),
            p0: self.p0.is_some(),
            cycles: self.cycle.is_some(),
            answers: self.answer.is_some(),
            timers: self.timer.is_some(),
        }
    }
}

pub(super) fn queue_config(queues: Option<&Bound<'_, PyDict>>) -> PyResult<DispatchConfig> {
    let mut config = DispatchConfig::default();
    let Some(queues) = queues else { return Ok(config) };
    for (key, value) in queues {
        let key: String = key.extract()?;
        let field = match key.as_str() {
            "p0_capacity" => &mut config.p0_capacity,
            "p0_spill_capacity" => &mut config.p0_spill_capacity,
            "p1_capacity" => &mut config.p1_capacity,
            "p1_batch_size" => &mut config.p1_batch_size,
            "p2_capacity" => &mut config.p2_capacity,
            "p2_batch_size" => &mut config.p2_batch_size,
            "p3_capacity" => &mut config.p3_capacity,
            "p3_batch_size" => &mut config.p3_batch_size,
            "p3_sample_period" => {
                config.p3_sample_period = value.extract()?;
                continue;
            }
            other => return Err(errors::value(format!("unknown queue key {other:?}"))),
        };
        *field = value.extract()?;
    }
    Ok(config)
}
