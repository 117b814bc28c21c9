//! FETCH items as Mailward answers them out of a copy, against dovecot's answers for the same mail: content octet for
//! octet, ENVELOPE and BODYSTRUCTURE as values. What may differ stands in docs/session.md.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

use mailward_tests::imap_client::{Value, items_of, value};
use mailward_tests::mails;
use mime::part_map::PartMap;
use mime::recogniser::Limits;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use worker_proto::imap::content::plan;
use worker_proto::imap::cursor::Cursor;
use worker_proto::imap::fetch_item::FetchItem;
use worker_proto::machine::{CopyFault, ScannedCopy, Side};

/// Dovecot's own binary speaks IMAP over its standard streams, logged in already.
const IMAP: &str = "/usr/lib/dovecot/imap";
/// Debian's ids of `mail`: dovecot serves nobody's mail as root.
const MAIL: u32 = 8;

/// Fields in forms that the corpus does not have.
const FIELDS: &str = "From: \"Name, A \\\"B\\\"\" <a@example.org>, b@example.org (A Comment)\r\n\
    Sender: Some One Else <s@example.org>\r\nReply-To: r.r@example.org,\r\n\tq@[192.0.2.1]\r\nTo: team: x@example.org, Y Z <y@example.org>;, nobody@example.org\r\n\
    Cc: undisclosed-recipients:;\r\nBcc: \"john doe\"@example.org\r\nSubject: one\r\n\ttwo \"three\"\r\n  four\r\n\
    In-Reply-To: <1@example.org>\r\n\t<2@example.org>\r\nMessage-ID: <3@example.org>\r\nDate: Thu, 1 Jan 2026 00:00:00 +0000 (UTC)\r\n\
    MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b b\"; x-y=z\r\nContent-Language: en, de\r\n\
    Content-Location: http://example.org/\r\n\r\n--b b\r\nContent-Type: image/png; name=\"a b.png\"\r\n\
    Content-Transfer-Encoding: BASE64\r\nContent-ID: <c@example.org>\r\nContent-Description: a\r\n picture\r\n\
    Content-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==\r\nContent-Disposition: attachment; filename=x; size=1\r\n\
    Content-Language: en\r\n\r\nYQ==\r\n--b b\r\nContent-Type: text/plain; charset=utf-8; format=flowed\r\n\
    Content-Disposition: inline\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=C4=8D\r\n--b b--\r\n";

#[derive(Debug)]
struct Held(Vec<u8>, PartMap);

impl ScannedCopy for Held {
    fn length(&self) -> u64 {
        self.0.len() as u64
    }
    fn parts(&self) -> &PartMap {
        &self.1
    }
    fn read_at(&self, at: u64, into: &mut [u8]) -> Result<usize, CopyFault> {
        let rest = &self.0[usize::try_from(at).unwrap()..];
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}

struct Dovecot {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    _directory: tempfile::TempDir,
}

impl Dovecot {
    fn with(mails: &[Vec<u8>]) -> Self {
        let directory = tempfile::Builder::new().prefix("mailward-imap-").tempdir().unwrap();
        let base = directory.path();
        fs::set_permissions(base, fs::Permissions::from_mode(0o755)).unwrap();
        for name in ["cur", "new", "tmp"] {
            fs::create_dir_all(base.join("mail").join(name)).unwrap();
        }
        for (index, mail) in mails.iter().enumerate() {
            fs::write(base.join(format!("mail/cur/{index:05}.lab:2,")), mail).unwrap();
        }
        let shown = base.display();
        fs::write(
            base.join("conf"),
            format!(
                "mail_location = maildir:{shown}/mail\nssl = no\nlog_path = {shown}/log\nbase_dir = {shown}/run\n\
                 state_dir = {shown}/run\ndefault_login_user = nobody\ndefault_internal_user = nobody\n\
                 default_internal_group = nogroup\nfirst_valid_uid = 1\nprotocols = imap\n"
            ),
        )
        .unwrap();
        assert!(
            Command::new("chown")
                .arg("-R")
                .arg(format!("{MAIL}:{MAIL}"))
                .arg(base)
                .status()
                .unwrap()
                .success()
        );
        let mut child = Command::new(IMAP)
            .arg("-c")
            .arg(base.join("conf"))
            .env_clear()
            .env("USER", "mail")
            .env("HOME", base)
            .uid(MAIL)
            .gid(MAIL)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut dovecot = Self { child, input, output, _directory: directory };
        assert!(dovecot.response().starts_with(b"* PREAUTH"));
        dovecot.command("EXAMINE INBOX");
        dovecot
    }

