//! What the demonstration prints: at most 80 columns, colours only on a terminal.
use crate::client::{Client, Retrieved};
use crate::mailbox::{Mail, Promise};
use crate::mailward::{Mailward, is_root};
use crate::server::{PASSWORD, Server, USER};
use sandbox::{Namespace, Walls};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// What the client got of one mail.
pub(crate) enum Got {
    Identical,
    Notice,
    PartGone,
    Rebuilt,
    /// Its HTML is there, what it ran is not.
    Filtered,
    Changed,
    Refused,
    Leaked,
}

impl Got {
    const fn words(&self) -> &'static str {
        match self {
            Self::Identical => "identical",
            Self::Notice => "a notice",
            Self::PartGone => "a part gone",
            Self::Rebuilt => "rebuilt",
            Self::Filtered => "filtered",
            Self::Changed => "CHANGED",
            Self::Refused => "-ERR",
            Self::Leaked => "THE CONTENT",
        }
    }

    /// Whether a promise was kept.
    pub(crate) const fn keeps(&self, promise: Promise) -> bool {
        match promise {
            Promise::Identical => matches!(self, Self::Identical),
            Promise::Stopped => matches!(self, Self::Notice | Self::PartGone | Self::Refused),
            Promise::Rebuilt => matches!(self, Self::Rebuilt),
            Promise::Filtered => matches!(self, Self::Filtered),
        }
    }
}

pub(crate) fn title(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "Mailward {}: a demonstration, on loopback only\n", env!("CARGO_PKG_VERSION"))
}

/// One step that may take a moment; on a terminal the line is written over by what follows.
pub(crate) fn progress(out: &mut impl Write, step: &str) -> io::Result<()> {
    if io::stdout().is_terminal() {
        write!(out, "\r\x1b[K  {step} ...")?;
        out.flush()?;
    }
    Ok(())
}

pub(crate) fn world(
    out: &mut impl Write,
    mails: &[Mail],
    server: &Server,
    mailward: &Mailward,
    took: Duration,
) -> io::Result<()> {
    if io::stdout().is_terminal() {
        write!(out, "\r\x1b[K")?;
    }
    let octets: usize = mails.iter().map(|mail| mail.bytes.len()).sum();
    writeln!(out, "  mailbox       {} mails, {:.1} MB", mails.len(), megabytes(octets))?;
    writeln!(out, "  mail server   {} (POP3), {} (IMAP), a sample", server.address(), server.imap_address())?;
    writeln!(out, "  Mailward      {} (POP3), {} (IMAP)", mailward.address(), mailward.imaps_address())?;
    writeln!(out, "  engine        builtin, with the test signature only")?;
    let start = mailward.start_time().as_millis();
    writeln!(out, "  all ready after {:.1} s, of which Mailward took {start} ms\n", took.as_secs_f64())
}

/// Reads every mail through Mailward and says what became of it. True if every promise was kept.
pub(crate) fn mails(out: &mut impl Write, mails: &[Mail], mailward: &mut Mailward) -> io::Result<bool> {
    writeln!(out, " #  the server held             octets  client got   why")?;
    let mut client = Client::login(mailward.address(), USER, PASSWORD)?;
    let mut kept = true;
    let mut replaced = None;
    for (index, mail) in mails.iter().enumerate() {
        let number = index + 1;
        let begun = Instant::now();
        let retrieved = client.retrieve(number)?;
        let took = begun.elapsed();
        let got = compare(mail, &retrieved);
        let holds = got.keeps(mail.promise);
        kept &= holds;
        if matches!(got, Got::Notice | Got::PartGone) {
            replaced.get_or_insert(number);
        }
        let record = u64::try_from(number).ok().and_then(|number| mailward.record(number));
        let (why, engines) = reasons(record.as_ref());
        let words = paint(got.words(), holds);
        let pad = " ".repeat(12_usize.saturating_sub(got.words().len()));
        writeln!(out, "{number:2}  {:<26} {:>7}  {words}{pad} {why}", mail.title, mail.bytes.len())?;
        writeln!(out, "      {engines}; {:.1} ms in all", took.as_secs_f64() * 1e3)?;
        if !holds {
            writeln!(out, "      this version promises: {}", promise(mail.promise))?;
        }
    }
    if let Some(number) = replaced {
        let copies = mailward.quarantined()?;
        let answer = client.command(&format!("DELE {number}"))?;
        writeln!(
            out,
            "\n  Nothing is lost: the originals of {copies} replaced mails are in the quarantine.\n  \
             Only so may the client delete mail {number}, which it saw replaced:"
        )?;
        writeln!(out, "    {}", shorten(&answer, 74))?;
        client.command("RSET")?;
        kept &= copies > 0 && answer.starts_with("+OK");
    }
    client.command("QUIT")?;
    writeln!(out)?;
    Ok(kept)
}

