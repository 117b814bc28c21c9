//! The table of mail clients in docs/clients.md: what the tests run. A test says what it is about to run, and that must
//! stand here.

/// Client, protocol, what is run.
const RUN: &[(&str, &str, &str)] = &[
    ("mbsync", "imap", "the mailbox into a Maildir, twice"),
    ("mbsync", "imap", "while the engine is down, and again when it is back"),
    ("offlineimap3", "imap", "the mailbox into a Maildir, twice"),
    ("offlineimap3", "imap", "while the engine is down, and again when it is back"),
    ("fetchmail", "imap", "every mail, kept on the server"),
    ("fetchmail", "pop3", "every mail, kept on the server"),
    ("fetchmail", "pop3", "every mail, deleted on the server where it was not replaced"),
    ("fetchmail", "pop3", "every mail, deleted on the server, replaced ones once the quarantine has them"),
    ("getmail6", "imap", "every mail into a Maildir"),
    ("getmail6", "pop3", "every mail into a Maildir"),
    ("curl", "imap", "every mail by its UID"),
    ("curl", "imap", "through intercepted TLS: two mails, an upload, and one that is refused"),
    ("mutt", "imap", "every mail tagged and copied into a Maildir"),
    ("Thunderbird", "imap", "the mailbox synchronised for use offline"),
    ("mpop", "pop3", "every mail into a Maildir"),
    ("Python's imaplib", "imap", "every mail by its UID"),
    ("Python's imaplib", "imap", "while the engine is down, and again when it is back"),
    ("Python's IMAPClient", "imap", "lists, then mails in sets of 50, with size and envelope"),
    ("Perl's Mail::IMAPClient", "imap", "every mail by its UID"),
    ("Python's poplib", "pop3", "every mail"),
];

/// Panics unless the manual says that this is run.
pub fn listed(client: &str, protocol: &str, what: &str) {
    assert!(RUN.contains(&(client, protocol, what)), "tests/src/clients.rs does not list {client}: {what}");
}

/// Rows that no test source has.
pub fn never_run(sources: &[String]) -> Vec<&'static str> {
    let is_run = |client: &str, what: &str| {
        sources.iter().any(|source| [client, what].iter().all(|text| source.contains(&format!("\"{text}\""))))
    };
    RUN.iter().filter(|(client, _, what)| !is_run(client, what)).map(|(_, _, what)| *what).collect()
}

/// docs/clients.md.
pub fn manual() -> String {
    let mut text = "# Mail clients\n\n\
        These run in `tests/run`, in the versions of Debian 12 (IMAPClient 3.0.1 from PyPI), in front of a real dovecot and with scanning\n\
        on. The mailbox holds clean, infected and ambiguous mails of several kinds and sizes; each client must end with exactly the octets\n\
        that the server holds, and with a notice in place of each mail that is not let through. IMAP clients run in clear text and through\n\
        TLS. Thunderbird runs without a screen, in a new profile that keeps every mail for use offline.\n\n\
        | client | protocol | what is run |\n|---|---|---|\n"
        .to_owned();
    for (client, protocol, what) in RUN {
        text.push_str(&format!("| {client} | {protocol} | {what} |\n"));
    }
    text.push_str(
        "\nWith 2,000 mails, 80 of them infected, in clear text (November 2026, two busy cores, a build for debugging), each of these ended\n\
         with 1,920 mails octet for octet and 80 notices. Seconds: IMAPClient 6, Mail::IMAPClient 7, imaplib 8, Thunderbird 14, mbsync 15,\n\
         curl 29, mutt 32, fetchmail 35, offlineimap3 39.\n",
    );
    text.push_str("\nThis page is printed by `tests/src/clients.rs`, and a test compares it.\n");
    text
}
