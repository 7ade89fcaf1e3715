//! The log of raises.

use std::path::PathBuf;

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use qts_io::raiselog::{RaiseLog as Log, RaiseLogError};

use crate::errors;
use crate::safety::SafetyWord;

/// Number, code, state before, state after, flags, UTC nanoseconds, nanoseconds of whoever raised it.
type LeftRow = (u64, &'static str, u8, u8, u64, i64, u64);

fn error(error: RaiseLogError) -> PyErr {
    match error {
        RaiseLogError::Io(source) => {
            PyOSError::new_err((source.raw_os_error().unwrap_or_default(), source.to_string()))
        }
        other => errors::value(other),
    }
}

/// What raised the safety word, on disk before Python has heard of it.
#[pyclass(module = "qts._core", frozen)]
pub(crate) struct RaiseLog(Log);

#[pymethods]
impl RaiseLog {
    /// Open a log, or begin one; ValueError if it is not what was written, OSError if it cannot be read or written.
    #[new]
    fn new(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        py.detach(|| Log::open(&path)).map(Self).map_err(error)
    }

    /// The raises that were in it when it was opened, oldest first.
    #[getter]
    fn left(&self) -> Vec<LeftRow> {
        let rows = self.0.left().iter().map(|written| {
            let raise = &written.raise;
            let (from, to, flags) = (raise.from as u8, raise.to as u8, raise.flags.bits());
            (raise.seq, raise.code.code, from, to, flags, written.wall_ns, raise.at_ns)
        });
        rows.collect()
    }

    /// Bytes of a record that was not written to its end; they have been cut.
    #[getter]
    fn cut_bytes(&self) -> usize {
        self.0.cut_bytes()
    }

    /// Write every raise of a word from now on; those up to the number `heard` are recorded elsewhere.
    fn attach(&self, word: &SafetyWord, heard: u64) -> PyResult<()> {
        self.0.attach(&word.word, heard).map_err(error)
    }

    /// Say that the raises up to that number are recorded elsewhere for good.
    fn acknowledge(&self, through: u64) {
        self.0.acknowledge(through);
    }

    /// Write what is left to write and end the thread.
    fn close(&self, py: Python<'_>) {
        py.detach(|| self.0.close());
    }
}
