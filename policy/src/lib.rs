//! What the operator wants: configuration types, loading, decisions, slices. Pure: reads only what it is given.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod names;
pub mod notice;
pub mod status;

pub mod acl;
pub mod comparison;
pub mod conditions;
pub mod credential;
pub mod diagnostic;
pub mod effective;
pub mod engine;
pub mod host;
mod host_name;
pub mod html;
pub mod intercept;
pub mod judge;
pub mod keyword;
pub mod list;
pub mod load;
pub mod locked;
pub mod model;
mod read;
mod resolve;
pub mod schema;
pub mod slice;
pub mod time;
pub mod tls;
pub mod violation;

pub use read::parse_duration;
