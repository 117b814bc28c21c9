//! NAT redirection in a laboratory of network namespaces: client, gateway with Mailward, server.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

use mailward_tests::dovecot::Dovecot;
use mailward_tests::mailward::{Config, Mailward};
use mailward_tests::netns::{Firewall, run, text};
use mailward_tests::{mails, root_or_skip, until};
use serde_json::Value;

/// Fetches mail 1 from `address` in the client's namespace; prints the greeting and the mail.
const FETCH: &str = "import poplib, sys\n\
    p = poplib.POP3(sys.argv[1], 110, timeout=20)\n\
    p.user('user'); p.pass_('secret')\n\
    sys.stdout.write('\\n'.join(line.decode() for line in p.retr(1)[1]))\n\
    p.quit()\n";

fn config(firewall: &Firewall) -> Config {
    let engine = "[antivirus.builtin]\nsignatures = [\"builtin:test\", \"SIGNATURES\"]\n";
    Config {
        listener:
            "transparent = { method = \"redirect\", ports = [\"110\"], interfaces = [\"lan0\", \"lan9\"] }\n"
                .into(),
        rest: engine.into(),
        listen: Some("[::]:10110".parse().unwrap()),
        namespace: Some(firewall.gateway.clone()),
        ..Config::default()
    }
}

fn fetch(firewall: &Firewall, address: &str) -> (bool, String) {
    let output = run(&firewall.client, &["python3", "-c", FETCH, address]);
    (output.status.success(), text(&output))
}

#[test]
fn a_client_that_dials_the_server_is_served_through_mailward_by_ipv4_and_ipv6() {
    if !root_or_skip("a_client_that_dials_the_server_is_served_through_mailward_by_ipv4_and_ipv6") {
        return;
    }
    let firewall = Firewall::new();
    let _dovecot = Dovecot::start_in(&firewall.server, 110, &[mails::infected()]);
    let before = firewall.ruleset();
    let (direct, content) = fetch(&firewall, "10.77.2.2");
    assert!(
        direct && content.contains(&mails::eicar()),
        "without Mailward the laboratory must leak: {content}"
    );

    let mut mailward = Mailward::start(&config(&firewall));
    assert_ne!(firewall.ruleset(), before);
    mailward.logged("an interface that is not there", |record| record["interface"] == "lan9");
    for address in ["10.77.2.2", "fd77:2::2"] {
        let (fetched, content) = fetch(&firewall, address);
        assert!(fetched, "{address}: {content}");
        assert!(!content.contains(&mails::eicar()), "{address}: {content}");
        assert!(content.contains("standard-bad"), "{address}: {content}");
    }
    let start = mailward.logged("a session", |record| record["record"] == "SESSION-START");
    assert!(start.to_string().contains("10.77.2.2:110"), "the original destination is logged: {start}");

    assert_eq!(mailward.stop(), Some(0));
    assert_eq!(firewall.ruleset(), before);
}

#[test]
fn one_machine_serves_who_dials_it_and_who_dials_a_server_at_the_same_port() {
    if !root_or_skip("one_machine_serves_who_dials_it_and_who_dials_a_server_at_the_same_port") {
        return;
    }
    let firewall = Firewall::new();
    let _dovecot = Dovecot::start_in(&firewall.server, 110, &[mails::plain("for all", "x")]);
    let mut config = config(&firewall);
    config.command = "listener = [\"lab\"]\n".into();
    config.rest.push_str(
        "[[listener]]\nname = \"explicit\"\nprotocol = \"pop3\"\naddress = [\"10.77.1.1:110\"]\ntls = \"off\"\n\
         [[command-acl]]\nlistener = [\"explicit\"]\nplug-to = [\"10.77.2.2:110\"]\nserver-tls = \"off\"\n",
    );
    let mailward = Mailward::start(&config);
    for (address, listener, transparent) in [("10.77.1.1", "explicit", false), ("10.77.2.2", "lab", true)] {
        let (fetched, content) = fetch(&firewall, address);
        assert!(fetched && content.contains("for all"), "{address}: {content}");
        let start = |record: &Value| record["record"] == "SESSION-START" && record["listener"] == listener;
        assert_eq!(mailward.logged(listener, start)["transparent"], transparent);
    }
}

#[test]
fn a_killed_supervisor_leaves_no_redirection_behind() {
    if !root_or_skip("a_killed_supervisor_leaves_no_redirection_behind") {
        return;
    }
    let firewall = Firewall::new();
    let before = firewall.ruleset();
    let mut mailward = Mailward::start(&config(&firewall));
    assert_ne!(firewall.ruleset(), before);
    mailward.kill();
    until("the table to vanish with its owner", 5, || (firewall.ruleset() == before).then_some(()));
}

#[test]
fn a_second_instance_refuses_to_redirect_and_the_first_goes_on() {
    if !root_or_skip("a_second_instance_refuses_to_redirect_and_the_first_goes_on") {
        return;
    }
    let firewall = Firewall::new();
    let _first = Mailward::start(&config(&firewall));
    let with_first = firewall.ruleset();
    let second = Config { listen: Some("[::]:10111".parse().unwrap()), ..config(&firewall) };
    let (code, log) = Mailward::refuses(&second);
    assert_ne!(code, Some(0));
    assert!(format!("{log:?}").contains("mailward"), "{log:?}");
    assert_eq!(firewall.ruleset(), with_first);
}

#[test]
fn a_client_that_dials_the_gateway_itself_is_not_looped() {
    if !root_or_skip("a_client_that_dials_the_gateway_itself_is_not_looped") {
        return;
    }
    let firewall = Firewall::new();
    let mailward = Mailward::start(&config(&firewall));
    let script = "import socket\ns = socket.create_connection(('10.77.1.1', 10110), 5)\nprint(s.recv(200))\n";
    let output = run(&firewall.client, &["python3", "-c", script]);
    assert!(!text(&output).contains("+OK"), "{output:?}");
    let sessions = mailward.log_count(|record| record["record"] == "SESSION-START");
    assert!(sessions <= 1, "the connection came back to itself {sessions} times");
}
