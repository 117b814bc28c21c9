//! Evasive mails of forty-four classes against independent readers (`tests/judges`): whatever Mailward would deliver is read
//! alike by all of them, every leaf that any of them opens was shown to the engines, and what any of them opens in the
//! mail as it came was shown to the engines too. `MAILWARD_ADVERSARY=1000` makes so many mails of each class.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

mod adversary;

use adversary::Rng;
use mail_parser::{MessageParser, PartType};
use mime::recogniser::{Limits, decode, recognise};
use mime::transfer_encoding::decode_base64;
use policy::model::MailFilter;
use policy::status::Status;
use scanner::antivirus::signatures::eicar;
use scanner::parts::{Parts, take_apart};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const HARMLESS: &[u8] = b"harmless payload of an evasive mail, 0123456789 and so on, long enough for two lines of base64 and a little more\r\n";
/// Octets of what was scanned that are something, where a reader put more around them.
const TELLING: usize = 24;
/// Program, script and its argument. Those that put texts together, or write what stands around the parts, are not held
/// to the number of leaves, but to what they open.
const JUDGES: [(&str, &str, &str, bool); 8] = [
    ("/usr/bin/python3", "python_email.py", "compat32", true),
    ("/usr/bin/python3", "python_email.py", "default", true),
    ("/usr/bin/python3", "gmime.py", "", true),
    ("/usr/bin/perl", "mime_tools.pl", "", true),
    ("/usr/bin/perl", "email_mime.pl", "", true),
    ("/usr/bin/python3", "commands.py", "ripmime", false),
    ("/usr/bin/python3", "commands.py", "munpack", false),
    ("node", "postal_mime.mjs", "", false),
];

fn filter() -> MailFilter {
    MailFilter::default()
}

/// What would be delivered if no engine finds anything; nothing where a status keeps it back.
fn delivered(mail: &[u8], parts: &Parts<'_>) -> Option<Vec<u8>> {
    let held = parts.found.contains(Status::Malformed) || parts.found.contains(Status::Limit);
    (!held).then(|| parts.canonical.clone().unwrap_or_else(|| mail.to_vec()))
}

/// Without white space: readers differ in line ends, and in what of the last one belongs to a part.
fn squeezed(octets: &[u8]) -> Vec<u8> {
    octets.iter().copied().filter(|octet| !octet.is_ascii_whitespace()).collect()
}

/// Everything that the engines are shown.
fn shown(mail: &[u8], parts: &Parts<'_>) -> Vec<Vec<u8>> {
    let leaves = parts.leaves.iter().map(|leaf| leaf.octets.to_vec());
    leaves.chain(parts.extra.iter().cloned()).chain([mail.to_vec()]).map(|octets| squeezed(&octets)).collect()
}

fn find(inside: &[u8], what: &[u8]) -> bool {
    inside.windows(what.len()).any(|window| window == what)
}

/// What one judge opens in each of these files, in their order; `None` if it is not installed.
fn ask(program: &str, script: &str, argument: &str, files: &[PathBuf]) -> Option<Vec<Vec<Vec<u8>>>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/judges");
    let mut command = Command::new(program);
    command.arg(folder.join(script)).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    if !argument.is_empty() {
        command.arg(argument);
    }
    let mut child = command.spawn().ok()?;
    let mut input = child.stdin.take()?;
    let list: String = files.iter().map(|file| format!("{}\n", file.display())).collect();
    let writer = std::thread::spawn(move || input.write_all(list.as_bytes()));
    let output = child.wait_with_output().ok()?;
    let _ = writer.join();
    let answers: Vec<Vec<Vec<u8>>> = String::from_utf8(output.stdout)
        .ok()?
        .lines()
        .map(|line| {
            let answer: serde_json::Value = serde_json::from_str(line).unwrap();
            answer["leaves"]
                .as_array()
                .unwrap()
                .iter()
                .map(|leaf| decode_base64(leaf.as_str().unwrap().as_bytes()))
                .collect()
        })
        .collect();
    (answers.len() == files.len()).then_some(answers)
}

/// mail-parser needs no script.
fn ask_mail_parser(mails: &[Vec<u8>]) -> Vec<Vec<Vec<u8>>> {
    let open = |mail: &Vec<u8>| {
        let mut found = Vec::new();
        let mut messages: Vec<_> = MessageParser::default().parse(mail.as_slice()).into_iter().collect();
        while let Some(message) = messages.pop() {
            for part in message.parts {
                match part.body {
                    PartType::Text(text) | PartType::Html(text) => found.push(text.as_bytes().to_vec()),
                    PartType::Binary(octets) | PartType::InlineBinary(octets) => found.push(octets.to_vec()),
                    PartType::Message(nested) => messages.push(nested.into_owned()),
                    PartType::Multipart(_) => {}
                }
            }
        }
        found
    };
    mails.iter().map(open).collect()
}

/// A judge's name, whether it is held to the number of leaves, and what it opens in each mail.
type Answers = (String, bool, Vec<Vec<Vec<u8>>>);

fn ask_all(mails: &[Vec<u8>]) -> Vec<Answers> {
    let folder = tempfile::tempdir().unwrap();
    let files: Vec<PathBuf> = mails
        .iter()
        .enumerate()
        .map(|(number, mail)| {
            let path = folder.path().join(format!("{number}.eml"));
            fs::write(&path, mail).unwrap();
            path
        })
        .collect();
    let mut answers = vec![("mail-parser".to_owned(), true, ask_mail_parser(mails))];
    for (program, script, argument, exact) in JUDGES {
        let name = format!("{script} {argument}").trim().to_owned();
        match ask(program, script, argument, &files) {
            Some(found) => answers.push((name, exact, found)),
            None => println!("not asked, because it is not installed: {name}"),
        }
    }
    answers
}

