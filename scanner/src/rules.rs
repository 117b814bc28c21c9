//! Phase 3, with the facts that the rules ask for: of the session from the job, of the mail and its parts from themselves.
//! Rules for parts first, then rules for the mail; the strongest of all their decisions wins (D15).
use crate::archive::without_macros;
use crate::inspection::Inspection;
use crate::job::Job;
use crate::rewrite::words;
use mail_parser::{HeaderValue, MessageParser};
use mime::recogniser::Encoding;
use policy::conditions::Facts;
use policy::html::{Family, HtmlFilter};
use policy::judge::{self, Mail, Part};
use policy::model::{DocAcl, HeaderChanges, MailAcl, MailAction, PartAction, TypeSource};
use policy::names::{Direction, Protocol};
use policy::notice::{Notice, Shipped};
use policy::status::{Status, StatusSet};

/// What becomes of a mail, and by which rule.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) outcome: Outcome,
    pub(crate) rule: String,
    /// With `enforce = "monitor"`: what would have.
    pub(crate) would: Option<MailAction>,
    /// What becomes of the header, if the mail passes.
    pub(crate) fields: HeaderChanges,
    /// Keywords of IMAP that it gets, if it passes.
    pub(crate) keywords: Vec<String>,
}

/// What becomes of a mail.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Accept,
    /// Other octets in some of its parts.
    Change(Vec<Change>),
    /// A notice in the place of its body.
    Replace(Notice),
    Defer,
    Deny,
}

/// What becomes of one part.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// Index of the leaf.
    pub(crate) leaf: usize,
    pub(crate) what: Instead,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Instead {
    /// A notice in its place, by this rule.
    Tombstone { notice: Notice, rule: String },
    /// HTML without what the filter takes out.
    Filtered { filter: Box<HtmlFilter>, rule: String },
    /// A document without its macros, with as many octets as it had.
    Stripped { octets: Vec<u8>, rule: String },
    /// The same content, declared as this type.
    Retyped(String),
}

impl Change {
    /// What would stand in the place of the whole body, if the part has none.
    pub(crate) fn notice(&self) -> Option<Notice> {
        match &self.what {
            Instead::Tombstone { notice, .. } => Some(notice.clone()),
            Instead::Filtered { .. } | Instead::Stripped { .. } | Instead::Retyped(_) => None,
        }
    }
}

