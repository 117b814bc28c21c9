//! THE STORY of one mail: verify what was given, take it apart, ask every engine side by side, judge by the rules,
//! rewrite if they say so, answer once.
use crate::answer::Judgement;
use crate::antispam;
use crate::antivirus::signatures::{self, Signatures};
use crate::antivirus::{self, Finding, builtin};
use crate::archive::{Inside, Opener};
use crate::content::Content;
use crate::documents::{self, Document};
use crate::engines::{self, Demanded, Located, Subject};
use crate::inspection::Inspection;
use crate::notice;
use crate::outside::trust::Authorities;
use crate::part_map;
use crate::parts::{Leaf, Parts, take_apart};
use crate::rewrite::{self, About};
use crate::rules::{self, Change, Header, Outcome, Verdict};
use crate::turn::Turn;
use crate::views::Views;
use ipc::ids::{Checker, EngineAnswer, Found, LeaseId, Sha256, SpamAnswer};
use ipc::log::printable;
use ipc::supervisor_scanner::{FromScanner, KnownMail, ToScanner};
use ipc::waiting::Waiting;
use ipc::worker_scanner::{Context, Disposition, Judged, ScanJob};
use policy::comparison::show_score;
use policy::locked::LockedKinds;
use policy::model::{ExtraType, MailFilter};
use policy::names::Direction;
use policy::notice::Notice;
use policy::slice::ScannerSlice;
use policy::status::{Status, StatusSet};
use policy::time::Clock;
use policy::violation::Treatments;
use std::rc::Rc;
use std::time::{Duration, Instant};

#[cfg(test)]
mod tests;

/// Octets of a reason on the wire.
const MAX_REASON: usize = 256;

/// What one job is done with.
pub(crate) struct Job<'a> {
    pub(crate) lease: LeaseId,
    pub(crate) scan: &'a ScanJob,
    pub(crate) slice: &'a Rc<ScannerSlice>,
    pub(crate) clock: &'a Clock,
    pub(crate) signatures: &'a Signatures,
    pub(crate) authorities: &'a Rc<Authorities>,
    pub(crate) poison: bool,
    /// Of a mail that a scanner died with: the supervisor, who is told whether an engine's answer is outstanding.
    pub(crate) suspect: Option<&'a Waiting<FromScanner, ToScanner>>,
    /// What the supervisor knows of this mail.
    pub(crate) known: Option<&'a KnownMail>,
}

impl<'a> Job<'a> {
    /// What is known of this very mail: its hash was verified.
    pub(crate) fn known(&self) -> Option<&'a KnownMail> {
        self.known?.about(self.scan.sha256)
    }

    /// What had been found in it when it was served changed, as the engines' answers of then.
    fn formerly(&self) -> Vec<EngineAnswer> {
        let answer = |found: &Found| EngineAnswer {
            engine: found.engine.clone(),
            statuses: StatusSet::of(Status::Infected),
            viruses: found.viruses.clone(),
            detail: String::new(),
            parts: found.parts.clone(),
            micros: 0,
        };
        self.known().map(|known| known.formerly.iter().map(answer).collect()).unwrap_or_default()
    }

    /// The viruses that do not count in it.
    fn allowed(&self) -> &'a [String] {
        self.known().map(|known| known.allowed.as_slice()).unwrap_or_default()
    }
}

