//! What goes into a protocol machine and what comes out of it. The driver in `worker` is the only caller.
use mime::part_map::PartMap;
use policy::model::{Login, SessionRules};
use policy::names::{Direction, Language};
use policy::status::StatusSet;
use std::fmt::Debug;
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
    /// `copy-cache`, octets.
    pub copy_cache: u64,
    /// Keywords that some mail rule may give a mail.
    pub keywords: Rc<[String]>,
}

/// Whose greeting the client gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Greeted {
    /// The server's, which is awaited and passed on.
    ByServer,
    /// Ours: the server's came before its TLS, and nothing learnt then counts.
    ByUs,
    /// Ours: there is no server until the client's name decides which ([`Event::WantServer`]).
    BeforeServer,
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
    /// Answer to [`Event::WantMail`] (a copy is held) or to [`Event::MailEnd`] (it was judged), about the mail of this number.
    Judged(u32, Verdict),
    /// In place of a `Judged` that delivers, where the machine keeps copies itself ([`Machine::KEEPS_COPIES`]).
    Scanned {
        /// Which mail.
        number: u32,
        /// What may be served of it.
        copy: Rc<dyn ScannedCopy>,
        /// It is not what came.
        changed: bool,
        /// Keywords that its mail gets in the mailbox.
        keywords: Vec<String>,
    },
    /// Answer to [`Event::Replaced`] where the machine keeps copies itself: whether the mail of this number is on record.
    Recorded {
        /// Which mail.
        number: u32,
        /// Only then may it be served.
        safe: bool,
    },
    /// The quarantine has the original of the mail of this number, which is or will be served changed: it may be deleted.
    Kept(u32),
    /// The next piece of the judged copy, in order from its start; fed while `wants_copy()`. Empty: the copy is at its end.
    Copy(&'a [u8]),
    /// That peer took all that was said to it; fed while [`Machine::has_more`] of that side.
    Room(Side),
    /// Answer to [`Event::WantServer`]: it is connected and, as its rule says, behind TLS. Whose greeting: where it is the
    /// server's, that is still to come, and nobody gets it. The rules of the session came before by `Settings`.
    ServerReady(Greeted),
    /// Answer to [`Event::WantServer`]: there is none, and what the client hears of it. `SessionDenied`: no rule lets in
    /// who has this name; the client hears what a wrong password is answered with, and the session ends.
    NoServer(Answer),
    /// The rules changed: these, and this language, apply from the next command on. Whether mails are scanned is as it was.
    Settings(Rc<Settings>, Language),
    /// The supervisor ends the session.
    Kick,
    /// `now` reached `deadline()`.
    Tick,
}

/// A mail that was scanned and may be served: what a client sees of its content comes from here alone.
pub trait ScannedCopy: Debug {
    /// Octets.
    fn length(&self) -> u64;
    /// Where its parts are.
    fn parts(&self) -> &PartMap;
    /// Reads octets from `at` on; how many, 0 only at the end or for an empty `into`.
    ///
    /// # Errors
    /// [`CopyFault`]: nothing more may be served of it.
    fn read_at(&self, at: u64, into: &mut [u8]) -> Result<usize, CopyFault>;
}

/// Why a copy cannot be served to its end. The session ends before the client could take it for complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyFault {
    /// It cannot be read, or is shorter than it was.
    Unreadable,
    /// It is not what was scanned.
    Changed,
}

/// A mail that was served changed in this or an earlier session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// UIDL as the server gives it, or the UID of a mailbox in digits; empty where the server has none.
    pub uidl: Vec<u8>,
    /// Octets as served.
    pub length: u64,
    /// The quarantine has the original: it may be deleted.
    pub kept: bool,
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
    /// It was served changed before, under the name that it has: it stays what it was, whatever an administrator allows.
    pub changed: bool,
    /// IMAP: its UID, by which the log names it.
    pub uid: Option<u32>,
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
    /// The client logs in, and its name decides which server it gets. Each attempt gets a connection of its own: a server
    /// that is still connected is let go first. Answer with [`Input::ServerReady`] or [`Input::NoServer`].
    WantServer {
        /// Name as given.
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
    /// A peer began to send the mail: what follows in `Output::spool` is it (unstuffed, CRLF). One mail after the other; several
    /// may pass within one output.
    MailBegin {
        /// Message number, or a number of the machine's own.
        number: u32,
        /// Which way it travels.
        direction: Direction,
    },
    /// The mail is complete. Seal, scan, answer with [`Input::Judged`] or [`Input::Scanned`].
    MailEnd {
        /// The number of `MailBegin`.
        number: u32,
        /// How it ended.
        spooled: Spooled,
    },
    /// A mailbox was opened, the client learns of it after the answer: [`Input::Changed`].
    Selected {
        /// Its name, as the server knows it.
        mailbox: Vec<u8>,
        /// Its UIDVALIDITY; 0 where the server has none, so that nothing of it is known again.
        uid_validity: u32,
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
    /// The copy was delivered, whole or as far as was asked; the machine asks no more about this number.
    Delivered {
        /// Message number.
        number: u32,
    },
    /// The machine has no use for this mail any more; nothing of it was delivered.
    Forgotten {
        /// The number of `MailBegin`.
        number: u32,
    },
    /// The server did not take these keywords of some mail, with blanks between.
    NotMarked {
        /// As the rules name them.
        keywords: String,
    },
    /// A copy that the machine keeps cannot be read: the session ends.
    CopyFailed(CopyFault),
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
    /// No rule lets in who has this name.
    Denied,
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
    /// Of the mails that are being spooled.
    pub spool: Vec<u8>,
    /// Where in `spool` mails begin and end: one place for each `MailBegin` and each `MailEnd` among `events`.
    pub spool_marks: Vec<usize>,
    /// What else to do, in order.
    pub events: Vec<Event>,
}

impl Output {
    /// What is written to `spool` from here on is this mail.
    pub(crate) fn mail_begins(&mut self, number: u32, direction: Direction) {
        self.spool_marks.push(self.spool.len());
        self.events.push(Event::MailBegin { number, direction });
    }

    /// The mail is complete.
    pub(crate) fn mail_ends(&mut self, number: u32, spooled: Spooled) {
        self.spool_marks.push(self.spool.len());
        self.events.push(Event::MailEnd { number, spooled });
    }
}

/// A protocol machine. Time is any monotonic clock, as a duration since the session was admitted.
pub trait Machine: Sized {
    /// Whether it takes [`Input::Scanned`] and reads copies itself.
    const KEEPS_COPIES: bool;
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
    /// Whether there is more to be said to that peer once it took what was said.
    fn has_more(&self, side: Side) -> bool;
    /// When `Tick` is due.
    fn deadline(&self) -> Option<Duration>;
}
