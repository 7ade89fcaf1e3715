//! Bytes that Python hands over.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyMemoryView};

/// The bytes behind a buffer: `bytes` as they are, anything else copied, because others could write there while they
/// are read without the interpreter lock.
pub(crate) fn bytes_of<'py>(batch: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    if let Ok(bytes) = batch.cast_exact::<PyBytes>() {
        return Ok(bytes.clone());
    }
    Ok(PyMemoryView::from(batch)?.call_method0("tobytes")?.cast_into::<PyBytes>()?)
}
