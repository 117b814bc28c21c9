//! The late plan of a session: its client's name decides which server it gets. Lookup decides, the supervisor dials, TLS
//! with the server is what the rule says; the machine, which kept the login meanwhile, completes it.
use crate::handshake::{self, Met, NoPeer};
use crate::joining::{Dialled, UNDECIDED, Under, without_server};
use crate::session::{Session, lossy};
use ipc::supervisor_worker::{End, FromWorker, NoServer};
use policy::conditions::Certificate;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use tokio::time::timeout;
use worker_proto::machine::{Input, Machine};

type Joining = Pin<Box<dyn Future<Output = Result<Met, NoPeer>>>>;

/// What a session without a server knows.
pub(crate) struct Late {
    /// What the client showed in its handshake.
    certificate: Option<Box<Certificate>>,
    /// A login waits for its server.
    wanted: bool,
    /// TLS with a server that is connected.
    joining: Option<Joining>,
}

impl Late {
    pub(crate) fn new(certificate: Option<Box<Certificate>>) -> Box<Self> {
        Box::new(Self { certificate, wanted: false, joining: None })
    }

    /// Whether the server is ready to be spoken with, or never will be.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Met, NoPeer>> {
        let Some(joining) = &mut self.joining else { return Poll::Pending };
        let met = joining.as_mut().poll(cx);
        if met.is_ready() {
            self.joining = None;
        }
        met
    }
}

impl<M: Machine> Session<M> {
    /// The client logs in with this name: a server is asked for, and whatever an attempt before had is let go.
    pub(crate) fn want_server(&mut self, user: &[u8]) -> Result<(), End> {
        self.driver.disconnect();
        let Some(late) = &mut self.late else { return Err(End::Internal) };
        late.joining = None;
        late.wanted = true;
        self.rule = UNDECIDED;
        let learnt = handshake::learnt(
            &self.worker,
            self.id,
            late.certificate.as_deref().cloned(),
            Some(lossy(user)),
        )?;
        self.worker.tell(FromWorker::WantServer { session: self.id, learnt });
        Ok(())
    }

    /// The supervisor dialled it. The rule came before.
    pub(crate) fn server(&mut self, dialled: Option<Dialled>) {
        let (worker, about) = (Rc::clone(&self.worker), (self.id, self.admission.protocol));
        let under = Under {
            generation: Rc::clone(&self.generation),
            settings: Rc::clone(&self.settings),
            rule: self.rule,
            language: self.admission.language,
        };
        let Some(late) = self.late.as_mut().filter(|late| late.wanted) else { return };
        let Some(dialled) = dialled.filter(|_| under.rule != UNDECIDED) else {
            self.met(Err(NoPeer::Internal));
            return;
        };
        let deadline = self.generation.login_deadline;
        late.joining = Some(Box::pin(async move {
            let met = handshake::with_server(&worker, &under, about, dialled.expecting(None));
            timeout(deadline, met).await.unwrap_or(Err(NoPeer::NoServer(NoServer::TimedOut)))
        }));
    }

    /// It is there, or there is none.
    pub(crate) fn met(&mut self, met: Result<Met, NoPeer>) {
        let Some(late) = self.late.as_mut().filter(|late| late.wanted) else { return };
        late.wanted = false;
        match met {
            Ok(Met { peer, greeted, .. }) => {
                self.driver.connect(peer);
                self.driver.tell(Input::ServerReady(greeted));
            }
            Err(why) => {
                let (answer, _) = without_server(&self.worker, &self.admission, why);
                self.driver.tell(Input::NoServer(answer));
            }
        }
    }
}
