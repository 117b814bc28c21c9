//! Supervisor and worker: policy, sessions, connected servers, leases, the index of changed mails.
use crate::ids::{Found, LeaseId, MailId, Selection, SessionId, Sha256};
use crate::wire::Message;
use policy::names::{Direction, Language, Protocol};
use policy::tls::ClientSide;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::SocketAddr;

/// An admitted client connection and everything that was decided about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its number.
    pub id: SessionId,
    /// The policy generation whose rules apply.
    pub generation: u64,
    /// Index into the worker slice's listeners.
    pub listener: u16,
    /// What is spoken.
    pub protocol: Protocol,
    /// The client's address and port.
    pub client: SocketAddr,
    /// Its name, confirmed by lookup, if rules ask for it.
    pub client_name: Option<String>,
    /// Where the client wanted to go: the original destination of a transparent connection, else our own address.
    pub destination: SocketAddr,
    /// Name of the session-acl rule that let it in.
    pub session_rule: String,
    /// Of answers and notices.
    pub language: Language,
    /// TLS towards the client.
    pub client_side: ClientSide,
    /// Index of that rule, by which `require-client-certificate` is found.
    pub session_rule_index: u16,
    /// What decides the server.
    pub plan: Plan,
    /// TLS with the client is intercepted: it comes after TLS with the server, whose certificate it mirrors.
    pub intercept: bool,
    /// `CLOCK_MONOTONIC` at accept, in nanoseconds: the worker measures the hand-over against it.
    pub accepted_ns: u64,
}

/// Octets of a mailbox's name as the server spells it.
pub const MAX_MAILBOX: usize = 1024;

/// How a session finds its server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Plan {
    /// The rule is decided, the supervisor is dialling, the server's greeting is passed on.
    Early {
        /// Index into the worker slice's command-acl rules.
        rule: u16,
    },
    /// The client's certificate decides: the worker shakes hands with the client and says `Learnt`. `Renew` tells the
    /// rule, then comes the server. Or `Late` comes, and the plan is the next one.
    Certificate,
    /// The client's name decides: the worker greets the client itself and takes its login, which is `WantServer`.
    Late,
}

/// A mail that was served changed: what the client holds must stay true in later sessions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangedMail {
    /// The server's UIDL of the mail (RFC 1939: 1 to 70 octets), or empty where the server has none; IMAP's UID in decimal.
    pub uidl: Vec<u8>,
    /// Hash of the original.
    pub sha256: Sha256,
    /// Octets of the copy that was served.
    pub length: u64,
    /// What engines had found in it, each that found something: it is changed by that, whatever they find later. Not told back to workers.
    pub found: Vec<Found>,
    /// The quarantine has a copy of the original. Looked at when the entry is told; not in the index, and not the worker's to
    /// say.
    pub kept: bool,
}

/// Why there is no server for a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NoServer {
    /// Every candidate refused or could not be reached.
    Unreachable,
    /// Every candidate was silent until `connect-timeout`.
    TimedOut,
    /// The name did not resolve.
    NotResolved,
    /// The destination is one of our own listeners.
    Loop,
    /// No command-acl rule permits the session.
    Denied,
}

/// Why a mail cannot be scanned now. Always temporary: the mail is deferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NoLease {
    /// The queue is full or the wait was too long.
    Busy,
    /// The scanner died twice before it could begin.
    Died,
    /// The service is stopping.
    Stopping,
}

/// A file of TLS, by the policy's indices. None of them is secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TlsFile {
    /// A certificate that clients are shown, with those above it, PEM.
    ClientChain {
        /// Index of the `[client-tls.NAME]`.
        tls: u16,
        /// Index in it.
        certificate: u16,
    },
    /// The OCSP answer about such a certificate, DER.
    Staple {
        /// Index of the `[client-tls.NAME]`.
        tls: u16,
        /// Index in it.
        certificate: u16,
    },
    /// Authorities of clients' certificates, PEM.
    ClientCa {
        /// Index of the `[client-tls.NAME]`.
        tls: u16,
    },
    /// A revocation list, PEM or DER.
    Crl {
        /// Index of the `[client-tls.NAME]`.
        tls: u16,
    },
    /// Authorities of servers' certificates, PEM.
    ServerCa {
        /// Index of the `[server-tls.NAME]`.
        tls: u16,
    },
    /// The certificate of an authority of interception, with those above it, PEM; for the keyholder.
    Authority {
        /// Index of the `[client-tls.NAME]`.
        tls: u16,
        /// `untrusted-ca`, else `ca`.
        untrusted: bool,
    },
    /// The certificate that servers are shown, PEM.
    ServerChain {
        /// Index of the `[server-tls.NAME]`.
        tls: u16,
    },
}

