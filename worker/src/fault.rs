//! One place that says what a failure means: the last words to the client, the loudness of the log, the end.
use crate::driver::Failure;
use ipc::log::Level;
use ipc::supervisor_worker::{End, NoServer};
use policy::names::{Language, Protocol};
use texts::Answer;
use worker_proto::machine::{Close, CopyFault, Side};
use worker_proto::{imap, pop3};

/// The last words to a client, in its protocol.
pub(crate) fn farewell(protocol: Protocol, answer: Answer, language: Language) -> Vec<u8> {
    match protocol {
        Protocol::Pop3 => pop3::farewell(answer, language),
        Protocol::Imap | Protocol::Sieve => imap::farewell(answer, language),
    }
}

/// What follows from a failure.
pub(crate) struct Consequence {
    /// Last words to the client; empty in the middle of a mail, which must then stay unfinished.
    pub(crate) farewell: Vec<u8>,
    /// How loud the log is.
    pub(crate) level: Level,
    /// Constant words for the log.
    pub(crate) text: &'static str,
    /// More for the log.
    pub(crate) detail: String,
    /// How the session is said to have ended.
    pub(crate) end: End,
}

/// Maps a failure.
pub(crate) fn consequence(failure: Failure) -> Consequence {
    match failure {
        Failure::Peer(fault) => {
            let (text, end) = match fault.side {
                Side::Client => ("client broke the protocol", End::ClientFault),
                Side::Server => ("server broke the protocol", End::ServerFault),
            };
            let detail = format!("{} at octet {}", fault.what, fault.offset);
            Consequence { farewell: fault.farewell, level: Level::Warn, text, detail, end }
        }
        Failure::ClientGone => Consequence {
            farewell: Vec::new(),
            level: Level::Debug,
            text: "client takes no more",
            detail: String::new(),
            end: End::ClientClosed,
        },
        Failure::Copy(fault) => Consequence {
            farewell: Vec::new(),
            level: Level::Error,
            text: match fault {
                CopyFault::Unreadable => "scanned copy cannot be read",
                CopyFault::Changed => "spool file changed after it was scanned",
            },
            detail: String::new(),
            end: End::Internal,
        },
    }
}

/// The supervisor's word for the machine's.
pub(crate) const fn end(close: Close) -> End {
    match close {
        Close::Quit => End::Quit,
        Close::ClientClosed => End::ClientClosed,
        Close::ServerClosed => End::ServerClosed,
        Close::Denied => End::Denied,
        Close::LoginFailures => End::LoginFailures,
        Close::BadCommands => End::BadCommands,
        Close::LoginDeadline => End::LoginDeadline,
        Close::Idle => End::Idle,
        Close::Limit => End::Limit,
        Close::Kicked => End::Kicked,
    }
}

/// Why there is no server, for the log.
pub(crate) const fn no_server(why: NoServer) -> &'static str {
    match why {
        NoServer::Unreachable => "unreachable",
        NoServer::TimedOut => "silent until connect-timeout",
        NoServer::NotResolved => "name does not resolve",
        NoServer::Loop => {
            "the way leads back to us: plug-to, or where the client wanted to go, is an address of this Mailward"
        }
        NoServer::Denied => "no rule permits the session",
    }
}
