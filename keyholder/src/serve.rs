//! Messages of the supervisor, and a task for each worker. One thread: what a task does is done before another begins.
use crate::grants::{Grants, Misuse};
use crate::keys::Keys;
use ipc::ids::SessionId;
use ipc::log::{Level, Log, printable};
use ipc::supervisor_keyholder::{FromKeyholder, KeyOf, Purpose, ToKeyholder};
use ipc::worker_keyholder::{Answer, Answered, Asked, Question, Towards};
use ipc::{Link, LinkError};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tls::{is_client_signature, is_server_signature};
use tokio::sync::Notify;

/// A grant is sent before its session, over another link: it may have to be read yet.
const GRANT_ON_ITS_WAY: Duration = Duration::from_secs(1);
/// Octets of the certificates that a server shows, and of its name: half a message is more than any server has.
const MAX_CHAIN: usize = 48 * 1024;
const MAX_NAME: usize = 253;
/// Octets of a session's state, and of a ticket around it.
const MAX_STATE: usize = 16 * 1024;
const MAX_TICKET: usize = 32 * 1024;

struct Keyholder {
    supervisor: Link<FromKeyholder, ToKeyholder>,
    log: Log,
    keys: RefCell<Keys>,
    grants: RefCell<Grants>,
    granted: Notify,
}

/// Serves until the supervisor is gone.
///
/// # Errors
/// [`LinkError`] other than the end.
pub(crate) async fn serve(supervisor: Link<FromKeyholder, ToKeyholder>, log: Log) -> Result<(), LinkError> {
    let keyholder = Rc::new(Keyholder {
        supervisor,
        log,
        keys: RefCell::default(),
        grants: RefCell::default(),
        granted: Notify::new(),
    });
    loop {
        let (message, fds) = match keyholder.supervisor.recv().await {
            Err(LinkError::Closed) => return Ok(()),
            received => received?,
        };
        match message {
            ToKeyholder::Key { generation, of, passphrase: _ } => {
                keyholder.keys.borrow_mut().add(generation, of, &fds);
            }
            ToKeyholder::Policy { generation, len } => {
                keyholder.keys.borrow_mut().policy(generation, fds.first(), len);
            }
            ToKeyholder::Tls { generation, file } => {
                keyholder.keys.borrow_mut().public(generation, file, &fds);
            }
            ToKeyholder::Complete { generation } => {
                let problems = keyholder.keys.borrow_mut().complete(generation);
                keyholder.supervisor.send(&FromKeyholder::Loaded { generation, problems }, &[]).await?;
            }
            ToKeyholder::Worker { worker } => {
                if let Some(link) = fds.into_iter().next().and_then(|fd| Link::new(fd).ok()) {
                    tokio::task::spawn_local(attend(Rc::clone(&keyholder), worker, link));
                }
            }
            ToKeyholder::Grant { worker, session, generation, purpose, seconds } => {
                let now = Instant::now();
                let until = now + Duration::from_secs(seconds.into());
                keyholder.grants.borrow_mut().add((worker, session), generation, purpose, now..until);
                keyholder.granted.notify_waiters();
            }
        }
    }
}

/// Answers one worker until it is gone, or asks for what it was not granted.
async fn attend(keyholder: Rc<Keyholder>, worker: u64, link: Link<Answered, Asked>) {
    while let Ok((Asked { number, question }, _)) = link.recv().await {
        let session = question.session();
        keyholder.await_grant(worker, &question).await;
        let answer = match keyholder.answer(worker, question) {
            Ok(answer) => answer,
            Err(why) => {
                keyholder.misuse(worker, session, why).await;
                break;
            }
        };
        if link.send(&Answered { number, answer }, &[]).await.is_err() {
            break;
        }
    }
    keyholder.grants.borrow_mut().worker_gone(worker);
}

impl Keyholder {
    async fn await_grant(&self, worker: u64, question: &Question) {
        let client = !matches!(question, Question::Sign { towards: Towards::Server, .. });
        let known = || self.grants.borrow().is_known(worker, question.session(), client);
        let _ = tokio::time::timeout(GRANT_ON_ITS_WAY, async {
            loop {
                let granted = self.granted.notified();
                if known() {
                    return;
                }
                granted.await;
            }
        })
        .await;
    }

