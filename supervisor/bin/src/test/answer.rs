//! The answer to a question: every phase, with the rules that were tried. The decisions are `policy`'s own; nothing is
//! decided here.
use super::question::{Asked, Question};
use ipc::ids::SessionId;
use ipc::worker_scanner::{Context, Judged};
use policy::acl::{self, Decision};
use policy::comparison::{Spam, show_score};
use policy::conditions::{Certificate, Facts, Verdict};
use policy::judge::{self, Mail, Part};
use policy::model::{MailAction, Policy, TypeSource};
use policy::names::Protocol;
use policy::status::StatusSet;
use policy::tls::{ClientMode, ServerMode};
use serde::Serialize;

/// What would happen.
#[derive(Debug, Serialize)]
pub(crate) struct Answer {
    /// Who, where, when.
    pub(crate) question: String,
    /// What rules can ask of the client's certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) certificate: Option<Shown>,
    /// The phases, as far as they were reached.
    pub(crate) phases: Vec<Phase>,
    /// close, refuse, wait, accept; with a mail accept, replace, defer or deny.
    pub(crate) outcome: String,
}

/// A client's certificate, as rules see it.
#[derive(Debug, Serialize)]
pub(crate) struct Shown {
    pub(crate) subject: String,
    pub(crate) issuer: String,
    pub(crate) names: Vec<String>,
    pub(crate) fingerprint: String,
}

impl From<&Certificate> for Shown {
    fn from(certificate: &Certificate) -> Shown {
        let Certificate { subject, issuer, names, fingerprint } = certificate.clone();
        Shown { subject, issuer, names, fingerprint }
    }
}

/// One phase.
#[derive(Debug, Serialize)]
pub(crate) struct Phase {
    /// The kind of its rules: "session-acl".
    pub(crate) phase: &'static str,
    /// What it is about: a status, or nothing.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) about: String,
    pub(crate) tried: Vec<Tried>,
    /// The rule that decided; `None`: no rule matched.
    pub(crate) rule: Option<String>,
    pub(crate) action: String,
    /// What follows from it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) notes: Vec<String>,
}

/// A rule that was tried.
#[derive(Debug, Serialize)]
pub(crate) struct Tried {
    pub(crate) rule: String,
    /// matches, fails or waits.
    pub(crate) verdict: &'static str,
    /// The condition that fails or waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) condition: Option<&'static str>,
}

type Notebook = Vec<(u16, Verdict)>;

/// Walks all phases.
///
/// # Errors
/// A sentence: the question cannot be understood, or the mail cannot be scanned.
pub(crate) fn answer(policy: &Policy, question: &Question) -> Result<Answer, String> {
    let asked = question.asked(policy)?;
    let listener = policy.listeners.get(usize::from(asked.listener)).ok_or("there is no such listener")?;
    let facts = Facts {
        listener: asked.listener,
        tenant: listener.tenant,
        protocol: listener.protocol,
        client: asked.client,
        client_name: question.name.as_deref(),
        destination: asked.destination,
        transparent: asked.transparent,
        moment: asked.moment,
        certificate: Some(asked.certificate.as_ref()),
        user: asked.user.as_deref(),
        groups: asked.groups.as_deref(),
    };
    let mut phases = Vec::new();
    let outcome = walk(policy, question, &asked, &facts, &mut phases)?;
    let question =
        format!("{} from {} to {}, {}", listener.name, asked.client.ip(), asked.destination, asked.moment);
    let certificate = asked.certificate.as_ref().map(Shown::from);
    Ok(Answer { question, certificate, phases, outcome })
}

