//! TLS of connections that NAT brings, ended with certificates in the servers' place: client, gateway with Mailward and a real
//! dovecot in network namespaces.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

use mailward_tests::clients::listed;
use mailward_tests::dovecot::Dovecot;
use mailward_tests::mailward::{Config, Mailward};
use mailward_tests::netns::{Firewall, run, text};
use mailward_tests::pki::{Flaws, Pair, Pki};
use mailward_tests::{mails, root_or_skip};
use std::path::Path;

/// Fetches mail 1 from port 995 in the client's namespace, trusting one authority; prints the names and the issuer of the
/// certificate, and the mail.
const FETCH: &str = "import poplib, ssl, sys\n\
    context = ssl.create_default_context(cafile=sys.argv[1])\n\
    if len(sys.argv) > 3: context.load_cert_chain(sys.argv[3], sys.argv[4])\n\
    class Named(poplib.POP3_SSL):\n\
    \x20def _create_socket(self, timeout):\n\
    \x20 sock = poplib.POP3._create_socket(self, timeout)\n\
    \x20 return context.wrap_socket(sock, server_hostname=sys.argv[2])\n\
    try:\n\
    \x20p = Named('10.77.2.2', 995, timeout=20)\n\
    \x20shown = p.sock.getpeercert()\n\
    \x20print('issuer', shown['issuer'], 'names', shown['subjectAltName'])\n\
    \x20p.user('user'); p.pass_('secret')\n\
    \x20print('\\n'.join(line.decode() for line in p.retr(1)[1]))\n\
    \x20p.quit()\n\
    except (OSError, poplib.error_proto, EOFError) as error: print('failed', repr(error))\n";

const NAME: &str = "mail.example.net";

/// Everybody's authorities, and the gateway between client and server.
struct Lab {
    firewall: Firewall,
    /// Of the server's certificates.
    public: Pki,
    operator: Pki,
    untrusted: Pki,
}

impl Lab {
    fn new() -> Self {
        Self {
            firewall: Firewall::new(),
            public: Pki::new("Public CA"),
            operator: Pki::new("Operator CA"),
            untrusted: Pki::new("Untrusted CA"),
        }
    }

    fn server(&self, pair: &Pair, clients: Option<&Path>) -> Dovecot {
        Dovecot::secured_in(&self.firewall.server, &[mails::infected()], pair, clients)
    }

    /// `intercept`: further lines of it; `server_tls`: further lines of that.
    fn start(&self, intercept: &str, server_tls: &str) -> Mailward {
        self.start_as("", intercept, server_tls)
    }

    /// `service`: lines of that.
    fn start_as(&self, service: &str, intercept: &str, server_tls: &str) -> Mailward {
        Mailward::start(&self.config(service, intercept, server_tls))
    }

    /// For POP3.
    fn config(&self, service: &str, intercept: &str, server_tls: &str) -> Config {
        let own = self.operator.sign(&["gateway.example.net"]);
        Config {
            service: service.into(),
            listener: "tls = \"implicit\"\n\
                transparent = { method = \"redirect\", ports = [\"995\"], interfaces = [\"lan0\"] }\n"
                .into(),
            command: "server-tls = \"lab\"".into(),
            rest: format!(
                "[antivirus.builtin]\nsignatures = [\"builtin:test\", \"SIGNATURES\"]\n\
                 [client-tls.lab]\ncertificates = [{}]\n\
                 [client-tls.lab.intercept]\nca = {}\n{intercept}\n\
                 [server-tls.lab]\nca = \"{}\"\n{server_tls}\n",
                own.toml(),
                self.operator.authority().toml(),
                self.public.ca().display()
            ),
            listen: Some("[::]:10995".parse().unwrap()),
            namespace: Some(self.firewall.gateway.clone()),
            ..Config::default()
        }
    }

