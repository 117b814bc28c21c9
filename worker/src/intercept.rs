//! A session whose TLS is intercepted: the client's first words are read, then the server is verified, and only then is the
//! client answered, with a certificate in the server's place. Where the policy says so its connection is relayed unseen.
//!
//! What the client asks for is its own word: it chooses which name the server must prove, and never what is let by.
use crate::bypass;
use crate::handshake::{self, Met, NoPeer};
use crate::joining::{Dialled, Joining, dialled, without_server};
use crate::peer::{Peer, stream};
use ipc::log::Level;
use ipc::supervisor_worker::{Counters, End, FromWorker, NoServer};
use policy::intercept::{CertificateAsked, Intercept};
use std::rc::Rc;
use tls::{Acceptor, Facts, Hello};
use tokio::net::TcpStream;
use tokio::time::timeout;
use worker_proto::machine::Greeted;

/// What became of the two handshakes.
enum Outcome {
    /// Client and server are there.
    Joined(Peer, Peer, Greeted),
    /// To be relayed unseen, for this reason; the client's first words go on to a server that is dialled anew.
    Unseen(Box<Hello<TcpStream>>, &'static str),
}

/// Serves one session to its end.
pub(crate) async fn run(mut joining: Joining, client: TcpStream) -> (End, Counters) {
    let side = joining.admission.client_side;
    let intercept = joining.admitted.tls.intercept(side.client_tls).cloned();
    let rule = joining.admission.session_rule_index;
    let acceptor = joining.admitted.tls.acceptor(side.client_tls, rule, joining.admission.protocol);
    let (intercept, acceptor) = match (intercept, acceptor) {
        (Some(intercept), Ok(acceptor)) => (intercept, acceptor),
        (intercept, acceptor) => {
            let why = acceptor.err().or_else(|| intercept.is_none().then(|| "no interception".to_owned()));
            joining.note(Level::Error, "no TLS with clients", &why.unwrap_or_default());
            return (End::Internal, joining.counters());
        }
    };
    if intercept.bypass.has_address(joining.admission.destination.ip()) {
        return match joining.server().await {
            Ok(server) => joining.relay_unseen(client, &[], server, "by its address").await,
            Err(why) => (joining.without_server(why), joining.counters()),
        };
    }
    match joining.meet(&intercept, acceptor, client).await {
        Ok(Outcome::Joined(client, server, greeted)) => {
            crate::joining::relay(joining, client, Some(server), greeted).await
        }
        Ok(Outcome::Unseen(hello, why)) => {
            joining.worker.tell(FromWorker::Again { session: joining.admission.id });
            match joining.server().await {
                Ok(server) => {
                    let (client, first) = hello.give_back();
                    joining.relay_unseen(client, &first, server, why).await
                }
                Err(why) => (joining.without_server(why), joining.counters()),
            }
        }
        Err(end) => (end, joining.counters()),
    }
}

impl Joining {
    fn note(&self, level: Level, text: &str, detail: &str) {
        self.worker.log.note(level, Some(self.admission.id), text, detail);
    }

    /// The client cannot be told anything yet; the log can.
    fn without_server(&self, why: NoPeer) -> End {
        without_server(&self.worker, &self.admission, why).1
    }

    /// Waits for the server that the supervisor dials.
    async fn server(&mut self) -> Result<Dialled, NoPeer> {
        let dialled = dialled(&self.worker, &self.inbox, &mut self.under);
        timeout(self.admitted.login_deadline, dialled)
            .await
            .unwrap_or(Err(NoPeer::NoServer(NoServer::TimedOut)))
    }

    /// The handshakes, the server's first.
    async fn meet(
        &mut self,
        intercept: &Intercept,
        acceptor: Rc<Acceptor>,
        client: TcpStream,
    ) -> Result<Outcome, End> {
        let both =
            tokio::try_join!(Hello::hear(client, acceptor.deadline()), async { Ok(self.server().await) });
        let (hello, server) =
            both.map_err(|failure| handshake::client_failed(&self.worker, &self.admission, &failure))?;
        let server = server.map_err(|why| self.without_server(why))?;
        let asked_for = hello.name();
        let (socket, name) = server.expecting(asked_for.as_deref());
        let Some(under) = &self.under else { return Err(End::Internal) };
        let about = (self.admission.id, self.admission.protocol);
        let met = handshake::with_server(&self.worker, under, about, (socket, name.clone()));
        let met = timeout(self.admitted.login_deadline, met).await;
        let Met { peer: server, greeted, .. } = match met.unwrap_or(Err(NoPeer::NoServer(NoServer::TimedOut)))
        {
            Ok(met) if !met.asked => met,
            Ok(_) | Err(NoPeer::CertificateAsked) => {
                return match intercept.certificate_asked {
                    CertificateAsked::Bypass => {
                        Ok(Outcome::Unseen(Box::new(hello), "the server asks for the client's certificate"))
                    }
                    CertificateAsked::Refuse => {
                        let text =
                            "the server asks for the client's certificate, which cannot be shown for it";
                        self.note(Level::Warn, text, &name);
                        Err(End::ServerTls)
                    }
                };
            }
            Err(why) => return Err(self.without_server(why)),
        };
        let chain = server.chain();
        let Some(own) = chain.first().cloned() else {
            // In clear text, as the rule says: there is nothing to mirror.
            return self.answer(hello, &acceptor, server, greeted).await;
        };
        let Some((minted, verified)) = self.worker.keyholder.mint(&name, chain) else {
            self.note(Level::Warn, "the client cannot be shown a certificate in the server's place", &name);
            return Err(End::ServerTls);
        };
        // A name is by-passed if the server proved it, whatever the client asked for.
        let proven = |name: &String| Facts::of(&own).is_ok_and(|facts| facts.is_for(name));
        if verified && asked_for.filter(|name| intercept.bypass.has_name(name)).as_ref().is_some_and(proven) {
            return Ok(Outcome::Unseen(Box::new(hello), "by its name"));
        }
        if !verified {
            self.note(Level::Warn, "the server is accepted by an exception: the client is warned", &name);
        }
        match self.admitted.tls.showing(&acceptor, &minted) {
            Ok(showing) => self.answer(hello, &showing, server, greeted).await,
            Err(why) => {
                self.note(Level::Error, "no TLS with clients", &why);
                Err(End::Internal)
            }
        }
    }

    async fn answer(
        &self,
        hello: Hello<TcpStream>,
        acceptor: &Acceptor,
        server: Peer,
        greeted: Greeted,
    ) -> Result<Outcome, End> {
        match hello.accept(acceptor).await {
            Ok((client, channel, _)) => {
                self.note(Level::Debug, "TLS with the client", &channel.describe());
                Ok(Outcome::Joined(Peer::new(client, Some(channel)), server, greeted))
            }
            Err(failure) => Err(handshake::client_failed(&self.worker, &self.admission, &failure)),
        }
    }

    /// Relays a connection as it is, beginning with what was already read of the client.
    async fn relay_unseen(
        &self,
        client: TcpStream,
        first: &[u8],
        server: Dialled,
        why: &str,
    ) -> (End, Counters) {
        self.note(Level::Info, "the connection is relayed unseen", &format!("{}: {why}", server.address));
        let (Some(under), Ok(server)) = (&self.under, stream(server.socket)) else {
            return (End::Internal, self.counters());
        };
        let (end, counters) = bypass::relay(&self.inbox, &under.settings.rules, client, first, server).await;
        (end, Counters { handover_us: self.counters().handover_us, ..counters })
    }
}
