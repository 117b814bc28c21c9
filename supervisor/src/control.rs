//! The operator's socket: one request, one answer, each a line of JSON. Who may connect is the mode of the socket, which
//! the kernel checks; who did is in the log.
use crate::Error;
use crate::event_loop::{Event, Supervisor};
use nix::unistd::{Gid, Group, chown};
use policy::model::Control;
use serde::{Deserialize, Serialize};
use std::fs::{self, Permissions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener as Listening, UnixStream as Stream};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader as AsyncReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;

/// Octets of a request.
const REQUEST: u64 = 4096;
/// Octets of an answer: the loader may have much to say.
const ANSWER: u64 = 16 << 20;
/// How long an operator's tool may take to ask, and to take its answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the service may take to answer.
const ANSWERED: Duration = Duration::from_secs(60);
/// Operators that are heard at once.
const OPERATORS: usize = 16;

/// What an operator asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "ask", deny_unknown_fields)]
pub enum Request {
    /// Read the configuration again and let it take effect.
    Reload {
        /// Sessions stay under the rules that they are under.
        #[serde(default)]
        keep_sessions: bool,
    },
    /// Let a mail pass although these viruses are found in it.
    Allow {
        /// Which.
        mail: WhichMail,
        /// Their names, as engines give them.
        viruses: Vec<String>,
        /// For how long; for good where it is missing.
        #[serde(default)]
        seconds: Option<u64>,
    },
    /// Let it do so no more.
    AllowNoMore {
        /// Which.
        mail: WhichMail,
        /// Their names; all that are allowed in it, if none is named.
        #[serde(default)]
        viruses: Vec<String>,
    },
    /// What is allowed.
    AllowedList {
        /// In whose mails; in all, where it is missing.
        #[serde(default)]
        tenant: Option<String>,
    },
    /// Which sessions there are.
    Sessions(WhichSessions),
    /// These sessions shall end.
    Kick(WhichSessions),
}

/// Sessions of which all of this is true.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WhichSessions {
    /// They have one of these numbers, as the log writes them; none: whatever it is.
    pub sessions: Vec<String>,
    /// Their client logged in by this name.
    pub user: Option<String>,
    /// They are of this tenant.
    pub tenant: Option<String>,
    /// Their client has an address of this network, or a confirmed name of this pattern.
    pub client: Option<String>,
}

impl WhichSessions {
    /// Whether it leaves no session out.
    pub const fn is_everything(&self) -> bool {
        self.sessions.is_empty() && self.user.is_none() && self.tenant.is_none() && self.client.is_none()
    }
}

/// A session that is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveSession {
    /// Its number, as the log writes it.
    pub session: String,
    /// For how long.
    pub seconds: u64,
    /// Whose.
    pub tenant: String,
    /// Where it came in.
    pub listener: String,
    /// The client.
    pub client: SocketAddr,
    /// Its confirmed name, where rules ask for one.
    pub client_name: Option<String>,
    /// By which name it logged in; empty before that.
    pub user: String,
    /// Its server, once there is one.
    pub server: Option<SocketAddr>,
    /// Its `[[command-acl]]`; empty until that is decided.
    pub command_rule: String,
    /// It was told to end.
    pub ending: bool,
}

/// A mail of a tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WhichMail {
    /// Whose; the only one, where it is missing.
    #[serde(default)]
    pub tenant: Option<String>,
    /// Its hash: 64 digits.
    pub sha256: String,
}

/// A virus that does not count in a mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllowedVirus {
    /// Whose mail.
    pub tenant: String,
    /// The beginning of its hash.
    pub case: String,
    /// The hash.
    pub sha256: String,
    /// The name of the virus.
    pub virus: String,
    /// Since when, in seconds since 1970.
    pub since: u64,
    /// Until when; for good where it is missing.
    pub until: Option<u64>,
    /// The user who allowed it.
    pub uid: u32,
}

/// What the service answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "answer")]
pub enum Answer {
    /// The new policy applies.
    Reloaded {
        /// Its number; a start has the first.
        generation: u64,
        /// Sessions that go on.
        kept: usize,
        /// Sessions that the new rules ended.
        ended: usize,
        /// Warnings, drawn with their lines.
        notes: String,
    },
    /// The viruses are allowed from now on.
    Allowed {
        /// In whose mail.
        tenant: String,
        /// In which.
        sha256: String,
        /// Until when, in seconds since 1970; for good where it is missing.
        until: Option<u64>,
        /// In how many maildrops and mailboxes the mail was served changed, and stays so; missing: there are too many to
        /// look through.
        mailboxes: Option<usize>,
    },
    /// They are not any more.
    AllowedNoMore {
        /// In whose mail.
        tenant: String,
        /// In which.
        sha256: String,
        /// How many.
        removed: usize,
    },
    /// What is allowed.
    AllowedList {
        /// By tenant, mail and name.
        viruses: Vec<AllowedVirus>,
        /// Lists that cannot be read, and allow nothing.
        faults: Vec<String>,
    },
    /// The sessions that are there.
    Sessions {
        /// Oldest first.
        sessions: Vec<LiveSession>,
    },
    /// These sessions end now.
    Kicked {
        /// Their numbers.
        sessions: Vec<String>,
        /// Numbers that no session has.
        missing: Vec<String>,
    },
    /// Nothing was done.
    Refused {
        /// Why, drawn with the lines that are wrong.
        why: String,
    },
}

