//! Commands that the server has not answered yet, oldest first, and which untagged data each of them may bring. Data that nobody
//! asked for does not reach the client.
use super::fetch::Job;
use super::response::data::Kind as Data;
use super::selected::{Permanent, Selected};
use super::verb::Verb;
use crate::capability::Mechanism;
use std::collections::VecDeque;
use std::rc::Rc;
use zeroize::Zeroizing;

/// One of them.
#[derive(Debug)]
pub(super) struct Sent {
    /// Of our tag.
    pub(super) number: u32,
    /// The client's.
    pub(super) tag: Box<[u8]>,
    pub(super) verb: Verb,
    pub(super) purpose: Purpose,
}

/// What its answer leads to, besides that it is passed on.
#[derive(Debug)]
pub(super) enum Purpose {
    /// Nothing.
    Relay,
    /// A login; the name, and the SASL exchange if it is one.
    Login { user: Vec<u8>, sasl: Option<Exchange> },
    /// SELECT, EXAMINE: what was learnt of the mailbox so far.
    Select {
        mailbox: Vec<u8>,
        uid_validity: u32,
        read_write: bool,
        permanent: Permanent,
        /// The one that was open.
        before: Option<Box<Selected>>,
    },
    /// The mailbox is closed.
    Close,
    /// IDLE.
    Idle(Idle),
    /// ENABLE.
    Enable { utf8: bool },
    /// FETCH.
    Fetch(Rc<Job>),
    /// Ours: mails with these UIDs, ascending, were left out of an answer and are asked for. With the words of the end that waits
    /// for it.
    Pull { job: Rc<Job>, uids: Vec<u32>, words: Vec<u8> },
    /// Ours: these flags are set.
    Mark(Box<str>),
    /// Ours: which of the mails that were served changed would this command remove?
    Ask { command: Zeroizing<Vec<u8>>, found: bool },
    /// Ours: how many proxies may follow.
    Hops,
    /// Ours: what do the mailboxes of this command hold?
    Inspect,
    /// APPEND, REPLACE.
    Upload,
}

/// AUTHENTICATE.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exchange {
    pub(super) mechanism: Mechanism,
    /// The client's next line is its first.
    pub(super) first: bool,
    /// The server asked, and the client has not answered.
    pub(super) challenged: bool,
    /// The client broke it off.
    pub(super) cancelled: bool,
}

/// How far IDLE is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Idle {
    /// The server has not agreed.
    Asked,
    /// Nor has it, and the client said DONE already.
    DoneEarly,
    /// The client idles.
    Begun,
    /// DONE went to the server.
    Done,
}

impl Purpose {
    /// Whether other commands wait until it is answered, since they may mean something else then.
    const fn is_alone(&self) -> bool {
        match self {
            Self::Login { .. }
            | Self::Select { .. }
            | Self::Close
            | Self::Idle(_)
            | Self::Enable { .. }
            | Self::Ask { .. }
            | Self::Inspect
            | Self::Upload => true,
            Self::Relay | Self::Fetch(_) | Self::Pull { .. } | Self::Mark(_) | Self::Hops => false,
        }
    }

    /// In a dialogue, IDLE or a SASL exchange: whether the client is to say something.
    const fn is_clients_turn(&self) -> Option<bool> {
        if let Self::Idle(idle) = self {
            Some(matches!(idle, Idle::Asked | Idle::Begun))
        } else if let Self::Login { sasl: Some(exchange), .. } = self {
            Some(exchange.challenged)
        } else {
            None
        }
    }

    /// Whether the client sent it.
    pub(super) const fn is_clients(&self) -> bool {
        !matches!(self, Self::Pull { .. } | Self::Mark(_) | Self::Ask { .. } | Self::Inspect | Self::Hops)
    }
}

/// Mails that were left out of the answer to a FETCH, until they can be asked for.
#[derive(Debug)]
pub(super) struct Pull {
    pub(super) tag: Box<[u8]>,
    pub(super) job: Rc<Job>,
    /// The server's words at its end.
    pub(super) words: Vec<u8>,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Outstanding(VecDeque<Sent>);

impl Outstanding {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn push(&mut self, sent: Sent) {
        self.0.push_back(sent);
    }

    /// Takes out what has this number.
    pub(super) fn take(&mut self, number: u32) -> Option<Sent> {
        let at = self.0.iter().position(|sent| sent.number == number)?;
        let sent = self.0.remove(at);
        if self.0.is_empty() {
            self.0 = VecDeque::new();
        }
        sent
    }

