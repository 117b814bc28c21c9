//! The walls around every process, seen from outside through `/proc`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

use mailward_tests::client::Client;
use mailward_tests::mailward::{Config, Mailward};
use mailward_tests::process::{children, command_line, descriptor_kinds, namespace, status};
use mailward_tests::server::Server;
use mailward_tests::{mails, root_or_skip};
use std::collections::HashSet;
use std::fmt::Write;
use std::fs;

#[test]
fn every_child_is_confined_as_root_finds_it_in_proc() {
    if !root_or_skip("every_child_is_confined_as_root_finds_it_in_proc") {
        return;
    }
    let server = Server::start(vec![mails::plain("fine", "body")], &[]);
    let mailward = Mailward::start(&Config::scanning(server.address()));
    Client::login(mailward.address()).retrieve(1);
    let mut uids = HashSet::new();
    for role in ["worker", "scanner"] {
        let pids = mailward.role_count(role, 1);
        for pid in &pids {
            let uid = status(*pid, "Uid").unwrap();
            let ids: HashSet<&str> = uid.split_whitespace().collect();
            assert_eq!(ids.len(), 1, "{role}: {uid}");
            assert!(!ids.contains("0"), "{role}");
            uids.insert((role, uid.clone()));
            assert_eq!(status(*pid, "Groups").unwrap(), "", "{role}");
            assert_eq!(status(*pid, "NoNewPrivs").unwrap(), "1", "{role}");
            assert_eq!(status(*pid, "Seccomp").unwrap(), "2", "{role}");
            for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
                assert_eq!(status(*pid, set).unwrap(), "0000000000000000", "{role} {set}");
            }
            for kind in ["net", "mnt", "ipc", "uts"] {
                assert_ne!(namespace(*pid, kind), namespace(mailward.pid(), kind), "{role} {kind}");
            }
            let root: Vec<_> = fs::read_dir(format!("/proc/{pid}/root/")).unwrap().collect();
            assert!(root.is_empty(), "{role}: {root:?}");
            let routes = fs::read_to_string(format!("/proc/{pid}/net/dev")).unwrap();
            assert_eq!(routes.lines().skip(2).count(), 1, "{role} sees more than lo: {routes}");
            assert_eq!(fs::read(format!("/proc/{pid}/environ")).unwrap_or_default(), b"", "{role}");
            // Ctrl-C on the supervisor's terminal does not reach it: pid (name) state parent group.
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
            let group = stat.rsplit(')').next().unwrap().split_whitespace().nth(2).unwrap();
            assert_eq!(group, pid.to_string(), "{role}: {stat}");
            assert!(command_line(*pid).starts_with(&format!("mailward {role}")), "{}", command_line(*pid));
            let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
            for (limit, value) in [("Max core file size", "0"), ("Max processes", "0")] {
                let line = limits.lines().find(|line| line.starts_with(limit)).unwrap();
                let soft = line[limit.len()..].split_whitespace().next().unwrap();
                assert_eq!(soft, value, "{role} {limit}");
            }
        }
    }
    let distinct: HashSet<_> = uids.iter().map(|(_, uid)| uid).collect();
    assert_eq!(distinct.len(), 2, "worker and scanner must not share a uid: {uids:?}");
}

#[test]
fn a_scanner_holds_no_socket_but_its_link_and_log() {
    if !root_or_skip("a_scanner_holds_no_socket_but_its_link_and_log") {
        return;
    }
    let server = Server::start(vec![mails::plain("fine", "body")], &[]);
    let mailward = Mailward::start(&Config::scanning(server.address()));
    Client::login(mailward.address()).retrieve(1);
    std::thread::sleep(std::time::Duration::from_millis(200));
    for pid in mailward.role("scanner") {
        let kinds = descriptor_kinds(pid);
        let sockets: HashSet<&String> = kinds.iter().filter(|kind| kind.starts_with("socket:")).collect();
        // The link, the log, and the pair by which the runtime would hear of signals.
        assert!(sockets.len() <= 4, "{kinds:?}");
        assert!(kinds.iter().all(|kind| !kind.contains(".eml") && !kind.starts_with("/etc")), "{kinds:?}");
    }
}

#[test]
fn two_tenants_never_share_a_process_or_a_uid() {
    if !root_or_skip("two_tenants_never_share_a_process_or_a_uid") {
        return;
    }
    let server = Server::start(vec![mails::plain("fine", "body")], &[]);
    let second = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut config = Config::scanning(server.address());
    write!(config.rest,
        "[[tenant]]\nname = \"acme\"\n[[listener]]\nname = \"acme\"\nprotocol = \"pop3\"\naddress = [\"{second}\"]\ntls = \"off\"\ntenant = \"acme\"\n"
    )
    .unwrap();
    let mailward = Mailward::start(&config);
    assert_eq!(Client::login(mailward.address()).retrieve(1), mails::plain("fine", "body"));
    assert_eq!(Client::login(second).retrieve(1), mails::plain("fine", "body"));
    let reports = mailward.reports();
    let of = |tenant: &str| -> HashSet<(u64, u64)> {
        let mine = reports.iter().filter(|report| report["tenant"] == tenant);
        mine.map(|report| (report["pid"].as_u64().unwrap(), report["walls"]["uid"].as_u64().unwrap()))
            .collect()
    };
    let (default, acme) = (of("default"), of("acme"));
    assert!(default.len() >= 2 && acme.len() >= 2, "{reports:?}");
    for (pid, uid) in &acme {
        assert!(default.iter().all(|(other_pid, other_uid)| pid != other_pid && uid != other_uid));
    }
}

