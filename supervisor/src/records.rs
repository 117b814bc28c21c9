//! The log: one record for one decision, with stable names, in text for people or JSON for programs.
//!
//! Called by the supervisor for what it decides itself and for the typed events of its children. Values that a peer
//! chose are escaped, so that no line can be forged; mail content and credentials never get here.
mod text;

use crate::sink::Sink;
use ipc::boot::Role;
use ipc::ids::{EngineAnswer, SessionId, SpamAnswer};
use ipc::log::{Event, Level, Mail};
use ipc::supervisor_worker::{Counters, End};
use policy::comparison::show_score;
use policy::model::LogSettings;
use serde_json::{Map, Value, json};
use std::io::{self, IsTerminal, Stderr};
use std::net::SocketAddr;
use std::time::Duration;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A pipe that polls writable takes this much without waiting (pipe(7), PIPE_BUF); longer records are cut.
const MAX_LINE: usize = 4096;

/// Names and values in the order of the text form; null is left out.
type Fields = Vec<(&'static str, Value)>;

/// Writes records to standard error.
#[derive(Debug)]
pub struct Writer {
    level: Level,
    json: bool,
    colour: bool,
    sink: Sink<Stderr>,
}

/// SESSION-START: a client was admitted and handed to a worker.
#[derive(Clone, Copy, Debug)]
pub struct SessionStart<'a> {
    /// Its number.
    pub session: SessionId,
    /// Whose.
    pub tenant: &'a str,
    /// Name of the listener.
    pub listener: &'a str,
    /// The client.
    pub client: SocketAddr,
    /// Where it wanted to go.
    pub destination: SocketAddr,
    /// Whether NAT brought it.
    pub transparent: bool,
    /// The session-acl rule.
    pub session_rule: &'a str,
    /// The command-acl rule.
    pub command_rule: &'a str,
}

/// ACL: a phase decided about a connection or session.
#[derive(Clone, Copy, Debug)]
pub struct Acl<'a> {
    /// `session-acl` or `command-acl`.
    pub phase: &'a str,
    /// The session, where there is one already.
    pub session: Option<SessionId>,
    /// Name of the listener.
    pub listener: &'a str,
    /// The client.
    pub client: SocketAddr,
    /// Where it wanted to go.
    pub destination: SocketAddr,
    /// `accept`, `deny` or `no-match`.
    pub decision: &'a str,
    /// The rule; none matched if empty.
    pub rule: &'a str,
    /// The rule of the phase before.
    pub parent: &'a str,
}

/// SESSION-END: the statistics of a session.
#[derive(Clone, Copy, Debug)]
pub struct SessionEnd<'a> {
    /// Its number.
    pub session: SessionId,
    /// Why it ended.
    pub end: End,
    /// The client.
    pub client: SocketAddr,
    /// The server it was connected to.
    pub upstream: Option<SocketAddr>,
    /// The login name, once the server took it.
    pub user: &'a str,
    /// What it did.
    pub counters: &'a Counters,
    /// From accept to end.
    pub duration: Duration,
}

impl Writer {
    /// As `[log]` says; `auto` is text on a terminal and JSON otherwise.
    pub fn new(settings: &LogSettings) -> Self {
        let terminal = io::stderr().is_terminal();
        let level = match settings.level.as_str() {
            "error" => Level::Error,
            "warn" => Level::Warn,
            "info" => Level::Info,
            _ => Level::Debug,
        };
        let json = match settings.format.as_str() {
            "json" => true,
            "text" => false,
            _ => !terminal,
        };
        let colour = terminal && std::env::var_os("NO_COLOR").is_none();
        Self { level, json, colour, sink: Sink::new(io::stderr()) }
    }

    /// Writes SESSION-START.
    pub fn session_start(&mut self, start: &SessionStart<'_>) {
        self.record(Level::Info, "SESSION-START", || start.fields());
    }

    /// Writes ACL.
    pub fn acl(&mut self, acl: &Acl<'_>) {
        self.record(Level::Info, "ACL", || acl.fields());
    }

    /// Writes SESSION-END.
    pub fn session_end(&mut self, end: &SessionEnd<'_>) {
        self.record(Level::Info, "SESSION-END", || end.fields());
    }