fn walk(
    policy: &Policy,
    question: &Question,
    asked: &Asked,
    facts: &Facts<'_>,
    phases: &mut Vec<Phase>,
) -> Result<String, String> {
    let names: Vec<&str> = policy.session_acls.iter().map(|acl| acl.name.as_str()).collect();
    let mut notebook = Notebook::new();
    let decision = acl::session(policy, facts, &mut notebook);
    phases.push(connection("session-acl", "", &names, notebook, decision));
    let Decision::Accept(session_rule) = decision else { return Ok("close".to_owned()) };

    if let Some(phase) = handshake(policy, facts, session_rule) {
        let ends = phase.action != "accept";
        phases.push(phase);
        if ends {
            return Ok("close".to_owned());
        }
    }

    let names: Vec<&str> = policy.command_acls.iter().map(|acl| acl.name.as_str()).collect();
    let mut notebook = Notebook::new();
    let learns = policy.learns_certificate(facts.listener, session_rule, facts.transparent);
    let facts = &Facts { certificate: facts.certificate.filter(|_| learns).or(Some(None)), ..*facts };
    let decision = acl::command(policy, facts, session_rule, &mut notebook);
    let mut phase = connection("command-acl", "session-acl", &names, notebook, decision);
    let fails = |tried: &Tried| tried.condition == Some("client-certificate");
    let without = (asked.certificate.is_some() && !learns && phase.tried.iter().any(fails))
        .then(|| "the certificate does not count: this is decided before the handshake".to_owned());
    let rule = match decision {
        Decision::Accept(rule) => rule,
        Decision::Waits(_, condition) => {
            phase.notes.push(format!("give --{condition} to go on"));
            phases.push(phase);
            return Ok("wait".to_owned());
        }
        Decision::Deny(_) | Decision::NoMatch => {
            phase.notes.extend(without);
            phases.push(phase);
            return Ok("refuse".to_owned());
        }
    };
    phase.notes = session_notes(policy, rule, facts.protocol);
    phase.notes.extend(without);
    phases.push(phase);
    if !question.mime_type.is_empty() || !question.filename.is_empty() {
        phases.push(part(policy, question, asked, facts, rule));
    }
    if let Some(octets) = &asked.mail {
        return mail_file(policy, asked, facts, rule, octets, phases);
    }
    if question.virus.is_empty() {
        return Ok("accept".to_owned());
    }
    let action = mail(policy, question, asked, facts, rule, phases);
    Ok(action.name().to_owned())
}

/// TLS with the client, and the certificate that it must show.
fn handshake(policy: &Policy, facts: &Facts<'_>, session_rule: u16) -> Option<Phase> {
    let side = policy.client_side(facts.listener, session_rule);
    let how = match side.mode {
        ClientMode::Off => return None,
        ClientMode::StartTls => "when the client asks for it",
        ClientMode::StartTlsRequired => "before the login",
        ClientMode::Implicit => "from the first octet",
    };
    let rule = policy.session_acls.get(usize::from(session_rule))?;
    let name = policy.client_tls.get(usize::from(side.client_tls)).map_or("", |tls| &tls.name);
    let mut notes = vec![how.to_owned()];
    if let Some(intercept) = policy.intercepts(facts.listener, session_rule, facts.transparent) {
        notes.push(if intercept.bypass.has_address(facts.destination.ip()) {
            "the connection is relayed unseen, by the server's address".to_owned()
        } else {
            format!("after the server's, with a certificate in its place by {}", intercept.ca.cert.display())
        });
    }
    let required = &rule.require_client_certificate;
    let shown = facts.certificate.flatten();
    let meets = |shown: &Certificate| required.iter().any(|wanted| wanted.matches(shown));
    let taken = required.is_empty() || shown.is_some_and(meets);
    if !required.is_empty() {
        notes.push(match (shown, taken) {
            (None, _) => "the handshake fails: a certificate is required (--client-certificate)".to_owned(),
            (Some(_), true) => "the certificate is one of those that are required".to_owned(),
            (Some(_), false) => {
                "the handshake fails: the certificate is none of those that are required".to_owned()
            }
        });
    }
    let action = if taken { "accept" } else { "close" }.to_owned();
    let tls = Some(format!("client-tls {name}"));
    Some(Phase { phase: "tls", about: String::new(), tried: Vec::new(), rule: tls, action, notes })
}

fn connection(
    phase: &'static str,
    parent: &'static str,
    names: &[&str],
    notebook: Notebook,
    decision: Decision,
) -> Phase {
    let named = |index: u16| names.get(usize::from(index)).map(|name| (*name).to_owned());
    let (rule, action) = match decision {
        Decision::Accept(index) => (named(index), "accept"),
        Decision::Deny(index) => (named(index), "deny"),
        Decision::NoMatch => (None, "deny"),
        Decision::Waits(index, _) => (named(index), "wait"),
    };
    let tried = tried(names, parent, notebook);
    Phase { phase, about: String::new(), tried, rule, action: action.to_owned(), notes: Vec::new() }
}

fn tried(names: &[&str], parent: &'static str, notebook: Notebook) -> Vec<Tried> {
    let word = |condition| if condition == "parent" { parent } else { condition };
    notebook
        .into_iter()
        .map(|(index, verdict)| {
            let rule = names.get(usize::from(index)).map_or_else(String::new, |name| (*name).to_owned());
            let (verdict, condition) = match verdict {
                Verdict::Holds => ("matches", None),
                Verdict::Waits(condition) => ("waits", Some(word(condition))),
                Verdict::Fails(condition) => ("fails", Some(word(condition))),
            };
            Tried { rule, verdict, condition }
        })
        .collect()
}