#[test]
fn no_process_of_a_tenant_has_another_tenants_rules_in_its_memory() {
    if !root_or_skip("no_process_of_a_tenant_has_another_tenants_rules_in_its_memory") {
        return;
    }
    let server = Server::start(vec![mails::infected()], &[]);
    let second = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut config = Config::scanning(server.address());
    write!(
        config.rest,
        "[[tenant]]\nname = \"acme\"\n[[listener]]\nname = \"acme\"\nprotocol = \"pop3\"\naddress = [\"{second}\"]\n\
         tls = \"off\"\ntenant = \"acme\"\n"
    )
    .unwrap();
    for tenant in ["default", "acme"] {
        write!(
            config.rest,
            "[[command-acl]]\nname = \"session-of-{tenant}\"\ntenant = [\"{tenant}\"]\nplug-to = [\"{}\"]\n\
             server-tls = \"off\"\n[[mail-acl]]\nname = \"mail-of-{tenant}\"\ntenant = [\"{tenant}\"]\n\
             virus = [\"infected\"]\naction = \"deny\"\n",
            server.address()
        )
        .unwrap();
    }
    config.command = "tenant = [\"default\"]\nfrom = [\"192.0.2.1\"]\n".into();
    let mailward = Mailward::start(&config);
    for address in [mailward.address(), second] {
        assert!(Client::login(address).command("RETR 1").starts_with("-ERR"), "the tenant's own rule denies");
    }
    let reports = mailward.reports();
    let mut searched = 0;
    for (tenant, other) in [("default", "acme"), ("acme", "default")] {
        for report in reports.iter().filter(|report| report["tenant"] == tenant) {
            let role = report["role"].as_str().unwrap();
            let Some(memory) = memory(report["pid"].as_u64().unwrap()) else { continue };
            let rule = match role {
                "worker" => "session",
                "scanner" => "mail",
                _ => continue,
            };
            let (own, others) = (format!("{rule}-of-{tenant}"), format!("{rule}-of-{other}"));
            let has = |text: &str| memchr::memmem::find(&memory, text.as_bytes()).is_some();
            assert!(has(&own), "a {role} of {tenant} must know its own rules, or this test finds nothing");
            assert!(!has(&others), "a {role} of {tenant} knows a rule of {other}");
            searched += 1;
        }
    }
    assert!(searched >= 4, "{reports:?}");
}

/// All that a process has in its memory; `None`: it has ended.
fn memory(pid: u64) -> Option<Vec<u8>> {
    use std::os::unix::fs::FileExt;
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
    let file = fs::File::open(format!("/proc/{pid}/mem")).ok()?;
    let mut all = Vec::new();
    for line in maps.lines().filter(|line| line.contains(" r")) {
        let (first, last) = line.split(' ').next()?.split_once('-')?;
        let [first, last] = [first, last].map(|bound| u64::from_str_radix(bound, 16).unwrap());
        let mut piece = vec![0; usize::try_from(last - first).unwrap()];
        // Some mappings, such as the kernel's own, cannot be read.
        if file.read_exact_at(&mut piece, first).is_ok() {
            all.extend(piece);
        }
    }
    Some(all)
}

#[test]
fn with_isolation_session_every_session_has_a_process_of_its_own() {
    let server = Server::start(vec![mails::plain("fine", "body")], &[]);
    let mut config = Config::scanning(server.address());
    config.service = "isolation = \"session\"\nspare-workers = 2\n".into();
    let mailward = Mailward::start(&config);
    let mut clients: Vec<Client> = (0..8).map(|_| Client::login(mailward.address())).collect();
    for client in &mut clients {
        assert_eq!(client.retrieve(1), mails::plain("fine", "body"));
    }
    assert!(mailward.role_count("worker", 8).len() >= 8);
    for client in &mut clients {
        client.command("QUIT");
    }
    mailward_tests::until("the spent workers to be gone", 10, || {
        (mailward.role("worker").len() <= 3).then_some(())
    });
    assert_eq!(Client::login(mailward.address()).retrieve(1), mails::plain("fine", "body"));
}

#[test]
fn the_supervisor_keeps_no_client_and_no_server_descriptor_while_a_session_runs() {
    let server = Server::start(vec![mails::plain("fine", "body")], &[]);
    let mailward = Mailward::start(&Config::scanning(server.address()));
    let before = descriptor_kinds(mailward.pid()).len();
    let clients: Vec<Client> = (0..20).map(|_| Client::login(mailward.address())).collect();
    let after = descriptor_kinds(mailward.pid()).len();
    assert!(after <= before + 4, "{before} before, {after} with {} sessions", clients.len());
    assert!(!children(mailward.pid()).is_empty());
}
