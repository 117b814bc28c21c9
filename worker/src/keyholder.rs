//! The worker's view of the keyholder: a question, and the thread waits for the answer. That costs some ten microseconds
//! a handshake and spares rustls a way to wait.
use ipc::LinkError;
use ipc::ids::SessionId;
use ipc::link;
use ipc::worker_keyholder::{Answer, Answered, Asked, Question, Towards};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, PoisonError};
use tls::Which;

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

    fn ask(&self, question: impl FnOnce(SessionId) -> Question) -> Option<Vec<u8>> {
        let question = question(SESSION.try_with(|session| *session).ok()?);
        let mut way = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        way.asked = way.asked.wrapping_add(1);
        let number = way.asked;
        let asked = Asked { number, question };
        let fits = |answered: &Answered| answered.number == number;
        match link::ask(way.socket.as_ref()?.as_fd(), &asked, fits) {
            Ok(Answered { answer: Answer::Done(octets), .. }) => Some(octets),
            // Refused, or too late: this handshake fails.
            Ok(Answered { answer: Answer::None, .. }) | Err(LinkError::Full) => None,
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
        };
        self.ask(|session| Question::Sign { session, towards, scheme, message: message.to_vec() })
    }

    fn seal(&self, state: &[u8]) -> Option<Vec<u8>> {
        self.ask(|session| Question::Seal { session, state: state.to_vec() })
    }

    fn open(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        self.ask(|session| Question::Open { session, ticket: ticket.to_vec() })
    }
}
