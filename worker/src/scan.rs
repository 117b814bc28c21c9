//! One mail's way through a scanner: the job, the one answer, and what the worker believes of it.
//!
//! The scanner parses what an attacker wrote, so its answer is read as if the attacker had written it too. It can lie
//! about a mail, but not about which mail, who was asked, or how long the copy is; whatever is missing, late or
//! contradicts itself defers the mail.
use crate::copy::{Copy, Source};
use crate::limits::{ANSWER_TEXT, SPAM_ANSWERS, VIRUS_NAME};
use crate::memfd;
use crate::part_map;
use crate::spool::{Kept, SealedMail};
use ipc::ids::{EngineAnswer, Found, LeaseId, MOST_VIRUSES, Sha256, SpamAnswer};
use ipc::worker_scanner::{Answer, Context, Disposition, Judged, ScanJob, Task, max_output};
use ipc::{Link, LinkError};
use policy::status::{Status, StatusSet};
use std::future::Future;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::rc::Rc;

/// What a job is about, besides the mail.
#[derive(Clone)]
pub(crate) struct Question {
    /// Statuses that spooling found.
    pub(crate) found: StatusSet,
    /// Parts of the copy will be asked for.
    pub(crate) parts: bool,
    /// What the rules may depend on.
    pub(crate) context: Context,
    /// Names of the demanded engines.
    pub(crate) engines: Rc<[String]>,
    /// Viruses that the operator allowed in this mail: the supervisor says so, with the lease.
    pub(crate) allowed: Vec<String>,
    /// Statuses that a mail which passes can have by the rules.
    pub(crate) passes: StatusSet,
    /// Keywords that the rules name.
    pub(crate) keywords: Rc<[String]>,
}

/// The way there and back.
pub(crate) type Trip = Pin<Box<dyn Future<Output = Result<Judgement, Lost>>>>;

