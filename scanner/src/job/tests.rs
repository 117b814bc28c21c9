//! Whole mails through rules as an operator writes them, without processes.
mod allowed;
mod inside;

use super::*;
use crate::antivirus::signatures::{Collector, eicar};
use ipc::ids::{Found, SessionId, Viruses};
use ipc::supervisor_scanner::{EngineGrant, EngineState};
use ipc::worker_scanner::Context;
use mime::transfer_encoding::encode_base64;
use policy::load::{LoadOptions, load};
use policy::names::{Direction, Language, Protocol};
use std::path::Path;

/// What became of a mail.
struct Judged {
    verdict: ipc::worker_scanner::Judged,
    copy: Option<Vec<u8>>,
}

impl Judged {
    fn copy(&self) -> &[u8] {
        self.copy.as_deref().unwrap()
    }

    /// The decoded leaf of the copy, which the recogniser accepts.
    fn leaf(&self, index: usize) -> String {
        let accepted =
            mime::recogniser::recognise(self.copy(), &mime::recogniser::Limits::default()).unwrap();
        String::from_utf8(mime::recogniser::decode(self.copy(), &accepted.leaves[index])).unwrap()
    }
}

/// A downloaded mail under these rules, seen by the builtin engine.
fn judged(rules: &str, mail: &[u8]) -> Judged {
    judged_in(Direction::Download, rules, mail)
}

/// Without the shipped rules.
const NO_RULES: &str = "standard-rules = false\n";

fn judged_in(direction: Direction, rules: &str, mail: &[u8]) -> Judged {
    judged_by(Protocol::Pop3, direction, "", rules, mail)
}

/// `command`: lines of the command-acl.
fn judged_by(protocol: Protocol, direction: Direction, command: &str, rules: &str, mail: &[u8]) -> Judged {
    judged_where_allowed(&[], (protocol, direction), command, rules, mail)
}

/// Of a mail in which the operator allowed these viruses.
fn judged_where_allowed(
    allowed: &[&str],
    way: (Protocol, Direction),
    command: &str,
    rules: &str,
    mail: &[u8],
) -> Judged {
    judged_knowing((allowed, Vec::new()), way, command, rules, mail)
}

/// Of a mail in which the operator allowed these viruses, and in which this had been found before.
fn judged_knowing(
    (allowed, formerly): (&[&str], Vec<Found>),
    (protocol, direction): (Protocol, Direction),
    command: &str,
    rules: &str,
    mail: &[u8],
) -> Judged {
    let (top, rules) = match rules.strip_prefix(NO_RULES) {
        Some(rest) => (NO_RULES, rest),
        None => ("", rules),
    };
    let text = format!(
        "version = 1\n{top}[[listener]]\nprotocol = \"pop3\"\ntls = \"off\"\n[[session-acl]]\n[[command-acl]]\n\
         plug-to = [\"192.0.2.1\"]\nserver-tls = \"off\"\n{command}[antivirus.builtin]\n{rules}"
    );
    let notice = "Gone: {file}, {virus}.\n[cs]\nPry\u{10d}: {file}.\n";
    let files = |path: &Path| Ok(vec![(path.to_owned(), notice.to_owned())]);
    let loaded = load(Path::new("test.toml"), &text, &files, LoadOptions { demo: true, cores: 1 });
    let loaded = loaded.unwrap_or_else(|problems| panic!("{problems:#?}"));
    assert!(loaded.is_whole(), "{:#?}", loaded.notes);
    let slice = loaded.policy.scanner_slice(0);
    let mut collector = Collector::default();
    collector.add_test();
    let rule = |name: &str, text: &str| format!("rule {name} {{ strings: $a = \"{text}\" condition: $a }}\n");
    collector
        .add_file("lab.yar", (rule("Lab_One", "one one one") + &rule("Lab_Two", "two two two")).as_bytes());
    let (signatures, _) = collector.finish();
    let content = Rc::new(Content::from(mail.to_vec()));
    let allowed = allowed.iter().map(|virus| (*virus).to_owned()).collect();
    let known = KnownMail { sha256: content.sha256(), answers: Vec::new(), allowed, formerly };
    let client = "10.1.2.3:4".parse().unwrap();
    let scan = ScanJob {
        lease: LeaseId(1),
        size: mail.len() as u64,
        sha256: content.sha256(),
        found: StatusSet::EMPTY,
        max_output: 1 << 20,
        here: true,
        map: false,
        context: Context {
            session: SessionId(1),
            protocol,
            direction,
            client,
            client_name: None,
            destination: client,
            user: "ann".into(),
            language: Language::En,
            listener: 0,
            command_rule: 0,
            time: 1_800_000_000,
        },
    };
    let clock = slice.zone.clock();
    let grant = EngineGrant { checker: Checker::Engine(0), state: EngineState::Inside, limit: None };
    let job = Job {
        lease: LeaseId(1),
        scan: &scan,
        slice: &Rc::new(slice),
        clock: &clock,
        signatures: &signatures,
        authorities: &Rc::default(),
        poison: false,
        suspect: None,
        known: Some(&known),
    };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default()).unwrap();
    let engines = vec![Demanded { grant, connection: None }];
    let Judgement { judged: verdict, copy, .. } = runtime.block_on(judge(job, content, engines));
    let length = match verdict.disposition {
        Disposition::Replace { length } | Disposition::Correct { length } => Some(length),
        Disposition::Pass | Disposition::Deny | Disposition::Defer => None,
    };
    assert_eq!(copy.as_ref().map(|copy| copy.len() as u64), length);
    Judged { verdict, copy }
}

