//! Answers of our own: status responses (RFC 9051 section 7.1) with the response codes of RFC 5530.
use super::write::Writer;
use policy::names::Language;
use texts::Answer;

/// The word of an answer of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    No,
    Bad,
}

/// Writes one, with a tag, or `*` without.
pub(super) fn say(tag: Option<&[u8]>, answer: Answer, language: Language, utf8: bool, out: &mut Vec<u8>) {
    let word = match word(answer) {
        Word::No => "NO ",
        Word::Bad => "BAD ",
    };
    say_text(tag, &[word, code(answer)].concat(), texts::answer(language, answer, utf8), out);
}

/// Writes one in words of the caller: `head` is all up to the text.
pub(super) fn say_text(tag: Option<&[u8]>, head: &str, text: &str, out: &mut Vec<u8>) {
    let mut writer = Writer::to_client(out, true);
    writer.raw(tag.unwrap_or(b"*"));
    writer.space();
    writer.word(head);
    writer.text(text.as_bytes());
    writer.end();
}

/// The last words of a session, with or without a machine.
pub fn farewell(answer: Answer, language: Language) -> Vec<u8> {
    let mut line = Vec::new();
    say_text(None, &["BYE ", code(answer)].concat(), texts::answer(language, answer, false), &mut line);
    line
}

const fn word(answer: Answer) -> Word {
    match answer {
        Answer::UnknownCommand
        | Answer::MalformedArgument
        | Answer::MalformedPassword
        | Answer::LineTooLong
        | Answer::LogInFirst
        | Answer::AlreadyLoggedIn
        | Answer::UserFirst
        | Answer::NotNow
        | Answer::NoTlsHere
        | Answer::AlreadySecured
        | Answer::ServerFault => Word::Bad,
        Answer::ServerUnreachable
        | Answer::SessionEnding
        | Answer::SessionDenied
        | Answer::LoginFailed
        | Answer::InternalError
        | Answer::ServerClosed
        | Answer::EndedByAdministrator
        | Answer::OverOctets
        | Answer::MailTooLarge
        | Answer::TooManyMails
        | Answer::OverTime
        | Answer::LoginTooLong
        | Answer::IdleTooLong
        | Answer::MechanismNotAvailable
        | Answer::NotPermitted
        | Answer::MessageDeleted
        | Answer::TlsFirst
        | Answer::ServerCertificate
        | Answer::ServerNoTls
        | Answer::ServerTlsFailed
        | Answer::LoginsDisabled
        | Answer::DeleteDeferred
        | Answer::DeleteReplaced
        | Answer::MailboxReplaced
        | Answer::DeleteUnknown => Word::No,
    }
}

const fn code(answer: Answer) -> &'static str {
    match answer {
        Answer::ServerUnreachable
        | Answer::SessionEnding
        | Answer::InternalError
        | Answer::ServerFault
        | Answer::ServerClosed
        | Answer::EndedByAdministrator
        | Answer::ServerCertificate
        | Answer::ServerNoTls
        | Answer::ServerTlsFailed
        | Answer::LoginsDisabled
        | Answer::DeleteDeferred => "[UNAVAILABLE] ",
        Answer::NotPermitted | Answer::DeleteReplaced | Answer::MailboxReplaced | Answer::DeleteUnknown => {
            "[CANNOT] "
        }
        Answer::OverOctets
        | Answer::MailTooLarge
        | Answer::TooManyMails
        | Answer::OverTime
        | Answer::LineTooLong => "[LIMIT] ",
        Answer::TlsFirst => "[PRIVACYREQUIRED] ",
        Answer::LoginFailed => "[AUTHENTICATIONFAILED] ",
        Answer::SessionDenied
        | Answer::LoginTooLong
        | Answer::IdleTooLong
        | Answer::UnknownCommand
        | Answer::NoTlsHere
        | Answer::MalformedPassword
        | Answer::MalformedArgument
        | Answer::MechanismNotAvailable
        | Answer::LogInFirst
        | Answer::AlreadyLoggedIn
        | Answer::UserFirst
        | Answer::NotNow
        | Answer::MessageDeleted
        | Answer::AlreadySecured => "",
    }
}
