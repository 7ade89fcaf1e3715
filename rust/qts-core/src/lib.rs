//! The pure core of qts-engine.
//!
//! No Python, no async runtime, no socket, no file and no wall clock: whatever the core needs from outside comes in
//! through a trait ([`clock::Clock`], [`market::source::MarketSource`]), so that a backtest, a paper session and a
//! live session run the same code.

pub mod clock;
pub mod dispatch;
pub mod event;
pub mod fixed;
pub mod instrument;
pub mod journal;
pub mod market;
pub mod order;
pub mod queue;
pub mod safety;
pub mod session;
pub mod shadow;
pub mod sim;
mod sync;
#[cfg(test)]
pub(crate) mod testing;
pub mod wire;
