//! TLS of a session with its two peers, before its machine exists. With the client only where TLS is implicit; STLS comes
//! later, from the machine. With the server always: not an octet of a login leaves before the server is who it should be.
use crate::generation::Generation;
use crate::joining::Under;
use crate::peer::{Peer, stream};
use crate::serve::Worker;
use ipc::ids::SessionId;
use ipc::log::Level;
use ipc::supervisor_worker::{End, NoServer, Session};
use ipc::wire::encode;
use ipc::worker_lookup::{Learnt, MAX_LEARNT};
use policy::conditions::Certificate;
use policy::names::Protocol;
use policy::tls::{ClientMode, ServerMode};
use std::os::fd::OwnedFd;
use texts::Answer;
use tls::{Blame, Failure, Secured};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use worker_proto::machine::{Greeted, Security};
use worker_proto::upgrade::{Step, Upgrade};

/// What a server says before TLS is a line; what comes with it is a fault anyway.
const PIECE: usize = 1024;

/// Why there is no server to speak with.
pub(crate) enum NoPeer {
    /// It cannot be reached.
    NoServer(NoServer),
    /// The supervisor ends the session.
    Kicked,
    /// The client's name decides which, and it is not known yet.
    NameDecides,
    /// Its TLS is not what is asked for; what the client hears.
    Tls(Answer),
    /// It asked for a certificate, there is none to show, and the handshake failed.
    CertificateAsked,
    /// Something of ours failed.
    Internal,
}

/// A server, behind TLS as its rule says.
pub(crate) struct Met {
    pub(crate) peer: Peer,
    pub(crate) greeted: Greeted,
    /// It asked for a certificate, and there was none to show.
    pub(crate) asked: bool,
}

/// What the machine has to know of TLS with the client.
pub(crate) const fn security(mode: ClientMode) -> Security {
    match mode {
        ClientMode::Off => Security::Clear,
        ClientMode::StartTls => Security::Offered,
        ClientMode::StartTlsRequired => Security::Required,
        ClientMode::Implicit => Security::Secured,
    }
}

/// The client, behind TLS where that is implicit, and what is known of its certificate then.
///
/// # Errors
/// How the session ended; the log has the reason.
pub(crate) async fn with_client(
    worker: &Worker,
    generation: &Generation,
    admission: &Session,
    client: TcpStream,
) -> Result<(Peer, Option<Certificate>), End> {
    let side = admission.client_side;
    if side.mode != ClientMode::Implicit {
        return Ok((Peer::new(client, None), None));
    }
    let acceptor = generation.tls.acceptor(side.client_tls, admission.session_rule_index, admission.protocol);
    let acceptor = acceptor.map_err(|why| {
        worker.log.note(Level::Error, Some(admission.id), "no TLS with clients", &why);
        End::Internal
    })?;
    match acceptor.accept(client).await {
        Ok((stream, channel, shown)) => {
            worker.log.note(Level::Debug, Some(admission.id), "TLS with the client", &channel.describe());
            Ok((Peer::new(stream, Some(channel)), shown.map(|facts| facts.certificate)))
        }
        Err(failure) => Err(client_failed(worker, admission, &failure)),
    }
}

/// What was learnt of the client, as lookup reads it: its certificate and, where it gave one, its name.
///
/// # Errors
/// How the session ended: the client showed more than is passed on.
pub(crate) fn learnt(
    worker: &Worker,
    session: SessionId,
    certificate: Option<Certificate>,
    user: Option<String>,
) -> Result<Vec<u8>, End> {
    match encode(&Learnt { certificate, user }) {
        Ok(learnt) if learnt.len() <= MAX_LEARNT => Ok(learnt),
        Ok(_) | Err(_) => {
            worker.log.note(Level::Warn, Some(session), "the client's certificate has too many names", "");
            Err(End::ClientTls)
        }
    }
}

