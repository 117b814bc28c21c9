//! Every file of `transcripts/` is a POP3 session, every file of `imap_transcripts/` one of IMAP: what each peer sends and what each
//! must see. It is replayed with whole writes, byte by byte and with random cuts, and must come out the same each time.
//! The language is described in `replay/mod.rs`.
#![expect(clippy::unwrap_used, reason = "a transcript that cannot be read is a failed test")]
mod pair;
mod replay;

use pair::Start;
use std::path::Path;
use worker_proto::imap::Imap;
use worker_proto::pop3::Pop3;

const POP3_LOGIN: &str = "S: +OK ready\nc: +OK ready\nC: USER alice\ns: USER alice\nS: +OK\nc: +OK\nC: PASS secret word\n\
                     s: PASS secret word\nS: +OK hello\nc: +OK hello\nevent: LoggedIn { user: \"alice\" }";

const IMAP_LOGIN: &str = "S: * OK ready\nc: * OK ready\nC: a0 LOGIN alice secret\ns: m1 LOGIN alice secret\nS: m1 OK hello\n\
                     c: a0 OK hello\nevent: LoggedIn { user: \"alice\" }";

/// A login, and a mailbox with three mails.
const IMAP_INBOX: &str = "S: * OK ready\nc: * OK ready\nC: a0 LOGIN alice secret\ns: m1 LOGIN alice secret\nS: m1 OK hello\n\
                     c: a0 OK hello\nC: a1 SELECT INBOX\ns: m2 SELECT INBOX\nS: * 3 EXISTS\n\
                     S: * OK [UIDVALIDITY 7] valid\nS: m2 OK [READ-WRITE] opened\nc: * 3 EXISTS\n\
                     c: * OK [UIDVALIDITY 7] valid\nc: a1 OK [READ-WRITE] opened\n\
                     event: Selected { mailbox: \"INBOX\", uid_validity: 7 }";

#[test]
fn every_transcript_comes_out_the_same_however_it_is_cut() {
    replay_folder::<Pop3>("transcripts", 90, &[("@login", POP3_LOGIN)]);
}

#[test]
fn every_transcript_of_imap_comes_out_the_same_however_it_is_cut() {
    replay_folder::<Imap>("imap_transcripts", 80, &[("@login", IMAP_LOGIN), ("@inbox", IMAP_INBOX)]);
}

fn replay_folder<M: Start>(folder: &str, at_least: usize, macros: &[(&str, &str)]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= at_least, "{} transcripts", files.len());
    let mut failures = Vec::new();
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let mut text = std::fs::read_to_string(&file).unwrap();
        for (from, lines) in macros {
            text = text.replace(from, lines);
        }
        match std::panic::catch_unwind(|| replay::replay_all::<M>(&text)) {
            Ok(()) => {}
            Err(panic) => {
                let words = panic.downcast_ref::<String>().cloned().unwrap_or_default();
                failures.push(format!("{name}: {words}"));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}
