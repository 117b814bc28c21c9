//! POP3 (and later IMAP) between a client and a server, as pure machines: bytes, verdicts and time go in,
//! bytes and events come out. No sockets, no clock, no runtime.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod capability;
pub mod credentials;
pub mod imap;
pub mod line;
pub mod machine;
mod mail_limits;
pub mod pop3;
pub mod quirks;
pub mod upgrade;
