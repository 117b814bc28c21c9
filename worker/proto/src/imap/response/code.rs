//! Response codes (RFC 9051 section 7.1): those that a machine acts on are typed, the others are kept as they are, so that
//! what this version does not know reaches the client all the same. Referrals would send it past the scanner: they are left out.
use super::Words;
use super::data::{Kind, Value};
use crate::imap::cursor::{Cursor, Parsed};
use crate::imap::sequence_set::SequenceSet;
use crate::imap::write::Writer;

/// What stands in brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Code<'f> {
    /// `ALERT`: the user must see the text.
    Alert,
    /// `CAPABILITY`
    Capability(Words<'f>),
    /// `PERMANENTFLAGS`
    PermanentFlags(Value<'f>),
    /// `READ-ONLY`
    ReadOnly,
    /// `READ-WRITE`
    ReadWrite,
    /// `UIDNEXT`
    UidNext(u32),
    /// `UIDVALIDITY`
    UidValidity(u32),
    /// `HIGHESTMODSEQ`
    HighestModSeq(u64),
    /// `NOMODSEQ`
    NoModSeq,
    /// `CLOSED`: what follows is about the next mailbox (RFC 7162 section 3.2.11).
    Closed,
    /// `APPENDUID`
    AppendUid(u32, SequenceSet<'f>),
    /// `COPYUID`: from where, to where.
    CopyUid(u32, SequenceSet<'f>, SequenceSet<'f>),
    /// `MODIFIED`
    Modified(SequenceSet<'f>),
    /// `REFERRAL` (RFC 2221, 2193).
    Referral,
    /// Any other: its name, and what follows it.
    Other(&'f [u8], &'f [u8]),
}

/// Reads a code with its brackets. `None`: the bracket opens no code, but the text (`* OK [this is text`).
pub(super) fn parse<'f>(cursor: &mut Cursor<'f>) -> Parsed<Option<Code<'f>>> {
    let mut inside = cursor.clone();
    inside.expect(b'[', "`[` was expected")?;
    let Ok(name) = inside.atom() else { return Ok(None) };
    if !matches!(inside.peek(), Some(b' ' | b']')) {
        return Ok(None);
    }
    let is = |word: &str| name.eq_ignore_ascii_case(word.as_bytes());
    let code = if is("ALERT") {
        Code::Alert
    } else if is("CAPABILITY") {
        Code::Capability(Words::parse(&mut inside)?)
    } else if is("PERMANENTFLAGS") {
        Code::PermanentFlags(Value::parse(Kind::Flags, &mut inside)?)
    } else if is("READ-ONLY") {
        Code::ReadOnly
    } else if is("READ-WRITE") {
        Code::ReadWrite
    } else if is("UIDNEXT") {
        inside.space()?;
        Code::UidNext(inside.number()?)
    } else if is("UIDVALIDITY") {
        inside.space()?;
        Code::UidValidity(inside.number()?)
    } else if is("HIGHESTMODSEQ") {
        inside.space()?;
        Code::HighestModSeq(inside.number64()?)
    } else if is("NOMODSEQ") {
        Code::NoModSeq
    } else if is("CLOSED") {
        Code::Closed
    } else if is("APPENDUID") {
        inside.space()?;
        let validity = inside.number_above_zero()?;
        inside.space()?;
        Code::AppendUid(validity, SequenceSet::parse(&mut inside)?)
    } else if is("COPYUID") {
        inside.space()?;
        let validity = inside.number_above_zero()?;
        inside.space()?;
        let from = SequenceSet::parse(&mut inside)?;
        inside.space()?;
        Code::CopyUid(validity, from, SequenceSet::parse(&mut inside)?)
    } else if is("MODIFIED") {
        inside.space()?;
        Code::Modified(SequenceSet::parse(&mut inside)?)
    } else {
        let rest = inside.rest();
        let Some(end) = memchr::memchr(b']', rest) else { return Ok(None) };
        let arguments = rest.get(..end).unwrap_or_default();
        inside = inside.clone().moved_to(inside.at() + end);
        if is("REFERRAL") { Code::Referral } else { Code::Other(name, arguments.trim_ascii()) }
    };
    let _ = inside.eat_space();
    inside.expect(b']', "`]` was expected")?;
    *cursor = inside;
    Ok(Some(code))
}

impl Code<'_> {
    /// Writes it with its brackets and a blank behind.
    pub fn write(&self, writer: &mut Writer<'_>) {
        match self {
            Self::Alert => writer.word("[ALERT] "),
            Self::Capability(words) => {
                writer.word("[CAPABILITY");
                for word in words.iter() {
                    writer.space();
                    writer.raw(word);
                }
                writer.word("] ");
            }
            Self::PermanentFlags(flags) => {
                writer.word("[PERMANENTFLAGS");
                flags.write(writer);
                writer.word("] ");
            }
            Self::ReadOnly => writer.word("[READ-ONLY] "),
            Self::ReadWrite => writer.word("[READ-WRITE] "),
            Self::UidNext(number) => write_number("[UIDNEXT ", u64::from(*number), writer),
            Self::UidValidity(number) => write_number("[UIDVALIDITY ", u64::from(*number), writer),
            Self::HighestModSeq(number) => write_number("[HIGHESTMODSEQ ", *number, writer),
            Self::NoModSeq => writer.word("[NOMODSEQ] "),
            Self::Closed => writer.word("[CLOSED] "),
            Self::AppendUid(validity, uids) => {
                writer.word("[APPENDUID ");
                writer.number(u64::from(*validity));
                writer.space();
                writer.raw(uids.text());
                writer.word("] ");
            }
            Self::CopyUid(validity, from, to) => {
                writer.word("[COPYUID ");
                writer.number(u64::from(*validity));
                writer.space();
                writer.words([from.text(), to.text()]);
                writer.word("] ");
            }
            Self::Modified(set) => {
                writer.word("[MODIFIED ");
                writer.raw(set.text());
                writer.word("] ");
            }
            Self::Referral => {}
            Self::Other(name, arguments) => {
                writer.raw(b"[");
                writer.raw(name);
                if !arguments.is_empty() {
                    writer.space();
                    writer.printable(arguments);
                }
                writer.word("] ");
            }
        }
    }
}

fn write_number(name: &str, number: u64, writer: &mut Writer<'_>) {
    writer.word(name);
    writer.number(number);
    writer.word("] ");
}
