//! `qts._core`: translates types and errors between Python and the core, and holds no rule of its own.
//!
//! Integers, strings and byte strings cross the border; no Python object ever enters a queue. Whatever runs long
//! without needing Python lets go of the interpreter lock.

// Signatures of #[pyfunction] and #[pymethods] are fixed by the binding layer: arguments arrive by value.
#![allow(clippy::needless_pass_by_value, reason = "Python hands arguments over by value")]
#![allow(clippy::doc_markdown, reason = "documentation of exported items is Python's docstring")]

mod buffer;
mod bus;
mod carried;
mod engine;
mod errors;
mod exchange;
mod gateway;
mod instruments;
mod journal;
mod measure;
mod queues;
mod raiselog;
mod safety;
mod sources;
mod tickspool;
mod views;

use pyo3::prelude::*;

/// Exact decimal text as an integer of `scale` decimals.
#[pyfunction]
fn parse_decimal(text: &str, scale: u8) -> PyResult<i64> {
    let scale = instruments::scale(scale)?;
    qts_core::fixed::parse_decimal(text.as_bytes(), scale).map_err(errors::fixed)
}

/// An integer of `scale` decimals as plain decimal text.
#[pyfunction]
fn format_decimal(value: i64, scale: u8) -> PyResult<String> {
    Ok(qts_core::fixed::format_decimal(value, instruments::scale(scale)?))
}

#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add("SourceError", module.py().get_type::<errors::SourceError>())?;
    module.add("EngineError", module.py().get_type::<errors::EngineError>())?;
    module.add("EVENT_TYPES", views::event_types())?;
    module.add_function(wrap_pyfunction!(parse_decimal, module)?)?;
    module.add_function(wrap_pyfunction!(format_decimal, module)?)?;
    module.add_function(wrap_pyfunction!(sources::synth_ticks_csv, module)?)?;
    module.add_function(wrap_pyfunction!(sources::synth_daily_csv, module)?)?;
    module.add_function(wrap_pyfunction!(measure::measure_p0, module)?)?;
    module.add_function(wrap_pyfunction!(measure::measure_p1, module)?)?;
    module.add("RECORD_KINDS", journal::record_kinds())?;
    module.add("JournalDamageError", module.py().get_type::<journal::JournalDamageError>())?;
    module.add_function(wrap_pyfunction!(journal::journal_verify, module)?)?;
    module.add_function(wrap_pyfunction!(journal::journal_plan, module)?)?;
    module.add_function(wrap_pyfunction!(journal::journal_records, module)?)?;
    module.add_class::<journal::JournalRecords>()?;
    module.add_class::<journal::JournalWriter>()?;
    module.add("ACTION_CLASSES", safety::action_classes())?;
    module.add("SAFETY_FLAGS", safety::flags())?;
    module.add("SAFETY_STATES", safety::states())?;
    module.add("PROTECTIVE_EXITS", safety::protective_exits())?;
    module.add_function(wrap_pyfunction!(safety::code_table, module)?)?;
    module.add_function(wrap_pyfunction!(safety::lockdown_table, module)?)?;
    module.add_class::<safety::SafetyWord>()?;
    module.add_class::<raiselog::RaiseLog>()?;
    module.add_class::<sources::CsvStream>()?;
    module.add_class::<instruments::Instruments>()?;
    module.add_class::<engine::StepEngine>()?;
    module.add_class::<gateway::Gateway>()?;
    module.add_class::<gateway::SendPermit>()?;
    module.add_class::<gateway::Outgoing>()?;
    module.add("OrderRefused", module.py().get_type::<gateway::OrderRefused>())?;
    module.add("PermitRefused", module.py().get_type::<gateway::PermitRefused>())?;
    module.add_function(wrap_pyfunction!(gateway::execution_may_go, module)?)?;
    module.add("TICK_FIELDS", qts_core::dispatch::live::TICK_FIELDS.to_vec())?;
    module.add("TICK_SPOOL_FIELDS", qts_io::tickspool::FIELDS.to_vec())?;
    module.add_class::<tickspool::TickSpool>()?;
    module.add_class::<bus::LiveBus>()?;
    module.add_class::<carried::WireEvent>()?;
    module.add_class::<queues::P0Queue>()?;
    module.add_class::<queues::P1Queue>()?;
    module.add_class::<queues::P2Queue>()?;
    module.add_class::<queues::P3Queue>()?;
    module.add_class::<views::TickView>()?;
    module.add_class::<views::FillEvent>()?;
    module.add_class::<views::OrderEvent>()?;
    module.add_class::<views::Quote>()?;
    module.add_class::<exchange::SimExchange>()?;
    Ok(())
}
