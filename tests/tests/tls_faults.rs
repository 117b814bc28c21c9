//! What goes wrong with TLS: slow peers, killed processes, revoked certificates, wrong files. And real clients.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

use mailward_tests::client::Client;
use mailward_tests::client_tls::Tls;
use mailward_tests::dovecot::Dovecot;
use mailward_tests::mailward::{Config, Mailward, binary};
use mailward_tests::pki::{Flaws, Pair, Pki};
use mailward_tests::server::Server;
use mailward_tests::server_tls::{STARTTLS, TlsServer};
use mailward_tests::{mails, root_or_skip, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

const NAME: &str = "mail.example.net";

/// In front of this server, with this certificate and further lines of the client-tls.
fn in_front(server: &Server, listener: &str, pair: &str, lines: &str) -> Config {
    let mut config = Config::scanning(server.address());
    config.listener = listener.to_owned();
    config.rest.push_str(&format!("[client-tls.lab]\ncertificates = [{pair}]\n{lines}\n"));
    config
}

fn server() -> Server {
    Server::start(vec![mails::plain("a", "b")], &[])
}

#[test]
fn slow_handshakes_end_at_their_deadline_and_delay_nobody() {
    mailward_tests::raise_descriptor_limit();
    let pki = Pki::default();
    let config = in_front(&server(), "tls = \"implicit\"", &pki.sign(&[NAME]).toml(), "deadline = \"2s\"");
    let mailward = Mailward::start(&config);
    let mut slow: Vec<TcpStream> =
        (0..1000).map(|_| TcpStream::connect(mailward.address()).unwrap()).collect();
    let hello = [0x16, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3];
    for octet in hello {
        for stream in &mut slow {
            stream.write_all(&[octet]).unwrap();
        }
    }
    let begun = Instant::now();
    Client::connect_tls(mailward.address(), &Tls::new(&pki.ca(), NAME)).unwrap().0.log_in();
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    for stream in &mut slow {
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut rest = Vec::new();
        let ended = std::io::Read::read_to_end(stream, &mut rest);
        let reset = |error: &std::io::Error| error.kind() == std::io::ErrorKind::ConnectionReset;
        assert!(ended.as_ref().is_ok_and(|count| *count <= 7) || ended.is_err_and(|error| reset(&error)));
    }
    mailward.logged("the reason", |record| record.to_string().contains("did not end within 2 s"));
}

#[test]
fn clear_text_and_other_protocols_on_a_tls_port_are_closed() {
    let pki = Pki::default();
    let mailward = Mailward::start(&in_front(&server(), "tls = \"implicit\"", &pki.sign(&[NAME]).toml(), ""));
    for words in [&b"USER user\r\n"[..], b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", &[0; 600], &[0xff; 70_000]] {
        let mut stream = TcpStream::connect(mailward.address()).unwrap();
        let _ = stream.write_all(words);
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut answer = Vec::new();
        let _ = std::io::Read::read_to_end(&mut stream, &mut answer);
        assert!(answer.len() <= 7, "an alert at most: {answer:?}");
    }
    Client::connect_tls(mailward.address(), &Tls::new(&pki.ca(), NAME)).unwrap().0.log_in();
}

#[test]
fn a_killed_keyholder_costs_a_moment_and_no_session() {
    if !root_or_skip("a_killed_keyholder_costs_a_moment_and_no_session") {
        return;
    }
    let pki = Pki::default();
    let mailward = Mailward::start(&in_front(&server(), "tls = \"implicit\"", &pki.sign(&[NAME]).toml(), ""));
    let tls = Tls::new(&pki.ca(), NAME);
    let mut before = Client::connect_tls(mailward.address(), &tls).unwrap().0.log_in();
    for _ in 0..3 {
        let keyholder = mailward.role_count("keyholder", 1)[0];
        kill(Pid::from_raw(i32::try_from(keyholder).unwrap()), Signal::SIGKILL).unwrap();
        until("another keyholder", 20, || (mailward.role("keyholder") != [keyholder]).then_some(()));
        until("handshakes again", 20, || Client::connect_tls(mailward.address(), &tls).ok());
    }
    assert_eq!(before.command("NOOP"), "+OK", "what was secured goes on");
}

#[test]
fn a_session_that_waits_for_stls_outlives_its_keyholder() {
    if !root_or_skip("a_session_that_waits_for_stls_outlives_its_keyholder") {
        return;
    }
    let pki = Pki::default();
    let mailward = Mailward::start(&in_front(&server(), "tls = \"starttls\"", &pki.sign(&[NAME]).toml(), ""));
    let (waiting, _) = Client::connect(mailward.address());
    let mut other = Client::login(mailward.address());
    let (keyholder, workers) = (mailward.role_count("keyholder", 1)[0], mailward.role("worker"));
    kill(Pid::from_raw(i32::try_from(keyholder).unwrap()), Signal::SIGKILL).unwrap();
    let tls = Tls::new(&pki.ca(), NAME);
    until("handshakes again", 20, || Client::connect(mailward.address()).0.stls(&tls).ok());
    waiting.stls(&tls).unwrap().log_in();
    assert_eq!(other.command("NOOP"), "+OK");
    assert_eq!(mailward.role("worker"), workers, "nobody was taken for a liar");
}

#[test]
fn a_revoked_client_certificate_is_refused() {
    let (pki, users) = (Pki::default(), Pki::new("Users CA"));
    let crl = users.revoke(&[4711]);
    let lines = format!(
        "client-certificates = \"required\"\nclient-ca = \"{}\"\ncrl = [\"{}\"]",
        users.ca().display(),
        crl.display()
    );
    let mailward =
        Mailward::start(&in_front(&server(), "tls = \"implicit\"", &pki.sign(&[NAME]).toml(), &lines));
    for (serial, taken) in [(4710, true), (4711, false)] {
        let pair =
            users.sign_flawed(&["ann@example.net"], Flaws { serial: Some(serial), ..Flaws::default() });
        let tls = Tls::with_certificate(&pki.ca(), NAME, &pair);
        let greeting = Client::connect_tls(mailward.address(), &tls).map(|(_, greeting)| greeting);
        assert_eq!(greeting.is_ok_and(|greeting| greeting.starts_with("+OK")), taken, "{serial}");
    }
    mailward.logged("the reason", |record| record.to_string().contains("Revoked"));
}

fn openssl(arguments: &[&str], stdin: &str) -> Output {
    let mut command = Command::new("openssl");
    command.args(arguments).stdin(std::process::Stdio::piped());
    let mut child =
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// An RSA key that is encrypted, with a certificate that it signed, and the file with its passphrase.
fn encrypted_rsa(pki: &Pki) -> (Pair, String) {
    let base = pki.path().join("rsa");
    let pair = Pair { cert: base.with_extension("pem"), key: base.with_extension("key") };
    let passphrase = base.with_extension("pass");
    fs::write(&passphrase, "correct horse\n").unwrap();
    fs::set_permissions(&passphrase, fs::Permissions::from_mode(0o600)).unwrap();
    let file = format!("file:{}", passphrase.display());
    let key = pair.key.to_str().unwrap();
    let generated = openssl(&["genrsa", "-aes256", "-passout", &file, "-out", key, "2048"], "");
    assert!(generated.status.success(), "{}", String::from_utf8_lossy(&generated.stderr));
    let names = format!("subjectAltName=DNS:{NAME}");
    let made = openssl(
        &[
            ["req", "-x509", "-key", key, "-passin", &file, "-subj", "/CN=rsa", "-days", "9"].as_slice(),
            &["-addext", "basicConstraints=CA:FALSE", "-addext", &names, "-out", pair.cert.to_str().unwrap()],
        ]
        .concat(),
        "",
    );
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let toml = format!(
        "{{ cert = \"{}\", key = \"{}\", passphrase-file = \"{}\" }}",
        pair.cert.display(),
        pair.key.display(),
        passphrase.display()
    );
    (pair, toml)
}

#[test]
fn an_encrypted_rsa_key_serves_openssl_by_each_version_and_stls() {
    let pki = Pki::default();
    let (pair, toml) = encrypted_rsa(&pki);
    let server = server();
    for (listener, starttls) in
        [("tls = \"implicit\"", &[][..]), ("tls = \"starttls\"", &["-starttls", "pop3"])]
    {
        let mailward = Mailward::start(&in_front(&server, listener, &toml, ""));
        let address = mailward.address().to_string();
        for (version, suite) in [("-tls1_3", "TLSv1.3"), ("-tls1_2", "TLSv1.2")] {
            let ca = pair.cert.to_str().unwrap();
            let mut arguments = vec!["s_client", "-connect", &address, "-servername", NAME, "-CAfile", ca];
            arguments.extend(["-verify_return_error", "-crlf", version]);
            arguments.extend(starttls);
            let said = openssl(&arguments, "QUIT\n");
            let said = String::from_utf8_lossy(&said.stdout).into_owned();
            let shown = ["subject=CN = rsa", suite, "Verify return code: 0"];
            assert!(shown.iter().all(|part| said.contains(part)), "{version} {starttls:?}: {said}");
        }
        let refused =
            openssl(&["s_client", "-connect", &address, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], "");
        assert!(!refused.status.success(), "TLS 1.1");
    }
}

#[test]
fn a_key_and_its_passphrase_can_be_credentials_of_the_service() {
    let pki = Pki::default();
    let (pair, toml) = encrypted_rsa(&pki);
    let named = |key: &str, passphrase: &str| {
        let key = toml.replace(&pair.key.display().to_string(), &format!("credential:{key}"));
        key.replace(&pki.path().join("rsa.pass").display().to_string(), &format!("credential:{passphrase}"))
    };
    let server = server();
    let mut config = in_front(&server, "tls = \"implicit\"", &named("rsa.key", "rsa.pass"), "");
    let refused = |config: &Config, why: &str| {
        let (code, log) = Mailward::refuses(config);
        assert_eq!(code, Some(1), "{log:?}");
        assert!(format!("{log:?}").contains(why), "{why}: {log:?}");
    };
    refused(&config, "CREDENTIALS_DIRECTORY is not set");
    config.variable = Some(("CREDENTIALS_DIRECTORY", pki.path().to_owned()));
    let mailward = Mailward::start(&config);
    let greeting = |tls: &Tls| Client::connect_tls(mailward.address(), tls).map(|(_, greeting)| greeting);
    assert!(greeting(&Tls::new(&pair.cert, NAME)).unwrap().starts_with("+OK"));
    let mut missing = in_front(&server, "tls = \"implicit\"", &named("rsa.key", "other.pass"), "");
    missing.variable.clone_from(&config.variable);
    refused(&missing, "credential:other.pass");
    fs::set_permissions(pki.path().join("rsa.pass"), fs::Permissions::from_mode(0o644)).unwrap();
    refused(&config, "others can read it");
}

#[test]
fn implicit_tls_and_stls_have_one_policy() {
    let pki = Pki::default();
    let ca = pki.ca();
    let ca = ca.to_str().unwrap();
    let both = [pki.sign(&[NAME]), pki.sign(&["pop.example.org"])].map(|pair| pair.toml()).join(", ");
    let lines = "versions = [\"1.3\"]\nciphers = [\"TLS_AES_128_GCM_SHA256\"]";
    let server = server();
    for (listener, starttls) in
        [("tls = \"implicit\"", &[][..]), ("tls = \"starttls\"", &["-starttls", "pop3"])]
    {
        let mailward = Mailward::start(&in_front(&server, listener, &both, lines));
        let address = mailward.address().to_string();
        let shake = |more: &[&str]| {
            let first = ["s_client", "-connect", &address, "-CAfile", ca, "-verify_return_error"];
            let said = openssl(&[&first[..], starttls, more].concat(), "QUIT\n");
            let all = [said.stdout, said.stderr].concat();
            let all = String::from_utf8_lossy(&all).into_owned();
            (said.status.success() && all.contains("Cipher is TLS_AES_128_GCM_SHA256"), all)
        };
        let cases: [(&[&str], bool); 8] = [
            (&["-tls1_3"], true),
            (&["-tls1_2"], false),
            (&["-ciphersuites", "TLS_AES_256_GCM_SHA384"], false),
            (&["-alpn", "pop3"], true),
            (&["-alpn", "http/1.1"], false),
            (&["-servername", "pop.example.org", "-verify_hostname", "pop.example.org"], true),
            (&["-servername", NAME, "-verify_hostname", NAME], true),
            (&["-servername", NAME, "-verify_hostname", "pop.example.org"], false),
        ];
        for (more, taken) in cases {
            let (shaken, said) = shake(more);
            assert_eq!(shaken, taken, "{listener} {more:?}: {said}");
        }
    }
}

#[test]
fn a_staple_is_shown_to_clients_that_ask() {
    let pki = Pki::default();
    let staple = pki.path().join("staple.der");
    // What is in it is the authority's business: it is passed as it is.
    fs::write(&staple, b"an OCSP answer").unwrap();
    let pair = pki.sign(&[NAME]);
    let toml = pair.toml().replace(" }", &format!(", staple = \"{}\" }}", staple.display()));
    let mailward = Mailward::start(&in_front(&server(), "tls = \"implicit\"", &toml, ""));
    let address = mailward.address().to_string();
    let said = openssl(&["s_client", "-connect", &address, "-status", "-tls1_2", "-msg"], "QUIT\n");
    let said = String::from_utf8_lossy(&said.stdout).to_lowercase();
    // "an OCSP answer" in hexadecimal, over two lines of the dump.
    assert!(
        said.contains("certificatestatus") || said.contains("61 6e 20 4f 43".to_lowercase().as_str()),
        "{said}"
    );
}

#[test]
fn check_reads_every_certificate_with_its_key_and_run_names_the_file_that_is_wrong() {
    let pki = Pki::default();
    let (good, other) = (pki.sign(&[NAME]), pki.sign(&["other.example.net"]));
    let mixed = Pair { cert: good.cert.clone(), key: other.key.clone() };
    let expired = pki.sign_flawed(&[NAME], Flaws { expired: true, ..Flaws::default() });
    let (rsa, _) = encrypted_rsa(&pki);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mailward.toml");
    for (pair, status, said) in [
        (&good, 0, "mail.example.net, "),
        (&good, 0, "days left"),
        (&mixed, 1, "is not the key of"),
        (&expired, 1, "expired"),
        (&rsa, 1, "it is encrypted: name its passphrase-file"),
    ] {
        let text = format!(
            "version = 1\n[client-tls.lab]\ncertificates = [{}]\n[[listener]]\nprotocol = \"pop3\"\n[[session-acl]]\n\
             [[command-acl]]\nplug-to = [\"192.0.2.1\"]\n[antivirus.clamd]\n",
            pair.toml()
        );
        fs::write(&path, text).unwrap();
        let output = Command::new(binary()).arg("check").arg("-c").arg(&path).output().unwrap();
        let all = [output.stdout, output.stderr].concat();
        let all = String::from_utf8_lossy(&all);
        assert_eq!(output.status.code(), Some(status), "{all}");
        assert!(all.contains(said), "{said}: {all}");
    }
    let none = Pair { cert: good.key.clone(), key: good.key.clone() };
    let (code, log) = Mailward::refuses(&in_front(&server(), "tls = \"implicit\"", &none.toml(), ""));
    assert_eq!(code, Some(1), "{log:?}");
    assert!(format!("{log:?}").contains("there is no certificate in it"), "{log:?}");
    let (code, log) = Mailward::refuses(&in_front(&server(), "tls = \"implicit\"", &rsa.toml(), ""));
    let log = format!("{log:?}");
    assert_eq!(code, Some(3), "{log}");
    assert!(log.contains("rsa.key") && log.contains("passphrase"), "{log}");
}

#[test]
fn probe_says_what_a_server_offers_and_whether_it_is_taken() {
    let pki = Pki::default();
    let dovecot = Dovecot::secured(&[], &pki.sign(&["127.0.0.1"]));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mailward.toml");
    fs::write(
        &path,
        format!(
            "version = 1\n[server-tls.lab]\nca = \"{}\"\n[[listener]]\nprotocol = \"pop3\"\ntls = \"off\"\n[[session-acl]]\n\
             [[command-acl]]\nplug-to = [\"192.0.2.1\"]\nserver-tls = \"lab\"\n[antivirus.clamd]\n",
            pki.ca().display()
        ),
    )
    .unwrap();
    let probe = |server: String, arguments: &[&str]| {
        let output = Command::new(binary()).args(["tls", "probe", &server]).args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let lab = ["-c", path.to_str().unwrap(), "--server-tls", "lab"];
    let (code, said) = probe(dovecot.tls_address().to_string(), &lab);
    assert!(code == Some(0) && said.contains("takes it") && said.contains("CN=127.0.0.1"), "{said}");
    let (code, said) = probe(dovecot.address().to_string(), &[&lab[..], &["--starttls", "pop3"]].concat());
    assert!(code == Some(0) && said.contains("TLSv1.2"), "{said}");
    let imap = TlsServer::start(&pki.sign(&["127.0.0.1"]), &[&rustls::version::TLS13], STARTTLS);
    let (code, said) = probe(imap.address().to_string(), &[&lab[..], &["--starttls", "imap"]].concat());
    assert!(code == Some(0) && said.contains("TLSv1.3") && said.contains("TLS 1.2: no"), "{said}");
    assert!(imap.heard().iter().all(|line| line == "s1 STARTTLS"), "{:?}", imap.heard());
    let (code, said) = probe(dovecot.tls_address().to_string(), &[]);
    assert!(code == Some(1) && said.contains("\"system\" refuses it"), "{said}");
}

#[test]
fn fetchmail_and_mpop_fetch_by_implicit_tls_and_by_stls() {
    if !root_or_skip("fetchmail_and_mpop_fetch_by_implicit_tls_and_by_stls") {
        return;
    }
    let pki = Pki::default();
    let mail = mails::plain("TLS", "fetched");
    let theirs = pki.sign(&["127.0.0.1"]);
    let dovecot = Dovecot::secured(std::slice::from_ref(&mail), &theirs);
    for (mode, fetchmail, mpop) in
        [("implicit", "ssl", "off"), ("starttls-required", "sslproto 'tls1.2+'", "on")]
    {
        let mut config = Config::scanning(dovecot.tls_address());
        config.listener = format!("tls = \"{mode}\"");
        config.command = "server-tls = \"lab\"".to_owned();
        let ours = pki.sign(&["localhost", "127.0.0.1"]);
        config.rest.push_str(&format!(
            "[client-tls.lab]\ncertificates = [{}]\n[server-tls.lab]\nca = \"{}\"\n",
            ours.toml(),
            pki.ca().display()
        ));
        let mailward = Mailward::start(&config);
        let directory = tempfile::tempdir().unwrap();
        let base = directory.path().display();
        let file = |name: &str, text: String| {
            let path = directory.path().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            path
        };
        let (ca, port) = (pki.ca(), mailward.address().port());
        let rc = file(
            "fetchmailrc",
            format!(
                "set no bouncemail\npoll 127.0.0.1 service {port} protocol pop3 user \"user\" password \"secret\" {fetchmail} \
                 sslcertck sslcertfile \"{ca}\" sslcommonname \"localhost\" fetchall keep no rewrite mda \"sh -c 'cat > {base}/f'\"\n",
                ca = ca.display()
            ),
        );
        let mut command = Command::new("fetchmail");
        command.args(["--nodetach", "--nosyslog", "--invisible", "-f"]).arg(&rc);
        let output =
            command.env("HOME", directory.path()).env("FETCHMAILHOME", directory.path()).output().unwrap();
        assert!(output.status.success(), "{mode}: {output:?}");
        let rc = file(
            "mpoprc",
            format!(
                "defaults\ntls on\ntls_starttls {mpop}\ntls_trust_file {ca}\nreceived_header off\nkeep on\nuidls_file {base}/uidls\n\
                 account lab\nhost localhost\nport {port}\nuser user\npassword secret\ndelivery mbox {base}/m\naccount default : lab\n",
                ca = ca.display()
            ),
        );
        let output = Command::new("mpop").arg("-C").arg(&rc).env("HOME", directory.path()).output().unwrap();
        assert!(output.status.success(), "{mode}: {output:?}");
        for got in ["f", "m"] {
            let got = fs::read_to_string(directory.path().join(got)).unwrap().replace("\r\n", "\n");
            assert!(got.contains("fetched"), "{mode}: {got}");
        }
    }
}