/// Asks a running service.
///
/// # Errors
/// When nobody listens there, or not to this user, or the answer is none.
pub fn ask(socket: &Path, request: &Request) -> io::Result<Answer> {
    let mut stream = Stream::connect(socket)?;
    stream.set_read_timeout(Some(ANSWERED))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_string(request)?;
    line.push('\n');
    stream.write_all(line.as_bytes())?;
    let mut answer = String::new();
    BufReader::new(stream.take(ANSWER)).read_line(&mut answer)?;
    if answer.is_empty() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it does not answer this user"));
    }
    Ok(serde_json::from_str(&answer)?)
}

/// The socket, which goes with the service.
#[derive(Debug)]
pub(crate) struct Socket {
    path: PathBuf,
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Opens the socket for root, for the user that runs the service, and for the group. It gets its name only when its mode
/// is right, and takes the place of one that a killed service left.
///
/// # Errors
/// A sentence: there is no such group, another service has the socket, it cannot be made.
pub(crate) fn open(control: &Control) -> Result<(Listening, Socket), Error> {
    let path = &control.socket;
    let wrong = |error: io::Error| Error::new(format!("the control socket {}: {error}", path.display()));
    let group = Group::from_name(&control.group).ok().flatten();
    let group = group.map(|group| group.gid).ok_or_else(|| {
        Error::new(format!("`group` in [control]: there is no group `{}` here", control.group))
    })?;
    if Stream::connect(path).is_ok() {
        return Err(Error::new(format!(
            "another Mailward answers at {}: give this one a `socket` of its own in [control]",
            path.display()
        )));
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(wrong)?;
    }
    let unnamed = path.with_extension(format!("{}.new", std::process::id()));
    let _ = fs::remove_file(&unnamed);
    let listening = Listening::bind(&unnamed).map_err(wrong)?;
    let mode = if group == Gid::from_raw(0) { 0o600 } else { 0o660 };
    let named = fs::set_permissions(&unnamed, Permissions::from_mode(mode))
        .and_then(|()| if mode == 0o600 { Ok(()) } else { Ok(chown(&unnamed, None, Some(group))?) })
        .and_then(|()| fs::rename(&unnamed, path));
    if let Err(error) = named {
        let _ = fs::remove_file(&unnamed);
        return Err(wrong(error));
    }
    listening.set_nonblocking(true).map_err(wrong)?;
    Ok((listening, Socket { path: path.clone() }))
}

/// Hears operators, for as long as the service lives.
pub(crate) async fn serve(listening: Listening, events: mpsc::Sender<Event>) -> io::Result<()> {
    let listening = UnixListener::from_std(listening)?;
    let places = Rc::new(Semaphore::new(OPERATORS));
    loop {
        let Ok((stream, _)) = listening.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let (events, places) = (events.clone(), Rc::clone(&places));
        tokio::task::spawn_local(async move {
            if let Ok(_place) = places.acquire().await {
                let _ = hear(stream, events).await;
            }
        });
    }
}

async fn hear(mut stream: UnixStream, events: mpsc::Sender<Event>) -> io::Result<()> {
    let peer = stream.peer_cred()?;
    let mut line = String::new();
    let (half, _) = stream.split();
    let mut reader = AsyncReader::new(half.take(REQUEST));
    timeout(PATIENCE, reader.read_line(&mut line)).await??;
    let answer = match serde_json::from_str::<Request>(&line) {
        Ok(request) => {
            let (reply, replied) = oneshot::channel();
            let asked = events.send(Event::Asked { uid: peer.uid(), request, reply }).await;
            let stopping = || Answer::Refused { why: "the service is stopping".to_owned() };
            if asked.is_ok() { replied.await.unwrap_or_else(|_| stopping()) } else { stopping() }
        }
        Err(error) => Answer::Refused { why: format!("not a request: {error}") },
    };
    let mut answer = serde_json::to_string(&answer)?;
    answer.push('\n');
    timeout(PATIENCE, stream.write_all(answer.as_bytes())).await??;
    Ok(())
}

impl Supervisor {
    /// An operator asks.
    pub(crate) fn asked_by(&mut self, uid: u32, request: Request) -> Answer {
        match request {
            Request::Allow { mail, viruses, seconds } => self.allow(uid, &mail, &viruses, seconds),
            Request::AllowNoMore { mail, viruses } => self.allow_no_more(uid, &mail, &viruses),
            Request::AllowedList { tenant } => self.list_allowed(tenant.as_deref()),
            Request::Sessions(which) => self.list_sessions(&which),
            Request::Kick(which) => self.kick_sessions(uid, &which),
            Request::Reload { keep_sessions } => match self.reload(&format!("uid {uid}"), keep_sessions) {
                Ok(done) => Answer::Reloaded {
                    generation: done.generation,
                    kept: done.kept,
                    ended: done.ended,
                    notes: done.notes,
                },
                Err(why) => Answer::Refused { why },
            },
        }
    }
}
