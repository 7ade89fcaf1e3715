//! The write-ahead journal on disk.
//!
//! [`Journal::append`] writes a record into a memory-mapped segment without a lock, an allocation or a system call: a
//! crash of the process loses nothing of it. A flusher thread ends a group every 64 records or every millisecond with
//! a commit and one `fdatasync`; [`Journal::wait_durable`] waits for that, and only then does the record outlive a
//! crash of the machine. [`Journal::open`] repairs what a crash can leave behind and refuses damage (FS125).
//!
//! Segments that nobody needs any more are retired: whenever a new one has been made those that are old enough, and of
//! any age when the quota would be reached. [`Journal::keep_from`] says what nobody needs; until then everything is kept.
//!
//! What the bytes mean stands in [`qts_core::journal`].

mod commit;
mod disk;
mod error;
mod files;
mod flusher;
mod handle;
mod holes;
mod map;
mod read;
mod recover;
mod rescue;
mod retain;
mod shared;
mod slot;
mod status;
mod tail;

pub use disk::{Disk, SystemDisk};
pub use error::JournalError;
pub use handle::{Journal, JournalConfig, Usage, UtcClock};
pub use holes::VOID;
pub use read::{Records, Summary, TornTail};
pub use recover::Recovery;
pub use retain::{Pin, Retired, plan};
pub use status::{Failure, FailureCause, Health};
pub use tail::Tail;

#[cfg(test)]
mod tests;