/// What became of a mail.
pub(crate) fn compare(mail: &Mail, retrieved: &Retrieved) -> Got {
    match retrieved {
        Retrieved::Refused => Got::Refused,
        Retrieved::Mail(bytes) if Sha256::digest(bytes) == Sha256::digest(&mail.bytes) => {
            match mail.promise {
                Promise::Stopped | Promise::Rebuilt | Promise::Filtered => Got::Leaked,
                Promise::Identical => Got::Identical,
            }
        }
        Retrieved::Mail(bytes) if !mail.poison.is_empty() && contains(bytes, &mail.poison) => Got::Leaked,
        Retrieved::Mail(_) if mail.promise == Promise::Identical => Got::Changed,
        Retrieved::Mail(bytes) if contains(bytes, b"\r\nX-Mailward-Notice: ") => Got::Notice,
        Retrieved::Mail(_) if mail.promise == Promise::Rebuilt => Got::Rebuilt,
        Retrieved::Mail(_) if mail.promise == Promise::Filtered => Got::Filtered,
        Retrieved::Mail(_) => Got::PartGone,
    }
}

pub(crate) fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

const fn promise(promise: Promise) -> &'static str {
    match promise {
        Promise::Identical => "it arrives byte for byte",
        Promise::Stopped => "its content never arrives",
        Promise::Rebuilt => "it arrives in one form that all read alike",
        Promise::Filtered => "it arrives without what its HTML runs",
    }
}

/// The rule that decided, and what each engine said, from the MAIL record.
fn reasons(record: Option<&Value>) -> (String, String) {
    let Some(record) = record else { return ("no record".into(), "no engine answered".into()) };
    let text = |key: &str| record.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let engines = record.get("engines").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut said: Vec<String> = engines
        .iter()
        .map(|answer| {
            let text = |key: &str| answer.get(key).and_then(Value::as_str).unwrap_or_default();
            let micros = answer.get("micros").and_then(Value::as_u64).unwrap_or_default();
            let virus = if text("virus").is_empty() { String::new() } else { format!(" {}", text("virus")) };
            format!(
                "{}: {}{virus} ({:.1} ms)",
                text("engine"),
                text("statuses"),
                Duration::from_micros(micros).as_secs_f64() * 1e3
            )
        })
        .collect();
    let filters = record.get("spam").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    said.extend(filters.iter().filter_map(|answer| {
        let text = |key: &str| answer.get(key).and_then(Value::as_str).unwrap_or_default();
        (!text("symbols").is_empty()).then(|| format!("spam {} ({})", text("score"), text("symbols")))
    }));
    let statuses = text("statuses");
    let why = format!("{} ({statuses})", text("rule"));
    (shorten(&why, 26), shorten(&said.join("; "), 56))
}

