//! The worker: speaks the protocol with clients and servers, and lets no mail through that was not scanned.
//!
//! Started by the supervisor with its link at descriptor 3 and its log at 4. It reads what clients and servers send,
//! which is why it holds nothing but the descriptors it was given: no key, no file, no way to make a connection.
//!
//! ```text
//! serve.rs     messages of the supervisor, one task per session
//! session.rs   the story of a session        mail.rs   the way of one mail through it
//! driver.rs    bytes and time <-> machine    peer.rs   one connection
//! spool.rs     a mail on its way in          scan.rs   job out, answer checked      copy.rs   the scanned copy
//! ```
#![forbid(unsafe_code)]
mod copy;
mod driver;
mod fault;
mod generation;
mod inbox;
mod limits;
mod mail;
mod memfd;
mod peer;
mod scan;
mod serve;
mod session;
mod spool;
#[cfg(test)]
mod tests;