/// Supervisor to worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToWorker {
    /// One descriptor: a sealed memfd of `len` octets holding an encoded `policy::slice::WorkerSlice`.
    Policy {
        /// Its number; sessions name it.
        generation: u64,
        /// Octets.
        len: u32,
    },
    /// One descriptor: a file of TLS, opened read-only, of the policy that follows.
    Tls {
        /// Of which policy.
        generation: u64,
        /// Which file.
        file: TlsFile,
    },
    /// One descriptor: the worker's end of a link to the keyholder, whose reads wait. It replaces a former one.
    Keyholder,
    /// One descriptor: the worker's end of a link to the writer of its tenant. It replaces a former one.
    Writer,
    /// No descriptor: the session is under this rule of this generation. Its certificate decided it, or the policy was
    /// reloaded.
    Renew {
        /// Which session.
        session: SessionId,
        /// The generation, which was sent before.
        generation: u64,
        /// Index into the worker slice's command-acl rules.
        rule: u16,
        /// Of answers and notices.
        language: Language,
    },
    /// No descriptor: the certificate leaves the rule open, and the client's name decides it ([`Plan::Late`]).
    Late {
        /// Which session.
        session: SessionId,
    },
    /// One descriptor: the client.
    Session(Box<Session>),
    /// One descriptor: the connected server.
    Server {
        /// The session it is for.
        session: SessionId,
        /// Where it was dialled.
        address: SocketAddr,
        /// The name it was configured by, if any.
        name: Option<String>,
    },
    /// No descriptor: dialling failed.
    NoServer {
        /// The session it is for.
        session: SessionId,
        /// Why.
        why: NoServer,
    },
    /// Two descriptors of one unlinked file: for writing, and read-only.
    Spool {
        /// The session it is for.
        session: SessionId,
        /// The mail it is for.
        mail: MailId,
    },
    /// No spool file can be had: the mail is deferred.
    NoSpool {
        /// The session it is for.
        session: SessionId,
        /// The mail it is for.
        mail: MailId,
    },
    /// One descriptor: the worker's end of a pair with the leased scanner. A second lease for the same mail replaces the first.
    Lease {
        /// The session it is for.
        session: SessionId,
        /// The mail it is for.
        mail: MailId,
        /// Its number, which `ScanJob` and `Judged` repeat.
        lease: LeaseId,
        /// Viruses that the operator allowed in this mail: the scanner may say that it is not infected although engines
        /// found these.
        allowed: Vec<String>,
        /// Some engine takes a mail by its descriptor: it must have one.
        file: bool,
    },
    /// The mail will not be scanned now.
    NoLease {
        /// The session it is for.
        session: SessionId,
        /// The mail it is for.
        mail: MailId,
        /// Why.
        why: NoLease,
    },
    /// Changed mails of the maildrop or mailbox: the answer to `LoggedIn` of POP3 and to `Selected` (in pieces while
    /// `more`), then additions by other sessions.
    Changed {
        /// The session it is for.
        session: SessionId,
        /// Which of its mailboxes: one that it left meanwhile is none of its business any more.
        selection: Selection,
        /// The mails.
        entries: Vec<ChangedMail>,
        /// Another piece follows.
        more: bool,
    },
    /// Answer to `Store`: whether the entry is safely on disk.
    Stored {
        /// The session it is for.
        session: SessionId,
        /// The mail it is for.
        mail: MailId,
        /// False: the changed mail must not be served; defer it.
        safe: bool,
        /// The quarantine has a copy of the original.
        kept: bool,
    },
    /// End this session in its protocol.
    Kick {
        /// Which.
        session: SessionId,
    },
    /// No new session follows: serve what there is, then end.
    Drain,
}