/// Judges a mail by the tenant's rules.
pub(crate) fn decide(job: &Job<'_>, inspection: &Inspection<'_>, mail: &[u8]) -> Verdict {
    let context = &job.scan.context;
    let facts = Facts {
        listener: context.listener,
        tenant: job.slice.number,
        protocol: context.protocol,
        client: context.client,
        client_name: context.client_name.as_deref(),
        destination: context.destination,
        // Not a condition of mail rules.
        transparent: false,
        moment: job.clock.moment(context.time),
        certificate: None,
        user: Some(&context.user),
        groups: None,
    };
    let parts = judge_parts(job, inspection, &facts);
    let asked =
        job.slice.mail_acls.iter().any(|rule| !rule.headers.is_empty() || !rule.senders.is_everything());
    let header = if asked && !inspection.unread { Header::read(mail) } else { Header::default() };
    let viruses = inspection.viruses();
    let viruses: Vec<&str> = viruses.iter().map(|(_, virus)| virus.as_str()).collect();
    let mail = Mail {
        direction: context.direction,
        statuses: inspection.statuses,
        viruses: &viruses,
        borne: inspection.borne(),
        spam: inspection.spam.iter().map(|answer| answer.score).collect(),
        size: job.scan.size,
        header: &header.fields(),
        senders: &header.senders(),
    };
    let judgement = judge::mail(&job.slice.mail_acls, &facts, context.command_rule, &mail, &mut ());
    let monitored = judgement.rule.is_some_and(|rule| rule.monitor);
    let all_monitored = job.slice.monitors.get(usize::from(context.command_rule)) == Some(&true);
    // Of a mail that was cut off the rest was never spooled, and one that killed two scanners has no answers: neither
    // passes anywhere, whoever only monitors.
    let cut = job.scan.found.contains(Status::Limit);
    let withheld = cut || inspection.unread;
    let by_mail = ByMail { action: judgement.action, rule: judgement.rule, parts: judgement.parts };
    let (by_mail, would_mail) = if monitored && !withheld {
        (ByMail { action: MailAction::Accept, ..by_mail }, Some(judgement.action))
    } else {
        (by_mail, None)
    };
    let (outcome, rule) = strongest(inspection, &job.slice.html_filters, &parts.enforced, by_mail);
    let outcome = match &outcome {
        Outcome::Accept | Outcome::Change(_) if withheld => Outcome::Replace(Notice::default()),
        // Nothing is put into the place of what a client uploads: it is told (D16).
        Outcome::Replace(_) if context.direction == Direction::Upload => Outcome::Deny,
        Outcome::Change(changes)
            if context.direction == Direction::Upload
                && changes.iter().any(|change| matches!(change.what, Instead::Tombstone { .. })) =>
        {
            Outcome::Deny
        }
        Outcome::Accept | Outcome::Change(_) | Outcome::Replace(_) | Outcome::Defer | Outcome::Deny => {
            outcome
        }
    };
    if all_monitored && !withheld && outcome != Outcome::Accept {
        let would = Some(outcome.action());
        let (fields, keywords) = (HeaderChanges::default(), Vec::new());
        return Verdict { outcome: Outcome::Accept, rule, would, fields, keywords };
    }
    let would = would_mail.into_iter().chain(parts.would).max().filter(|would| *would > outcome.action());
    let passes = matches!(outcome, Outcome::Accept | Outcome::Change(_)) && !all_monitored;
    let marking = judgement.rule.filter(|rule| passes && rule.action == MailAction::Accept && !rule.monitor);
    // A client of IMAP may have seen the header before the mail is judged.
    let strict = job.slice.strict.get(usize::from(context.command_rule)) == Some(&true);
    let unseen = context.protocol == Protocol::Pop3 || context.direction == Direction::Upload || strict;
    let readable = inspection.recognised || inspection.canonical.is_some();
    let fields = marking.filter(|_| unseen && readable).map(|rule| rule.fields.clone());
    let in_a_mailbox = context.protocol == Protocol::Imap && context.direction == Direction::Download;
    let keywords = marking.filter(|_| in_a_mailbox).map(|rule| rule.keywords.clone());
    let (fields, keywords) = (fields.unwrap_or_default(), keywords.unwrap_or_default());
    Verdict { outcome, rule, would, fields, keywords }
}

impl Outcome {
    fn action(&self) -> MailAction {
        match self {
            Self::Accept => MailAction::Accept,
            Self::Change(_) | Self::Replace(_) => MailAction::Replace,
            Self::Defer => MailAction::Defer,
            Self::Deny => MailAction::Deny,
        }
    }
}

/// What the rules for parts say.
#[derive(Default)]
struct Parts<'a> {
    /// By leaf: the rule that decides about it.
    enforced: Vec<Option<&'a DocAcl>>,
    /// What the strongest of the rules that only monitor would have done.
    would: Option<MailAction>,
}