/// Where a session under this rule goes, and who looks at its mail.
fn session_notes(policy: &Policy, rule: u16, protocol: Protocol) -> Vec<String> {
    let Some(rule) = policy.command_acls.get(usize::from(rule)) else { return Vec::new() };
    let servers: Vec<String> = rule
        .plug_to
        .iter()
        .map(|server| server.with_port(policy.server_port(rule, protocol)).to_string())
        .collect();
    let server = match (&rule.route, servers.as_slice()) {
        (Some(route), _) => format!("server: found by route {route}"),
        (None, []) => "server: where the client wanted to go".to_owned(),
        (None, servers) => format!("server: {}", servers.join(", ")),
    };
    let tls = policy.server_tls.get(usize::from(rule.session.server_tls));
    let server = match tls.map(|tls| (tls.mode, &tls.name)) {
        None | Some((ServerMode::Off, _)) => format!("{server}, in clear text"),
        Some((_, name)) => format!("{server}, by server-tls {name}"),
    };
    let download = &rule.session.download;
    let engines: Vec<&str> = download
        .engines
        .iter()
        .filter_map(|index| policy.engines.get(usize::from(*index)).map(|engine| engine.name.as_str()))
        .collect();
    let scan = match (download.scan, engines.as_slice()) {
        (false, _) => "mail passes unseen".to_owned(),
        (true, []) => "mail is judged without an engine".to_owned(),
        (true, engines) => format!("mail is scanned by {}", engines.join(", ")),
    };
    vec![server, scan]
}

fn part(policy: &Policy, question: &Question, asked: &Asked, facts: &Facts<'_>, rule: u16) -> Phase {
    let names: Vec<&str> = policy.doc_acls.iter().map(|acl| acl.name.as_str()).collect();
    let clean = StatusSet::of(policy::status::Status::Clean);
    // Which source a type has is not asked: every one of them is meant.
    let types: Vec<(TypeSource, &str)> = TypeSource::ALL
        .into_iter()
        .flat_map(|source| question.mime_type.iter().map(move |name| (source, name.as_str())))
        .collect();
    let part = Part {
        direction: asked.direction,
        statuses: if asked.statuses.is_empty() { clean } else { asked.statuses },
        viruses: &texts(&question.virus_name),
        types: &types,
        inner: &[],
        filenames: &texts(&question.filename),
        mismatch: false,
        polyglot: false,
        size: question.size.unwrap_or(0),
    };
    let mut notebook = Notebook::new();
    let decided = judge::part(&policy.doc_acls, facts, rule, &part, &mut notebook);
    Phase {
        phase: "doc-acl",
        about: part.statuses.to_string(),
        tried: tried(&names, "command-acl", notebook),
        rule: decided.map(|rule| rule.name.clone()),
        action: decided.map_or("left as it is", |rule| rule.action.name()).to_owned(),
        notes: Vec::new(),
    }
}

/// A mail that is only described.
fn mail(
    policy: &Policy,
    question: &Question,
    asked: &Asked,
    facts: &Facts<'_>,
    rule: u16,
    phases: &mut Vec<Phase>,
) -> MailAction {
    let fields = |field: &'_ String| {
        let (name, value) = field.split_once(':').unwrap_or((field, ""));
        (name.trim().to_owned(), value.trim().to_owned())
    };
    let header: Vec<(String, String)> = question.header.iter().map(fields).collect();
    let header: Vec<(&str, &str)> =
        header.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let mail = Mail {
        direction: asked.direction,
        statuses: asked.statuses,
        viruses: &texts(&question.virus_name),
        // A mail that is only described has no parts.
        borne: StatusSet::EMPTY,
        spam: Spam::default(),
        size: question.size.unwrap_or(0),
        header: &header,
        senders: &texts(&question.sender),
    };
    by_status(policy, facts, rule, &mail, phases);
    judge::mail(&policy.mail_acls, facts, rule, &mail, &mut ()).action
}

