//! supervisor

pub mod changed;
pub mod records;