/// The process tree with its walls. As root every report is checked against `/proc`; true if nothing differs.
pub(crate) fn processes(out: &mut impl Write, mailward: &Mailward) -> io::Result<bool> {
    writeln!(out, "  process               pid  uid         seccomp  caps  net  root   fds  walls")?;
    let mut stand = true;
    for process in mailward.processes() {
        let name = format!("{} {}", process.role, process.tenant);
        let Some(walls) = &process.walls else {
            let uid = nix::unistd::geteuid();
            writeln!(out, "  {name:<18} {:>6}  {uid:<10}  parses nothing that a peer sent", process.pid)?;
            continue;
        };
        let seccomp = if walls.seccomp_mode == 2 { "filter" } else { "NONE" };
        let caps = if walls.no_capabilities { "none" } else { "SOME" };
        let network = if own(walls, Namespace::Network) { "own" } else { "host" };
        let root = if walls.empty_root { "empty" } else { "host" };
        let differences = if is_root() {
            sandbox::verify(process.pid, walls).err().unwrap_or_default()
        } else {
            Vec::new()
        };
        let verdict = match (is_root(), differences.is_empty()) {
            (false, _) => "as reported",
            (true, true) => "checked",
            (true, false) => "DIFFER",
        };
        stand &= differences.is_empty();
        writeln!(
            out,
            "  {name:<18} {:>6}  {:<10}  {seccomp:<7}  {caps:<4}  {network:<4} {root:<5} {:>4}  {verdict}",
            process.pid, walls.uid, walls.descriptors
        )?;
        for difference in differences {
            writeln!(out, "      {}", shorten(&difference, 74))?;
        }
    }
    let mut missing: Vec<String> = mailward
        .processes()
        .into_iter()
        .filter_map(|process| process.walls)
        .flat_map(|walls| walls.missing)
        .collect();
    missing.sort();
    missing.dedup();
    for wall in &missing {
        writeln!(out, "  missing: {}", shorten(wall, 70))?;
    }
    if !is_root() {
        writeln!(out, "  Run it as root for the full sandbox: an own uid for each role above all.")?;
    }
    writeln!(out)?;
    Ok(stand)
}

fn own(walls: &Walls, kind: Namespace) -> bool {
    walls.namespaces.iter().any(|(namespace, inode)| {
        let path = match namespace {
            Namespace::User => "user",
            Namespace::Mount => "mnt",
            Namespace::Network => "net",
            Namespace::Ipc => "ipc",
            Namespace::Uts => "uts",
        };
        let host = std::fs::read_link(format!("/proc/self/ns/{path}")).unwrap_or_default();
        *namespace == kind && !host.to_string_lossy().contains(&inode.to_string())
    })
}

pub(crate) fn ending(
    out: &mut impl Write,
    kept: bool,
    stand: bool,
    mailward: &Mailward,
    once: bool,
) -> io::Result<()> {
    let words = if kept { "Every mail met its promise." } else { "A PROMISE WAS BROKEN." };
    writeln!(out, "  {}", paint(words, kept))?;
    if !stand {
        writeln!(out, "  {}", paint("A PROCESS LACKS A WALL THAT IT REPORTED.", false))?;
    }
    if !once {
        let port = mailward.address().port();
        writeln!(out, "\n  Connect your own client: POP3, 127.0.0.1, port {port}, clear text or")?;
        let (tls, imaps) = (mailward.tls_address().port(), mailward.imaps_address().port());
        let ca = mailward.certificates().ca.display();
        writeln!(out, "  STLS; or implicit TLS, localhost, POP3 port {tls}, IMAP port {imaps}, authority")?;
        writeln!(out, "  {ca},")?;
        writeln!(out, "  user \"{USER}\", password \"{PASSWORD}\". For example:")?;
        writeln!(out, "    curl -s pop3://{USER}:{PASSWORD}@127.0.0.1:{port}/8")?;
        writeln!(out, "    curl -s --cacert {ca} \\")?;
        writeln!(out, "      'imaps://{USER}:{PASSWORD}@localhost:{imaps}/INBOX;UID=8'")?;
        writeln!(out, "  Its configuration: {}", mailward.configuration().display())?;
        writeln!(out, "  Ctrl-C ends it.")?;
    }
    Ok(())
}

pub(crate) fn paint(words: &str, good: bool) -> String {
    if io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        format!("\x1b[{}m{words}\x1b[0m", if good { 32 } else { 31 })
    } else {
        words.to_owned()
    }
}

pub(crate) fn shorten(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(3)).chain("...".chars()).collect()
}

fn megabytes(octets: usize) -> f64 {
    let octets = u32::try_from(octets).unwrap_or(u32::MAX);
    f64::from(octets) / 1e6
}
