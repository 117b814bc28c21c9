//! The part of the story that is about IMAP, behind TLS: the same mailbox, a part, a slice, and an upload.
use crate::client::Retrieved;
use crate::mailbox::{Mail, Promise};
use crate::mailward::Mailward;
use crate::server::{PASSWORD, Server, USER};
use crate::story::{compare, contains, paint, shorten};
use crate::tls_client::{By, Session};
use std::io::{self, Write};

/// Octets of the slice.
const SLICE: usize = 100;

/// Shows each; true if what was promised came and nothing else.
pub(crate) fn tell(
    out: &mut impl Write,
    mails: &[Mail],
    server: &Server,
    mailward: &Mailward,
) -> io::Result<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    writeln!(out, "  IMAP, by TLS at port {}: the same mailbox", mailward.imaps_address().port())?;
    let lines = runtime.block_on(async {
        let mut client = Imap::open(mailward).await?;
        let mut lines = vec![
            whole(&mut client, mails).await?,
            part(&mut client, mails).await?,
            slice(&mut client, mails).await?,
            bad_part(&mut client, mails).await?,
        ];
        lines.extend(uploads(&mut client, mails, server).await?);
        client.command("LOGOUT").await?;
        io::Result::Ok(lines)
    })?;
    let kept = lines.iter().all(|line| line.kept);
    for Line { command, what, verdict, kept } in lines {
        writeln!(out, "    {command:<27} {what}")?;
        if !verdict.is_empty() {
            writeln!(out, "    {:<27} {}", "", paint(verdict, kept))?;
        }
    }
    writeln!(out)?;
    Ok(kept)
}

/// What is shown of one command.
struct Line {
    command: String,
    what: String,
    verdict: &'static str,
    kept: bool,
}

/// Every mail; each meets the promise that it met by POP3.
async fn whole(client: &mut Imap, mails: &[Mail]) -> io::Result<Line> {
    let command = format!("FETCH 1:{} BODY.PEEK[]", mails.len());
    let answer = client.command(&command).await?;
    let mut counts = [0; 4];
    for (index, mail) in mails.iter().enumerate() {
        let fetched = answer.fetched(index + 1);
        let retrieved = fetched.map_or(Retrieved::Refused, |octets| Retrieved::Mail(octets.to_vec()));
        if compare(mail, &retrieved).keeps(mail.promise) {
            let [identical, filtered, rebuilt, stopped] = &mut counts;
            *match mail.promise {
                Promise::Identical => identical,
                Promise::Filtered => filtered,
                Promise::Rebuilt => rebuilt,
                Promise::Stopped => stopped,
            } += 1;
        }
    }
    let [identical, filtered, rebuilt, stopped] = counts;
    let kept = answer.is_ok() && counts.iter().sum::<usize>() == mails.len();
    let what = format!("{identical} identical, {filtered} filtered, {rebuilt} rebuilt, {stopped} stopped");
    Ok(Line { command, what, verdict: if kept { "" } else { "A PROMISE WAS BROKEN" }, kept })
}

/// The mail that is within another.
async fn part(client: &mut Imap, mails: &[Mail]) -> io::Result<Line> {
    let (number, mail) = find(mails, "forwarded message/rfc822")?;
    let expected =
        between(mail, b"Content-Disposition: inline\r\n\r\n", b"\r\n--=_fwd_19--").unwrap_or_default();
    let command = format!("FETCH {number} BODY.PEEK[2]");
    let answer = client.command(&command).await?;
    let kept = !expected.is_empty() && answer.fetched(number) == Some(expected);
    let what = format!("the mail within mail {number}, {} octets: {}", expected.len(), same(kept));
    Ok(Line { command, what, verdict: "", kept })
}

/// The first octets of the largest mail.
async fn slice(client: &mut Imap, mails: &[Mail]) -> io::Result<Line> {
    let (number, mail) = find(mails, "5 MB attachment")?;
    let command = format!("FETCH {number} BODY.PEEK[]<0.{SLICE}>");
    let answer = client.command(&command).await?;
    let kept = answer.fetched(number) == mail.get(..SLICE);
    let what = format!("{SLICE} octets of {}: {}", mail.len(), same(kept));
    Ok(Line { command, what, verdict: "", kept })
}

/// A part that is infected: its place is kept, its content is not.
async fn bad_part(client: &mut Imap, mails: &[Mail]) -> io::Result<Line> {
    let (number, mail) = find(mails, "test virus in a ZIP")?;
    let zip = between(mail, b"filename=\"invoice.zip\"\r\n\r\n", b"\r\n--=_demo_4f2a--").unwrap_or_default();
    let command = format!("FETCH {number} BODY.PEEK[2]");
    let answer = client.command(&command).await?;
    let got = answer.fetched(number).unwrap_or_default();
    let kept = !got.is_empty() && got.len() == zip.len() && !contains(zip, got);
    let words = if kept { "as large, not what it was" } else { "NOT WHAT WAS PROMISED" };
    Ok(Line { command, what: format!("a ZIP of {} octets: {words}", zip.len()), verdict: "", kept })
}

