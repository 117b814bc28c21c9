//! What goes into a protocol machine and what comes out of it. The driver in `worker` is the only caller.
use policy::model::{Login, SessionRules};
use policy::names::Language;
use policy::status::StatusSet;
use std::rc::Rc;
use std::time::Duration;
use texts::Answer;

/// What one configuration says about a session; shared by the sessions of a worker.
#[derive(Debug)]
pub struct Settings {
    /// The command-acl rule that was decided at admission.
    pub rules: SessionRules,
    /// `[login]`.
    pub login: Login,
    /// `without-quarantine = "refuse-delete"`.
    pub refuse_delete: bool,
}

/// Whose greeting the client gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Greeted {
    /// The server's, which is awaited and passed on.
    ByServer,
    /// Ours: the server's came before its TLS, and nothing learnt then counts.
    ByUs,
}

/// TLS with the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// There is none and will be none.
    Clear,
    /// The client may ask for it before it logs in (RFC 2595).
    Offered,
    /// The client must.
    Required,
    /// It stands.
    Secured,
}

/// Which peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The mail client.
    Client,
    /// The mail server.
    Server,
}

/// What the driver feeds a machine.
#[derive(Debug)]
pub enum Input<'a> {
    /// The session begins. Fed first.
    Begin,
    /// Bytes of one peer, any cut; the machine takes them all. Fed only while the machine `wants` that side.
    Bytes(Side, &'a [u8]),
    /// The peer closed its sending direction.
    Eof(Side),
    /// Answer to [`Event::LoggedIn`]: UIDL and served length of every mail of this maildrop that was served changed.
    /// Later ones add to it (another session of this maildrop was served a changed mail).
    Changed(&'a [Changed]),
    /// Answer to [`Event::WantMail`]: no copy is held, pull it from the server.
    Pull,
    /// Answer to [`Event::WantMail`] (a copy is held) or to [`Event::MailEnd`] (it was judged).
    Judged(Verdict),
    /// The next piece of the judged copy, in order from its start; fed while `wants_copy()`. Empty: the copy is at its end.
    Copy(&'a [u8]),
    /// The rules changed: these, and this language, apply from the next command on. Whether mails are scanned is as it was.
    Settings(Rc<Settings>, Language),
    /// The supervisor ends the session.
    Kick,
    /// `now` reached `deadline()`.
    Tick,
}

/// A mail that was served changed in this or an earlier session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// UIDL as the server gives it; empty where the server has none.
    pub uidl: Vec<u8>,
    /// Octets as served.
    pub length: u64,
}

/// What was decided about a mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Serve the scanned copy. `changed`: it is not what the server holds, so sizes follow it and DELE is refused.
    Deliver {
        /// Octets of the copy, CRLF line ends, before dot-stuffing.
        length: u64,
        /// Not the original.
        changed: bool,
    },
    /// Refuse for good.
    Deny {
        /// What was found: printable, one line.
        reason: String,
        /// The case id.
        case: String,
    },
    /// Refuse for now.
    Defer {
        /// The case id, where the mail was spooled.
        case: Option<String>,
    },
}

/// How spooling a mail ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spooled {
    /// What framing already found: `limit` (over `max-mail` or `mail-line-len`; only the beginning was spooled),
    /// `malformed` (a bare CR, bare LF or NUL at a place where readers could differ is left to the recogniser).
    pub found: StatusSet,
}