/// Judges a mail whose hash was verified.
pub(crate) async fn judge(job: Job<'_>, mail: Rc<Content>, engines: Vec<Demanded>) -> Judgement {
    let begun = Instant::now();
    let filter = filter(job.slice, &job.scan.context);
    let sha256 = job.scan.sha256;
    let inspection = if job.poison {
        Inspection::poison(job.scan.found)
    } else {
        inspect_watched(&job, &mail, engines, filter).await
    };
    let Verdict { outcome, rule, would, fields, keywords } = rules::decide(&job, &inspection, mail.bytes());
    // What only monitors delivers the server's octets.
    let monitors = job.slice.monitors.get(usize::from(job.scan.context.command_rule)) == Some(&true);
    let canonical = inspection.canonical.as_deref().filter(|_| !monitors);
    let mut reason = inspection.reason();
    let copy = match &outcome {
        Outcome::Accept => canonical.map(<[u8]>::to_vec),
        Outcome::Defer | Outcome::Deny => None,
        Outcome::Change(changes) => {
            let changed = changed(&job, &inspection, canonical.unwrap_or(mail.bytes()), changes);
            let instead = changes.iter().find_map(Change::notice).unwrap_or_default();
            Some(changed.unwrap_or_else(|| notice(&job, &inspection, mail.bytes(), &instead, &rule)))
        }
        Outcome::Replace(instead) => Some(notice(&job, &inspection, mail.bytes(), instead, &rule)),
    };
    // A filter that found nothing to take out has changed nothing; only what replaces always does.
    let (outcome, copy) = match (outcome, copy) {
        (Outcome::Change(changes), Some(copy))
            if copy == canonical.unwrap_or(mail.bytes())
                && changes.iter().all(|change| change.notice().is_none()) =>
        {
            (Outcome::Accept, canonical.map(<[u8]>::to_vec))
        }
        unchanged => unchanged,
    };
    let copy = if fields.is_empty() {
        copy
    } else {
        let passing = copy.unwrap_or_else(|| mail.bytes().to_vec());
        Some(rewrite::header::change(&passing, &fields, |name| filled(name, &inspection, &rule, &sha256)))
    };
    let fits = copy.as_ref().is_none_or(|copy| copy.len() as u64 <= job.scan.max_output);
    let (mut disposition, mut copy) = match (&outcome, copy) {
        (Outcome::Accept, None) => (Disposition::Pass, None),
        (Outcome::Deny, _) => (Disposition::Deny, None),
        (Outcome::Accept | Outcome::Change(_) | Outcome::Replace(_), Some(copy)) if fits => {
            let length = copy.len() as u64;
            // Header fields of a rule's own are no part of the canonical form.
            let corrects = outcome == Outcome::Accept && fields.is_empty();
            let made =
                if corrects { Disposition::Correct { length } } else { Disposition::Replace { length } };
            (made, Some(copy))
        }
        (Outcome::Accept | Outcome::Change(_) | Outcome::Replace(_), Some(_)) => {
            reason = "the notice is larger than the worker takes".into();
            (Disposition::Defer, None)
        }
        (Outcome::Defer | Outcome::Change(_) | Outcome::Replace(_), _) => (Disposition::Defer, None),
    };
    let mut map = None;
    if job.scan.map && !matches!(disposition, Disposition::Deny | Disposition::Defer) {
        match part_map::of(copy.as_deref().unwrap_or(mail.bytes()), filter) {
            Ok(made) => map = Some(made),
            Err(why) => (disposition, copy, reason) = (Disposition::Defer, None, why.into()),
        }
    }
    let (map, octets) = map.unzip();
    let judged = Judged {
        lease: job.lease,
        sha256,
        disposition,
        map,
        keywords,
        rule,
        would,
        statuses: inspection.statuses,
        answers: inspection.answers,
        spam: inspection.spam,
        reason: printable(&reason, MAX_REASON),
        micros: micros(begun.elapsed()),
    };
    Judgement { judged, copy, map: octets.unwrap_or_default() }
}

/// What stands for `{name}` in a value of a header field.
fn filled(name: &str, inspection: &Inspection<'_>, rule: &str, sha256: &Sha256) -> String {
    match name {
        "virus" => {
            let viruses: Vec<String> = inspection.viruses().into_iter().map(|(_, virus)| virus).collect();
            viruses.join(", ")
        }
        "status" => inspection.statuses.to_string(),
        "rule" => rule.to_owned(),
        "case" => sha256.case(),
        // `score`: what `spam-score` compares with.
        _ => inspection.score().map_or_else(|| "unknown".into(), show_score),
    }
}

/// The notice that stands in the place of the body.
fn notice(job: &Job<'_>, inspection: &Inspection<'_>, mail: &[u8], notice: &Notice, rule: &str) -> Vec<u8> {
    let viruses = inspection.viruses();
    let (language, case) = (job.scan.context.language, job.scan.sha256.case());
    notice::write(mail, &inspection.facts(notice, language, &viruses, rule, &case))
}