    /// curl in the client's namespace: with these words, at this path of INBOX; all that it says.
    fn curl(&self, trusted: &Pki, words: &[&str], path: &str) -> String {
        let (trusted, resolve) = (trusted.ca(), format!("{NAME}:993:10.77.2.2"));
        let url = format!("imaps://{NAME}/{path}");
        let own = [
            "curl",
            "-sSv",
            "-u",
            "user:secret",
            "--resolve",
            &resolve,
            "--cacert",
            trusted.to_str().unwrap(),
        ];
        let output = run(&self.firewall.client, &[&own, words, &[&url]].concat());
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }

    fn fetch(&self, trusted: &Pki, name: &str, pair: Option<&Pair>) -> String {
        let trusted = trusted.ca();
        let mut words = vec!["python3", "-c", FETCH, trusted.to_str().unwrap(), name];
        let pair = pair.map(|pair| [&pair.cert, &pair.key].map(|path| path.to_str().unwrap()));
        words.extend(pair.into_iter().flatten());
        text(&run(&self.firewall.client, &words))
    }
}

fn note(mailward: &Mailward, message: &str) -> String {
    mailward
        .logged(message, |record| record["message"].as_str().is_some_and(|said| said.contains(message)))
        .to_string()
}

#[test]
fn a_client_sees_the_servers_names_signed_by_the_operator_and_no_virus() {
    if !root_or_skip("a_client_sees_the_servers_names_signed_by_the_operator_and_no_virus") {
        return;
    }
    let lab = Lab::new();
    let _dovecot = lab.server(&lab.public.sign(&[NAME, "pop.example.net"]), None);
    let direct = lab.fetch(&lab.public, NAME, None);
    assert!(
        direct.contains("Public CA") && direct.contains(&mails::eicar()),
        "the laboratory must leak: {direct}"
    );

    let mailward = lab.start("", "");
    for name in [NAME, "pop.example.net", NAME] {
        let fetched = lab.fetch(&lab.operator, name, None);
        for said in ["Operator CA", NAME, "pop.example.net", "standard-bad"] {
            assert!(fetched.contains(said), "{name}: {said}: {fetched}");
        }
        assert!(!fetched.contains(&mails::eicar()), "{fetched}");
    }
    assert_eq!(mailward.who_holds(&lab.operator.authority().private_number()), ["keyholder"]);
    let stranger = lab.fetch(&lab.public, NAME, None);
    assert!(stranger.contains("failed") && stranger.contains("CERTIFICATE_VERIFY_FAILED"), "{stranger}");
    // A name that the server does not have is not signed, whoever asks for it.
    let other = lab.fetch(&lab.operator, "bank.example", None);
    assert!(other.contains("failed") && !other.contains("CERTIFICATE_VERIFY_FAILED"), "{other}");
    assert!(note(&mailward, "TLS with the server failed").contains("bank.example"));
    let ends = mailward.log_count(|record| record["end"] == "server-tls");
    assert_eq!(ends, 1);
}