    /// Writes an event of a child: LOGIN, MAIL or NOTE.
    pub fn child_event(&mut self, role: Role, tenant: &str, pid: u32, event: &Event) {
        let (level, record) = match event {
            Event::Note { level, .. } => (*level, "NOTE"),
            Event::Login { .. } => (Level::Info, "LOGIN"),
            Event::Mail(_) => (Level::Info, "MAIL"),
        };
        self.record(level, record, || event_fields(role, tenant, pid, event));
    }

    /// Writes a NOTE of the supervisor: constant text, values as fields.
    pub fn note(&mut self, level: Level, text: &str, values: &[(&'static str, &str)]) {
        self.record(level, "NOTE", || {
            let mut fields = vec![("message", Value::from(text))];
            fields.extend(values.iter().map(|(name, value)| (*name, Value::from(*value))));
            fields.push(("role", "supervisor".into()));
            fields
        });
    }

    /// Whether records wait for a reader that did not take them at once.
    pub(crate) fn holds(&self) -> bool {
        self.sink.holds()
    }

    /// Writes what waits for the reader, as far as it takes it now.
    pub(crate) fn flush(&mut self) {
        self.sink.flush();
    }

    fn record(&mut self, level: Level, record: &str, fields: impl FnOnce() -> Fields) {
        if level > self.level {
            return;
        }
        let line = self.line(level, record, fields());
        if let Some(lost) = self.sink.take_lost() {
            let fields = vec![("message", "log records lost".into()), ("count", lost.to_string().into())];
            self.sink.put(self.line(Level::Warn, "NOTE", fields));
        }
        self.sink.put(line);
    }

    fn line(&self, level: Level, record: &str, fields: Fields) -> String {
        let now = OffsetDateTime::now_utc();
        let now =
            now.replace_millisecond(now.millisecond()).unwrap_or(now).format(&Rfc3339).unwrap_or_default();
        let mut line = if self.json {
            let mut object = Map::new();
            object.insert("time".into(), now.into());
            object.insert("level".into(), word(level).into());
            object.insert("record".into(), record.into());
            object.extend(
                fields
                    .into_iter()
                    .filter(|(_, value)| !value.is_null())
                    .map(|(name, value)| (name.to_owned(), value)),
            );
            Value::Object(object).to_string()
        } else {
            text::line(&now, level, record, &fields, self.colour)
        };
        if line.len() >= MAX_LINE {
            let end = (0..MAX_LINE - 4).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
            line.truncate(end);
            line.push_str("...");
        }
        line.push('\n');
        line
    }
}

impl SessionStart<'_> {
    fn fields(&self) -> Fields {
        vec![
            ("session", self.session.to_string().into()),
            ("tenant", self.tenant.into()),
            ("listener", self.listener.into()),
            ("client", self.client.to_string().into()),
            ("destination", self.destination.to_string().into()),
            ("transparent", self.transparent.into()),
            ("rule", self.command_rule.into()),
            ("parent", self.session_rule.into()),
        ]
    }
}

impl Acl<'_> {
    fn fields(&self) -> Fields {
        vec![
            ("phase", self.phase.into()),
            ("session", self.session.map_or(Value::Null, |session| session.to_string().into())),
            ("listener", self.listener.into()),
            ("client", self.client.to_string().into()),
            ("destination", self.destination.to_string().into()),
            ("decision", self.decision.into()),
            ("rule", self.rule.into()),
            ("parent", self.parent.into()),
        ]
    }
}

impl SessionEnd<'_> {
    fn fields(&self) -> Fields {
        let counters = self.counters;
        vec![
            ("session", self.session.to_string().into()),
            ("end", self.end.to_string().into()),
            ("client", self.client.to_string().into()),
            ("upstream", self.upstream.map_or(Value::Null, |upstream| upstream.to_string().into())),
            ("user", self.user.into()),
            ("duration_ms", milliseconds(self.duration)),
            ("bytes_in", counters.bytes_in.into()),
            ("bytes_out", counters.bytes_out.into()),
            ("commands", counters.commands.into()),
            ("mails_passed", counters.mails_passed.into()),
            ("mails_replaced", counters.mails_replaced.into()),
            ("mails_denied", counters.mails_denied.into()),
            ("mails_deferred", counters.mails_deferred.into()),
            ("handover_us", counters.handover_us.into()),
        ]
    }
}

