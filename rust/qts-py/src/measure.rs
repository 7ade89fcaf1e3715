//! What this host can do, measured without Python in the way.

use pyo3::prelude::*;
use pyo3::types::PyDict;
use qts_core::dispatch::LatencySummary;
use qts_io::measure;

use crate::errors;

fn summary(py: Python<'_>, of: LatencySummary) -> PyResult<Bound<'_, PyDict>> {
    let row = PyDict::new(py);
    row.set_item("n", of.n)?;
    row.set_item("p50", of.p50_ns)?;
    row.set_item("p99", of.p99_ns)?;
    row.set_item("p999", of.p999_ns)?;
    row.set_item("max", of.max_ns)?;
    Ok(row)
}

/// Measure P0 and the bare wake-up of a parked thread in turns, `probes` times each (about 0.8 ms for both), with the
/// lower levels flooded or idle. Returns four latency rows: `p0`, `p0_due`, `bare`, `bare_due`; `due` counts from the
/// moment at which a probe was due; and `p0_scheduling`, `p1_scheduling`: "real-time", "high" or "normal". Lets go of the interpreter lock.
#[pyfunction]
pub(crate) fn measure_p0(py: Python<'_>, probes: u32, flooded: bool) -> PyResult<Bound<'_, PyDict>> {
    let beside = py.detach(|| measure::p0_beside_bare_wake(probes, flooded)).map_err(errors::value)?;
    let rows = PyDict::new(py);
    rows.set_item("p0", summary(py, beside.p0)?)?;
    rows.set_item("p0_due", summary(py, beside.p0_due)?)?;
    rows.set_item("bare", summary(py, beside.bare)?)?;
    rows.set_item("bare_due", summary(py, beside.bare_due)?)?;
    let [p0, p1] = beside.scheduling;
    rows.set_item("p0_scheduling", p0.name())?;
    rows.set_item("p1_scheduling", p1.name())?;
    Ok(rows)
}

/// Measure how many events per second one thread hands to another through the P1 ring; `events` of them. Lets go of
/// the interpreter lock.
#[pyfunction]
pub(crate) fn measure_p1(py: Python<'_>, events: u32) -> f64 {
    py.detach(|| measure::p1_events_per_s(events))
}
