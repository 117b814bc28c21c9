//! The worker's view of the keyholder: a question, and the thread waits for the answer. That costs some ten microseconds
//! a handshake and spares rustls a way to wait.
use ipc::ids::SessionId;
use ipc::link;
use ipc::worker_keyholder::{Answer, Question, Towards};
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
    link: Mutex<Option<OwnedFd>>,
}

impl Remote {
    /// The supervisor gave another link: the keyholder is new.
    pub(crate) fn set(&self, link: Option<OwnedFd>) {
        *self.link.lock().unwrap_or_else(PoisonError::into_inner) = link;
    }

    fn ask(&self, question: impl FnOnce(SessionId) -> Question) -> Option<Vec<u8>> {
        let question = question(SESSION.try_with(|session| *session).ok()?);
        let mut link = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = link::ask::<Question, Answer>(link.as_ref()?.as_fd(), &question);
        match asked {
            Ok(Answer::Done(octets)) => Some(octets),
            Ok(Answer::None) => None,
            Err(_) => {
                // A late answer would be taken for the next one's.
                *link = None;
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
