//! Everything that can be said, by name. A name here is a message of the catalogues.

/// Declares an enum whose variants have names in the catalogues.
macro_rules! ids {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $id:literal,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            /// All of them, in the order of their declaration.
            pub const ALL: [Self; [$($id),*].len()] = [$(Self::$variant),*];

            /// Its name in the catalogues.
            pub(crate) const fn id(self) -> &'static str {
                match self { $(Self::$variant => $id,)* }
            }
        }
    };
}

ids! {
    /// An answer without anything to fill in.
    Answer {
        /// No candidate could be reached.
        ServerUnreachable = "server-unreachable",
        /// The service stops, or the administrator ended the session before it began.
        SessionEnding = "session-ending",
        /// No rule permits the session.
        SessionDenied = "session-denied",
        /// A wrong password, and whoever no rule lets in by name: nobody is told which.
        LoginFailed = "login-failed",
        /// Something of ours failed.
        InternalError = "internal-error",
        /// The server broke the protocol.
        ServerFault = "server-fault",
        /// The server hung up.
        ServerClosed = "server-closed",
        /// The supervisor ended the session.
        EndedByAdministrator = "ended-by-administrator",
        /// `max-bytes-in` or `max-bytes-out`.
        OverOctets = "over-octets",
        /// An upload over `max-mail`.
        MailTooLarge = "mail-too-large",
        /// One upload of more mails than may come at once.
        TooManyMails = "too-many-mails",
        /// `max-time`.
        OverTime = "over-time",
        /// `[login] deadline`.
        LoginTooLong = "login-too-long",
        /// `idle-timeout`.
        IdleTooLong = "idle-too-long",
        /// No command has this name.
        UnknownCommand = "unknown-command",
        /// STLS where no TLS is offered.
        NoTlsHere = "no-tls-here",
        /// PASS with something that is no password.
        MalformedPassword = "malformed-password",
        /// An argument that the command does not have.
        MalformedArgument = "malformed-argument",
        /// AUTH with a mechanism that is not passed.
        MechanismNotAvailable = "mechanism-not-available",
        /// Over `cmd-line-len`.
        LineTooLong = "line-too-long",
        /// Not in `commands`.
        NotPermitted = "not-permitted",
        /// A command of the transaction state before the login.
        LogInFirst = "log-in-first",
        /// A login after the login.
        AlreadyLoggedIn = "already-logged-in",
        /// PASS before USER.
        UserFirst = "user-first",
        /// The command has no place in this state.
        NotNow = "not-now",
        /// The message was deleted in this session.
        MessageDeleted = "message-deleted",
        /// A login before TLS where TLS is required.
        TlsFirst = "tls-first",
        /// STLS behind TLS.
        AlreadySecured = "already-secured",
        /// The server's certificate is not what is asked for.
        ServerCertificate = "server-certificate",
        /// The server refuses STLS where TLS is required.
        ServerNoTls = "server-no-tls",
        /// The server speaks no TLS that we speak.
        ServerTlsFailed = "server-tls-failed",
        /// `login-disabled`.
        LoginsDisabled = "logins-disabled",
        /// DELE of a mail that was deferred.
        DeleteDeferred = "delete-deferred",
        /// DELE of a mail that was served changed.
        DeleteReplaced = "delete-replaced",
        /// DELETE or RENAME of a mailbox with mails that were served changed.
        MailboxReplaced = "mailbox-replaced",
        /// DELE where the server has no UIDL to tell changed mails by.
        DeleteUnknown = "delete-unknown",
    }
}

ids! {
    /// A piece of the notice.
    Label {
        /// Its subject, where the mail has none that can be kept.
        Subject = "notice-subject",
        /// What happened.
        Head = "notice-head",
        /// Before the statuses.
        Found = "notice-found",
        /// Before a virus and the engine that named it.
        Virus = "notice-virus",
        /// Before the sender.
        From = "notice-from",
        /// Before the subject of the mail.
        About = "notice-about",
        /// Before the rule.
        Rule = "notice-rule",
        /// Before the case id.
        Case = "notice-case",
        /// Where the original is.
        Original = "notice-original",
        /// Whom to ask.
        Ask = "notice-ask",
        /// A part was removed: a virus.
        PartVirus = "notice-part-virus",
        /// A part was removed: its kind or content.
        PartRemoved = "notice-part-removed",
        /// A part was removed: nobody can look into it.
        PartLocked = "notice-part-locked",
        /// The same where there is little room.
        PartShort = "notice-part-short",
        /// Before a file name.
        File = "notice-file",
        /// Before a type.
        Type = "notice-type",
    }
}
