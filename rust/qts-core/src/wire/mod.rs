//! Bytes in, records out.

pub mod csv;