/// Why a trip brought nothing.
#[derive(Debug)]
pub(crate) enum Lost {
    /// The scanner is gone: the supervisor leases another, or says that there is none.
    Scanner,
    /// It answered what cannot be believed.
    Lied(&'static str),
    /// Something of ours failed.
    Internal(&'static str),
}

/// A judgement that was checked.
pub(crate) struct Judgement {
    /// What the scanner said, for the log.
    pub(crate) judged: Box<Judged>,
    /// What follows.
    pub(crate) decision: Decision,
}

/// What becomes of the mail.
pub(crate) enum Decision {
    /// Serve this.
    Deliver(Rc<Copy>),
    /// Refuse it for good.
    Deny,
    /// Refuse it for now.
    Defer,
}

/// Sends the job over the pair that came with a lease, and waits for the answer. The supervisor's deadline ends it. `file`: the
/// mail must have a descriptor.
pub(crate) fn trip(
    lease: LeaseId,
    pair: OwnedFd,
    mail: Rc<SealedMail>,
    file: bool,
    question: Question,
) -> Trip {
    Box::pin(async move {
        let link = Link::new(pair).map_err(|_| Lost::Internal("no link to the scanner"))?;
        let Question { found, parts, context, engines, allowed, passes, keywords } = question;
        let max_output = max_output(mail.length());
        let along = match mail.kept() {
            Kept::Here(octets) if !file => Some(octets),
            Kept::Here(_) | Kept::Memory(_) | Kept::File(..) => None,
        };
        let (size, sha256, here) = (mail.length(), mail.sha256(), along.is_some());
        let job = ScanJob { lease, size, sha256, here, found, max_output, map: parts, context };
        let job = Task::Scan(Box::new(job));
        let sent = match along {
            Some(octets) => link.send_with(&job, octets, &[]).await,
            None => {
                let file = mail.descriptor().map_err(Lost::Internal)?;
                link.send(&job, &[file.as_fd()]).await
            }
        };
        sent.map_err(|error| match error {
            // Another scanner's link would be the same.
            LinkError::Io(_) | LinkError::Wire(_) => Lost::Internal("the mail cannot be sent to a scanner"),
            LinkError::Closed | LinkError::Full => lost(error),
        })?;
        let (judged, octets, output) = hear(&link).await?;
        let (engines, allowed, keywords) = (&*engines, allowed.as_slice(), &*keywords);
        let expected = Expected { lease, sha256, found, engines, allowed, passes, keywords };
        match believe(&judged, &expected)
            .and_then(|()| decide(&judged, mail, octets, output, max_output, parts))
        {
            Ok(decision) => Ok(Judgement { judged, decision }),
            Err(lie) => Err(Lost::Lied(lie)),
        }
    })
}

/// The judgement, the octets behind it, and the output if it was asked for.
async fn hear(link: &Link<Task, Answer>) -> Result<(Box<Judged>, Vec<u8>, Option<OwnedFd>), Lost> {
    let mut output = None;
    loop {
        match link.recv_with().await.map_err(lost)? {
            (Answer::Judged(judged), octets, _) => return Ok((judged, octets, output)),
            (Answer::WantOutput, ..) if output.is_some() => {
                return Err(Lost::Lied("the scanner wants a second output"));
            }
            (Answer::WantOutput, ..) => {
                let file =
                    memfd::create(c"output").map_err(|_| Lost::Internal("cannot make a memory file"))?;
                link.send(&Task::Output, &[file.as_fd()]).await.map_err(lost)?;
                output = Some(file);
            }
        }
    }
}

fn lost(error: LinkError) -> Lost {
    match error {
        LinkError::Closed | LinkError::Io(_) => Lost::Scanner,
        LinkError::Wire(_) => Lost::Lied("the scanner's answer cannot be read"),
        LinkError::Full => Lost::Internal("no room on the scanner's link"),
    }
}

/// What an answer must agree with.
struct Expected<'a> {
    lease: LeaseId,
    sha256: Sha256,
    found: StatusSet,
    engines: &'a [String],
    allowed: &'a [String],
    passes: StatusSet,
    keywords: &'a [String],
}

/// Whether an answer is about this mail, complete, and free of contradictions.
fn believe(judged: &Judged, expected: &Expected<'_>) -> Result<(), &'static str> {
    let Judged {
        lease,
        sha256,
        disposition,
        map: _,
        keywords,
        rule,
        would,
        statuses,
        answers,
        spam,
        reason,
        micros: _,
    } = judged;
    if *lease != expected.lease {
        return Err("the scanner answered for another lease");
    }
    if *sha256 != expected.sha256 {
        return Err("the scanner judged another mail");
    }
    let long = |answer: &EngineAnswer| {
        let names = &answer.viruses.names;
        names.len() > MOST_VIRUSES
            || names.iter().any(|virus| virus.len() > VIRUS_NAME)
            || answer.detail.len() > ANSWER_TEXT
    };
    if rule.len() > ANSWER_TEXT || reason.len() > ANSWER_TEXT || answers.iter().any(long) {
        return Err("the scanner's answer is over its limits");
    }
    // It stands in a command of ours: no word but the operator's gets there.
    if keywords.len() > expected.keywords.len()
        || !keywords.iter().all(|word| expected.keywords.contains(word))
    {
        return Err("the scanner names a keyword that no rule names");
    }
    let wordy = |answer: &SpamAnswer| {
        [&answer.filter, &answer.symbols, &answer.detail].iter().any(|text| text.len() > ANSWER_TEXT)
    };
    if spam.len() > SPAM_ANSWERS || spam.iter().any(wordy) {
        return Err("the scanner's answer about spam is over its limits");
    }
    let demanded = |engine: &String| expected.engines.contains(engine);
    let times = |engine: &String| answers.iter().filter(|answer| answer.engine == *engine).count();
    if !answers.iter().all(|answer| demanded(&answer.engine) && times(&answer.engine) == 1) {
        return Err("an engine answered that was not asked, or twice");
    }
    if statuses.is_empty() || answers.iter().any(|answer| answer.statuses.is_empty()) {
        return Err("the scanner's answer has no status");
    }
    // What the operator allowed may be missing, and nothing else.
    let counts = |answer: &EngineAnswer, status: Status| match status {
        Status::Clean => false,
        Status::Infected => !answer.viruses.within(expected.allowed),
        Status::Error
        | Status::Unknown
        | Status::Limit
        | Status::Encrypted
        | Status::Malformed
        | Status::Skipped => true,
    };
    let said =
        answers.iter().flat_map(|answer| answer.statuses.iter().filter(|status| counts(answer, *status)));
    if !said.fold(expected.found, StatusSet::with).within(*statuses) {
        return Err("the scanner's answer hides what an engine found");
    }
    // A mail that killed two scanners is answered without asking an engine; it is malformed, and never passed.
    let complete = expected.engines.iter().all(|engine| times(engine) == 1);
    // A rebuilt mail is the mail: what may not pass may not pass rebuilt.
    let passes = matches!(disposition, Disposition::Pass | Disposition::Correct { .. });
    if !complete && (passes || !statuses.contains(Status::Malformed)) {
        return Err("an engine's answer is missing");
    }
    if would.is_some() && expected.passes != StatusSet::naming(Status::ALL) {
        return Err("the scanner enforces nothing where every rule is enforced");
    }
    if passes {
        if !statuses.within(expected.passes) {
            return Err("the scanner passes what no rule lets pass");
        }
        if expected.found.contains(Status::Limit) {
            return Err("the scanner passes a mail of which only the beginning is there");
        }
        if expected.engines.is_empty() && !statuses.contains(Status::Skipped) {
            return Err("the scanner calls clean what no engine saw");
        }
    }
    Ok(())
}

/// Turns a believed answer into what is served. The output is sealed first: the scanner still holds it.
fn decide(
    judged: &Judged,
    mail: Rc<SealedMail>,
    octets: Vec<u8>,
    output: Option<OwnedFd>,
    max_output: u64,
    parts: bool,
) -> Result<Decision, &'static str> {
    let changed = match judged.disposition {
        Disposition::Pass => None,
        Disposition::Replace { length } | Disposition::Correct { length } => Some(length),
        Disposition::Deny => return Ok(Decision::Deny),
        Disposition::Defer => return Ok(Decision::Defer),
    };
    if let Some(output) = &output {
        memfd::seal(output).map_err(|_| "the changed copy cannot be sealed")?;
    }
    let map = if parts {
        let map = judged.map.ok_or("the scanner gives no part map")?;
        Some((part_map::octets(map, octets, output.as_ref(), changed.unwrap_or(0))?, map.recognised))
    } else {
        None
    };
    let (length, sha256) = (mail.length(), mail.sha256());
    let mut copy = match changed {
        None => Copy::new(Source::Original(mail), length, sha256),
        Some(length) => {
            let output = output.ok_or("the scanner wrote no changed copy")?;
            let there = memfd::length(&output).map_err(|_| "the changed copy cannot be measured")?;
            if length > there || length > max_output {
                return Err("the changed copy is shorter than promised, or too long");
            }
            Copy::new(Source::Output(output), length, sha256)
        }
    };
    if copy.is_changed() && judged.statuses.contains(Status::Infected) {
        copy.found = Found::of(&judged.answers);
    }
    if matches!(judged.disposition, Disposition::Correct { .. }) && !part_map::is_canonical(&copy) {
        return Err("the rebuilt mail is not one that has one reading");
    }
    if let Some((octets, recognised)) = map {
        copy.map = part_map::read(&octets, recognised, &copy)?;
    }
    Ok(Decision::Deliver(Rc::new(copy)))
}