/// A phase for each status of a mail.
fn by_status(policy: &Policy, facts: &Facts<'_>, rule: u16, mail: &Mail<'_>, phases: &mut Vec<Phase>) {
    let names: Vec<&str> = policy.mail_acls.iter().map(|acl| acl.name.as_str()).collect();
    let mut notebook = Notebook::new();
    judge::mail(&policy.mail_acls, facts, rule, mail, &mut notebook);
    let mut notes = notebook.into_iter().peekable();
    for status in mail.statuses.iter() {
        // Each status begins again with the first rule.
        let mut own: Notebook = notes.next().into_iter().collect();
        while let Some(next) = notes.next_if(|(index, _)| *index > 0) {
            own.push(next);
        }
        let decided = own.iter().find(|(_, verdict)| *verdict == Verdict::Holds).map(|(index, _)| *index);
        let decided = decided.and_then(|index| policy.mail_acls.get(usize::from(index)));
        phases.push(Phase {
            phase: "mail-acl",
            about: status.name().to_owned(),
            tried: tried(&names, "command-acl", own),
            rule: decided.map(|rule| rule.name.clone()),
            action: decided.map_or(MailAction::Defer, |rule| rule.action).name().to_owned(),
            notes: Vec::new(),
        });
    }
}

/// A mail that a real scanner judges.
fn mail_file(
    policy: &Policy,
    asked: &Asked,
    facts: &Facts<'_>,
    rule: u16,
    octets: &[u8],
    phases: &mut Vec<Phase>,
) -> Result<String, String> {
    let context = Context {
        session: SessionId(0),
        protocol: facts.protocol,
        direction: asked.direction,
        client: asked.client,
        client_name: facts.client_name.map(str::to_owned),
        destination: asked.destination,
        user: asked.user.clone().unwrap_or_default(),
        language: policy.service.language,
        listener: asked.listener,
        command_rule: rule,
        time: supervisor::clock::seconds(policy, &asked.moment),
    };
    let judged = supervisor::examine(policy.clone(), facts.tenant, context, octets)
        .map_err(|error| format!("the mail cannot be scanned: {error}"))?;
    let viruses: Vec<&str> =
        judged.answers.iter().flat_map(|answer| &answer.viruses.names).map(String::as_str).collect();
    let mail = Mail {
        direction: asked.direction,
        statuses: judged.statuses,
        viruses: &viruses,
        // In which parts they stand the scanner knows; here only the rules that are asked are shown.
        borne: StatusSet::EMPTY,
        spam: judged.spam.iter().map(|answer| answer.score).collect(),
        size: octets.len() as u64,
        // What stands in the mail is read by the scanner alone.
        header: &[],
        senders: &[],
    };
    by_status(policy, facts, rule, &mail, phases);
    let action = judged.would.map_or_else(|| disposition(&judged), |would| would.name());
    phases.push(Phase {
        phase: "mail",
        about: judged.statuses.to_string(),
        tried: Vec::new(),
        rule: (!judged.rule.is_empty()).then(|| judged.rule.clone()),
        action: action.to_owned(),
        notes: scan_notes(&judged),
    });
    Ok(disposition(&judged).to_owned())
}

fn disposition(judged: &Judged) -> &'static str {
    use ipc::worker_scanner::Disposition;
    match judged.disposition {
        Disposition::Pass => "accept",
        Disposition::Replace { .. } => "replace",
        Disposition::Correct { .. } => "correct",
        Disposition::Deny => "deny",
        Disposition::Defer => "defer",
    }
}

fn scan_notes(judged: &Judged) -> Vec<String> {
    let mut notes: Vec<String> = judged
        .answers
        .iter()
        .map(|answer| {
            let said: Vec<String> = [answer.statuses.to_string()]
                .into_iter()
                .chain(answer.viruses.names.clone())
                .chain((!answer.detail.is_empty()).then(|| answer.detail.clone()))
                .collect();
            format!("{}: {}", answer.engine, said.join(", "))
        })
        .collect();
    notes.extend(judged.spam.iter().map(|answer| {
        let score = answer.score.map_or_else(|| "unknown".to_owned(), show_score);
        let why = [&answer.symbols, &answer.detail].into_iter().filter(|text| !text.is_empty());
        let said: Vec<&str> = why.map(String::as_str).collect();
        format!("{}: spam score {score} {}", answer.filter, said.join("; ")).trim_end().to_owned()
    }));
    notes.push(format!("reason: {}", judged.reason));
    if judged.would.is_some() {
        notes.push("enforce = \"monitor\": it is only logged, and the mail is delivered as it is".to_owned());
    }
    notes
}

fn texts(owned: &[String]) -> Vec<&str> {
    owned.iter().map(String::as_str).collect()
}
