//! What a mail is, and whether that is beyond doubt. Pure: no I/O, no other parser.
//!
//! The recogniser accepts a narrow grammar that every honest reader reads alike. What it accepts may be delivered
//! byte for byte; everything else is a mail about which readers could disagree, and is treated as such.
//!
//! ```
//! let mail = b"From: a@example.org\r\nSubject: hello\r\n\r\nHi.\r\n";
//! let accepted = mime::recogniser::recognise(mail, &mime::recogniser::Limits::default()).unwrap();
//! assert_eq!(accepted.leaves.len(), 1);
//! assert_eq!(mime::recogniser::decode(mail, &accepted.leaves[0]), b"Hi.\r\n");
//! ```
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod body;
pub mod decoder;
pub mod emitter;
mod field;
mod file_name;
mod header;
pub mod header_fields;
mod multipart;
pub mod parameters;
pub mod part_map;
pub mod recogniser;
mod tolerant;
pub mod transfer_encoding;
