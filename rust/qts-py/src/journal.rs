//! The journal: reading and checking it, and a writer.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pyo3::create_exception;
use pyo3::exceptions::{PyException, PyKeyError, PyOSError, PyTimeoutError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use qts_core::journal::RecordKind;
use qts_io::journal::{
    Health, Journal, JournalConfig, JournalError, Pin, Records, Recovery, Retired, Summary, plan,
};

use crate::errors;

create_exception!(
    qts._core,
    JournalDamageError,
    PyException,
    "Durable bytes of a journal are not what was written (FS125); args: path, first bad byte, found, expected."
);

/// Names of the kinds of records.
pub(crate) fn record_kinds() -> [&'static str; RecordKind::ALL.len()] {
    RecordKind::ALL.map(RecordKind::name)
}

pub(crate) fn error(error: JournalError) -> PyErr {
    match error {
        JournalError::Damaged { segment, damage } => {
            JournalDamageError::new_err((text(&segment), damage.at, damage.found, damage.expected))
        }
        JournalError::Io { source, path, .. } => {
            let number = source.raw_os_error().unwrap_or_default();
            PyOSError::new_err((number, source.to_string(), text(&path)))
        }
        JournalError::Timeout { .. } => PyTimeoutError::new_err(error.to_string()),
        other => errors::value(other),
    }
}

fn text(path: &std::path::Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Read the whole journal in a directory and tell what it holds.
#[pyfunction]
pub(crate) fn journal_verify(py: Python<'_>, path: PathBuf) -> PyResult<Bound<'_, PyDict>> {
    let summary = py.detach(|| verify(&path)).map_err(error)?;
    let dict = PyDict::new(py);
    dict.set_item("segments", summary.segments)?;
    dict.set_item("records", summary.records)?;
    dict.set_item("groups", summary.groups)?;
    dict.set_item("last_seq", summary.last_seq)?;
    dict.set_item("last_ts_ns", summary.last_ts_ns)?;
    dict.set_item("uncommitted", summary.uncommitted)?;
    dict.set_item("bytes", summary.bytes)?;
    dict.set_item("quota_bytes", JournalConfig::default().quota_bytes)?;
    let anchor = summary.anchor;
    dict.set_item("first_seq", anchor.next_seq)?;
    dict.set_item("retired_segments", anchor.segments)?;
    dict.set_item("retired_bytes", anchor.bytes)?;
    dict.set_item("retired_last_ts_ns", anchor.last_ts_ns)?;
    dict.set_item("retired_at_ns", anchor.retired_at_ns)?;
    let torn: Vec<_> = summary.torn.iter().map(|torn| (text(&torn.segment), torn.at, torn.bytes)).collect();
    dict.set_item("torn", torn)?;
    Ok(dict)
}

/// A journal that is being written changes under the reader: only what is wrong twice in the same way is damage.
fn verify(path: &PathBuf) -> Result<Summary, JournalError> {
    let once = || {
        let mut records = Records::open(path)?;
        while records.advance()? {}
        Ok(records.summary().clone())
    };
    let place = |error: &JournalError| match error {
        JournalError::Damaged { segment, damage } => Some((segment.clone(), damage.at)),
        // Retired meanwhile.
        JournalError::Io { path, source, .. } if source.kind() == ErrorKind::NotFound => {
            Some((path.clone(), 0))
        }
        _ => None,
    };
    let mut found = once();
    while let Err(first) = &found
        && place(first).is_some()
    {
        let again = once();
        let is_same = again.as_ref().is_err_and(|second| place(second) == place(first));
        found = again;
        if is_same {
            break;
        }
    }
    found
}

/// Return what `JournalWriter.retire` would do with the journal in a directory, which nobody writes.
#[pyfunction]
pub(crate) fn journal_plan(
    py: Python<'_>,
    path: PathBuf,
    keep_from: u64,
    keep_days: u32,
) -> PyResult<Bound<'_, PyDict>> {
    let plan = py.detach(|| plan(&path, keep_from, keep_days, utc_ns())).map_err(error)?;
    retired(py, &plan)
}

pub(crate) fn retired<'py>(py: Python<'py>, found: &Retired) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("segments", found.segments.iter().map(|path| text(path)).collect::<Vec<_>>())?;
    dict.set_item("bytes", found.bytes)?;
    dict.set_item("first_seq", found.next_seq)?;
    let kept_because = match found.pin {
        Pin::Event(seq) => ("event", seq),
        Pin::KeptFrom(seq) => ("keep_from", seq),
        Pin::Young => ("young", 0),
        Pin::InUse => ("in_use", 0),
    };
    dict.set_item("kept_because", kept_because)?;
    Ok(dict)
}

/// Return the records of the journal in a directory, in their order.
#[pyfunction]
pub(crate) fn journal_records(py: Python<'_>, path: PathBuf) -> PyResult<JournalRecords> {
    let records = py.detach(|| Records::open(&path)).map_err(error)?;
    Ok(JournalRecords(Mutex::new(records)))
}