    /// The one that others wait for.
    pub(super) fn alone(&mut self) -> Option<&mut Sent> {
        self.0.iter_mut().find(|sent| sent.purpose.is_alone())
    }

    pub(super) fn has_alone(&self) -> bool {
        self.0.iter().any(|sent| sent.purpose.is_alone())
    }

    /// Whether a flag of ours is being set.
    pub(super) fn is_marking(&self) -> bool {
        self.0.iter().any(|sent| matches!(sent.purpose, Purpose::Mark(_)))
    }

    /// Whether content comes from the server now.
    pub(super) fn pulls(&self) -> bool {
        self.pulling(|_job| true, |_uids| true).next().is_some()
    }

    /// The FETCH for which this message's content came: the oldest that asked for it and did not get it yet. Servers may answer out
    /// of order, and dovecot ends commands that come at once only when it has answered all of them.
    pub(super) fn pulled(&self, number: u32, uid: u32) -> Option<&Rc<Job>> {
        let meant = || self.pulling(|job| job.may_mean(number, uid), |uids| uids.binary_search(&uid).is_ok());
        let job = meant().find(|job| !job.was_given(uid)).or_else(|| meant().next())?;
        job.give(uid);
        Some(job)
    }

    fn pulling(
        &self,
        by_client: impl Fn(&Job) -> bool,
        by_us: impl Fn(&[u32]) -> bool,
    ) -> impl Iterator<Item = &Rc<Job>> {
        self.0.iter().filter_map(move |sent| match &sent.purpose {
            Purpose::Fetch(job) if job.content && job.cached.borrow().is_none() && by_client(job) => {
                Some(job)
            }
            Purpose::Pull { job, uids, .. } if by_us(uids) => Some(job),
            Purpose::Fetch(_)
            | Purpose::Pull { .. }
            | Purpose::Relay
            | Purpose::Login { .. }
            | Purpose::Select { .. }
            | Purpose::Close
            | Purpose::Idle(_)
            | Purpose::Enable { .. }
            | Purpose::Mark(_)
            | Purpose::Ask { .. }
            | Purpose::Inspect
            | Purpose::Hops
            | Purpose::Upload => None,
        })
    }

    /// Every FETCH that asks for no content.
    pub(super) fn metadata(&self) -> impl Iterator<Item = &Rc<Job>> {
        self.fetches().filter(|job| !job.content)
    }

    /// Whether the server may tell of messages that are gone (RFC 9051 section 7.5.1): not while it answers FETCH, STORE or SEARCH by
    /// numbers, and not while it answers nothing.
    pub(super) fn may_expunge(&self) -> bool {
        self.0.iter().any(|sent| !matches!(sent.verb, Verb::Fetch | Verb::Store | Verb::Search))
    }

    /// Every FETCH of the client, and those that we sent for one.
    pub(super) fn jobs(&self) -> impl Iterator<Item = &Rc<Job>> {
        let ours = self
            .0
            .iter()
            .filter_map(|sent| if let Purpose::Pull { job, .. } = &sent.purpose { Some(job) } else { None });
        self.fetches().chain(ours)
    }

    /// Every FETCH of the client.
    pub(super) fn fetches(&self) -> impl Iterator<Item = &Rc<Job>> {
        self.0.iter().filter_map(|sent| match &sent.purpose {
            Purpose::Fetch(job) => Some(job),
            Purpose::Relay
            | Purpose::Login { .. }
            | Purpose::Select { .. }
            | Purpose::Close
            | Purpose::Idle(_)
            | Purpose::Enable { .. }
            | Purpose::Pull { .. }
            | Purpose::Mark(_)
            | Purpose::Ask { .. }
            | Purpose::Inspect
            | Purpose::Hops
            | Purpose::Upload => None,
        })
    }

    /// The client's tag of the command with this number.
    pub(super) fn tag(&self, number: u32) -> Option<&[u8]> {
        self.0.iter().find(|sent| sent.number == number).map(|sent| &*sent.tag)
    }

    /// Whether ID of ours is under way.
    pub(super) fn tells_hops(&self) -> bool {
        self.0.iter().any(|sent| matches!(sent.purpose, Purpose::Hops))
    }

