//! Three clients at once on one mailbox, each doing what chance says, through Mailward and scanned.
//!
//! `MAILWARD_MINUTES` is how long, otherwise some seconds; `MAILWARD_SEED` makes it another walk, the seed that failed the same.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

use mailward_tests::dovecot::Dovecot;
use mailward_tests::imap_client::Imap;
use mailward_tests::mailward::{Config, Mailward};
use mailward_tests::wanderer::{Kind, Octets, Seen, Wanderer, is_evil, mailbox};
use mailward_tests::{mails, root_or_skip};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const SECONDS: u64 = 8;

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}

#[test]
fn three_clients_do_as_they_please_and_every_answer_is_what_it_must_be() {
    if !root_or_skip("three_clients_do_as_they_please_and_every_answer_is_what_it_must_be") {
        return;
    }
    let seed = variable("MAILWARD_SEED").unwrap_or(2026);
    let time = Duration::from_secs(variable("MAILWARD_MINUTES").map_or(SECONDS, |minutes| minutes * 60));
    let maildrop: Vec<Vec<u8>> = (0..60)
        .map(|n| match n % 10 {
            4 => mails::plain(&format!("invoice {n}"), &mails::eicar()),
            8 => mails::in_parts(&format!("attached {n}"), "application/octet-stream", &mails::eicar()),
            _ => mails::plain(&format!("mail {n}"), &format!("line of mail {n}\r\n").repeat(n * 7)),
        })
        .collect();
    let dovecot = Dovecot::start(&maildrop);
    let mailward = Mailward::start(&Config::scanning(dovecot.imap_address()).imap());
    let octets = Octets::default();
    octets.lock().unwrap().extend((1..).zip(maildrop.into_iter().map(Arc::new)));
    let kinds = [Kind::Plain, Kind::Condstore, Kind::Qresync];
    let mut wanderers: Vec<Wanderer> = (0..)
        .zip(kinds)
        .map(|(number, kind)| {
            let (ours, theirs) = (mailward.address(), dovecot.imap_address());
            let mut wanderer = Wanderer::new(number, kind, ours, theirs, &octets, seed);
            (1..=60)
                .filter(|uid| uid % 3 == u32::try_from(number).unwrap())
                .for_each(|uid| wanderer.adopt(uid));
            wanderer
        })
        .collect();

    let (end, failed) = (Instant::now() + time, AtomicBool::new(false));
    thread::scope(|scope| {
        for wanderer in &mut wanderers {
            let failed = &failed;
            scope.spawn(move || {
                while Instant::now() < end && !failed.load(Ordering::Relaxed) {
                    if catch_unwind(AssertUnwindSafe(|| wanderer.step())).is_err() {
                        eprintln!("seed {seed}, the last of it:\n{}", wanderer.story());
                        failed.store(true, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert!(!failed.load(Ordering::Relaxed), "an answer was not what it must be");

    let (direct, highest) = mailbox(&mut Imap::login(dovecot.imap_address()), true);
    let (proxied, highest_here) = mailbox(&mut Imap::login(mailward.address()), false);
    assert_eq!(highest, highest_here, "HIGHESTMODSEQ");
    let as_listed: BTreeMap<u32, Seen> =
        direct.iter().map(|(uid, seen)| (*uid, Seen { octets: Vec::new(), ..seen.clone() })).collect();
    assert_eq!(as_listed, proxied, "UIDs, flags, MODSEQ");
    assert_eq!(direct.len(), wanderers.iter().map(|wanderer| wanderer.own.len()).sum::<usize>());
    for wanderer in &mut wanderers {
        for (uid, flags) in &wanderer.own {
            let seen = &direct[uid];
            assert_eq!(seen.flags, *flags, "flags of UID {uid}");
            assert!(seen.octets == **octets.lock().unwrap().get(uid).unwrap(), "octets of UID {uid}");
        }
        let filed = wanderer.folder();
        assert_eq!(filed.len(), wanderer.filed.len());
        for ((mail, flags), (expected, expected_flags)) in filed.iter().zip(&wanderer.filed) {
            assert!(mail == expected && flags == expected_flags, "{flags:?} {expected_flags:?}");
        }
        println!("{:?}", wanderer.done);
    }
    let evil = octets.lock().unwrap().values().filter(|mail| is_evil(mail)).count();
    println!(
        "seed {seed}: {} mails were there, {evil} evil; {} are left",
        octets.lock().unwrap().len(),
        direct.len()
    );
}