type Row<'py> = (u64, i64, &'static str, u8, Bound<'py, PyBytes>);

/// Records of a journal: number, UTC nanoseconds, kind, version and payload.
#[pyclass(module = "qts._core", frozen)]
pub(crate) struct JournalRecords(Mutex<Records>);

impl JournalRecords {
    fn lock(&self) -> MutexGuard<'_, Records> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl JournalRecords {
    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Row<'py>>> {
        // Taken without the interpreter: whoever holds it may be waiting for the interpreter.
        let records = py.detach(|| {
            let mut records = self.lock();
            records.advance().map(|is_there| {
                let owned = records.record().filter(|_| is_there);
                owned.map(|record| (record.meta, record.payload.to_vec()))
            })
        });
        Ok(records.map_err(error)?.map(|(meta, payload)| {
            (meta.seq, meta.ts_ns, meta.kind.name(), meta.version, PyBytes::new(py, &payload))
        }))
    }
}

/// A journal that is open for appends. Threads may share it.
#[pyclass(module = "qts._core", frozen)]
pub(crate) struct JournalWriter {
    journal: Journal,
    unfinished: Vec<(u64, i64, u8, Vec<u8>)>,
}

#[pymethods]
impl JournalWriter {
    #[new]
    #[pyo3(signature = (path, *, sync = true, keep_from = 0, keep_days = 30))]
    fn new(py: Python<'_>, path: PathBuf, sync: bool, keep_from: u64, keep_days: u32) -> PyResult<Self> {
        let config = JournalConfig { sync, keep_from, keep_days, ..JournalConfig::default() };
        let (journal, recovery) = py.detach(|| open(&path, config)).map_err(error)?;
        let unfinished = recovery.unfinished.into_iter();
        let unfinished = unfinished
            .map(|found| (found.meta.seq, found.meta.ts_ns, found.meta.version, found.payload.into()));
        Ok(Self { journal, unfinished: unfinished.collect() })
    }

    /// P0 events that nobody had marked as handled: number, UTC nanoseconds, version and payload.
    fn unfinished<'py>(&self, py: Python<'py>) -> Vec<(u64, i64, u8, Bound<'py, PyBytes>)> {
        let rows = self.unfinished.iter();
        rows.map(|(seq, ts_ns, version, payload)| (*seq, *ts_ns, *version, PyBytes::new(py, payload)))
            .collect()
    }

    /// Append a record and return its number.
    #[pyo3(signature = (kind, payload, *, version = 1))]
    fn append(&self, py: Python<'_>, kind: &str, payload: &[u8], version: u8) -> PyResult<u64> {
        let Some(kind) = RecordKind::from_name(kind) else {
            return Err(PyKeyError::new_err(kind.to_owned()));
        };
        // An append may have to make a segment first.
        py.detach(|| self.journal.append_version(kind, version, payload)).map_err(error)
    }

    /// Wait until a record is durable.
    #[pyo3(signature = (seq, timeout_s = 1.0))]
    fn wait_durable(&self, py: Python<'_>, seq: u64, timeout_s: f64) -> PyResult<()> {
        let timeout = Duration::try_from_secs_f64(timeout_s).map_err(errors::value)?;
        py.detach(|| self.journal.wait_durable(seq, timeout)).map_err(error)
    }

    /// Say that nobody needs a record in front of this one any more.
    fn keep_from(&self, seq: u64) {
        self.journal.keep_from(seq);
    }

    /// Retire the segments that are old enough and that nobody needs.
    fn retire<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        retired(py, &py.detach(|| self.journal.retire()).map_err(error)?)
    }

    /// Bytes of the journal and how many it may have.
    #[getter]
    fn usage(&self) -> (u64, u64) {
        let usage = self.journal.usage();
        (usage.used, usage.quota)
    }

    /// Number of the last durable record.
    #[getter]
    fn durable_seq(&self) -> u64 {
        self.journal.durable_seq()
    }

    /// Records that are not durable yet.
    #[getter]
    fn lag(&self) -> u64 {
        self.journal.lag()
    }

    /// What is wrong with the journal, or None.
    #[getter]
    fn failure(&self) -> Option<String> {
        match self.journal.health() {
            Health::Good => None,
            Health::Failed(failure) => Some(failure.to_string()),
        }
    }

    /// Sync what has been appended and end the journal.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.journal.close()).map_err(error)
    }
}

/// Opens the journal in a directory, with the time of this machine.
pub(crate) fn open(path: &Path, config: JournalConfig) -> Result<(Journal, Recovery), JournalError> {
    Journal::open(path, config, Box::new(utc_ns))
}

#[allow(clippy::disallowed_methods, reason = "this is the journal's clock port")]
fn utc_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
