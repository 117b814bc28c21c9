//! Every demanded engine, side by side: those outside work while this process takes the mail apart and the builtin one
//! looks at it. Each gives one answer; what one failed to say is never hidden by what another said.
use crate::antivirus::signatures::Signatures;
use crate::antivirus::talk::Talk;
use crate::antivirus::{Finding, builtin, counting};
use crate::archive::Inside;
use crate::content::Content;
use crate::job::{Job, micros};
use crate::outside::trust::Authorities;
use crate::parts::Parts;
use crate::views::Views;
use ipc::ids::{Checker, EngineAnswer, Viruses};
use ipc::log::printable;
use ipc::supervisor_scanner::{EngineGrant, EngineState, KnownMail};
use nix::errno::Errno;
use policy::engine::{Engine, EngineKind};
use policy::slice::ScannerSlice;
use policy::status::Status;
use std::future::poll_fn;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::Instant;

/// Parts that an answer names, and octets of the names of viruses in them.
const MOST_PARTS: usize = 32;
const MOST_NAMES: usize = 2048;

/// One demanded engine or spam filter: what the supervisor knows of it, and its connection.
#[derive(Debug)]
pub(crate) struct Demanded {
    pub(crate) grant: EngineGrant,
    pub(crate) connection: Option<OwnedFd>,
}

/// What is looked at, and what the builtin engine looks with.
pub(crate) struct Subject<'a> {
    pub(crate) views: &'a Views,
    pub(crate) parts: &'a Parts<'a>,
    /// What was found in the members of each leaf.
    pub(crate) inside: &'a [Inside],
    pub(crate) signatures: &'a Signatures,
}

/// What some engine found in one leaf: never that it is clean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Located {
    /// Its index.
    pub(crate) leaf: usize,
    pub(crate) found: Finding,
}

impl Located {
    /// What of it counts; `None`: nothing.
    pub(crate) fn counting(mut self, allowed: &[String]) -> Option<Self> {
        let Finding { statuses, viruses, .. } = &mut self.found;
        let counts = counting(*statuses, viruses, allowed);
        if counts != *statuses {
            (*statuses, *viruses) = (counts, Viruses::default());
        }
        (!counts.is_clean()).then_some(self)
    }

    /// The parts that an answer names.
    pub(crate) fn all(answer: &EngineAnswer) -> Vec<Self> {
        answer.parts.iter().map(|(leaf, viruses)| Self::infected(*leaf, viruses.clone())).collect()
    }

    fn infected(leaf: u16, viruses: Viruses) -> Self {
        Self { leaf: usize::from(leaf), found: Finding::in_part(viruses) }
    }
}

/// An engine that was asked, or will be.
pub(crate) struct Asked {
    name: String,
    limit: Option<u64>,
    begun: Instant,
    how: How,
}

enum How {
    Known(Finding, Vec<Located>),
    Outside(JoinHandle<Heard>),
    Inside,
}

/// What an engine said of the mail as it came, how long it took, and the conversation, which may go on.
struct Heard {
    finding: Finding,
    took: Duration,
    talk: Option<Talk>,
}