    /// One response with its literals.
    fn response(&mut self) -> Vec<u8> {
        let mut response = Vec::new();
        loop {
            let before = response.len();
            assert!(self.output.read_until(b'\n', &mut response).unwrap() > 0, "dovecot closed");
            let line = String::from_utf8_lossy(&response[before..]).trim_end().to_owned();
            let Some((_, size)) = line.strip_suffix('}').and_then(|line| line.rsplit_once('{')) else {
                return response;
            };
            let start = response.len();
            response.resize(start + size.parse::<usize>().unwrap(), 0);
            self.output.read_exact(&mut response[start..]).unwrap();
        }
    }

    /// Untagged responses to a command that succeeds.
    fn command(&mut self, command: &str) -> Vec<Vec<u8>> {
        self.input.write_all(format!("t {command}\r\n").as_bytes()).unwrap();
        let mut untagged = Vec::new();
        loop {
            let response = self.response();
            if response.starts_with(b"t ") {
                assert!(response.starts_with(b"t OK"), "{command}: {}", String::from_utf8_lossy(&response));
                return untagged;
            }
            untagged.push(response);
        }
    }

    fn fetch(&mut self, number: usize, items: &[String]) -> Vec<Value> {
        let answers = self.command(&format!("FETCH {number} ({})", items.join(" ")));
        let mut text = answers[0].strip_prefix(format!("* {number} FETCH ").as_bytes()).unwrap();
        let Value::List(values) = value(&mut text) else { unreachable!("a list") };
        values
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn ours(copy: &Held, items: &[String]) -> Vec<Value> {
    let mut out = vec![b'('];
    for item in items {
        let parsed = FetchItem::parse_all(&mut Cursor::of_part(item.as_bytes(), Side::Client)).unwrap();
        let mut answer = plan(&parsed[0], copy, false).unwrap().unwrap();
        while !answer.write(copy, &mut out, 4096).unwrap() {}
        out.push(b' ');
    }
    out.push(b')');
    let Value::List(values) = value(&mut out.as_slice()) else { unreachable!("a list") };
    values
}

#[test]
fn every_item_of_every_recognised_mail_is_what_dovecot_answers() {
    if !mailward_tests::root_or_skip("every_item_of_every_recognised_mail_is_what_dovecot_answers") {
        return;
    }
    let mails: Vec<_> = ["deceptive", "ordinary"]
        .into_iter()
        .flat_map(mails::corpus)
        .filter_map(|(name, mail)| Some((name, PartMap::of(&mail, &Limits::default()).ok()?, mail)))
        .map(|(name, map, mail)| (name, Held(mail, map)))
        .chain([(
            "of every field".into(),
            Held(FIELDS.into(), PartMap::of(FIELDS.as_bytes(), &Limits::default()).unwrap()),
        )])
        .collect();
    assert!(mails.len() >= 250, "{}", mails.len());
    let octets: Vec<_> = mails.iter().map(|(_, copy)| copy.0.clone()).collect();
    let mut dovecot = Dovecot::with(&octets);
    let (mut compared, mut sections, mut differences) = (0, 0, Vec::new());
    for (index, (name, copy)) in mails.iter().enumerate() {
        let items = items_of(&copy.1, copy.0.len());
        let (theirs, own) = (dovecot.fetch(index + 1, &items), ours(copy, &items));
        let structures = ["ENVELOPE".to_owned(), "BODY".to_owned(), "BODYSTRUCTURE".to_owned()];
        let (their, our) = (dovecot.fetch(index + 1, &structures), ours(copy, &structures));
        for (theirs, ours) in theirs.chunks(2).zip(own.chunks(2)) {
            compared += 1;
            if theirs != ours {
                differences.push(format!("{name}\n  dovecot {theirs:?}\n  ours    {ours:?}"));
            }
        }
        // Dovecot keeps the tab of a fold in some fields; a blank means the same.
        if their[1].blanks() != our[1].blanks() {
            differences.push(format!("{name} ENVELOPE\n  dovecot {:?}\n  ours    {:?}", their[1], our[1]));
        }
        for at in [3, 5] {
            compared += 1;
            if our[at].has_sections() {
                sections += 1;
            } else if their[at].plain() != our[at].plain() {
                differences.push(format!(
                    "{name}\n  dovecot {:?}\n  ours    {:?}",
                    their[at].plain(),
                    our[at].plain()
                ));
            }
        }
    }
    let shown: Vec<_> =
        differences.iter().take(8).map(|line| line.chars().take(3000).collect::<String>()).collect();
    assert!(differences.is_empty(), "{} of {compared} differ:\n{}", differences.len(), shown.join("\n"));
    assert!(compared > 5000 && sections < 40, "{compared} compared, {sections} with sections of RFC 2231");
}
