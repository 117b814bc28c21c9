//! Every number of this role that is not configuration, with its unit and its origin.
use std::time::Duration;

/// Octets read from a socket or a copy at once: one shared buffer per worker, so it costs nothing per session.
/// Measured on loopback: 64 KiB take a quarter less CPU per megabyte than 4 KiB, 128 KiB another tenth.
pub(crate) const PIECE: usize = 128 * 1024;

/// Octets queued for one peer above which the other is no longer read. With the kernel's own buffers it covers a
/// fast link, and it bounds what a client that stops reading can make us hold.
pub(crate) const QUEUE: usize = 256 * 1024;

/// A queue that grew beyond this gives its memory back once it is empty (octets).
pub(crate) const QUEUE_KEPT: usize = 4 * 1024;

/// Pieces that one session may move before the others get their turn.
pub(crate) const PIECES_PER_TURN: u32 = 16;

/// How long the last words of a session may take to leave.
pub(crate) const CLOSE: Duration = Duration::from_secs(5);

/// Octets of a login name that travel to the supervisor and the scanner.
pub(crate) const USER: usize = 512;

/// Octets of a rule's name, a reason or a detail in what a scanner answers.
pub(crate) const ANSWER_TEXT: usize = 256;

/// Spam filters that answer about one mail.
pub(crate) const SPAM_ANSWERS: usize = 16;

/// Octets of a virus name in what a scanner answers.
pub(crate) const VIRUS_NAME: usize = 128;

/// Policies kept for sessions that are still on their way; running sessions keep theirs anyway.
pub(crate) const GENERATIONS: usize = 4;

/// Changed mails of one maildrop that are believed; a maildrop with more is served no further.
pub(crate) const CHANGED: usize = 65_536;

/// Copies held in one session, whatever their size: each is a descriptor, and a worker has many sessions.
pub(crate) const COPIES: usize = 8;