/// Asks an engine about the mail as it came; one outside is on its way when the caller waits for anything.
pub(crate) fn ask(job: &Job<'_>, index: u16, demanded: Demanded, mail: &Rc<Content>) -> Asked {
    let Demanded { grant, connection } = demanded;
    let begun = Instant::now();
    let Some(engine) = job.slice.engines.get(usize::from(index)) else {
        let unknown = Finding::of(Status::Error, "an engine that the policy does not have");
        return Asked { name: String::new(), limit: None, begun, how: How::Known(unknown, Vec::new()) };
    };
    let error =
        |why: &str| How::Known(Finding::of(Status::Error, format!("{}: {why}", engine.name)), Vec::new());
    let how = match (grant.state, connection, &engine.kind) {
        // What it would say is known, but not in which part; it costs little to look again.
        (EngineState::Inside | EngineState::Known, _, EngineKind::Builtin { .. }) => How::Inside,
        (EngineState::Up, Some(connection), EngineKind::Clamd(_) | EngineKind::Icap { .. }) => {
            let (slice, authorities) = (Rc::clone(job.slice), Rc::clone(job.authorities));
            How::Outside(spawn_local(outside(
                engine.clone(),
                connection,
                slice,
                Rc::clone(mail),
                authorities,
            )))
        }
        (EngineState::Down { errno }, ..) => {
            error(&format!("cannot be reached: {}", Errno::from_raw(errno).desc()))
        }
        (EngineState::Unproven, ..) => error("never yet found the test virus"),
        (EngineState::Known, ..) => match known(job.known(), &engine.name) {
            Some((finding, located)) => How::Known(finding, located),
            None => error("nothing is known of this mail"),
        },
        (EngineState::Inside | EngineState::Up, ..) => error("no connection was given"),
    };
    Asked { name: engine.name.clone(), limit: limit(engine, grant.limit), begun, how }
}

/// What an engine said of this very mail before, if it did.
pub(crate) fn known(known: Option<&KnownMail>, engine: &str) -> Option<(Finding, Vec<Located>)> {
    let answer = known?.answers.iter().find(|answer| answer.engine == engine)?;
    let EngineAnswer { statuses, viruses, detail, .. } = answer.clone();
    Some((Finding { statuses, viruses, detail }, Located::all(answer)))
}

/// What the demanded engines say of themselves.
pub(crate) async fn versions(
    slice: &ScannerSlice,
    engines: Vec<Demanded>,
    authorities: &Authorities,
) -> Vec<EngineAnswer> {
    let mut answers = Vec::with_capacity(engines.len());
    for Demanded { grant, connection } in engines {
        let Checker::Engine(index) = grant.checker else { continue };
        let Some(engine) = slice.engines.get(usize::from(index)) else { continue };
        let begun = Instant::now();
        let finding = match connection {
            Some(connection) => {
                let deadline = begun.checked_add(engine.timeout).unwrap_or(begun);
                match Talk::begin(engine, connection, authorities, &slice.server_tls, deadline).await {
                    Ok(mut talk) => talk.version().await,
                    Err(finding) => finding,
                }
            }
            None => Finding::of(Status::Error, format!("{}: no connection was given", engine.name)),
        };
        answers.push(answer(engine.name.clone(), finding, begun.elapsed(), &[]));
    }
    answers
}

/// The smaller of what the operator wrote and what probing found.
fn limit(engine: &Engine, probed: Option<u64>) -> Option<u64> {
    let configured = engine.kind.outside().and_then(|outside| outside.max_size);
    [configured, probed].into_iter().flatten().min()
}

async fn outside(
    engine: Engine,
    connection: OwnedFd,
    slice: Rc<ScannerSlice>,
    mail: Rc<Content>,
    authorities: Rc<Authorities>,
) -> Heard {
    let begun = Instant::now();
    let deadline = begun.checked_add(engine.timeout).unwrap_or(begun);
    match Talk::begin(&engine, connection, &authorities, &slice.server_tls, deadline).await {
        Ok(mut talk) => {
            let finding = talk.about_mail(&mail).await;
            Heard { finding, took: begun.elapsed(), talk: Some(talk) }
        }
        Err(finding) => Heard { finding, took: begun.elapsed(), talk: None },
    }
}

/// Waits for every engine: one answer for each, and where in the mail it found something.
pub(crate) async fn finish(asked: Vec<Asked>, subject: &Subject<'_>) -> Vec<(EngineAnswer, Vec<Located>)> {
    let boxed = |asked: Asked| Box::pin(asked.finish(subject)) as Pin<Box<dyn Future<Output = _>>>;
    together(asked.into_iter().map(boxed).collect()).await
}

impl Asked {
    /// Whether it runs inside this process.
    pub(crate) const fn is_inside(&self) -> bool {
        matches!(self.how, How::Inside)
    }