impl Message for ToWorker {
    const MAX_FDS: usize = 2;
    fn fd_count(&self) -> usize {
        match self {
            Self::Policy { .. }
            | Self::Tls { .. }
            | Self::Keyholder
            | Self::Writer
            | Self::Session(_)
            | Self::Server { .. }
            | Self::Lease { .. } => 1,
            Self::Spool { .. } => 2,
            Self::NoServer { .. }
            | Self::NoSpool { .. }
            | Self::NoLease { .. }
            | Self::Changed { .. }
            | Self::Stored { .. }
            | Self::Kick { .. }
            | Self::Renew { .. }
            | Self::Late { .. }
            | Self::Drain => 0,
        }
    }
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// QUIT, answered.
    Quit,
    /// The client closed or reset its connection.
    ClientClosed,
    /// The server closed or reset its connection.
    ServerClosed,
    /// The server could not be reached.
    NoServer,
    /// No command-acl rule permits the session.
    Denied,
    /// The client broke the protocol or a limit.
    ClientFault,
    /// The server broke the protocol or a limit.
    ServerFault,
    /// The client's handshake failed.
    ClientTls,
    /// The server's TLS is not what is asked for.
    ServerTls,
    /// Too many failed logins.
    LoginFailures,
    /// Too many unknown or forbidden commands.
    BadCommands,
    /// The login deadline.
    LoginDeadline,
    /// `idle-timeout`.
    Idle,
    /// `max-time`, `max-bytes-in` or `max-bytes-out`.
    Limit,
    /// Asked for by the supervisor.
    Kicked,
    /// Something of ours failed.
    Internal,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Quit => "quit",
            Self::ClientClosed => "client-closed",
            Self::ServerClosed => "server-closed",
            Self::NoServer => "no-server",
            Self::Denied => "denied",
            Self::ClientFault => "client-fault",
            Self::ServerFault => "server-fault",
            Self::ClientTls => "client-tls",
            Self::ServerTls => "server-tls",
            Self::LoginFailures => "login-failures",
            Self::BadCommands => "bad-commands",
            Self::LoginDeadline => "login-deadline",
            Self::Idle => "idle",
            Self::Limit => "limit",
            Self::Kicked => "kicked",
            Self::Internal => "internal",
        })
    }
}

/// What a session did, for SESSION-END.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Octets from the server.
    pub bytes_in: u64,
    /// Octets from the client.
    pub bytes_out: u64,
    /// Commands that the client sent.
    pub commands: u32,
    /// Mails delivered as they were.
    pub mails_passed: u32,
    /// Mails replaced.
    pub mails_replaced: u32,
    /// Mails refused.
    pub mails_denied: u32,
    /// Mails deferred.
    pub mails_deferred: u32,
    /// Accept to usable in the worker, in microseconds.
    pub handover_us: u32,
}

/// Worker to supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromWorker {
    /// The handshake with the client of [`Plan::Certificate`] ended well. Answered by `Renew` and `Server`, by `Late`, or by
    /// `NoServer`.
    Learnt {
        /// Which session.
        session: SessionId,
        /// An encoded [`crate::worker_lookup::Learnt`], at most [`crate::worker_lookup::MAX_LEARNT`] octets.
        learnt: Vec<u8>,
    },
    /// The client of [`Plan::Late`] logs in. Answered by `Renew` and `Server`, or by `NoServer`. Comes again where a login
    /// failed, and never after one succeeded.
    WantServer {
        /// Which session.
        session: SessionId,
        /// As in `Learnt`, with the name.
        learnt: Vec<u8>,
    },
    /// The connection of an intercepted session shall be relayed unseen: its server is dialled once more. Answered by `Server`
    /// or `NoServer`.
    Again {
        /// Which session.
        session: SessionId,
    },
    /// The server accepted this user. Answered by `Changed` where POP3 is spoken, whose maildrop it opens.
    LoggedIn {
        /// Which session.
        session: SessionId,
        /// The name given, at most 512 octets; text for the log, lossy.
        user: String,
    },
    /// IMAP: the server opened this mailbox, for reading or more, and whatever was open before is closed. Answered by
    /// `Changed`.
    Selected {
        /// Which session.
        session: SessionId,
        /// Greater than of every mailbox before.
        selection: Selection,
        /// Its name, always spelt alike (`INBOX` in capitals): 1 to [`MAX_MAILBOX`] octets.
        mailbox: Vec<u8>,
        /// RFC 3501 section 2.3.1.1: with another one, UIDs mean other mails.
        uid_validity: u32,
    },
    /// A mail outgrew `spool-file-above`. Answered by `Spool` or `NoSpool`.
    NeedSpool {
        /// Which session.
        session: SessionId,
        /// Which mail.
        mail: MailId,
    },
    /// A mail is spooled and sealed. Answered by `Lease` or `NoLease`.
    NeedScan {
        /// Which session.
        session: SessionId,
        /// Which mail.
        mail: MailId,
        /// Which way it travels: either has engines of its own.
        direction: Direction,
        /// Octets.
        size: u64,
        /// Its hash.
        sha256: Sha256,
        /// It was served changed before, under the name that it has: nothing frees it under that name.
        changed: bool,
    },
    /// The client is about to be served a changed mail. Answered by `Stored`.
    Store {
        /// Which session.
        session: SessionId,
        /// Of which mailbox.
        selection: Selection,
        /// Which mail.
        mail: MailId,
        /// What to keep.
        entry: ChangedMail,
    },
    /// The session is over; the supervisor forgets it.
    SessionEnded {
        /// Which session.
        session: SessionId,
        /// Why.
        end: End,
        /// What it did.
        counters: Counters,
    },
}

impl Message for FromWorker {
    const MAX_FDS: usize = 0;
    fn fd_count(&self) -> usize {
        0
    }
}
