//! The worker's view of the keyholder: a question, and the thread waits for the answer. That costs some ten microseconds
//! a handshake and spares rustls a way to wait.
use ipc::LinkError;
use ipc::ids::SessionId;
use ipc::link;
use ipc::worker_keyholder::{Answer, Answered, Asked, Question, Towards};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, PoisonError};
use tls::Which;

/// Octets of the certificates that a server shows: the contract with the keyholder.
const MOST_CHAIN: usize = 48 * 1024;

tokio::task_local! {
    /// Whose handshake is running: a key is used for a session, and the keyholder counts.
    pub(crate) static SESSION: SessionId;
}

/// The link. rustls wants what it calls to be shareable between threads; there is one.
#[derive(Debug, Default)]
pub(crate) struct Remote {
    link: Mutex<Way>,
}

#[derive(Debug, Default)]
struct Way {
    socket: Option<OwnedFd>,
    /// Questions so far.
    asked: u32,
}

impl Remote {
    /// The supervisor gave another link: the keyholder is new.
    pub(crate) fn set(&self, link: Option<OwnedFd>) {
        self.link.lock().unwrap_or_else(PoisonError::into_inner).socket = link;
    }

    /// A certificate in the place of the server's, and whether the server was verified wholly. `None`: there is none, and the
    /// keyholder's log says why.
    pub(crate) fn mint(&self, name: &str, chain: Vec<Vec<u8>>) -> Option<(Vec<Vec<u8>>, bool)> {
        let octets: usize = chain.iter().map(Vec::len).sum();
        if octets > MOST_CHAIN {
            return None;
        }
        let name = name.to_owned();
        match self.ask(|session| Question::Mint { session, name, chain })? {
            Answer::Minted { chain, verified } => Some((chain, verified)),
            Answer::Done(_) | Answer::None => None,
        }
    }

    fn done(&self, question: impl FnOnce(SessionId) -> Question) -> Option<Vec<u8>> {
        match self.ask(question)? {
            Answer::Done(octets) => Some(octets),
            Answer::Minted { .. } | Answer::None => None,
        }
    }

    /// `None`: refused, or too late: this handshake fails.
    fn ask(&self, question: impl FnOnce(SessionId) -> Question) -> Option<Answer> {
        let question = question(SESSION.try_with(|session| *session).ok()?);
        let mut way = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        way.asked = way.asked.wrapping_add(1);
        let number = way.asked;
        let asked = Asked { number, question };
        let fits = |answered: &Answered| answered.number == number;
        match link::ask(way.socket.as_ref()?.as_fd(), &asked, fits) {
            Ok(Answered { answer, .. }) => Some(answer),
            Err(LinkError::Full) => None,
            Err(LinkError::Closed | LinkError::Wire(_) | LinkError::Io(_)) => {
                // The supervisor gives another link when there is another keyholder.
                way.socket = None;
                None
            }
        }
    }
}

impl tls::Keyholder for Remote {
    fn sign(&self, which: Which, scheme: u16, message: &[u8]) -> Option<Vec<u8>> {
        let towards = match which {
            Which::TowardsClient(certificate) => Towards::Client(certificate),
            Which::TowardsServer => Towards::Server,
            Which::Minted => Towards::Minted,
        };
        self.done(|session| Question::Sign { session, towards, scheme, message: message.to_vec() })
    }

    fn seal(&self, state: &[u8]) -> Option<Vec<u8>> {
        self.done(|session| Question::Seal { session, state: state.to_vec() })
    }

    fn open(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        self.done(|session| Question::Open { session, ticket: ticket.to_vec() })
    }
}