#[test]
fn a_client_of_imap_sees_the_servers_names_and_no_virus_in_either_direction() {
    if !root_or_skip("a_client_of_imap_sees_the_servers_names_and_no_virus_in_either_direction") {
        return;
    }
    let lab = Lab::new();
    listed("curl", "imap", "through intercepted TLS: two mails, an upload, and one that is refused");
    let (pair, clean) = (lab.public.sign(&[NAME]), mails::plain("clean", "as it is"));
    let maildrop = [mails::infected(), clean.clone()];
    let dovecot = Dovecot::secured_in(&lab.firewall.server, &maildrop, &pair, None);
    let direct = lab.curl(&lab.public, &[], "INBOX;UID=1");
    assert!(direct.contains("CN=Public CA") && direct.contains(&mails::eicar()), "it must leak: {direct}");

    let mut config = lab.config("", "", "").imap();
    config.listener = config.listener.replace("995", "993");
    let mailward = Mailward::start(&config);
    let infected = lab.curl(&lab.operator, &[], "INBOX;UID=1");
    for said in ["CN=Operator CA", NAME, "standard-bad"] {
        assert!(infected.contains(said), "{said}: {infected}");
    }
    assert!(!infected.contains(&mails::eicar()), "{infected}");
    let got = lab.curl(&lab.operator, &[], "INBOX;UID=2");
    assert!(got.contains(std::str::from_utf8(&clean).unwrap()), "{got}");
    let refused = lab.curl(&lab.public, &[], "INBOX;UID=2");
    assert!(refused.contains("SSL certificate problem"), "{refused}");

    let folder = tempfile::tempdir().unwrap();
    for (mail, name) in [(&clean, "clean"), (&maildrop[0], "infected")] {
        let file = folder.path().join(name);
        std::fs::write(&file, mail).unwrap();
        let said = lab.curl(&lab.operator, &["-T", file.to_str().unwrap()], "Drafts");
        assert_eq!(said.contains("NO [CANNOT]"), name == "infected", "{said}");
    }
    assert_eq!(dovecot.folder("Drafts"), [clean]);
    assert_eq!(mailward.who_holds(&lab.operator.authority().private_number()), ["keyholder"]);
}

#[test]
fn a_server_has_one_certificate_in_its_place_in_every_worker_until_it_shows_another() {
    if !root_or_skip("a_server_has_one_certificate_in_its_place_in_every_worker_until_it_shows_another") {
        return;
    }
    let lab = Lab::new();
    let first = lab.server(&lab.public.sign(&[NAME]), None);
    let _mailward = lab.start_as("isolation = \"session\"\nspare-workers = 2", "", "");
    // Some openssl end without a word when their standard input does.
    let shown = || {
        let command = "openssl s_client -connect 10.77.2.2:995 -servername mail.example.net </dev/null 2>/dev/null \
            | openssl x509 -noout -serial -fingerprint -sha256 -dates -ext subjectAltName";
        text(&run(&lab.firewall.client, &["sh", "-c", command]))
    };
    let own = shown();
    assert!(own.contains("serial=") && own.contains(&format!("DNS:{NAME}")), "{own}");
    for _ in 0..3 {
        assert_eq!(shown(), own, "kept");
    }
    drop(first);
    let _second = lab.server(&lab.public.sign(&[NAME, "other.example.net"]), None);
    let other = shown();
    assert!(other.contains("DNS:other.example.net") && other != own, "{other}");
}

#[test]
fn a_server_that_is_accepted_by_an_exception_is_signed_by_the_other_authority_or_not_at_all() {
    if !root_or_skip(
        "a_server_that_is_accepted_by_an_exception_is_signed_by_the_other_authority_or_not_at_all",
    ) {
        return;
    }
    let lab = Lab::new();
    let flaws = Flaws { self_signed: true, ..Flaws::default() };
    let _dovecot = lab.server(&lab.public.sign_flawed(&[NAME], flaws), None);
    {
        let strict = lab.start("", "");
        assert!(lab.fetch(&lab.operator, NAME, None).contains("failed"));
        note(&strict, "TLS with the server failed");
    }
    {
        let alone = lab.start("", "accept = [\"self-signed\"]");
        assert!(lab.fetch(&lab.operator, NAME, None).contains("failed"));
        assert!(note(&alone, "no certificate in this server's place").contains("untrusted-ca"));
    }
    let untrusted = format!("untrusted-ca = {}", lab.untrusted.authority().toml());
    let mailward = lab.start(&untrusted, "accept = [\"self-signed\"]");
    let warned = lab.fetch(&lab.operator, NAME, None);
    assert!(warned.contains("CERTIFICATE_VERIFY_FAILED"), "{warned}");
    note(&mailward, "the client is warned");
    let careless = lab.fetch(&lab.untrusted, NAME, None);
    assert!(careless.contains("Untrusted CA") && careless.contains("standard-bad"), "{careless}");
}

