//! What touches the outside: file readers now.
//!
//! Tick files are read, unpacked and parsed on a thread of their own ([`TickFile`]); bar files are so much smaller
//! that they are read on the caller's thread ([`BarFile`]). Both hold a constant amount of memory however long the
//! file is. Text may be plain or gzip; which of the two is told by its first bytes, never by its name.

mod barfile;
mod batch;
pub mod clock;
pub mod journal;
mod lines;
pub mod measure;
pub mod p0log;
pub mod raiselog;
mod stats;
mod text;
pub mod threads;
mod tickfile;
pub mod tickspool;

pub use barfile::{BarFile, BarReader, Session, Sessions, SessionsError};
pub use stats::FeedStats;
pub use tickfile::{TickFile, TickReader};

#[cfg(test)]
mod tests;
