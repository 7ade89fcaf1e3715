//! The simulated venue: latency, the one matcher, and a synthetic market.

pub mod latency;
pub mod matcher;
pub mod synth;
pub mod venue;
