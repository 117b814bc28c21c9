//! What the operator wants: configuration types, loading, decisions, slices. Pure: reads only what it is given.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod names;
pub mod status;
