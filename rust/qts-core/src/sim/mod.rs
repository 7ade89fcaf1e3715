//! The simulated venue: latency, the one matcher, a broker around it, a synthetic market, and days made up from daily bars.

pub mod bridge;
pub mod broker;
pub mod latency;
pub mod matcher;
pub mod synth;
pub mod venue;