fn judge_parts<'a>(job: &Job<'a>, inspection: &Inspection<'_>, facts: &Facts<'_>) -> Parts<'a> {
    let context = &job.scan.context;
    let mut parts = Parts::default();
    for (document, found) in inspection.documents.iter().zip(&inspection.found) {
        let types: Vec<(TypeSource, &str)> =
            document.types.iter().map(|(source, name)| (*source, name.as_str())).collect();
        let inner: Vec<(TypeSource, &str)> =
            document.inner.iter().map(|(source, name)| (*source, name.as_str())).collect();
        let filenames: Vec<&str> = document.names.iter().map(String::as_str).collect();
        let part = Part {
            direction: context.direction,
            statuses: inspection.statuses_of(found),
            viruses: &found.viruses.names.iter().map(String::as_str).collect::<Vec<_>>(),
            types: &types,
            inner: &inner,
            filenames: &filenames,
            mismatch: document.mismatch,
            polyglot: document.polyglot,
            size: document.size,
        };
        let rule = judge::part(&job.slice.doc_acls, facts, context.command_rule, &part, &mut ());
        let (enforced, monitored) = match rule {
            Some(rule) if rule.monitor => (None, Some(rule)),
            rule => (rule, None),
        };
        parts.enforced.push(enforced);
        parts.would = parts.would.max(monitored.map(|rule| match rule.action {
            PartAction::Accept => MailAction::Accept,
            PartAction::HtmlFilter | PartAction::Replace => MailAction::Replace,
            PartAction::Defer => MailAction::Defer,
            PartAction::Deny => MailAction::Deny,
        }));
    }
    parts
}

/// What the rules for mails say.
struct ByMail<'a> {
    action: MailAction,
    rule: Option<&'a MailAcl>,
    parts: StatusSet,
}

/// The strongest of all decisions, and the rule that made it.
fn strongest(
    inspection: &Inspection<'_>,
    filters: &[HtmlFilter],
    parts: &[Option<&DocAcl>],
    mail: ByMail<'_>,
) -> (Outcome, String) {
    let mail_rule = mail.rule.map(|rule| rule.name.clone()).unwrap_or_default();
    let of_part =
        |wanted| parts.iter().flatten().find(|rule| rule.action == wanted).map(|rule| rule.name.clone());
    let (denied, deferred) = (of_part(PartAction::Deny), of_part(PartAction::Defer));
    match mail.action {
        MailAction::Deny => return (Outcome::Deny, mail_rule),
        MailAction::Accept | MailAction::Replace | MailAction::Defer => {}
    }
    if let Some(rule) = denied {
        return (Outcome::Deny, rule);
    }
    if mail.action == MailAction::Defer {
        return (Outcome::Defer, mail_rule);
    }
    if let Some(rule) = deferred {
        return (Outcome::Defer, rule);
    }
    if mail.action == MailAction::Replace && mail.parts.is_empty() {
        let notice = mail.rule.map(|rule| rule.notice.clone()).unwrap_or_default();
        return (Outcome::Replace(notice), mail_rule);
    }
    let mut changes = Vec::new();
    let mut decided: Option<(PartAction, String)> = None;
    for (leaf, rule) in parts.iter().enumerate() {
        let bears = inspection.found.get(leaf).is_some_and(|found| found.statuses.meets(mail.parts));
        let (action, what, name) = match rule {
            Some(rule) if rule.action == PartAction::Replace => {
                let what = Instead::Tombstone { notice: rule.notice.clone(), rule: rule.name.clone() };
                (PartAction::Replace, what, &rule.name)
            }
            _ if bears => {
                let statuses = inspection.found.get(leaf).map(|found| found.statuses).unwrap_or_default();
                let notice = words::shipped(statuses);
                (PartAction::Replace, Instead::Tombstone { notice, rule: mail_rule.clone() }, &mail_rule)
            }
            Some(rule) if rule.action == PartAction::HtmlFilter => {
                match filtered(inspection, filters, leaf, rule) {
                    Some(what) => (PartAction::HtmlFilter, what, &rule.name),
                    None => continue,
                }
            }
            Some(rule) if rule.force_type => match inspection.retyped(leaf, rule) {
                Some(name) => (PartAction::Accept, Instead::Retyped(name), &rule.name),
                None => continue,
            },
            Some(_) | None => continue,
        };
        if decided.as_ref().is_none_or(|(strongest, _)| *strongest < action) {
            decided = Some((action, name.clone()));
        }
        changes.push(Change { leaf, what });
    }
    let Some((_, rule)) = decided else { return (Outcome::Accept, mail_rule) };
    // In a mail about which readers could disagree, and which is not rebuilt, no part has a place: what cannot be taken
    // out of it stays with it.
    if !inspection.recognised && inspection.canonical.is_none() {
        let notice = changes.iter().find_map(Change::notice);
        return (Outcome::Replace(notice.unwrap_or(Notice::Shipped(Shipped::Removed))), rule);
    }
    (Outcome::Change(changes), rule)
}