    fn answer(&self, worker: u64, question: Question) -> Result<Answer, Misuse> {
        let done = |answer: Option<Vec<u8>>| answer.map_or(Answer::None, Answer::Done);
        match question {
            Question::Sign { session, towards, scheme, message } => {
                self.sign(worker, session, towards, scheme, &message).map(done)
            }
            Question::Mint { session, name, chain } => self.mint(worker, session, &name, &chain),
            Question::Seal { session, state } => {
                if state.len() > MAX_STATE {
                    return Err("a state that is too large for a ticket");
                }
                let grant = self.grants.borrow_mut().seal(worker, session)?;
                Ok(done(self.with_tickets(grant.purpose, |tickets| tickets.seal(&state))))
            }
            Question::Open { session, ticket } => {
                let grant = self.grants.borrow_mut().open(worker, session)?;
                let Some(grant) = grant.filter(|_| ticket.len() <= MAX_TICKET) else {
                    return Ok(Answer::None);
                };
                Ok(done(self.with_tickets(grant.purpose, |tickets| tickets.open(&ticket))))
            }
        }
    }

    fn sign(
        &self,
        worker: u64,
        session: SessionId,
        towards: Towards,
        scheme: u16,
        message: &[u8],
    ) -> Result<Option<Vec<u8>>, Misuse> {
        let client = match towards {
            Towards::Client(_) | Towards::Minted => true,
            Towards::Server => false,
        };
        let shaped = if client { is_server_signature(message) } else { is_client_signature(message) };
        if !shaped {
            return Err("a signature over what is no handshake");
        }
        let grant = self.grants.borrow_mut().sign(worker, session, client)?;
        let of = match (grant.purpose, towards) {
            // Where the server speaks no TLS there is nothing to mirror.
            (Purpose::Client { tls, .. } | Purpose::Intercept { tls, .. }, Towards::Client(certificate)) => {
                KeyOf::ClientTls { tls, certificate }
            }
            (Purpose::Server { tls }, Towards::Server) => KeyOf::ServerTls { tls },
            (Purpose::Intercept { .. }, Towards::Minted) => {
                let minted = grant.minted.ok_or("a signature before there is a certificate")?;
                return Ok(minted.key.sign(scheme, message).ok());
            }
            (Purpose::Client { .. } | Purpose::Intercept { .. }, Towards::Server)
            | (Purpose::Server { .. }, Towards::Client(_))
            | (Purpose::Client { .. } | Purpose::Server { .. }, Towards::Minted) => {
                return Err("a key towards the other side");
            }
        };
        let keys = self.keys.borrow();
        Ok(keys.get(grant.generation, of).and_then(|key| key.sign(scheme, message).ok()))
    }

    /// A certificate in the place of a server's that this process verified itself.
    fn mint(&self, worker: u64, session: SessionId, name: &str, chain: &[Vec<u8>]) -> Result<Answer, Misuse> {
        let octets: usize = chain.iter().map(Vec::len).sum();
        if octets > MAX_CHAIN || name.len() > MAX_NAME {
            return Err("certificates that are too many");
        }
        let grant = self.grants.borrow_mut().mint(worker, session)?;
        let Purpose::Intercept { tls, server_tls } = grant.purpose else {
            return Err("a certificate that it was not granted");
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let minted = self.keys.borrow_mut().mint(grant.generation, tls, server_tls, (chain, name, now));
        match minted {
            Ok((minted, verified)) => {
                let chain = minted.chain.clone();
                self.grants.borrow_mut().minted(worker, session, minted);
                Ok(Answer::Minted { chain, verified })
            }
            Err(why) => {
                let why = printable(&format!("{name}: {why}"), 512);
                self.log.note(Level::Warn, Some(session), "no certificate in this server's place", &why);
                Ok(Answer::None)
            }
        }
    }

    fn with_tickets(
        &self,
        purpose: Purpose,
        act: impl FnOnce(&tls::TicketKeys) -> Option<Vec<u8>>,
    ) -> Option<Vec<u8>> {
        let Purpose::Client { scope, .. } = purpose else { return None };
        self.keys.borrow_mut().tickets(scope).and_then(act)
    }

    async fn misuse(&self, worker: u64, session: SessionId, why: Misuse) {
        self.log.note(Level::Error, Some(session), "a worker asks for what it was not granted", why);
        let misuse = FromKeyholder::Misuse { worker, session, why: why.to_owned() };
        // If the supervisor is gone, its link ends this process.
        let _ = self.supervisor.send(&misuse, &[]).await;
    }
}