fn event_fields(role: Role, tenant: &str, pid: u32, event: &Event) -> Fields {
    match event {
        Event::Note { level: _, session, text, detail } => vec![
            ("message", text.as_str().into()),
            ("detail", detail.as_str().into()),
            ("session", session.map_or(Value::Null, |session| session.to_string().into())),
            ("role", role.name().into()),
            ("tenant", tenant.into()),
            ("pid", pid.into()),
        ],
        Event::Login { session, user, accepted } => vec![
            ("session", session.to_string().into()),
            ("user", user.as_str().into()),
            ("accepted", (*accepted).into()),
            ("tenant", tenant.into()),
        ],
        Event::Mail(mail) => mail_fields(mail, tenant),
    }
}

fn mail_fields(mail: &Mail, tenant: &str) -> Fields {
    vec![
        ("session", mail.session.to_string().into()),
        ("tenant", tenant.into()),
        ("number", mail.number.into()),
        ("mailbox", if mail.mailbox.is_empty() { Value::Null } else { mail.mailbox.as_str().into() }),
        ("uid", mail.uid.map_or(Value::Null, Value::from)),
        ("direction", mail.direction.to_string().into()),
        ("size", mail.size.into()),
        ("outcome", mail.outcome.name().into()),
        ("would", mail.would.map_or(Value::Null, |would| would.name().into())),
        ("rule", mail.rule.as_str().into()),
        ("statuses", mail.statuses.to_string().into()),
        ("allowed", named(&mail.allowed)),
        ("engines", mail.answers.iter().map(engine).collect()),
        ("spam", mail.spam.iter().map(spam).collect()),
        ("reason", mail.reason.as_str().into()),
        ("case", mail.sha256.map(|sha256| sha256.case()).into()),
        ("sha256", mail.sha256.map(|sha256| sha256.to_string()).into()),
        ("micros", mail.micros.into()),
    ]
}

/// Names in one text; null where there are none.
fn named(names: &[String]) -> Value {
    if names.is_empty() { Value::Null } else { names.join(", ").into() }
}

fn engine(answer: &EngineAnswer) -> Value {
    json!({
        "engine": answer.engine,
        "statuses": answer.statuses.to_string(),
        "virus": named(&answer.viruses.names),
        "detail": answer.detail,
        "parts": answer.parts.iter().map(|(leaf, _)| leaf).collect::<Vec<_>>(),
        "micros": answer.micros,
    })
}

fn spam(answer: &SpamAnswer) -> Value {
    json!({
        "filter": answer.filter,
        "score": answer.score.map_or_else(|| "unknown".to_owned(), show_score),
        "symbols": answer.symbols,
        "detail": answer.detail,
        "micros": answer.micros,
    })
}

fn milliseconds(duration: Duration) -> Value {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).into()
}

