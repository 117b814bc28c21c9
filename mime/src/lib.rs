//! What a mail is, and whether that is beyond doubt. Pure: no I/O, no other parser.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod recogniser;
