//! What stops the engine: the word that every order is held against, and the table of codes that may be raised.
//!
//! Any Rust thread may raise [`SafetyWord`]; only Python releases it, because a release is a decision of an operator.

pub mod codes;
mod permit;
mod word;

pub use permit::{ActionClass, Flags, ProtectiveExits, State};
pub use word::{Raise, ReleaseError, SafetyWord};

#[cfg(all(test, loom))]
mod models;
#[cfg(all(test, not(loom)))]
mod tests;
