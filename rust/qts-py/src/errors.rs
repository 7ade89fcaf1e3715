//! Errors of the core as Python exceptions. Every exception carries its parts as attributes, so that the layer above
//! can word them in the user's language.

use pyo3::create_exception;
use pyo3::exceptions::{PyException, PyOverflowError, PyValueError};
use pyo3::prelude::*;
use qts_core::fixed::FixedError;
use qts_core::session::SessionError;

create_exception!(
    qts._core,
    SourceError,
    PyException,
    "Input data is at fault; args: path, line, column, found, expected."
);
create_exception!(
    qts._core,
    EngineError,
    PyException,
    "The engine found its own state inconsistent; args: message."
);

/// A number that does not fit.
pub(crate) fn fixed(error: FixedError) -> PyErr {
    match error {
        FixedError::Overflow { .. } => PyOverflowError::new_err(error.to_string()),
        _ => PyValueError::new_err(error.to_string()),
    }
}

/// A source that failed.
pub(crate) fn source(error: qts_core::market::source::SourceError) -> PyErr {
    SourceError::new_err((error.path, error.line, error.column, error.found, error.expected))
}

/// A session that cannot go on.
pub(crate) fn session(error: SessionError) -> PyErr {
    match error {
        SessionError::Source(error) => source(error),
        other => EngineError::new_err(other.to_string()),
    }
}

/// A value that is not valid here.
pub(crate) fn value(message: impl ToString) -> PyErr {
    PyValueError::new_err(message.to_string())
}

/// Something that the engine cannot do as it stands.
pub(crate) fn engine(message: impl Into<String>) -> PyErr {
    EngineError::new_err(message.into())
}