    /// The server is gone that it was told.
    pub(super) fn forget_hops(&mut self) {
        self.0.retain(|sent| !matches!(sent.purpose, Purpose::Hops));
    }

    pub(super) fn is_logging_out(&self) -> bool {
        self.0.iter().any(|sent| sent.verb == Verb::Logout)
    }

    pub(super) fn is_closing(&self) -> bool {
        self.0.iter().any(|sent| matches!(sent.purpose, Purpose::Close))
    }

    /// Whether the client is in IDLE, or about to be.
    pub(super) fn is_in_idle(&self) -> bool {
        self.0.iter().any(|sent| matches!(sent.purpose, Purpose::Idle(_)))
    }

    /// Whether a login is under way.
    pub(super) fn is_logging_in(&self) -> bool {
        self.0.iter().any(|sent| matches!(sent.purpose, Purpose::Login { .. }))
    }

    /// Whether only the client can go on: DONE, or its turn in a SASL exchange.
    pub(super) fn waits_for_client(&self) -> bool {
        self.0.iter().any(|sent| sent.purpose.is_clients_turn() == Some(true))
    }

    /// Whether the client's next line would be out of turn: what follows DONE, or an answer that nobody asked for. Read
    /// as a command it would be something else than the client meant.
    pub(super) fn holds_client(&self) -> bool {
        self.0.iter().any(|sent| sent.purpose.is_clients_turn() == Some(false))
    }

    /// Whether one of the client's commands brings data of this kind.
    pub(super) fn brings(&self, kind: Data) -> bool {
        self.0.iter().any(|sent| sent.purpose.is_clients() && brings(sent.verb, kind))
    }

    /// Whether a search of ours is answered next.
    pub(super) fn asks(&mut self) -> Option<&mut bool> {
        self.0.iter_mut().find_map(|sent| match &mut sent.purpose {
            Purpose::Ask { found, .. } => Some(found),
            Purpose::Relay
            | Purpose::Login { .. }
            | Purpose::Select { .. }
            | Purpose::Close
            | Purpose::Idle(_)
            | Purpose::Enable { .. }
            | Purpose::Fetch(_)
            | Purpose::Pull { .. }
            | Purpose::Mark(_)
            | Purpose::Inspect
            | Purpose::Hops
            | Purpose::Upload => None,
        })
    }
}

/// Which commands bring which data (RFC 9051 section 7, and the documents of the extensions).
fn brings(verb: Verb, kind: Data) -> bool {
    match kind {
        Data::Id => verb == Verb::Id,
        // The name under which a mailbox was opened or made may be told (RFC 9051 section 6.3.9.7, OLDNAME).
        Data::List => matches!(
            verb,
            Verb::List
                | Verb::Select
                | Verb::Examine
                | Verb::Create
                | Verb::Delete
                | Verb::Rename
                | Verb::Subscribe
                | Verb::Unsubscribe
        ),
        // RFC 5258 section 3.1: LSUB may be answered to a LIST of subscriptions by old servers.
        Data::Lsub => matches!(verb, Verb::Lsub | Verb::List),
        Data::Status => matches!(verb, Verb::Status | Verb::List),
        Data::Search => matches!(verb, Verb::Search | Verb::UidSearch),
        Data::Esearch => matches!(
            verb,
            Verb::Search
                | Verb::UidSearch
                | Verb::Sort
                | Verb::UidSort
                | Verb::Thread
                | Verb::UidThread
                | Verb::Fetch
                | Verb::UidFetch
        ),
        Data::Sort => matches!(verb, Verb::Sort | Verb::UidSort),
        Data::Thread => matches!(verb, Verb::Thread | Verb::UidThread),
        Data::Quota => matches!(verb, Verb::GetQuota | Verb::GetQuotaRoot | Verb::SetQuota),
        Data::QuotaRoot => verb == Verb::GetQuotaRoot,
        Data::Acl => matches!(verb, Verb::GetAcl | Verb::SetAcl | Verb::DeleteAcl),
        Data::ListRights => verb == Verb::ListRights,
        Data::MyRights => matches!(verb, Verb::MyRights | Verb::List),
        Data::Metadata => verb == Verb::GetMetadata,
        Data::Namespace => verb == Verb::Namespace,
        // FLAGS tells of the open mailbox, ENVELOPE and BODY stand in FETCH.
        Data::Flags | Data::Envelope | Data::Body => false,
    }
}