/// Says why the client has no TLS.
pub(crate) fn client_failed(worker: &Worker, admission: &Session, failure: &Failure) -> End {
    worker.log.note(Level::Info, Some(admission.id), "TLS with the client failed", &failure.why);
    End::ClientTls
}

/// The server, behind TLS as its rule says, and whose greeting the client will get. `name` is what its certificate must
/// be for.
pub(crate) async fn with_server(
    worker: &Worker,
    under: &Under,
    (session, protocol): (SessionId, Protocol),
    server: (OwnedFd, String),
) -> Result<Met, NoPeer> {
    let Under { generation, settings, rule, .. } = under;
    let (socket, name) = server;
    let rules = &settings.rules;
    let mut server = stream(socket).map_err(|_| NoPeer::Internal)?;
    let note = |level, text: &str, detail: &str| worker.log.note(level, Some(session), text, detail);
    let Some(mode) = generation.tls.server_mode(rules.server_tls) else {
        note(Level::Error, "the rule names an unknown server-tls", "");
        return Err(NoPeer::Internal);
    };
    let greeted = match mode {
        ServerMode::Off => return Ok(in_clear(server, Greeted::ByServer)),
        ServerMode::Implicit => Greeted::ByServer,
        ServerMode::StartTls | ServerMode::Opportunistic => match upgrade(&mut server, protocol).await {
            Ok(true) => Greeted::ByUs,
            Ok(false) if mode == ServerMode::Opportunistic => {
                note(Level::Warn, "the server refuses TLS: passwords and mail travel in clear text", &name);
                return Ok(in_clear(server, Greeted::ByUs));
            }
            Ok(false) => {
                note(Level::Warn, "the server refuses TLS, so there is no session", &name);
                return Err(NoPeer::Tls(Answer::ServerNoTls));
            }
            Err(why) => {
                note(Level::Warn, "TLS with the server failed", why);
                return Err(NoPeer::Tls(Answer::ServerTlsFailed));
            }
        },
    };
    let connector = generation.tls.connector(*rule, rules.server_tls, &rules.require_server_certificate);
    let connector = connector.map_err(|why| {
        note(Level::Error, "no TLS with servers", &why);
        NoPeer::Internal
    })?;
    match connector.connect(server, &name, settings.login.deadline).await {
        Ok(Secured { stream, channel, asked }) => {
            note(Level::Debug, "TLS with the server", &channel.describe());
            Ok(Met { peer: Peer::new(stream, Some(channel)), greeted, asked })
        }
        Err(Failure { blame, why }) => {
            note(Level::Warn, "TLS with the server failed", &format!("{name}: {why}"));
            Err(match blame {
                Blame::Certificate => NoPeer::Tls(Answer::ServerCertificate),
                Blame::CertificateAsked => NoPeer::CertificateAsked,
                Blame::Deadline | Blame::Gone | Blame::Protocol => NoPeer::Tls(Answer::ServerTlsFailed),
            })
        }
    }
}

fn in_clear(server: TcpStream, greeted: Greeted) -> Met {
    Met { peer: Peer::new(server, None), greeted, asked: false }
}

/// STLS or STARTTLS with the server: whether it agrees.
async fn upgrade(server: &mut TcpStream, protocol: Protocol) -> Result<bool, &'static str> {
    let mut dialogue = Upgrade::new(protocol);
    let mut piece = [0; PIECE];
    loop {
        let count = server.read(&mut piece).await.map_err(|_| "the server hung up before TLS")?;
        let came =
            piece.get(..count).filter(|came| !came.is_empty()).ok_or("the server hung up before TLS")?;
        dialogue = match dialogue.feed(came).map_err(|fault| fault.what)? {
            Step::More(next) => next,
            Step::Ask(next) => {
                server
                    .write_all(Upgrade::question(protocol))
                    .await
                    .map_err(|_| "the server hung up before TLS")?;
                next
            }
            Step::Start => return Ok(true),
            Step::Refused => return Ok(false),
        };
    }
}
