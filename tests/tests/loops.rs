//! Ways that lead in a circle: back by another proxy, and back by the machine's own redirection. They end by themselves.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

use mailward_tests::imap_client::Imap;
use mailward_tests::mailward::{Config, Mailward};
use mailward_tests::netns::{Firewall, run, text};
use mailward_tests::{root_or_skip, until};
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

fn sessions(mailward: &Mailward) -> usize {
    mailward.log_count(|record| record["record"] == "SESSION-START")
}

/// A proxy that sees octets and nothing else: whatever comes in goes on to where it is told.
fn relay() -> (SocketAddr, Arc<Mutex<Option<SocketAddr>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let to = Arc::new(Mutex::new(None::<SocketAddr>));
    let target = Arc::clone(&to);
    thread::spawn(move || {
        for inward in listener.incoming().map_while(Result::ok) {
            let Some(Ok(onward)) = target.lock().unwrap().map(TcpStream::connect) else { continue };
            let ways = [(inward.try_clone().unwrap(), onward.try_clone().unwrap()), (onward, inward)];
            for (mut from, mut to) in ways {
                thread::spawn(move || {
                    let _ = io::copy(&mut from, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Both);
                });
            }
        }
    });
    (address, to)
}

#[test]
fn a_circle_through_another_proxy_ends_when_the_count_is_used_up() {
    let (address, to) = relay();
    let mut config = Config::scanning(address).imap();
    config.command.push_str("user = [\"*\"]\n");
    let mailward = Mailward::start(&config);
    *to.lock().unwrap() = Some(mailward.address());
    let mut client = Imap::connect(mailward.address());
    assert!(client.greeting.contains(" ID "), "{}", client.greeting);
    let begun = Instant::now();
    client.begin("LOGIN user secret");
    let last = String::from_utf8(client.response()).unwrap();
    assert!(last.starts_with("* BYE [UNAVAILABLE]"), "{last}");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    mailward.logged("the circle", |record| record.to_string().contains("they lead in a circle"));
    assert_eq!(sessions(&mailward), 5);
}

#[test]
fn a_connection_of_our_own_that_a_redirection_brings_back_is_known() {
    if !root_or_skip("a_connection_of_our_own_that_a_redirection_brings_back_is_known") {
        return;
    }
    let firewall = Firewall::new();
    let rules = "add table ip circle; add chain ip circle out { type nat hook output priority -100; }; \
                 add rule ip circle out ip daddr 10.77.2.99 tcp dport 143 redirect to :1143";
    let output = run(&firewall.gateway, &["nft", rules]);
    assert!(output.status.success(), "{output:?}");
    let mut config = Config::scanning("10.77.2.99:143".parse().unwrap()).imap();
    config.listen = Some("0.0.0.0:1143".parse().unwrap());
    config.namespace = Some(firewall.gateway.clone());
    let mailward = Mailward::start(&config);
    let script = "exec 3<>/dev/tcp/10.77.1.1/1143; timeout 5 cat <&3";
    let heard = text(&run(&firewall.client, &["bash", "-c", script]));
    assert!(heard.is_empty() || heard.starts_with("* BYE"), "{heard}");
    mailward.logged("the circle", |record| record["message"] == "a connection of our own came back to us");
    let begun = until("every session to end", 20, || {
        let ended = mailward.log_count(|record| record["record"] == "SESSION-END");
        Some(sessions(&mailward)).filter(|begun| *begun == ended)
    });
    assert!(begun <= 8, "{begun}");
    // The next client hears so at once, and nobody is dialled.
    run(&firewall.client, &["bash", "-c", script]);
    assert_eq!(sessions(&mailward), begun + 1);
}
