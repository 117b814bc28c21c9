//! What the operator wants: configuration types, loading, decisions, slices. Pure: reads only what it is given.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod names;
pub mod status;

pub mod acl;
pub mod diagnostic;
pub mod host;
pub mod judge;
mod later;
pub mod list;
pub mod load;
pub mod model;
mod read;
pub mod slice;
