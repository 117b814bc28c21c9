//! Names in lists of hosts: a real lookup process, asking a name server of the test's.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

use mailward_tests::client::Client;
use mailward_tests::mailward::{Config, Mailward};
use mailward_tests::server::Server;
use mailward_tests::{mails, root_or_skip, until};
use nix::sched::{CloneFlags, unshare};
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

/// A name server that gives one address for every name that it knows, and says of others that there are none.
struct NameServer {
    address: SocketAddr,
    known: Arc<Mutex<Vec<(&'static str, Ipv4Addr)>>>,
}

impl NameServer {
    fn start(known: &[(&'static str, Ipv4Addr)]) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let known = Arc::new(Mutex::new(known.to_vec()));
        let shared = Arc::clone(&known);
        thread::spawn(move || {
            let mut question = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut question) {
                let answer = answer(&question[..length], &shared.lock().unwrap());
                let _ = socket.send_to(&answer, from);
            }
        });
        Self { address, known }
    }

    fn change(&self, known: &[(&'static str, Ipv4Addr)]) {
        *self.known.lock().unwrap() = known.to_vec();
    }
}

/// RFC 1035 section 4: the question again, with an A or a PTR record if it asks for one that is known.
fn answer(question: &[u8], known: &[(&'static str, Ipv4Addr)]) -> Vec<u8> {
    let (mut name, mut at) = (String::new(), 12);
    while question[at] != 0 {
        let label = &question[at + 1..at + 1 + usize::from(question[at])];
        name = format!("{name}{}.", String::from_utf8_lossy(label).to_lowercase());
        at += 1 + label.len();
    }
    let end = at + 5;
    let (wants_a, wants_pointer) = (question[at + 2] == 1, question[at + 2] == 12);
    let name = name.trim_end_matches('.');
    let pointer = |address: &Ipv4Addr| {
        let [a, b, c, d] = address.octets();
        format!("{d}.{c}.{b}.{a}.in-addr.arpa")
    };
    let found = known.iter().find(|(known, address)| *known == name || pointer(address) == name);
    let record = found.filter(|(known, _)| if *known == name { wants_a } else { wants_pointer });
    let mut answer = question[..2].to_vec();
    answer.extend([
        0x81,
        if found.is_some() { 0x80 } else { 0x83 },
        0,
        1,
        0,
        u8::from(record.is_some()),
        0,
        0,
        0,
        0,
    ]);
    answer.extend(&question[12..end]);
    if let Some((known, address)) = record {
        let data = if wants_a { address.octets().to_vec() } else { encoded(known) };
        answer.extend([
            0xc0,
            12,
            0,
            question[at + 2],
            0,
            1,
            0,
            0,
            0,
            1,
            0,
            u8::try_from(data.len()).unwrap(),
        ]);
        answer.extend(data);
    }
    answer
}

fn encoded(name: &str) -> Vec<u8> {
    let label = |label: &str| [&[u8::try_from(label.len()).unwrap()], label.as_bytes()].concat();
    name.split('.').flat_map(label).chain([0]).collect()
}

/// Whether a client with this address, which is one of this machine's, gets in.
fn gets_in_from(mailward: &Mailward, from: Ipv4Addr) -> bool {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, socket};
    let client = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
    let [a, b, c, d] = from.octets();
    bind(client.as_raw_fd(), &SockaddrIn::new(a, b, c, d, 0)).unwrap();
    connect(client.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, mailward.address().port())).unwrap();
    let mut greeting = [0; 3];
    TcpStream::from(client).read(&mut greeting).unwrap() == 3 && greeting == *b"+OK"
}

fn named(server: &Server, names: &NameServer, from: &str) -> Config {
    let mut config = Config::scanning(server.address());
    config.rest += &format!("[resolver]\nservers = [\"{}\"]\nstartup-timeout = \"2s\"\n", names.address);
    config.command = format!("from = [{from}]\n");
    config
}

fn gets_in(mailward: &Mailward) -> bool {
    Client::connect(mailward.address()).1.starts_with("+OK")
}

const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);

#[test]
fn a_name_lets_its_addresses_in_from_the_first_connection_on() {
    let server = Server::start(vec![mails::plain("a", "b")], &[]);
    let names = NameServer::start(&[("office.example", HERE), ("other.example", ELSEWHERE)]);
    let mailward = Mailward::start(&named(&server, &names, "\"office.example\""));
    assert_eq!(Client::login(mailward.address()).retrieve(1), mails::plain("a", "b"));
    let mailward = mailward.restart(&named(&server, &names, "\"Other.Example\""));
    assert!(!gets_in(&mailward));
    let mailward = mailward.restart(&named(&server, &names, "\"*\", \"!other.example\""));
    assert!(gets_in(&mailward));
    let mailward = mailward.restart(&named(&server, &names, "\"*\", \"!office.example\""));
    assert!(!gets_in(&mailward));
}

#[test]
fn a_name_that_does_not_resolve_matches_nothing_and_behind_a_bang_everything() {
    let server = Server::start(vec![], &[]);
    let names = NameServer::start(&[("office.example", HERE)]);
    for from in ["\"nobody.example\"", "\"*\", \"!nobody.example\""] {
        let mailward = Mailward::start(&named(&server, &names, from));
        assert!(!gets_in(&mailward), "{from}");
        mailward.logged("the name", |line| line["message"] == "a name in a list of hosts did not resolve");
    }
    let mailward = Mailward::start(&named(&server, &names, "\"nobody.example\", \"office.example\""));
    assert!(gets_in(&mailward), "the other name is enough");
}

#[test]
fn a_name_server_that_is_silent_delays_the_start_as_long_as_it_is_told_to_and_no_longer() {
    let server = Server::start(vec![], &[]);
    let names = NameServer::start(&[]);
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let names = NameServer { address: silent.local_addr().unwrap(), ..names };
    let config = named(&server, &names, "\"127.0.0.1\", \"office.example\"");
    let begun = std::time::Instant::now();
    let mailward = Mailward::start(&config);
    assert!(begun.elapsed() >= std::time::Duration::from_secs(1));
    mailward.logged("the warning", |line| {
        line["message"] == "started without knowing all names in lists of hosts"
            && line["names"] == "office.example"
    });
    assert!(gets_in(&mailward), "addresses decide without names");
}

#[test]
fn a_name_that_moves_takes_effect_and_running_sessions_go_on() {
    let server = Server::start(vec![mails::plain("a", "b")], &[]);
    let names = NameServer::start(&[("office.example", HERE)]);
    let mailward = Mailward::start(&named(&server, &names, "\"office.example\""));
    let mut client = Client::login(mailward.address());
    names.change(&[("office.example", ELSEWHERE)]);
    // A reload asks again at once, as the minute does that a test cannot wait for.
    assert_eq!(mailward.reload(&[]).status.code(), Some(0));
    until("the name to stand for another address", 10, || (!gets_in(&mailward)).then_some(()));
    assert_eq!(client.retrieve(1), mails::plain("a", "b"));
    names.change(&[("office.example", HERE)]);
    assert_eq!(mailward.reload(&["--keep-sessions"]).status.code(), Some(0));
    until("it to be back", 10, || gets_in(&mailward).then_some(()));
}

#[test]
fn a_pattern_of_names_is_held_against_the_name_that_the_clients_address_confirms() {
    if !root_or_skip("a_pattern_of_names_is_held_against_the_name_that_the_clients_address_confirms") {
        return;
    }
    // Loopback addresses have no names but localhost (RFC 6761), so this network has others. It goes with its thread.
    let network = thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        for command in ["link set lo up", "address add 10.9.0.8/29 dev lo"] {
            assert!(Command::new("ip").args(command.split(' ')).status().unwrap().success());
        }
        clients_with_names();
    });
    network.join().unwrap();
}

fn clients_with_names() {
    let server = Server::start(vec![mails::infected()], &[]);
    let [office, liar, stranger] = [[10, 9, 0, 9], [10, 9, 0, 10], [10, 9, 0, 11]].map(Ipv4Addr::from);
    // The liar's address points to a name that has another address.
    let names = NameServer::start(&[("pc9.office.example", office), ("pc9.office.example", liar)]);
    for (from, expected) in [
        ("\"*.office.example\"", [true, false, false]),
        ("\"*.example\"", [true, false, false]),
        ("\"pc*.office.example\"", [true, false, false]),
        ("\"/^PC[0-9]+[.]office[.]/\"", [true, false, false]),
        ("\"*.elsewhere.example\", \"10.9.0.10\"", [false, true, false]),
        ("\"*\", \"!*.office.example\"", [false, false, false]),
        ("\"*\", \"!*.elsewhere.example\"", [true, false, false]),
    ] {
        let mailward = Mailward::start(&named(&server, &names, from));
        let seen = [office, liar, stranger].map(|client| gets_in_from(&mailward, client));
        assert_eq!(seen, expected, "{from}");
        assert_eq!(gets_in_from(&mailward, office), expected[0], "{from}, asked again");
    }
}