    async fn finish(self, subject: &Subject<'_>) -> (EngineAnswer, Vec<Located>) {
        let (finding, located, took) = match self.how {
            How::Known(finding, located) => (finding, located, Duration::ZERO),
            How::Inside => {
                let (finding, located) = builtin::scan(subject).await;
                (finding, located, self.begun.elapsed())
            }
            How::Outside(task) => match task.await {
                Ok(Heard { finding, took, talk: None }) => (finding, Vec::new(), took),
                Ok(Heard { finding, took, talk: Some(talk) }) => {
                    let (finding, located) = look_closer(talk, finding, subject).await;
                    (finding, located, took)
                }
                Err(_) => {
                    let cut =
                        Finding::of(Status::Error, format!("{}: the conversation was cut off", self.name));
                    (cut, Vec::new(), self.begun.elapsed())
                }
            },
        };
        let views = subject.views;
        let largest = views.extra.iter().map(Vec::len).chain([views.raw.bytes().len()]).max().unwrap_or(0);
        let over = self.limit.is_some_and(|limit| largest as u64 > limit);
        let finding = if over {
            let why = format!("{}: larger than it was seen to look into", self.name);
            finding.and(Finding::of(Status::Limit, why))
        } else {
            finding
        };
        (answer(self.name, finding, took, &located), located)
    }
}

fn answer(engine: String, finding: Finding, took: Duration, located: &[Located]) -> EngineAnswer {
    let infected = located.iter().filter(|located| located.found.statuses.contains(Status::Infected));
    let parts: Vec<(u16, Viruses)> = infected
        .filter_map(|located| Some((u16::try_from(located.leaf).ok()?, located.found.viruses.clone())))
        .collect();
    let names: usize = parts.iter().flat_map(|(_, viruses)| &viruses.names).map(String::len).sum();
    // What does not fit is not known in part: the rest would pass for clean.
    let fits = parts.len() <= MOST_PARTS && names <= MOST_NAMES;
    EngineAnswer {
        engine,
        statuses: finding.statuses,
        viruses: finding.viruses,
        detail: printable(&finding.detail, 200),
        parts: if fits { parts } else { Vec::new() },
        micros: micros(took),
    }
}

/// Shows the engine what else there is to see; if the mail is infected, its leaves one by one, so that the part is known
/// that bears the virus. A leaf that could not be looked at stays unnamed: the mail is infected all the same.
async fn look_closer(mut talk: Talk, mut finding: Finding, subject: &Subject<'_>) -> (Finding, Vec<Located>) {
    for view in &subject.views.extra {
        if talk.goes_on() {
            finding = finding.and(talk.about(view).await);
        }
    }
    let mut located = Vec::new();
    if finding.statuses.contains(Status::Infected) {
        for (leaf, index) in subject.parts.leaves.iter().zip(0..) {
            if !talk.goes_on() {
                break;
            }
            let found = talk.about(&leaf.octets).await;
            if found.statuses.contains(Status::Infected) {
                finding.viruses = finding.viruses.and(found.viruses.clone());
                located.push(Located::infected(index, found.viruses));
            }
        }
    }
    if located.len() > MOST_PARTS {
        // Half of the truth would be none: the rest would pass for clean.
        located.clear();
    }
    if talk.goes_on() {
        finding = finding.and(talk.end().await);
    }
    (finding, located)
}

/// Waits for all of them, each polled until it is ready.
async fn together<T>(mut futures: Vec<Pin<Box<dyn Future<Output = T> + '_>>>) -> Vec<T> {
    let mut outputs: Vec<Option<T>> = futures.iter().map(|_| None).collect();
    poll_fn(|context| {
        for (future, output) in futures.iter_mut().zip(&mut outputs) {
            if output.is_none()
                && let Poll::Ready(ready) = future.as_mut().poll(context)
            {
                *output = Some(ready);
            }
        }
        if outputs.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    outputs.into_iter().flatten().collect()
}