/// A text and an attachment.
fn mail(kind: &str, name: &str, octets: &[u8]) -> Vec<u8> {
    let body = String::from_utf8(encode_base64(octets)).unwrap();
    format!(
        "From: Mallory <m@example.org>\r\nSubject: invoice\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=\"b\"\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nHello.\r\n\
         --b\r\nContent-Type: {kind}; name=\"{name}\"\r\nContent-Transfer-Encoding: base64\r\n\
         Content-Disposition: attachment; filename=\"{name}\"\r\n\r\n{body}--b--\r\n"
    )
    .into_bytes()
}

fn infected() -> Vec<u8> {
    mail("application/octet-stream", "eicar.com", &[eicar(), vec![b' '; 700]].concat())
}

const PROGRAMS: &str = "[[doc-acl]]\nname = \"programs\"\nfilename = [\"*.exe\"]\naction = \"replace\"\n";

#[test]
fn the_infected_part_is_replaced_in_its_place_and_the_text_stays() {
    let mail = infected();
    let judged = judged("", &mail);
    assert_eq!(judged.verdict.rule, "standard-bad-part");
    assert_eq!(judged.copy().len(), mail.len());
    assert_eq!(judged.leaf(0), "Hello.");
    assert!(judged.leaf(1).starts_with("# This attachment was removed"), "{}", judged.leaf(1));
    assert!(judged.leaf(1).contains("# Virus: Eicar-Test-Signature\r\n"));
    assert!(judged.leaf(1).contains(&format!("# Case: {}", judged.verdict.sha256.case())));
    let ends = |octets: &[u8]| memchr::memchr_iter(b'\n', octets).collect::<Vec<_>>();
    assert_eq!(ends(judged.copy()), ends(&mail));
}

#[test]
fn the_notice_that_a_rule_names_stands_there() {
    let rule = "[[doc-acl]]\nvirus = [\"infected\"]\naction = \"replace\"\nreplace-file = \"/etc/mailward/gone.txt\"\n";
    assert!(
        judged(rule, &infected()).leaf(1).starts_with("# Gone: eicar.com, Eicar-Test-Signature.\r\n# --")
    );
    let rule = "standard-rules = false\n[[mail-acl]]\nvirus = [\"infected\"]\naction = \"replace\"\n\
                replace = \"body\"\nreplace-body = \"/etc/mailward/gone.txt\"\n";
    let judged = judged(rule, &infected());
    let text = String::from_utf8_lossy(judged.copy()).into_owned();
    assert!(text.contains("\r\n\r\nGone: , Eicar-Test-Signature.\r\n"), "{text}");
    assert!(!text.contains("Hello."));
}