#[test]
fn what_is_bypassed_is_relayed_as_it_is_and_a_name_must_be_proven() {
    if !root_or_skip("what_is_bypassed_is_relayed_as_it_is_and_a_name_must_be_proven") {
        return;
    }
    let lab = Lab::new();
    let _dovecot = lab.server(&lab.public.sign(&[NAME]), None);
    for (bypass, name, unseen) in [
        ("10.77.2.0/24", NAME, Some("by its address")),
        ("*.example.net", NAME, Some("by its name")),
        ("*.example.org", NAME, None),
    ] {
        let mailward = lab.start(&format!("bypass = [\"{bypass}\"]"), "");
        let trusted = if unseen.is_some() { &lab.public } else { &lab.operator };
        let fetched = lab.fetch(trusted, name, None);
        assert_eq!(fetched.contains(&mails::eicar()), unseen.is_some(), "{bypass}: {fetched}");
        assert!(!fetched.contains("failed"), "{bypass}: {fetched}");
        if let Some(why) = unseen {
            assert!(note(&mailward, "the connection is relayed unseen").contains(why));
            let end = mailward.logged("the end", |record| record["record"] == "SESSION-END");
            assert!(end["bytes_in"].as_u64().unwrap() > 1000, "{end}");
        }
    }
    let mailward = lab.start("bypass = [\"bank.example\"]", "");
    let lying = lab.fetch(&lab.public, "bank.example", None);
    assert!(lying.contains("failed") && !lying.contains(&mails::eicar()), "{lying}");
    note(&mailward, "TLS with the server failed");
}

#[test]
fn a_server_that_asks_for_the_clients_certificate_is_refused_or_bypassed() {
    if !root_or_skip("a_server_that_asks_for_the_clients_certificate_is_refused_or_bypassed") {
        return;
    }
    let lab = Lab::new();
    let users = Pki::new("Users CA");
    let _dovecot = lab.server(&lab.public.sign(&[NAME]), Some(&users.ca()));
    let ann = users.sign(&["ann.example.net"]);
    // TLS 1.2 asks for it in clear text, 1.3 does not.
    for versions in ["versions = [\"1.2\"]", "versions = [\"1.3\"]"] {
        {
            let mailward = lab.start("", versions);
            assert!(lab.fetch(&lab.operator, NAME, Some(&ann)).contains("failed"), "{versions}");
            note(&mailward, "the server asks for the client's certificate");
        }
        let mailward = lab.start("certificate-asked = \"bypass\"", versions);
        let fetched = lab.fetch(&lab.public, NAME, Some(&ann));
        assert!(fetched.contains("Public CA") && fetched.contains(&mails::eicar()), "{versions}: {fetched}");
        let asked = note(&mailward, "the connection is relayed unseen");
        assert!(asked.contains("asks for the client's certificate"), "{asked}");
        // What the client said first is what the server got: its own certificate was taken for what it is.
        assert!(lab.fetch(&lab.public, NAME, None).contains("failed"), "{versions}: nobody is shown for Ann");
    }
}

#[test]
fn who_dials_mailward_itself_is_shown_its_own_certificate() {
    if !root_or_skip("who_dials_mailward_itself_is_shown_its_own_certificate") {
        return;
    }
    let lab = Lab::new();
    let _dovecot = lab.server(&lab.public.sign(&[NAME]), None);
    let _mailward = lab.start("", "");
    let ca = lab.operator.ca();
    let words = [
        "openssl",
        "s_client",
        "-connect",
        "10.77.1.1:10995",
        "-servername",
        NAME,
        "-verify_return_error",
        "-CAfile",
    ];
    let output = run(&lab.firewall.client, &[&words[..], &[ca.to_str().unwrap()]].concat());
    let shown = text(&output);
    assert!(
        shown.contains("CN = gateway.example.net") && !shown.contains("CN = mail.example.net"),
        "{shown}"
    );
}