const fn word(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipc::ids::{Sha256, Viruses};
    use ipc::log::Outcome;
    use policy::names::Direction;
    use policy::status::{Status, StatusSet};

    fn writer(json: bool) -> Writer {
        Writer { level: Level::Debug, json, colour: false, sink: Sink::new(io::stderr()) }
    }

    fn mail() -> Mail {
        Mail {
            session: SessionId(0x1f),
            number: 3,
            mailbox: "INBOX".into(),
            uid: Some(12),
            direction: Direction::Download,
            size: 700,
            sha256: Some(Sha256([0xab; 32])),
            outcome: Outcome::Replaced,
            rule: "standard-bad".into(),
            would: None,
            statuses: StatusSet::of(Status::Infected),
            allowed: vec!["Lab.Allowed".into()],
            spam: vec![SpamAnswer {
                filter: "rspamd".into(),
                score: Some(7_250),
                symbols: "A,B".into(),
                detail: String::new(),
                micros: 3,
            }],
            answers: vec![EngineAnswer {
                parts: Vec::new(),
                engine: "clamd".into(),
                statuses: StatusSet::of(Status::Infected),
                viruses: Viruses::named("Lab.Virus"),
                detail: String::new(),
                micros: 1200,
            }],
            reason: "infected".into(),
            micros: 1500,
        }
    }

    #[test]
    fn a_mail_record_is_one_json_object_with_stable_names() {
        let line = writer(true).line(Level::Info, "MAIL", mail_fields(&mail(), "default"));
        let value: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["record"], "MAIL");
        assert_eq!(value["outcome"], "replaced");
        assert_eq!(value["allowed"], "Lab.Allowed");
        assert_eq!(value["engines"][0]["virus"], "Lab.Virus");
        assert_eq!(value["case"], "abababababab");
    }

    #[test]
    fn a_value_that_a_peer_chose_cannot_begin_a_line_or_a_field() {
        for json in [true, false] {
            let evil = "u\n2026-01-01T00:00:00Z INFO MAIL outcome=passed \"x\" \u{1b}[31m";
            let line = writer(json).line(Level::Info, "LOGIN", vec![("user", evil.into())]);
            assert_eq!(line.matches('\n').count(), 1, "{line}");
            assert!(!line.contains('\u{1b}'), "{line}");
            assert!(!line.contains(" outcome=passed \"x\""), "{line}");
        }
    }

    #[test]
    fn text_is_one_readable_line() {
        let line = text::line("T", Level::Info, "MAIL", &mail_fields(&mail(), "default"), false);
        assert_eq!(
            line,
            "T INFO  MAIL          session=0000001f tenant=default number=3 mailbox=INBOX uid=12 direction=download size=700 \
             outcome=replaced rule=standard-bad statuses=infected allowed=Lab.Allowed clamd=\"infected: Lab.Virus\" spam.rspamd=\"7.25: A,B\" reason=infected \
             case=abababababab sha256=abababababababababababababababababababababababababababababababab micros=1500"
        );
    }

    #[test]
    fn a_record_longer_than_a_pipe_takes_at_once_is_cut() {
        let line = writer(false).line(Level::Info, "NOTE", vec![("detail", "é".repeat(10_000).into())]);
        assert!(line.len() <= MAX_LINE && line.ends_with("...\n"), "{}", line.len());
    }

    /// One of each record, with every field.
    fn every_record() -> Vec<(&'static str, Fields)> {
        let at: SocketAddr = "192.0.2.1:110".parse().unwrap();
        let session = SessionId(1);
        let start = SessionStart {
            session,
            tenant: "default",
            listener: "pop3-110",
            client: at,
            destination: at,
            transparent: true,
            session_rule: "lan",
            command_rule: "out",
        };
        let acl = Acl {
            phase: "session-acl",
            session: Some(session),
            listener: "pop3-110",
            client: at,
            destination: at,
            decision: "deny",
            rule: "",
            parent: "",
        };
        let end = SessionEnd {
            session,
            end: End::NoServer,
            client: at,
            upstream: Some(at),
            user: "user",
            counters: &Counters::default(),
            duration: Duration::from_secs(1),
        };
        let note =
            Event::Note { level: Level::Info, session: Some(session), text: "t".into(), detail: "d".into() };
        let login = Event::Login { session, user: "user".into(), accepted: true };
        let event = |event: &Event| event_fields(Role::Worker, "default", 1, event);
        vec![
            ("SESSION-START", start.fields()),
            ("ACL", acl.fields()),
            ("SESSION-END", end.fields()),
            ("NOTE", event(&note)),
            ("LOGIN", event(&login)),
            ("MAIL", event(&Event::Mail(Box::new(mail())))),
        ]
    }

    #[test]
    fn the_documentation_lists_every_record_with_exactly_its_fields() {
        let page = include_str!("../../docs/log-records.md");
        let mut documented = 0;
        for (record, fields) in every_record() {
            let section = page.split("\n## ").find(|section| section.starts_with(&format!("`{record}`")));
            let rows = section.unwrap_or_else(|| panic!("{record} is not documented")).lines();
            let named: Vec<&str> =
                rows.filter_map(|row| row.strip_prefix("| `")?.split('`').next()).collect();
            let written: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
            assert_eq!(named, written, "{record}");
            documented += 1;
        }
        assert_eq!(page.matches("\n## `").count(), documented);
    }
}