/// The mail with its parts changed. `None`: something is still wrong with it, and its body has to go.
fn changed(job: &Job<'_>, inspection: &Inspection<'_>, mail: &[u8], changes: &[Change]) -> Option<Vec<u8>> {
    let (sender, subject) = notice::about(mail);
    let case = job.scan.sha256.case();
    let about =
        About { language: job.scan.context.language, case: &case, sender: &sender, subject: &subject };
    let copy = rewrite::change(mail, inspection, changes, &about)?;
    let filter = filter(job.slice, &job.scan.context);
    let parts = take_apart(&copy, filter);
    let infected = || match job.signatures.scan(&copy) {
        signatures::Verdict::Clean => false,
        signatures::Verdict::Infected(viruses) => !viruses.within(job.allowed()),
        signatures::Verdict::Undecided => true,
    };
    let looked = inspection.statuses.contains(Status::Infected);
    let sound = parts.recognised && parts.leaves.len() == inspection.leaves.len() && !(looked && infected());
    sound.then_some(copy)
}

/// What each engine and spam filter says of a mail that is nobody's: a probe.
pub(crate) async fn ask_all(
    job: &Job<'_>,
    mail: &Rc<Content>,
    engines: Vec<Demanded>,
) -> (Vec<EngineAnswer>, Vec<SpamAnswer>) {
    let inspection = inspect(job, mail, engines, filter(job.slice, &job.scan.context)).await;
    (inspection.answers, inspection.spam)
}

/// As [`inspect`]. A mail that a scanner died with is first looked at with no engine outside: if it ends this process too,
/// no engine's answer can have done it.
async fn inspect_watched<'m>(
    job: &Job<'_>,
    mail: &'m Rc<Content>,
    demanded: Vec<Demanded>,
    filter: &MailFilter,
) -> Inspection<'m> {
    let outside = demanded.iter().any(|demanded| demanded.connection.is_some());
    let Some(supervisor) = job.suspect.filter(|_| outside) else {
        return inspect(job, mail, demanded, filter).await;
    };
    // If the supervisor is gone, this process ends soon.
    let say = |outstanding| {
        let _ = supervisor.send(&FromScanner::Asking { lease: job.lease, outstanding }, &[]);
    };
    let inside = demanded.iter().filter(|demanded| demanded.connection.is_none());
    let inside = inside.map(|demanded| Demanded { grant: demanded.grant, connection: None }).collect();
    drop(inspect(job, mail, inside, filter).await);
    say(true);
    let inspection = inspect(job, mail, demanded, filter).await;
    say(false);
    inspection
}

async fn inspect<'m>(
    job: &Job<'_>,
    mail: &'m Rc<Content>,
    demanded: Vec<Demanded>,
    filter: &MailFilter,
) -> Inspection<'m> {
    let (mut asked, mut filters) = (Vec::new(), Vec::new());
    for demanded in demanded {
        match demanded.grant.checker {
            Checker::Engine(index) => asked.push(engines::ask(job, index, demanded, mail)),
            Checker::Filter(index) => filters.push((index, demanded)),
        }
    }
    let filters = ask_filters(job, mail, filters);
    // Daemons work while this process takes the mail apart.
    let mut turn = Turn::begin().await;
    let mut parts = take_apart(mail.bytes(), filter);
    let views = Views { raw: Rc::clone(mail), extra: std::mem::take(&mut parts.extra) };
    // A mail that was cut off while it was spooled is over a limit; that it breaks off says nothing about it.
    let cut = job.scan.found.contains(Status::Limit);
    let mut statuses = if cut { job.scan.found } else { job.scan.found.union(parts.found) };
    let inner = asked.iter().filter(|asked| asked.is_inside()).count();
    let inside = open(job, &parts, filter, inner > 0, &mut turn).await;
    let base = parts.canonical.as_deref().unwrap_or(mail.bytes());
    let documents = describe(&parts, &inside, base, &job.slice.extra_types);
    let alone = inner > 0 && inner == asked.len();
    let mut found: Vec<Finding> = inside.iter().map(|inside| inside.found(alone)).collect();
    statuses = found.iter().map(|found| found.statuses).fold(statuses, StatusSet::union);
    let mut answers = Vec::new();
    let mut astray = false;
    let subject = Subject { views: &views, parts: &parts, inside: &inside, signatures: job.signatures };
    let allowed = job.allowed();
    let formerly = job.formerly();
    let asked = engines::finish(asked, &subject).await;
    let now = asked.len();
    let then = formerly.iter().map(|answer| (answer.clone(), Located::all(answer)));
    for ((answer, located), index) in asked.into_iter().chain(then).zip(0..) {
        let counts = antivirus::counting(answer.statuses, &answer.viruses, allowed);
        statuses = statuses.union(counts);
        let located: Vec<Located> =
            located.into_iter().filter_map(|located| located.counting(allowed)).collect();
        let borne = located.iter().any(|located| located.found.statuses.contains(Status::Infected));
        astray |= counts.contains(Status::Infected) && !borne;
        for located in located {
            if let Some(found) = found.get_mut(located.leaf) {
                *found = std::mem::take(found).and(located.found);
            }
        }
        // What is said of the mail is what engines say today.
        if index < now {
            answers.push(answer);
        }
    }
    if answers.is_empty() {
        statuses = statuses.with(Status::Skipped);
    }
    let mut spam = Vec::with_capacity(filters.len());
    for asked in filters {
        spam.push(asked.finish().await);
    }
    let Parts { leaves, why, recognised, violations, canonical, .. } = parts;
    let unread = false;
    Inspection {
        statuses,
        answers,
        spam,
        why,
        recognised,
        violations,
        canonical,
        unread,
        leaves,
        documents,
        found,
        astray,
        allowed: allowed.to_vec(),
        formerly,
    }
}