#[test]
fn a_virus_outside_every_part_takes_the_body_with_it() {
    let virus = String::from_utf8(eicar()).unwrap();
    let mail = String::from_utf8(mail("text/plain", "a.txt", b"harmless")).unwrap();
    let mail = mail.replace("\r\n\r\n--b", &format!("\r\n\r\n{virus}\r\n--b"));
    let judged = judged("", mail.as_bytes());
    assert_eq!(judged.verdict.rule, "standard-bad");
    let text = String::from_utf8_lossy(judged.copy()).into_owned();
    assert!(text.contains("X-Mailward-Notice:") && !text.contains("Hello."), "{text}");
    // The same with another copy in a part: taking that out is not enough.
    let both =
        String::from_utf8(infected()).unwrap().replace("\r\n\r\n--b", &format!("\r\n\r\n{virus}\r\n--b"));
    let text = String::from_utf8_lossy(judged_copy("", both.as_bytes()).as_slice()).into_owned();
    assert!(text.contains("X-Mailward-Notice:") && !text.contains(&virus), "{text}");
}

fn judged_copy(rules: &str, mail: &[u8]) -> Vec<u8> {
    judged(rules, mail).copy().to_vec()
}

#[test]
fn a_program_is_taken_out_of_a_clean_mail_by_any_of_its_names() {
    for name in ["setup.exe", "SETUP.EXE", "setup.exe.", "=?utf-8?Q?setup=2Eexe?=", "a/b/setup.exe"] {
        let judged = judged(PROGRAMS, &mail("application/octet-stream", name, &[0; 900]));
        assert_eq!(judged.verdict.statuses, StatusSet::of(Status::Clean));
        assert_eq!(judged.verdict.rule, "programs", "{name}");
        assert!(judged.leaf(1).contains("removed by the mail proxy"), "{name}");
    }
    let judged = judged(PROGRAMS, &mail("application/pdf", "invoice.pdf", b"%PDF-1.4"));
    assert_eq!(
        (judged.verdict.disposition, judged.verdict.rule.as_str()),
        (Disposition::Pass, "standard-clean")
    );
}