/// A clean mail goes up as it is; one with a virus does not, and the server never hears of it.
async fn uploads(client: &mut Imap, mails: &[Mail], server: &Server) -> io::Result<[Line; 2]> {
    let (clean_number, clean) = find(mails, "plain text")?;
    let answer = client.append(clean).await?;
    let kept = answer.starts_with("OK") && server.sent() == [clean];
    let arrived = Line {
        command: format!("APPEND Sent, mail {clean_number}"),
        what: format!("{}: on the server, {}", shorten(&answer, 20), same(kept)),
        verdict: "",
        kept,
    };
    let (number, infected) = find(mails, "test virus, bare")?;
    let answer = client.append(infected).await?;
    let kept = answer.starts_with("NO [CANNOT]") && server.sent().len() == 1;
    let refused = Line {
        command: format!("APPEND Sent, mail {number}"),
        what: shorten(&answer, 47),
        verdict: if kept { "the server heard nothing of it" } else { "IT WENT UP" },
        kept,
    };
    Ok([arrived, refused])
}

fn find<'m>(mails: &'m [Mail], title: &str) -> io::Result<(usize, &'m [u8])> {
    let found = mails.iter().zip(1..).find(|(mail, _)| mail.title == title);
    found
        .map(|(mail, number)| (number, mail.bytes.as_slice()))
        .ok_or_else(|| io::Error::other("a mail is missing"))
}

fn between<'m>(mail: &'m [u8], before: &[u8], behind: &[u8]) -> Option<&'m [u8]> {
    let start = memchr::memmem::find(mail, before)? + before.len();
    let end = start + memchr::memmem::find(mail.get(start..)?, behind)?;
    mail.get(start..end)
}

const fn same(kept: bool) -> &'static str {
    if kept { "identical" } else { "NOT WHAT THE SERVER HOLDS" }
}

/// A client that keeps the exact octets it was given.
struct Imap {
    session: Session,
    tag: u32,
}

/// What came to one command.
struct Answer {
    /// Without their literal, and the literal.
    untagged: Vec<(String, Vec<u8>)>,
    tagged: String,
}

impl Answer {
    fn is_ok(&self) -> bool {
        self.tagged.starts_with("OK")
    }

    /// The literal in the answer to FETCH about this message.
    fn fetched(&self, number: usize) -> Option<&[u8]> {
        let start = format!("* {number} FETCH ");
        let mut literals =
            self.untagged.iter().filter(|(text, _)| text.starts_with(&start) && text.contains('{'));
        literals.next().map(|(_, literal)| literal.as_slice())
    }
}

impl Imap {
    async fn open(mailward: &Mailward) -> io::Result<Self> {
        let session = Session::connect(By::Implicit, mailward.imaps_address(), mailward).await?;
        let mut client = Self { session, tag: 0 };
        client.response().await?;
        for command in [format!("LOGIN {USER} {PASSWORD}"), "SELECT INBOX".to_owned()] {
            let answer = client.command(&command).await?;
            if !answer.is_ok() {
                return Err(io::Error::other(format!("refused: {}", answer.tagged)));
            }
        }
        Ok(client)
    }

    async fn command(&mut self, command: &str) -> io::Result<Answer> {
        self.tag += 1;
        self.session.say(&format!("a{} {command}", self.tag)).await?;
        self.answer().await
    }

    /// The tagged answer; where it comes before the octets were asked for, they stay here.
    async fn append(&mut self, mail: &[u8]) -> io::Result<String> {
        self.tag += 1;
        self.session.say(&format!("a{} APPEND Sent {{{}}}", self.tag, mail.len())).await?;
        let (said, _) = self.response().await?;
        if !said.starts_with('+') {
            return Ok(said);
        }
        self.session.send(&[mail, b"\r\n"].concat()).await?;
        Ok(self.answer().await?.tagged)
    }

    async fn answer(&mut self) -> io::Result<Answer> {
        let start = format!("a{} ", self.tag);
        let mut untagged = Vec::new();
        loop {
            let (text, literal) = self.response().await?;
            match text.strip_prefix(&start) {
                Some(tagged) => return Ok(Answer { untagged, tagged: tagged.to_owned() }),
                None => untagged.push((text, literal)),
            }
        }
    }

    /// One response with at most one literal.
    async fn response(&mut self) -> io::Result<(String, Vec<u8>)> {
        let mut text = String::new();
        let mut literal = Vec::new();
        loop {
            text.push_str(String::from_utf8_lossy(&self.session.line().await?).trim_end());
            let size = text.strip_suffix('}').and_then(|text| text.rsplit_once('{'));
            let Some(size) = size.and_then(|(_, digits)| digits.parse().ok()) else {
                return Ok((text, literal));
            };
            literal = self.session.octets(size).await?;
        }
    }
}