/// What the machine asks the driver to do, in order, after the byte buffers were queued.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// The server took the login. Where downloads are scanned, answer with [`Input::Changed`] (may be empty): the
    /// client learns of its login only then. Elsewhere no answer is awaited.
    LoggedIn {
        /// Name as given; empty where the mechanism hides it.
        user: Vec<u8>,
    },
    /// The server refused a login.
    LoginFailed {
        /// Name as given.
        user: Vec<u8>,
    },
    /// The client asks for content of this message. Answer with [`Input::Pull`] or [`Input::Judged`].
    WantMail {
        /// Message number.
        number: u32,
        /// UIDL where known without asking the server for it; see [`Event::Replaced`].
        uidl: Option<Vec<u8>>,
    },
    /// The server began to send the mail: what follows in `Output::spool` is it (unstuffed, CRLF).
    MailBegin {
        /// Message number.
        number: u32,
    },
    /// The mail is complete. Seal, scan, answer with [`Input::Judged`].
    MailEnd {
        /// Message number.
        number: u32,
        /// How it ended.
        spooled: Spooled,
    },
    /// The server has told what the driver must record before the client sees anything of the changed mail. Follows a
    /// `Judged(Deliver { changed: true, .. })` of a mail that was not yet known as changed. Answer with the same verdict
    /// again once the index of changed mails holds this one, or with `Judged(Defer)` if it cannot.
    Replaced {
        /// Message number.
        number: u32,
        /// UIDL; `None` where the server has none, so that the mail cannot be known again in a later session.
        uidl: Option<Vec<u8>>,
        /// Octets as served.
        length: u64,
    },
    /// The copy was delivered, whole or as far as TOP asked.
    Delivered {
        /// Message number.
        number: u32,
    },
    /// The client was told to begin its handshake. Send what is queued for it, shake hands, then go on with
    /// [`Machine::secured`]; what the client sends in clear text from here on is the handshake's.
    StartTls,
    /// A command was refused here and never sent on.
    Refused {
        /// Its name, at most 16 octets, printable.
        command: String,
        /// What the client was told.
        why: Answer,
    },
    /// Flush what is queued for the client, then end the session.
    Close(Close),
}

/// Why the machine ends the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// QUIT was answered.
    Quit,
    /// The client is gone.
    ClientClosed,
    /// The server is gone.
    ServerClosed,
    /// Too many failed logins.
    LoginFailures,
    /// Too many unknown or forbidden commands.
    BadCommands,
    /// `[login] deadline`.
    LoginDeadline,
    /// `idle-timeout`.
    Idle,
    /// `max-time`, `max-bytes-in` or `max-bytes-out`.
    Limit,
    /// Asked for.
    Kicked,
}

/// A peer broke the protocol or a limit: the session ends, the log says where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Whose fault.
    pub side: Side,
    /// What, in constant words.
    pub what: &'static str,
    /// Octets received from that side before the fault.
    pub offset: u64,
    /// Last words to the client, in its protocol; may be empty.
    pub farewell: Vec<u8>,
}

/// Buffers that the driver owns, hands to every call and empties: nothing is allocated per line.
#[derive(Debug, Default)]
pub struct Output {
    /// For the client.
    pub client: Vec<u8>,
    /// For the server.
    pub server: Vec<u8>,
    /// Of the mail that is being spooled.
    pub spool: Vec<u8>,
    /// What else to do, in order.
    pub events: Vec<Event>,
}

/// A protocol machine. Time is any monotonic clock, as a duration since the session was admitted.
pub trait Machine: Sized {
    /// Consumes the old state: after a fault there is no half-moved machine to reuse.
    ///
    /// # Errors
    /// A [`Fault`] when a peer broke the protocol or a limit.
    fn handle(self, now: Duration, input: Input<'_>, out: &mut Output) -> Result<Self, Fault>;
    /// The client is behind TLS now. Consumes the clear-text machine: nothing that was said or learnt before survives,
    /// except what counts against limits (RFC 2595 sections 4 and 6).
    #[must_use]
    fn secured(self) -> Self;
    /// The driver reads a side only while this is true: all the back-pressure there is.
    fn wants(&self, side: Side) -> bool;
    /// Whether the next piece of the judged copy can be taken.
    fn wants_copy(&self) -> bool;
    /// When `Tick` is due.
    fn deadline(&self) -> Option<Duration>;
}