#[test]
fn rules_ask_what_a_part_is_and_not_only_what_it_is_called() {
    let rule = "[[doc-acl]]\nname = \"lies\"\nmismatch = true\naction = \"deny\"\n";
    let lie = mail("image/png", "logo.png", b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff\0\0");
    assert_eq!(judged(rule, &lie).verdict.disposition, Disposition::Deny);
    let honest = mail("image/png", "logo.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01");
    assert_eq!(judged(rule, &honest).verdict.disposition, Disposition::Pass);
    let rule = "[[doc-acl]]\nname = \"pdf\"\nmime-type = [\"application/pdf\"]\naction = \"defer\"\n";
    let hidden = mail("text/plain", "notes.txt", b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\nstartxref\n0\n%%EOF\n");
    assert_eq!(judged(rule, &hidden).verdict.disposition, Disposition::Defer);
}

#[test]
fn a_forced_type_is_declared_and_nothing_else_changes() {
    let rule =
        "[[doc-acl]]\nname = \"retype\"\nmime-type = [\"*\"]\naction = \"accept\"\nforce-type = true\n";
    let lie = mail(
        "application/octet-stream",
        "invoice.bin",
        b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\nstartxref\n0\n%%EOF\n",
    );
    let judged = judged(rule, &lie);
    let wanted = String::from_utf8(lie)
        .unwrap()
        .replace("Content-Type: application/octet-stream", "Content-Type: application/pdf");
    assert_eq!(String::from_utf8_lossy(judged.copy()), wanted);
    assert_eq!(judged.verdict.rule, "retype");
}

#[test]
fn rules_that_monitor_change_nothing_and_say_what_they_would_have() {
    let rule = PROGRAMS.to_owned() + "enforce = \"monitor\"\n";
    let judged = judged(&rule, &mail("application/octet-stream", "setup.exe", &[0; 90]));
    assert_eq!(judged.verdict.disposition, Disposition::Pass);
    assert_eq!(judged.verdict.would, Some(policy::model::MailAction::Replace));
}

#[test]
fn an_upload_is_refused_rather_than_changed() {
    let program = mail("application/octet-stream", "setup.exe", &[0; 90]);
    assert_eq!(judged_in(Direction::Upload, PROGRAMS, &program).verdict.disposition, Disposition::Deny);
    assert_eq!(judged_in(Direction::Upload, "", &infected()).verdict.disposition, Disposition::Deny);
}

/// With another boundary in the same field.
fn doubtful(mail: Vec<u8>) -> Vec<u8> {
    let mail = String::from_utf8(mail).unwrap();
    mail.replace("boundary=\"b\"", "boundary=\"b\"; boundary=\"c\"").into_bytes()
}

#[test]
fn a_mail_about_which_readers_could_disagree_is_rebuilt_and_loses_its_infected_part() {
    let judged = judged("", &doubtful(infected()));
    assert_eq!(judged.verdict.statuses, StatusSet::of(Status::Infected));
    assert_eq!(judged.leaf(0), "Hello.");
    assert!(judged.leaf(1).starts_with("# This attachment was removed"), "{}", judged.leaf(1));
}

#[test]
fn a_clean_mail_about_which_readers_could_disagree_is_delivered_in_one_form() {
    let judged = judged("", &doubtful(mail("application/pdf", "a.pdf", b"%PDF-1.4 clean")));
    assert!(matches!(judged.verdict.disposition, Disposition::Correct { .. }), "{:?}", judged.verdict);
    assert!(judged.verdict.statuses.is_clean());
    assert!(judged.verdict.reason.contains("bad-boundary"), "{}", judged.verdict.reason);
    assert_eq!((judged.leaf(0), judged.leaf(1)), ("Hello.".to_owned(), "%PDF-1.4 clean".to_owned()));
}

#[test]
fn where_the_mail_filter_calls_it_malformed_it_loses_its_body() {
    let strict = "[mail-filter.default]\nambiguous = \"malformed\"\n";
    let judged = judged(strict, &doubtful(infected()));
    assert!(judged.verdict.statuses.contains(Status::Malformed));
    let text = String::from_utf8_lossy(judged.copy()).into_owned();
    assert!(text.contains("X-Mailward-Notice:") && !text.contains("Hello."), "{text}");
}

#[test]
fn a_violation_that_the_mail_filter_passes_passes() {
    let judged = judged(
        "[mail-filter.default]\nbad-boundary = \"pass\"\nambiguous = \"pass\"\n",
        &doubtful(mail("x/y", "a", b"b")),
    );
    assert_eq!(judged.verdict.disposition, Disposition::Pass);
}

#[test]
fn a_mail_that_is_nothing_but_a_small_bad_part_gets_the_whole_notice() {
    let mail = |body: &[u8]| [b"From: a@example.org\r\nSubject: s\r\n\r\n", body, b"\r\n"].concat();
    let small = judged("", &mail(&eicar()));
    assert!(String::from_utf8_lossy(small.copy()).contains("X-Mailward-Notice:"));
    let lines = "x".repeat(70) + "\r\n";
    let large = mail(&[eicar(), b"\r\n".to_vec(), lines.repeat(20).into_bytes()].concat());
    let judged = judged("", &large);
    assert_eq!(judged.copy().len(), large.len());
    assert!(
        judged.leaf(0).starts_with("# This attachment was removed by the mail proxy"),
        "{}",
        judged.leaf(0)
    );
}

fn archive(name: &str, content: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    writer.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
    writer.write_all(content).unwrap();
    writer.finish().unwrap().into_inner()
}

#[test]
fn what_is_inside_an_archive_meets_the_rules_too() {
    let boxed = archive("setup.exe", &[7; 500]);
    assert_eq!(judged(PROGRAMS, &mail("application/zip", "a.zip", &boxed)).verdict.rule, "programs");
    let virus = judged("", &mail("application/zip", "a.zip", &archive("note.txt", &eicar())));
    assert_eq!(virus.verdict.rule, "standard-bad-part");
    assert!(virus.leaf(1).starts_with("# removed - Case: "), "{}", virus.leaf(1));
    let macros = "[[doc-acl]]\nname = \"macros\"\nmime-type = [\"application/vnd.ms-office.vbaproject\"]\naction = \"replace\"\n";
    let document = archive("word/vbaProject.bin", &[7; 900]);
    assert_eq!(judged(macros, &mail("application/octet-stream", "a.docm", &document)).verdict.rule, "macros");
}

#[test]
fn a_locked_archive_is_replaced_by_a_notice_that_says_so() {
    let mut locked = archive("a.txt", &[7; 900].map(|octet: u8| octet));
    let directory = memchr::memmem::find(&locked, b"PK\x01\x02").unwrap();
    for at in [6, directory + 8] {
        locked[at] |= 1;
    }
    locked.splice(0..0, []);
    let judged = judged("", &mail("application/zip", "a.zip", &locked));
    assert_eq!(judged.verdict.statuses, StatusSet::of(Status::Encrypted));
    assert_eq!(judged.verdict.rule, "standard-locked");
    assert_eq!(judged.verdict.reason, "a locked ZIP archive");
}

#[test]
fn html_is_filtered_in_its_place_and_passes_untouched_where_there_is_nothing_to_filter() {
    let rule = "[html-filter.safe]\nlinks = \"keep\"\n[[doc-acl]]\nname = \"html\"\nmime-type = [\"text/html\"]\n\
                action = \"html-filter\"\nhtml-filter = \"safe\"\n";
    let html = |body: &str| {
        format!("From: a@example.org\r\nMIME-Version: 1.0\r\nContent-Type: text/html; charset=\"utf-8\"\r\n\r\n{body}\r\n").into_bytes()
    };
    let mail =
        html(&"<p onclick=\"steal()\">Hello <b>there</b>.</p>\r\n<script>steal()</script>\r\n".repeat(6));
    let judged = judged(rule, &mail);
    assert_eq!(judged.verdict.rule, "html");
    let text = String::from_utf8_lossy(judged.copy()).into_owned();
    assert!(text.contains("Hello <b>there</b>") && !text.contains("steal"), "{text}");
    assert_eq!(judged.copy().len(), mail.len(), "{text}");
    let plain = "From: a@example.org\r\nSubject: s\r\n\r\nNo HTML at all.\r\n";
    assert_eq!(self::judged(rule, plain.as_bytes()).verdict.disposition, Disposition::Pass);
}

#[test]
fn what_is_known_of_one_mail_is_not_believed_of_another_nor_of_another_engine() {
    let statuses = StatusSet::of(Status::Clean);
    let answer = EngineAnswer {
        engine: "clamd".into(),
        statuses,
        viruses: Viruses::default(),
        detail: String::new(),
        parts: Vec::new(),
        micros: 0,
    };
    let (this, other) = (Sha256([1; 32]), Sha256([2; 32]));
    let known = KnownMail {
        sha256: this,
        answers: vec![answer],
        allowed: vec!["Eicar".into()],
        formerly: Vec::new(),
    };
    assert_eq!(engines::known(Some(&known), "clamd"), Some((Finding::clean(), Vec::new())));
    assert_eq!(engines::known(Some(&known), "icap"), None);
    assert_eq!(engines::known(None, "clamd"), None);
    assert_eq!(known.about(this), Some(&known));
    assert_eq!(known.about(other), None);
}

#[test]
fn a_rule_that_accepts_can_mark_the_mail() {
    let rule = "[[mail-acl]]\nname = \"bulk\"\nvirus = [\"clean\"]\naction = \"accept\"\nsubject-prefix = \"[BULK] \"\n\
                add-header = [{ name = \"X-Why\", value = \"{rule}: {status}\" }]\nremove-header = [\"X-Spam-*\"]\n";
    let mail = "From: a@example.org\r\nX-Spam-Flag: NO\r\nSubject: offer\r\n\r\nBuy.\r\n";
    let judged = judged(rule, mail.as_bytes());
    let wanted = "From: a@example.org\r\nSubject: [BULK] offer\r\nX-Why: bulk: clean\r\n\r\nBuy.\r\n";
    assert_eq!(String::from_utf8_lossy(judged.copy()), wanted);
    assert_eq!(judged.verdict.rule, "bulk");
}

/// Clean mail gets a keyword and a field.
const MARKS: &str = "[[mail-acl]]\nvirus = [\"clean\"]\naction = \"accept\"\nkeyword = [\"$Junk\", \"Bulk\"]\n\
                     add-header = [{ name = \"X-Bulk\", value = \"yes\" }]\n";

#[test]
fn keywords_are_for_mails_that_are_downloaded_by_imap() {
    let mail = b"From: a@example.org\r\nSubject: offer\r\n\r\nBuy.\r\n";
    let keywords = |protocol, direction, command, rules| {
        judged_by(protocol, direction, command, rules, mail).verdict.keywords
    };
    use Direction::{Download, Upload};
    assert_eq!(keywords(Protocol::Imap, Download, "", MARKS), ["$Junk", "Bulk"]);
    assert!(keywords(Protocol::Pop3, Download, "", MARKS).is_empty());
    assert!(keywords(Protocol::Imap, Upload, "", MARKS).is_empty());
    let monitor = "enforce = \"monitor\"\n";
    assert!(keywords(Protocol::Imap, Download, monitor, MARKS).is_empty());
    assert!(
        keywords(Protocol::Imap, Download, "", &MARKS.replace("keyword", "enforce = \"monitor\"\nkeyword"))
            .is_empty()
    );
    let infected = judged_by(Protocol::Imap, Download, "", MARKS, &infected());
    assert!(infected.verdict.keywords.is_empty());
}

#[test]
fn headers_change_where_the_client_has_not_seen_them() {
    let mail = b"From: a@example.org\r\nSubject: offer\r\n\r\nBuy.\r\n";
    let changes =
        |protocol, direction, command| judged_by(protocol, direction, command, MARKS, mail).copy.is_some();
    use Direction::{Download, Upload};
    let strict = "metadata = \"strict\"\n";
    assert!(changes(Protocol::Pop3, Download, "") && changes(Protocol::Pop3, Download, strict));
    assert!(changes(Protocol::Imap, Upload, ""));
    assert!(!changes(Protocol::Imap, Download, ""));
    assert!(changes(Protocol::Imap, Download, strict));
    assert!(!changes(Protocol::Imap, Download, "metadata = \"strict\"\nenforce = \"monitor\"\n"));
}

#[test]
fn a_mail_that_had_to_be_rebuilt_is_marked_too() {
    let mail = b"From: a@example.org\r\nSubject: offer\r\n\r\nBuy\n now.\r\n";
    let rules = MARKS.replace("\"clean\"", "\"clean\", \"malformed\"");
    let judged = judged(&rules, mail);
    let copy = String::from_utf8_lossy(judged.copy()).into_owned();
    assert!(copy.contains("X-Bulk: yes\r\n") && !copy.contains("Buy\n"), "{copy}");
}
