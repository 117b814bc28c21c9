//! The mailboxes that sessions have open, as far as changed mails go (`changed.rs`): a session is told what was served
//! changed before, and what other sessions of the same mailbox add; what it is about to be served is on disk first.
use crate::changed::Mailbox;
use crate::children::ChildId;
use crate::event_loop::Supervisor;
use crate::handover::Server;
use ipc::ids::{Found, MailId, Selection, SessionId};
use ipc::log::Level;
use ipc::supervisor_worker::{ChangedMail, MAX_MAILBOX, ToWorker};
use policy::names::Protocol;
use std::rc::Rc;

/// Entries of the index in one message: each at most 128 octets encoded, so it stays below the message limit.
const PIECE: usize = 400;
/// Engines that found something in one mail.
const MOST_FOUND: usize = 8;
/// RFC 1939 section 7: a unique-id has at most 70 octets.
const MAX_UIDL: usize = 70;
/// POP3 has one maildrop, open from the login on.
const MAILDROP: Selection = Selection(0);

impl Supervisor {
    /// The server took a login.
    pub(crate) fn logged_in(&mut self, worker: ChildId, id: SessionId, user: &str) {
        let policy = Rc::clone(&self.policy);
        let Some(session) = self.sessions.live.get_mut(&id) else { return };
        let connected = matches!(session.server, Server::Told { connected: true });
        if !connected || session.logged_in || user.len() > 512 {
            self.condemn(worker, "reports a login out of place");
            return;
        }
        session.logged_in = true;
        user.clone_into(&mut session.user);
        let tenant = policy.tenants.get(usize::from(session.tenant)).map_or("", |name| name);
        let rule = session.rule.and_then(|rule| policy.command_acls.get(usize::from(rule)));
        let scans = rule.is_none_or(|rule| rule.session.download.scan);
        match policy.listeners.get(usize::from(session.listener)).map(|listener| listener.protocol) {
            Some(Protocol::Pop3) if scans => {
                let maildrop = self.index.maildrop(tenant, &session.server_key, user);
                self.open(worker, id, MAILDROP, maildrop);
            }
            // Its mailboxes are opened one by one; and where no mail is scanned none is changed.
            Some(Protocol::Pop3 | Protocol::Imap | Protocol::Sieve) | None => {}
        }
    }

    /// IMAP: a mailbox is open, in place of the one before.
    pub(crate) fn selected(
        &mut self,
        worker: ChildId,
        id: SessionId,
        selection: Selection,
        mailbox: &[u8],
        uid_validity: u32,
    ) {
        let policy = Rc::clone(&self.policy);
        let Some(session) = self.sessions.live.get_mut(&id) else { return };
        let protocol = policy.listeners.get(usize::from(session.listener)).map(|listener| listener.protocol);
        let last = session.mailbox.as_ref().map_or(MAILDROP, |(selection, _)| *selection);
        let in_place = session.logged_in && protocol == Some(Protocol::Imap) && selection > last;
        if !in_place || mailbox.is_empty() || mailbox.len() > MAX_MAILBOX {
            self.condemn(worker, "opens a mailbox out of place");
            return;
        }
        let tenant = policy.tenants.get(usize::from(session.tenant)).map_or("", |name| name);
        let mailbox = self.index.mailbox(tenant, &session.server_key, &session.user, mailbox, uid_validity);
        if let Some((_, former)) = session.mailbox.take() {
            self.leave(id, &former);
        }
        self.open(worker, id, selection, mailbox);
    }

    /// Tells a session what was served changed of this mailbox, and from now on what is.
    fn open(&mut self, worker: ChildId, id: SessionId, selection: Selection, mailbox: Mailbox) {
        let entries = match self.index.entries(&mailbox) {
            Ok(entries) => entries.to_vec(),
            Err(error) => {
                // What was replaced is not known any more, so nothing of this mailbox may be served or deleted.
                let fields = [("session", id.to_string()), ("error", error.to_string())];
                self.journal.note(Level::Error, "the index of changed mails cannot be read", &fields);
                self.kick(id);
                return;
            }
        };
        let Some(session) = self.sessions.live.get_mut(&id) else { return };
        let tenant = session.tenant;
        session.mailbox = Some((selection, mailbox.clone()));
        self.sessions.readers.entry(mailbox).or_default().push(id);
        let mut entries = self.marked_kept(tenant, entries);
        entries.iter_mut().for_each(|entry| entry.found.clear());
        let mut pieces = entries.chunks(PIECE).peekable();
        loop {
            let entries = pieces.next().unwrap_or_default().to_vec();
            let more = pieces.peek().is_some();
            let message = ToWorker::Changed { session: id, selection, entries, more };
            self.children.tell_worker(worker, message, Vec::new());
            if !more {
                return;
            }
        }
    }

    /// A session has this mailbox open no more.
    pub(crate) fn leave(&mut self, id: SessionId, mailbox: &Mailbox) {
        if let Some(readers) = self.sessions.readers.get_mut(mailbox) {
            readers.retain(|other| *other != id);
            if readers.is_empty() {
                self.sessions.readers.remove(mailbox);
                self.index.forget(mailbox);
            }
        }
    }

    /// A session is about to serve a changed mail.
    pub(crate) fn store(
        &mut self,
        worker: ChildId,
        id: SessionId,
        (selection, mail): (Selection, MailId),
        mut entry: ChangedMail,
    ) {
        let session = self.sessions.live.get(&id);
        let tenant = session.map_or(0, |session| session.tenant);
        let open = session.and_then(|session| session.mailbox.clone());
        let Some((_, mailbox)) = open.filter(|(open, _)| *open == selection) else {
            // Closed meanwhile: the mail has no place in which it could be remembered.
            let message = ToWorker::Stored { session: id, mail, safe: false, kept: false };
            self.children.tell_worker(worker, message, Vec::new());
            return;
        };
        if entry.uidl.len() > MAX_UIDL {
            self.condemn(worker, "stores a unique-id that is too long");
            return;
        }
        if !entry.found.iter().all(Found::fits) || entry.found.len() > MOST_FOUND {
            self.condemn(worker, "stores more than can have been found in a mail");
            return;
        }
        entry.kept = self.is_kept(tenant, entry.sha256);
        let stored = self.index.store(&mailbox, entry.clone());
        if let Err(error) = &stored {
            let fields = [("session", id.to_string()), ("error", error.to_string())];
            self.journal.note(Level::Error, "a changed mail cannot be remembered: it is deferred", &fields);
        }
        let message = ToWorker::Stored { session: id, mail, safe: stored.is_ok(), kept: entry.kept };
        self.children.tell_worker(worker, message, Vec::new());
        if stored.is_err() {
            return;
        }
        entry.found.clear();
        for other in self.sessions.readers.get(&mailbox).cloned().unwrap_or_default() {
            let Some(reader) = self.sessions.live.get(&other).filter(|_| other != id) else { continue };
            let (Some(worker), Some((selection, _))) = (reader.worker, &reader.mailbox) else { continue };
            let selection = *selection;
            let entries = vec![entry.clone()];
            let message = ToWorker::Changed { session: other, selection, entries, more: false };
            self.children.tell_worker(worker, message, Vec::new());
        }
    }
}
