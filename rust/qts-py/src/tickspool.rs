//! The spool of market records, for Python.

use std::path::PathBuf;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use qts_io::tickspool::{SpoolConfig, SymbolRow, TickSpool as Core};

use crate::buffer::bytes_of;
use crate::journal;

/// Number of the table of symbols, number of the last record, and records that were lost in front of these.
type Read<'py> = (Bound<'py, PyBytes>, u64, u64, u64);

/// Market records on their way to a store: written before any queue can drop them, read back once they are durable.
///
/// Threads may share it; one process at a time.
#[pyclass(module = "qts._core", frozen)]
pub(crate) struct TickSpool {
    pub(crate) core: Arc<Core>,
}

#[pymethods]
impl TickSpool {
    #[new]
    #[pyo3(signature = (path, *, quota_bytes=8_589_934_592, segment_bytes=67_108_864, group_ms=20, pending_blocks=1_024))]
    fn new(
        py: Python<'_>,
        path: PathBuf,
        quota_bytes: u64,
        segment_bytes: usize,
        group_ms: u32,
        pending_blocks: usize,
    ) -> PyResult<Self> {
        let config = SpoolConfig { quota_bytes, segment_bytes, group_ms, pending_blocks };
        let core = py.detach(|| Core::open(&path, config)).map_err(journal::error)?;
        Ok(Self { core: Arc::new(core) })
    }

    /// Note a table of symbols durably: (symbol, decimals of prices, decimals of quantities); returns its number.
    fn keep_table(&self, py: Python<'_>, rows: Vec<SymbolRow>) -> PyResult<u64> {
        py.detach(|| self.core.keep_table(&rows)).map_err(journal::error)
    }

    /// Return the table of that number.
    fn table(&self, py: Python<'_>, number: u64) -> PyResult<Vec<SymbolRow>> {
        py.detach(|| self.core.table(number)).map_err(journal::error)
    }

    /// Append records (TICK_SPOOL_FIELDS without `seq`) whose instruments are numbered in a table. Never waits for the
    /// disk.
    fn append(&self, py: Python<'_>, table: u64, records: &Bound<'_, PyAny>) -> PyResult<()> {
        let bytes = bytes_of(records)?;
        let bytes = bytes.as_bytes();
        py.detach(|| self.core.append(table, bytes)).map_err(journal::error)
    }

    /// Read up to `max_records` durable records behind `after_seq`, all of one table of symbols, without the interpreter
    /// lock: their bytes, the table's number, the number of the last one, and how many were lost in front of them.
    fn read<'py>(&self, py: Python<'py>, after_seq: u64, max_records: usize) -> PyResult<Read<'py>> {
        let batch = py.detach(|| self.core.read(after_seq, max_records)).map_err(journal::error)?;
        Ok((PyBytes::new(py, &batch.bytes), batch.table, batch.through_seq, batch.lost))
    }

    /// Number that no record written so far is above.
    #[getter]
    fn last_seq(&self) -> u64 {
        self.core.last_seq()
    }

    /// Blocks that have been written and are not durable yet, about.
    #[getter]
    fn lag(&self) -> u64 {
        self.core.lag()
    }

    /// Say that records up to this one are kept elsewhere.
    fn keep_behind(&self, seq: u64) {
        self.core.keep_behind(seq);
    }

    /// Remove the files in which nothing is needed any more.
    fn retire<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        journal::retired(py, &py.detach(|| self.core.retire()).map_err(journal::error)?)
    }

    /// What became of the records: taken, written, pending, lost; used_bytes, quota_bytes; trouble, text or None.
    fn figures<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let figures = py.detach(|| self.core.figures());
        let dict = PyDict::new(py);
        dict.set_item("taken", figures.taken)?;
        dict.set_item("written", figures.written)?;
        dict.set_item("pending", figures.pending)?;
        dict.set_item("lost", figures.lost)?;
        dict.set_item("used_bytes", figures.bytes.0)?;
        dict.set_item("quota_bytes", figures.bytes.1)?;
        dict.set_item("trouble", figures.trouble)?;
        Ok(dict)
    }

    /// Take nothing any more, or take records again; what comes meanwhile is counted as lost.
    fn shut(&self, is_shut: bool) {
        self.core.shut(is_shut);
    }

    /// Try again to write what waits in memory; never waits for the disk.
    fn flush(&self, py: Python<'_>) {
        py.detach(|| self.core.flush());
    }

    /// Write what can be written and end the spool.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.core.close()).map_err(journal::error)
    }
}
