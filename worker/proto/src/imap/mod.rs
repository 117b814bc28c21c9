//! IMAP4rev1 and rev2 (RFC 3501, 9051) and the extensions that pass: bytes become frames ([`frame`]), frames become
//! commands and responses ([`command`], [`response`]), and what goes on is written anew from those ([`mod@write`]).
//! Strict with clients; with servers, what [`crate::quirks`] names is tolerated.
pub mod capability;
pub mod command;
pub mod content;
pub mod cursor;
pub mod fetch_item;
pub mod frame;
pub mod mailbox;
pub mod response;
pub mod sequence_set;
pub mod verb;
pub mod write;
