//! IMAP4rev1 and rev2 (RFC 3501, 9051) and the extensions that pass: bytes become frames ([`frame`]), frames become
//! commands and responses ([`command`], [`response`]), and what goes on is written anew from those ([`mod@write`]).
//! Strict with clients; with servers, what [`crate::quirks`] names is tolerated.
mod answer;
pub mod capability;
mod client;
pub mod command;
mod common;
pub mod content;
mod core;
pub mod cursor;
mod fetch;
pub mod fetch_item;
mod fetching;
pub mod frame;
mod guard;
mod identity;
mod judging;
mod late;
mod login;
mod machine;
pub mod mailbox;
mod mailbox_guard;
mod marks;
mod numbers;
mod outbox;
mod outstanding;
mod permission;
mod receiving;
mod relay;
pub mod response;
mod selected;
pub mod sequence_set;
mod server;
mod upload;
mod uploading;
mod upstream;
pub mod verb;
pub mod write;

pub use answer::farewell;
pub use machine::Imap;