fn generate(payload: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let each = std::env::var("MAILWARD_ADVERSARY").ok().and_then(|count| count.parse().ok()).unwrap_or(10);
    let seed = std::env::var("MAILWARD_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let mut rng = Rng::new(seed);
    adversary::CLASSES
        .flat_map(|class| {
            (0..each).map(|_| (class, adversary::mail(class, &mut rng, payload))).collect::<Vec<_>>()
        })
        .collect()
}

/// Says what failed, and keeps the first mails of each kind where they can be looked at.
struct Failures(BTreeMap<String, usize>);

impl Failures {
    fn add(&mut self, what: &str, class: u8, judge: &str, mail: &[u8], leaf: &[u8]) {
        let count = self.0.entry(format!("{what}, M{class}, {judge}")).or_default();
        *count += 1;
        if *count == 1
            && let Some(folder) = std::env::var_os("MAILWARD_KEEP")
        {
            let path = Path::new(&folder).join(format!(
                "{}-m{class:02}-{}.eml",
                what.replace(' ', "-"),
                judge.replace(' ', "-")
            ));
            fs::write(&path, mail).unwrap();
            fs::write(path.with_extension("leaf"), leaf).unwrap();
        }
    }
}

#[test]
fn what_is_delivered_of_evasive_mail_is_read_alike_by_all_and_nothing_of_it_was_not_scanned() {
    let mails = generate(HARMLESS);
    let filter = filter();
    let mut copies = Vec::new();
    let mut expected = Vec::new();
    let (mut held, mut rebuilt) = (0, 0);
    for (class, mail) in &mails {
        let parts = take_apart(mail, &filter);
        let Some(copy) = delivered(mail, &parts) else {
            held += 1;
            continue;
        };
        rebuilt += usize::from(parts.canonical.is_some());
        let accepted = recognise(&copy, &Limits::default()).unwrap();
        let leaves: Vec<_> = accepted.leaves.iter().map(|leaf| decode(&copy, leaf)).collect();
        expected.push((*class, leaves, shown(mail, &parts)));
        copies.push(copy);
    }
    println!("{} mails: {held} held, {rebuilt} rebuilt, {} passed", mails.len(), copies.len() - rebuilt);
    let mut failures = Failures(BTreeMap::new());
    let answers = ask_all(&copies);
    for (judge, exact, answers) in &answers {
        for (((class, leaves, shown), copy), opened) in expected.iter().zip(&copies).zip(answers) {
            let shape = |leaves: &[Vec<u8>]| {
                leaves
                    .iter()
                    .map(|leaf| squeezed(leaf))
                    .filter(|leaf| !leaf.is_empty())
                    .collect::<BTreeSet<_>>()
            };
            let (opened, wanted) = (shape(opened), shape(leaves));
            for leaf in &opened {
                // A piece of what was scanned was scanned; some readers put texts together, and lines that are none of a file.
                let piece = shown.iter().any(|view| find(view, leaf));
                let telling = shown.iter().filter(|view| view.len() > TELLING);
                let together = !exact && wanted.iter().chain(telling).any(|part| find(leaf, part));
                if !piece && !together {
                    failures.add("opened and not scanned", *class, judge, copy, leaf);
                }
            }
            // It shows texts in UTF-8 whatever their charset.
            let other_charset = *class == 36 && judge == "mail-parser";
            if *exact && opened != wanted && !other_charset {
                failures.add("read otherwise", *class, judge, copy, &[]);
            }
        }
    }
    assert!(answers.len() >= 5 || nix_user(), "judges are missing: {}", answers.len());
    assert!(failures.0.is_empty(), "{:#?}", failures.0);
    assert!(rebuilt * 4 > mails.len(), "few mails were rebuilt: {rebuilt}");
}

#[test]
fn a_virus_that_any_reader_opens_in_an_evasive_mail_is_found_by_the_builtin_engine() {
    let virus = eicar();
    let mails = generate(&virus);
    let filter = filter();
    let raw: Vec<Vec<u8>> = mails.iter().map(|(_, mail)| mail.clone()).collect();
    let answers = ask_all(&raw);
    let mut failures = Failures(BTreeMap::new());
    let (mut opened_by_some, mut found_in_all) = (0, 0);
    for (number, (class, mail)) in mails.iter().enumerate() {
        let parts = take_apart(mail, &filter);
        let found = shown(mail, &parts).iter().any(|view| find(view, &squeezed(&virus)));
        // What is held because of its form is not delivered, whatever it holds.
        let held = delivered(mail, &parts).is_none();
        found_in_all += usize::from(found);
        let openers: Vec<&String> = answers
            .iter()
            .filter(|(_, _, answers)| answers[number].iter().any(|leaf| find(leaf, &virus)))
            .map(|(judge, ..)| judge)
            .collect();
        opened_by_some += usize::from(!openers.is_empty());
        if let (Some(judge), false, false) = (openers.first(), found, held) {
            failures.add("opened and not found", *class, judge, mail, &[]);
        }
    }
    println!("{} mails, opened by some reader: {opened_by_some}, found: {found_in_all}", mails.len());
    assert!(failures.0.is_empty(), "{:#?}", failures.0);
    assert!(found_in_all * 10 >= mails.len() * 8);
}

/// Without root nothing can be installed, and fewer judges are no failure.
fn nix_user() -> bool {
    !nix::unistd::geteuid().is_root()
}