fn ask_filters(job: &Job<'_>, mail: &Rc<Content>, demanded: Vec<(u16, Demanded)>) -> Vec<antispam::Asked> {
    if demanded.is_empty() {
        return Vec::new();
    }
    let user = job.scan.context.user.clone();
    let header = Header::read(mail.bytes());
    let about = Rc::new(antispam::About { mail: Rc::clone(mail), header, user });
    demanded
        .into_iter()
        .map(|(index, Demanded { grant, connection })| {
            antispam::ask(job.slice, index, &grant, connection, &about, job.authorities)
        })
        .collect()
}

/// What is inside each leaf; `asked`: the builtin engine looks at it too.
async fn open(
    job: &Job<'_>,
    parts: &Parts<'_>,
    filter: &MailFilter,
    asked: bool,
    turn: &mut Turn,
) -> Vec<Inside> {
    let look = |octets: &[u8]| builtin::look(job.signatures, octets);
    let mut opener = Opener::new(filter, &job.slice.extra_types, asked.then_some(&look));
    let mut inside = Vec::with_capacity(parts.leaves.len());
    for leaf in &parts.leaves {
        turn.take(leaf.octets.len()).await;
        inside.push(opener.open(&leaf.octets));
    }
    inside
}

/// What each leaf is.
fn describe(parts: &Parts<'_>, inside: &[Inside], mail: &[u8], extra: &[ExtraType]) -> Vec<Document> {
    let header = |leaf: &Leaf<'_>| leaf.place.as_ref().and_then(|place| mail.get(place.header.clone()));
    parts
        .leaves
        .iter()
        .zip(inside)
        .map(|(leaf, inside)| documents::describe(leaf, inside, header(leaf).unwrap_or_default(), extra))
        .collect()
}

/// The mail filter of the rule, else the strictest there is to be had: the default.
fn filter<'a>(slice: &'a ScannerSlice, context: &Context) -> &'a MailFilter {
    const NOTHING: &MailFilter = &MailFilter {
        name: String::new(),
        treatments: Treatments::STRICT,
        encrypted: LockedKinds::ALL,
        max_parts: 0,
        max_depth: 0,
        max_header: 0,
        max_decoded: 0,
        max_archive_depth: 0,
    };
    let of_rule = slice.filters.get(usize::from(context.command_rule)).copied().flatten();
    let index = of_rule.map(|(download, upload)| match context.direction {
        Direction::Download => download,
        Direction::Upload => upload,
    });
    index.and_then(|index| slice.mail_filters.get(usize::from(index))).unwrap_or(NOTHING)
}

/// The answer for a mail that cannot be read as it was announced.
pub(crate) fn unreadable(lease: LeaseId, sha256: Sha256, why: &str) -> Judgement {
    let judged = Judged {
        lease,
        sha256,
        disposition: Disposition::Defer,
        map: None,
        keywords: Vec::new(),
        rule: String::new(),
        would: None,
        statuses: StatusSet::of(Status::Error),
        answers: Vec::new(),
        spam: Vec::new(),
        reason: printable(why, MAX_REASON),
        micros: 0,
    };
    Judgement { judged, copy: None, map: Vec::new() }
}

pub(crate) fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}
