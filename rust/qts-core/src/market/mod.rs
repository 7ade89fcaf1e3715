//! Market data: the price tap, bars, and the sources that records come from.

pub mod bars;
pub mod source;
pub mod tap;
