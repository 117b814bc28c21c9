//! The contracts between the processes of Mailward: one module per pair of roles, one enum per direction.
//!
//! One datagram on a `SOCK_SEQPACKET` pair is one message together with its descriptors. Whatever a child
//! sends is hostile input to its reader: decoding is bounded, exact, and never trusts a count.
//!
//! ```text
//!                    listeners, NAT, configuration
//!                    +------------+
//!      clients ----> | supervisor | (root; parses no byte that a peer chose)
//!                    +------------+
//!        Boot, Policy  |    |    |   Boot, Policy, Resolve
//!        Session + fd  |    |    +-----------------------> lookup
//!        Server + fd   |    |  Lease + fds
//!                      v    v
//!                 worker    scanner
//!                    |         ^
//!                    +---------+   Scan + mail -> Judged   (a pair made for one mail)
//! ```
#![warn(missing_docs)]

pub mod boot;
pub mod descriptors;
pub mod ids;
pub mod link;
pub mod log;
pub mod role;
pub mod supervisor_keyholder;
pub mod supervisor_lookup;
pub mod supervisor_scanner;
pub mod supervisor_worker;
pub mod supervisor_writer;
pub mod waiting;
pub mod wire;
pub mod worker_keyholder;
pub mod worker_lookup;
pub mod worker_scanner;
pub mod worker_writer;

pub use link::{Link, LinkError, pair};
