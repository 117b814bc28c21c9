//! `-ERR` answers of our own (RFC 1939 section 3) with their response codes (RFC 2449 section 8, RFC 3206).
use policy::names::Language;
use texts::Answer;

/// Writes one. `utf8`: the client asked for UTF-8 (RFC 6856 section 2); else the text is ASCII.
pub(super) fn say(answer: Answer, language: Language, utf8: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(b"-ERR ");
    out.extend_from_slice(code(answer));
    out.extend_from_slice(texts::answer(language, answer, utf8).as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// The last words of a session that has no machine: before it has one, or after a fault.
pub fn farewell(answer: Answer, language: Language) -> Vec<u8> {
    let mut line = Vec::new();
    say(answer, language, false, &mut line);
    line
}

const fn code(answer: Answer) -> &'static [u8] {
    match answer {
        Answer::ServerUnreachable
        | Answer::SessionEnding
        | Answer::InternalError
        | Answer::ServerFault
        | Answer::ServerClosed
        | Answer::EndedByAdministrator
        | Answer::LoginTooLong
        | Answer::IdleTooLong
        | Answer::ServerCertificate
        | Answer::ServerNoTls
        | Answer::ServerTlsFailed
        | Answer::LoginsDisabled
        | Answer::DeleteDeferred => b"[SYS/TEMP] ",
        // RFC 3206 section 4.
        Answer::LoginFailed => b"[AUTH] ",
        Answer::SessionDenied
        | Answer::OverOctets
        | Answer::MailTooLarge
        | Answer::TooManyMails
        | Answer::OverTime => b"[SYS/PERM] ",
        Answer::UnknownCommand
        | Answer::NoTlsHere
        | Answer::MalformedPassword
        | Answer::MalformedArgument
        | Answer::MechanismNotAvailable
        | Answer::LineTooLong
        | Answer::NotPermitted
        | Answer::LogInFirst
        | Answer::AlreadyLoggedIn
        | Answer::UserFirst
        | Answer::NotNow
        | Answer::TlsFirst
        | Answer::AlreadySecured
        | Answer::MessageDeleted
        | Answer::DeleteReplaced
        | Answer::MailboxReplaced
        | Answer::DeleteUnknown => b"",
    }
}
