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
    ("getmail6", "imap", "every mail into a Maildir"),
    ("getmail6", "pop3", "every mail into a Maildir"),
    ("curl", "imap", "every mail by its UID"),
    ("mpop", "pop3", "every mail into a Maildir"),
    ("Python's imaplib", "imap", "every mail by its UID"),
    ("Python's imaplib", "imap", "while the engine is down, and again when it is back"),
    ("Python's poplib", "pop3", "every mail"),
];

/// Panics unless the manual says that this is run.
pub fn listed(client: &str, protocol: &str, what: &str) {
    assert!(RUN.contains(&(client, protocol, what)), "tests/src/clients.rs does not list {client}: {what}");
}

/// docs/clients.md.
pub fn manual() -> String {
    let mut text = "# Mail clients\n\n\
        These run in `tests/run`, in the versions of Debian 12, in front of a real dovecot and with scanning on. The mailbox \
        holds clean,\ninfected and ambiguous mails of several sizes; each client must end with exactly the octets that the server holds, and with\n\
        a notice in place of each mail that is not let through. IMAP clients run in clear text and through TLS.\n\n\
        | client | protocol | what is run |\n|---|---|---|\n"
        .to_owned();
    for (client, protocol, what) in RUN {
        text.push_str(&format!("| {client} | {protocol} | {what} |\n"));
    }
    text.push_str("\nThis page is printed by `tests/src/clients.rs`, and a test compares it.\n");
    text
}
