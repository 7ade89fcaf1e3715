//! What can go wrong with a journal.

use std::io;
use std::path::{Path, PathBuf};

use qts_core::journal::Damage;
use qts_core::safety::codes;
use thiserror::Error;

use super::retain::Pin;
use super::status::Failure;

/// Why the journal could not do it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The operating system refused.
    #[error("{}: {what}: {source}", path.display())]
    Io {
        /// What was to be done.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Bytes that were durable are not what was written.
    #[error("FS125: {} is damaged at {damage}", segment.display())]
    Damaged {
        /// The segment's file.
        segment: PathBuf,
        /// Where in it, and how.
        damage: Damage,
    },
    /// A file that is no segment of a journal.
    #[error("{}: {found}, expected {expected}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it is.
        found: String,
        /// What it should be.
        expected: &'static str,
    },
    /// Another process writes this journal.
    #[error("{}: in use by another process, expected a journal that nobody writes", dir.display())]
    InUse {
        /// The journal's directory.
        dir: PathBuf,
    },
    /// A new segment would not fit into the quota.
    #[error("the journal holds {used} bytes, has to stay below {quota}, and nothing may be retired: {pin}")]
    Quota {
        /// Bytes of all segments.
        used: u64,
        /// Bytes allowed.
        quota: u64,
        /// What keeps the oldest segment.
        pin: Pin,
    },
    /// The payload does not fit into a record or a segment.
    #[error("a payload of {found} bytes, expected at most {limit}")]
    TooLong {
        /// Its length.
        found: usize,
        /// The longest that fits.
        limit: usize,
    },
    /// Commits are written by the journal itself.
    #[error("a COMMIT cannot be appended, expected another kind")]
    Reserved,
    /// A setting that cannot work.
    #[error("{field} is {found}, expected {expected}")]
    Config {
        /// Which one.
        field: &'static str,
        /// Its value.
        found: u64,
        /// What it may be.
        expected: &'static str,
    },
    /// The journal has been closed.
    #[error("the journal has been closed")]
    Closed,
    /// A sync failed or took too long; the record is not known to be durable.
    #[error("FS063: {0}")]
    Failed(Failure),
    /// Not durable in the time allowed.
    #[error("record {seq} was not durable in time")]
    Timeout {
        /// The record.
        seq: u64,
    },
    /// No segment to write to: the disk does not keep up.
    #[error("no segment became free in time: the disk does not keep up")]
    Stalled,
}

impl JournalError {
    pub(crate) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { what, path: path.to_owned(), source }
    }

    /// The code of the specification, where there is one.
    pub const fn code(&self) -> Option<&'static str> {
        match self {
            Self::Damaged { .. } => Some(codes::FS125.code),
            Self::Io { .. } | Self::Quota { .. } | Self::Failed(_) | Self::Timeout { .. } | Self::Stalled => {
                Some(codes::FS063.code)
            }
            _ => None,
        }
    }
}