/// What an HTML filter makes of a leaf: of HTML what it may have in it, of a document with macros the same without them,
/// where that can be, else nothing; nothing of a drawing (SVG). `None`: it is none of these.
fn filtered(
    inspection: &Inspection<'_>,
    filters: &[HtmlFilter],
    leaf: usize,
    rule: &DocAcl,
) -> Option<Instead> {
    let document = inspection.documents.get(leaf)?;
    let is = |wanted: &str| document.types.iter().any(|(_, name)| name == wanted);
    let removed =
        || Instead::Tombstone { notice: Notice::Shipped(Shipped::Removed), rule: rule.name.clone() };
    // A filter that is not there cannot have let anything through.
    let Some(filter) = filters.iter().find(|filter| filter.name == rule.html_filter) else {
        return Some(removed());
    };
    if is("text/html") || is("application/xhtml+xml") || is("application/hta") {
        return Some(Instead::Filtered { filter: Box::new(filter.clone()), rule: rule.name.clone() });
    }
    // A drawing can do what HTML can, and readers differ in what stands in it.
    if is("image/svg+xml") && (filter.scripts == Family::Remove || filter.objects == Family::Remove) {
        return Some(removed());
    }
    if !is(crate::documents::magic::MACROS) || filter.macros != Family::Remove {
        return None;
    }
    let leaf = inspection.leaves.get(leaf)?;
    // In base64 it has its lines too; nobody sends a document otherwise.
    let in_place = leaf.place.as_ref().is_some_and(|place| place.encoding == Encoding::Base64);
    let stripped = Some(&leaf.octets).filter(|_| in_place).and_then(|octets| without_macros(octets));
    match stripped {
        Some(octets) => Some(Instead::Stripped { octets, rule: rule.name.clone() }),
        None => Some(removed()),
    }
}

/// What rules and spam filters can ask of a mail's own header.
#[derive(Default)]
pub(crate) struct Header {
    fields: Vec<(String, String)>,
    senders: Vec<String>,
}
impl Header {
    /// Reads the header as a tolerant reader would. Each field stands as it was written, unfolded, and once more decoded
    /// if that differs: a rule meets it either way.
    pub(crate) fn read(mail: &[u8]) -> Self {
        let Some(message) = MessageParser::default().parse_headers(mail) else { return Self::default() };
        let mut header = Self::default();
        for field in message.headers() {
            let octets =
                mail.get(to_usize(field.offset_start)..to_usize(field.offset_end)).unwrap_or_default();
            let raw = String::from_utf8_lossy(octets).split_whitespace().collect::<Vec<_>>().join(" ");
            if let HeaderValue::Text(text) = &field.value
                && *text != raw
            {
                header.fields.push((field.name().to_owned(), text.to_string()));
            }
            header.fields.push((field.name().to_owned(), raw));
        }
        for addresses in [message.from(), message.sender()].into_iter().flatten() {
            header
                .senders
                .extend(addresses.iter().filter_map(|address| address.address().map(str::to_owned)));
        }
        header
    }

    pub(crate) fn fields(&self) -> Vec<(&str, &str)> {
        self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    fn senders(&self) -> Vec<&str> {
        self.senders.iter().map(String::as_str).collect()
    }
}

fn to_usize(offset: u32) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}
