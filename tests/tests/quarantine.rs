//! The quarantine: an original is on disk before its client sees the first changed octet, and only then can it be deleted.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

use mailward_tests::client::Client;
use mailward_tests::dovecot::Dovecot;
use mailward_tests::mailward::{Config, Mailward, binary};
use mailward_tests::server::Server;
use mailward_tests::{mails, root_or_skip, until};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, SystemTime};

fn contains(mail: &[u8], text: &str) -> bool {
    String::from_utf8_lossy(mail).contains(text)
}

fn end(pid: u32, signal: Signal) {
    let _ = kill(Pid::from_raw(pid.try_into().unwrap()), signal);
}

fn folder(mailward: &Mailward) -> PathBuf {
    mailward.state_dir().join("quarantine/default")
}

fn quarantine(mailward: &Mailward, arguments: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.arg("quarantine").args(arguments).arg("-c").arg(mailward.directory().join("mailward.toml"));
    command.output().unwrap()
}

fn listed(mailward: &Mailward) -> Vec<Value> {
    let output = quarantine(mailward, &["list", "--json"]);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn exported(mailward: &Mailward, case: &str) -> Vec<u8> {
    let file = mailward.directory().join("exported.eml");
    let _ = fs::remove_file(&file);
    let output = quarantine(mailward, &["export", case, file.to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    assert!(contains(&output.stderr, "infected"), "a warning");
    assert!(
        !quarantine(mailward, &["export", case, file.to_str().unwrap()]).status.success(),
        "never over a file"
    );
    fs::read(file).unwrap()
}

#[test]
fn a_replaced_mail_is_kept_before_it_is_served_and_can_then_be_deleted_on_a_real_server() {
    if !root_or_skip("a_replaced_mail_is_kept_before_it_is_served_and_can_then_be_deleted_on_a_real_server") {
        return;
    }
    let large = String::from_utf8(mails::large(3_000_000)).unwrap() + &mails::eicar() + "\r\n";
    let maildrop = [mails::plain("one", "1"), mails::infected(), large.into_bytes()];
    let dovecot = Dovecot::start(&maildrop);
    // The large one waits in a file, not in memory.
    let config =
        Config { service: "spool-file-above = \"1MiB\"\n".into(), ..Config::scanning(dovecot.address()) };
    let mailward = Mailward::start(&config);
    let mut client = Client::login(mailward.address());
    let sizes: Vec<u64> = (1..=3).map(|number| size(&client.command(&format!("LIST {number}")))).collect();
    let infected = sizes.iter().position(|size| *size == maildrop[1].len() as u64).unwrap() + 1;
    let notice = client.retrieve(infected);
    assert!(!contains(&notice, &mails::eicar()));
    let kept = listed(&mailward);
    assert_eq!(kept.len(), 1);
    let record = &kept[0];
    assert_eq!((record["user"].as_str(), record["statuses"].as_str()), (Some("user"), Some("infected")));
    assert!(record["viruses"][0]["name"].as_str().unwrap().to_lowercase().contains("eicar"), "{record}");
    assert!(!record.to_string().contains("invoice"), "nothing of the mail itself");
    let case = record["case"].as_str().unwrap().to_owned();
    assert!(contains(&notice, &case));
    assert_eq!(exported(&mailward, &case), maildrop[1]);
    assert!(client.command(&format!("DELE {infected}")).starts_with("+OK"));
    let doubtful = (1..=3).find(|number| sizes[number - 1] > 1_000_000).unwrap();
    client.retrieve(doubtful);
    assert!(client.command(&format!("DELE {doubtful}")).starts_with("+OK"));
    assert!(client.command("QUIT").starts_with("+OK"));
    until("dovecot to delete", 10, || (dovecot.mails().len() == 1).then_some(()));
    let cases: Vec<String> =
        listed(&mailward).iter().map(|kept| kept["case"].as_str().unwrap().to_owned()).collect();
    let copies: Vec<Vec<u8>> = cases.iter().map(|case| exported(&mailward, case)).collect();
    assert!(maildrop[1..].iter().all(|mail| copies.contains(mail)), "{cases:?}");
}

fn size(listing: &str) -> u64 {
    listing.split(' ').nth(2).unwrap().parse().unwrap()
}

#[test]
fn what_is_kept_is_known_after_a_restart_and_what_was_deleted_is_not() {
    let server = Server::start(vec![mails::infected()], &[]);
    let config = Config::scanning(server.address());
    let mailward = Mailward::start(&config);
    let notice = Client::login(mailward.address()).retrieve(1);
    let case = listed(&mailward)[0]["case"].as_str().unwrap().to_owned();
    let mailward = mailward.restart(&config);
    mailward.logged("the quarantine to open", |record| {
        record.to_string().contains("the quarantine is open")
            && record.to_string().contains("\"copies\":\"1\"")
    });
    let mut client = Client::login(mailward.address());
    assert_eq!(client.command("LIST 1"), format!("+OK 1 {}", notice.len()));
    assert!(quarantine(&mailward, &["delete", &case]).status.success());
    assert!(listed(&mailward).is_empty());
    drop(client);
    let mut client = Client::login(mailward.address());
    let refusal = client.command("DELE 1");
    assert!(refusal.starts_with("-ERR") && refusal.contains("replaced"), "{refusal}");
    // Looked at again, it is kept again.
    assert_eq!(client.retrieve(1), notice);
    assert!(client.command("DELE 1").starts_with("+OK"));
    assert_eq!(exported(&mailward, &case), mails::infected());
}

#[test]
fn without_a_place_for_the_original_the_notice_is_served_and_dele_is_refused_loudly() {
    if !root_or_skip("without_a_place_for_the_original_the_notice_is_served_and_dele_is_refused_loudly") {
        return;
    }
    let large = String::from_utf8(mails::large(300_000)).unwrap() + &mails::eicar() + "\r\n";
    let server = Server::start(vec![mails::infected(), large.into_bytes()], &[]);
    let mailward = Mailward::start(&Config::scanning(server.address()));
    let _disk = SmallDisk::under(&mailward, "size=64k");
    let mut client = Client::login(mailward.address());
    let notice = client.retrieve(2);
    assert!(!contains(&notice, &mails::eicar()));
    assert!(client.command("DELE 2").starts_with("-ERR"));
    mailward.logged("the full disk to be said", |record| {
        let text = record.to_string();
        text.contains("an original is not in the quarantine") && text.contains("No space left")
    });
    client.retrieve(1);
    assert!(client.command("DELE 1").starts_with("+OK"));
}

/// The quarantine's folder on a small disk of its own, until this is dropped.
struct SmallDisk {
    place: PathBuf,
}

impl SmallDisk {
    fn under(mailward: &Mailward, size: &str) -> Self {
        let place = folder(mailward);
        mount(Some("q"), &place, Some("tmpfs"), MsFlags::empty(), Some(size)).unwrap();
        let former = mailward.role_count("writer", 1);
        end(former[0], Signal::SIGKILL);
        until("a writer for the small disk", 20, || {
            let writers = mailward.role("writer");
            (writers != former && writers.len() == 1).then_some(())
        });
        Self { place }
    }

    fn again(&self, flags: MsFlags) {
        mount(None::<&str>, &self.place, None::<&str>, MsFlags::MS_REMOUNT | flags, None::<&str>).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = umount2(&self.place, MntFlags::MNT_DETACH);
    }
}

/// This mail of a fresh session: its notice, and the answer to its deletion, which is taken back.
fn read_and_delete(mailward: &Mailward, number: usize) -> (Vec<u8>, String) {
    let mut client = Client::login(mailward.address());
    let notice = client.retrieve(number);
    let answer = client.command(&format!("DELE {number}"));
    assert!(client.command("RSET").starts_with("+OK"));
    (notice, answer)
}

#[test]
fn a_disk_that_is_full_or_read_only_loses_nothing_and_all_is_kept_once_it_is_neither() {
    if !root_or_skip("a_disk_that_is_full_or_read_only_loses_nothing_and_all_is_kept_once_it_is_neither") {
        return;
    }
    let server = Server::start(vec![mails::infected(), mails::plain("fine", "x")], &[]);
    let mailward = Mailward::start(&Config::scanning(server.address()));
    let disk = SmallDisk::under(&mailward, "size=64k");
    let filler = disk.place.join("filler");
    let mut notices = Vec::new();
    let refused = |why: &str, notices: &mut Vec<Vec<u8>>| {
        let (notice, answer) = read_and_delete(&mailward, 1);
        assert!(answer.starts_with("-ERR") && answer.contains("replaced"), "{why}: {answer}");
        mailward.logged(why, |record| {
            let text = record.to_string();
            text.contains("an original is not in the quarantine") && text.contains(why)
        });
        assert!(listed(&mailward).is_empty(), "{why}");
        let left: Vec<_> =
            fs::read_dir(&disk.place).unwrap().flatten().map(|entry| entry.file_name()).collect();
        assert!(left.is_empty() || left == ["filler"], "{why}: {left:?}");
        notices.push(notice);
        // Nobody else is stopped by it.
        assert!(Client::login(mailward.address()).retrieve(2) == mails::plain("fine", "x"));
    };
    assert!(fs::write(&filler, vec![0; 1 << 20]).is_err(), "the disk is full now");
    refused("No space left", &mut notices);
    disk.again(MsFlags::MS_RDONLY);
    refused("Read-only file system", &mut notices);
    disk.again(MsFlags::empty());
    refused("No space left", &mut notices);
    fs::remove_file(&filler).unwrap();
    let (notice, answer) = read_and_delete(&mailward, 1);
    assert!(answer.starts_with("+OK"), "{answer}");
    assert!(notices.iter().all(|earlier| *earlier == notice), "what the client was served stays the same");
    assert_eq!(listed(&mailward).len(), 1);
    assert_eq!(exported(&mailward, listed(&mailward)[0]["case"].as_str().unwrap()), mails::infected());
}

#[test]
fn under_load_a_full_quarantine_stays_within_its_size_and_what_expires_makes_room() {
    const MAILS: usize = 24;
    const MOST: u64 = 1 << 20;
    // Of some 100 KiB each: no more than ten fit.
    let infected = |number: usize| {
        let large = String::from_utf8(mails::large(100_000)).unwrap();
        let subject = format!("Subject: plans {number}\r\n");
        (large.replace("Subject: Plans\r\n", &subject) + &mails::eicar() + "\r\n").into_bytes()
    };
    let server = Server::start((0..MAILS).map(infected).collect(), &[]);
    let mut config = Config::scanning(server.address());
    config.rest.push_str("[quarantine]\nmax-size = \"1MiB\"\nkeep = \"1h\"\n");
    let mailward = Mailward::start(&config);
    let octets = |mailward: &Mailward| -> u64 {
        fs::read_dir(folder(mailward)).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
    };
    // Six sessions at once, each its own mails: how many of them can be deleted.
    let round = |mailward: &Mailward| -> usize {
        let address = mailward.address();
        thread::scope(|scope| {
            let sessions: Vec<_> = (0..6)
                .map(|session| {
                    scope.spawn(move || {
                        let mut client = Client::login(address);
                        let mine = (1..=MAILS).filter(|number| number % 6 == session);
                        mine.filter(|number| {
                            let notice = client.retrieve(*number);
                            assert!(!contains(&notice, &mails::eicar()));
                            let kept = client.command(&format!("DELE {number}")).starts_with("+OK");
                            assert!(octets(mailward) <= MOST + 120_000, "one may be half written");
                            kept
                        })
                        .count()
                    })
                })
                .collect();
            sessions.into_iter().map(|session| session.join().unwrap()).sum()
        })
    };
    let kept = round(&mailward);
    assert!((7..=10).contains(&kept), "{kept}");
    assert_eq!(listed(&mailward).len(), kept, "what can be deleted is there");
    assert!(octets(&mailward) <= MOST);
    mailward.logged("the limit to be said", |record| record.to_string().contains("max-size is reached"));
    // Two hours later.
    let old = SystemTime::now() - Duration::from_secs(2 * 3600);
    let first: Vec<PathBuf> =
        fs::read_dir(folder(&mailward)).unwrap().map(|entry| entry.unwrap().path()).collect();
    for path in &first {
        File::options().write(true).open(path).unwrap().set_modified(old).unwrap();
    }
    let mailward = mailward.restart(&config);
    mailward.logged("expiry to be said", |record| record.to_string().contains("older than `keep`"));
    assert!(listed(&mailward).is_empty());
    let again = round(&mailward);
    assert!((7..=10).contains(&again), "{again}");
    assert_eq!(listed(&mailward).len(), again);
    for kept in listed(&mailward) {
        let mail = exported(&mailward, kept["case"].as_str().unwrap());
        assert!((0..MAILS).any(|number| mail == infected(number)), "whole");
    }
}

#[test]
fn a_folder_that_is_gone_and_a_writer_that_died_lose_nothing_and_are_replaced() {
    let server = Server::start(vec![mails::infected()], &[]);
    let mailward = Mailward::start(&Config::scanning(server.address()));
    fs::remove_dir(folder(&mailward)).unwrap();
    let mut client = Client::login(mailward.address());
    let notice = client.retrieve(1);
    assert!(client.command("DELE 1").starts_with("-ERR"));
    mailward.logged("the missing folder to be said", |record| {
        record.to_string().contains("its directory is gone")
    });
    drop(client);
    for round in 0..2 {
        until("the mail to be kept by a successor", 20, || {
            let mut client = Client::login(mailward.address());
            assert_eq!(client.retrieve(1), notice);
            client.command("DELE 1").starts_with("+OK").then(|| client.command("RSET"))
        });
        assert_eq!(listed(&mailward).len(), 1);
        if round == 0 {
            for pid in mailward.role("writer") {
                end(pid, Signal::SIGKILL);
            }
            fs::remove_dir_all(folder(&mailward)).unwrap();
        }
    }
}

#[test]
fn the_writer_has_walls_of_its_own_and_only_its_own_folder() {
    if !root_or_skip("the_writer_has_walls_of_its_own_and_only_its_own_folder") {
        return;
    }
    let server = Server::start(vec![], &[]);
    let mailward = Mailward::start(&Config::scanning(server.address()));
    let pid = mailward.role_count("writer", 1)[0];
    let reports = mailward.reports();
    let uid = |role: &str| {
        reports.iter().find(|report| report["role"] == role).unwrap()["walls"]["uid"].as_u64().unwrap()
    };
    assert_ne!(uid("writer"), uid("worker"));
    assert_ne!(uid("writer"), uid("scanner"));
    let folders: Vec<PathBuf> = fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .filter_map(|fd| fs::read_link(fd.unwrap().path()).ok())
        .filter(|path| path.is_absolute() && path.as_os_str() != "/dev/null")
        .collect();
    assert_eq!(folders, [folder(&mailward)]);
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    assert!(status.contains("Seccomp:\t2") && status.contains("CapEff:\t0000000000000000"), "{status}");
    assert!(fs::read_dir(format!("/proc/{pid}/root")).unwrap().next().is_none());
}

#[test]
fn a_full_quarantine_refuses_what_would_be_lost_and_a_reload_makes_room() {
    let large = String::from_utf8(mails::large(1_200_000)).unwrap() + &mails::eicar() + "\r\n";
    let server = Server::start(vec![large.into_bytes(), mails::infected()], &[]);
    let mut config = Config::scanning(server.address());
    config.rest.push_str("[quarantine]\nmax-size = \"1MiB\"\n");
    let mailward = Mailward::start(&config);
    let mut client = Client::login(mailward.address());
    client.retrieve(1);
    assert!(client.command("DELE 1").starts_with("-ERR"));
    mailward.logged("the limit to be said", |record| record.to_string().contains("max-size is reached"));
    mailward.edit(|text| text.replace("max-size = \"1MiB\"", "max-size = \"100MiB\""));
    assert!(mailward.reload(&[]).status.success());
    client.retrieve(1);
    assert!(client.command("DELE 1").starts_with("+OK"));
    // Off: what is there stays, and nothing more is kept.
    mailward.edit(|text| text.replace("max-size = \"100MiB\"", "enabled = false"));
    assert!(mailward.reload(&[]).status.success());
    let mut client = Client::login(mailward.address());
    client.retrieve(2);
    assert!(client.command("DELE 2").starts_with("-ERR"));
    assert_eq!(listed(&mailward).len(), 1);
}
