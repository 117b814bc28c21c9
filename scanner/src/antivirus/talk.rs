//! A conversation with an engine outside of this process: the mail first, then whatever of it has to be looked at again
//! (its leaves, when the mail is infected), all within one absolute time and over one connection.
use super::{Finding, clamd, icap};
use crate::content::Content;
use crate::outside::trust::Authorities;
use ipc::log::printable;
use policy::engine::{Engine, EngineKind};
use policy::status::Status;
use policy::tls::ServerTls;
use std::fmt::Display;
use std::io;
use std::os::fd::OwnedFd;
use tokio::time::{Instant, timeout_at};

/// An engine that was dialled.
pub(crate) struct Talk {
    name: String,
    ignore: Vec<String>,
    deadline: Instant,
    /// `None`: nothing more can be asked.
    session: Option<Session>,
}

enum Session {
    Clamd(clamd::Session),
    Icap(icap::Session),
}

impl Talk {
    /// Begins a conversation over a connection that was given.
    pub(crate) async fn begin(
        engine: &Engine,
        socket: OwnedFd,
        authorities: &Authorities,
        server_tls: &[Option<ServerTls>],
        deadline: Instant,
    ) -> Result<Self, Finding> {
        let name = &engine.name;
        let Some(outside) = engine.kind.outside() else {
            return Err(failed(name, &"runs inside the scanner"));
        };
        let secured = authorities.secure(socket, outside.daemon.tls.as_ref(), server_tls);
        let connection = match timeout_at(deadline, secured).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(why)) => return Err(failed(name, &why)),
            Err(_) => return Err(failed(name, &"no answer in time")),
        };
        let session = match &engine.kind {
            EngineKind::Icap { url, .. } => Session::Icap(icap::Session::new(connection, url.clone())),
            EngineKind::Clamd(_) | EngineKind::Builtin { .. } => {
                Session::Clamd(clamd::Session::new(connection))
            }
        };
        Ok(Self { name: name.clone(), ignore: outside.ignore.clone(), deadline, session: Some(session) })
    }

    /// Asks about the mail as it came.
    pub(crate) async fn about_mail(&mut self, mail: &Content) -> Finding {
        if let (Some(Session::Clamd(session)), Some(file)) = (&mut self.session, mail.sealed()) {
            let asked = timeout_at(self.deadline, session.ask_about_file(file)).await;
            match asked {
                Ok(Ok(None)) => {}
                Ok(Ok(Some(answer))) => {
                    let finding = clamd::understand(&answer, &self.ignore);
                    return self.settle(Ok(Ok(finding)));
                }
                Ok(Err(error)) => return self.settle(Ok(Err(error))),
                Err(_) => return self.settle(Err(())),
            }
        }
        self.about(mail.bytes()).await
    }

    /// Asks about octets.
    pub(crate) async fn about(&mut self, octets: &[u8]) -> Finding {
        let ignore = &self.ignore;
        let asked = async {
            match &mut self.session {
                None => Err(io::Error::other("nothing more can be asked")),
                Some(Session::Clamd(session)) => {
                    Ok(clamd::understand(&session.ask_about(octets).await?, ignore))
                }
                Some(Session::Icap(session)) => session.ask_about(octets, ignore).await,
            }
        };
        let asked = timeout_at(self.deadline, asked).await.map_err(|_| ());
        self.settle(asked)
    }

    /// Whether more can be asked.
    pub(crate) const fn goes_on(&self) -> bool {
        self.session.is_some()
    }

    /// What the engine says of itself and its signatures: other words, other signatures.
    pub(crate) async fn version(&mut self) -> Finding {
        let asked = async {
            let text = match &mut self.session {
                None => return Err(io::Error::other("nothing more can be asked")),
                Some(Session::Clamd(session)) => session.ask_version().await?,
                Some(Session::Icap(session)) => session.ask_version().await?,
            };
            Ok(Finding { detail: text, ..Finding::clean() })
        };
        match timeout_at(self.deadline, asked).await {
            Ok(Ok(finding)) => finding,
            Ok(Err(error)) => failed(&self.name, &error),
            Err(_) => failed(&self.name, &"no answer in time"),
        }
    }

    /// Ends it. An engine that has more to say than it was asked is not understood, whatever it said before.
    pub(crate) async fn end(mut self) -> Finding {
        let ended = async {
            match self.session.take() {
                None => Ok(()),
                Some(Session::Clamd(session)) => session.end().await,
                Some(Session::Icap(session)) => session.end().await,
            }
        };
        match timeout_at(self.deadline, ended).await {
            Ok(Ok(())) => Finding::clean(),
            Ok(Err(error)) => Finding::of(Status::Unknown, format!("{}: {error}", self.name)),
            Err(_) => Finding::of(Status::Error, format!("{}: does not end", self.name)),
        }
    }

    /// What an answer comes to. After one that was late, cut off or not understood the two sides may be out of step.
    fn settle(&mut self, asked: Result<io::Result<Finding>, ()>) -> Finding {
        let finding = match asked {
            Ok(Ok(finding)) => finding,
            Ok(Err(error)) => failed(&self.name, &error),
            Err(()) => failed(&self.name, &"no answer in time"),
        };
        if [Status::Error, Status::Unknown, Status::Limit]
            .iter()
            .any(|status| finding.statuses.contains(*status))
        {
            self.session = None;
        }
        let detail = if finding.detail.is_empty() || finding.detail.starts_with(&self.name) {
            finding.detail
        } else {
            format!("{}: {}", self.name, finding.detail)
        };
        Finding { detail, ..finding }
    }
}

fn failed(name: &str, why: &dyn Display) -> Finding {
    Finding::of(Status::Error, printable(&format!("{name}: {why}"), 200))
}
