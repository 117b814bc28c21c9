//! Phase 3, with the facts that the rules ask for: of the session from the job, of the mail from the mail itself.
use crate::job::{Inspection, Job};
use mail_parser::{HeaderValue, MessageParser};
use policy::conditions::Facts;
use policy::judge::{self, Mail};
use policy::model::MailAction;
use policy::status::Status;

/// What becomes of a mail, and by which rule.
pub(crate) struct Verdict {
    pub(crate) action: MailAction,
    pub(crate) rule: String,
    /// With `enforce = "monitor"`: what would have.
    pub(crate) would: Option<MailAction>,
}

/// Judges a mail by the tenant's rules.
pub(crate) fn decide(job: &Job<'_>, inspection: &Inspection, mail: &[u8]) -> Verdict {
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
    let asked =
        job.slice.mail_acls.iter().any(|rule| !rule.headers.is_empty() || !rule.senders.is_everything());
    let header = if asked && !inspection.unread { Header::read(mail) } else { Header::default() };
    let viruses: Vec<&str> = inspection.answers.iter().filter_map(|answer| answer.virus.as_deref()).collect();
    let mail = Mail {
        direction: context.direction,
        statuses: inspection.statuses,
        viruses: &viruses,
        spam_score: None,
        size: job.scan.size,
        header: &header.fields(),
        senders: &header.senders(),
    };
    let judgement = judge::mail(&job.slice.mail_acls, &facts, context.command_rule, &mail, &mut ());
    let rule = judgement.rule.map(|rule| rule.name.clone()).unwrap_or_default();
    // The rest of such a mail was never spooled: there is nothing that could be passed.
    let cut = job.scan.found.contains(Status::Limit);
    let monitors = job.slice.monitors.get(usize::from(context.command_rule)) == Some(&true)
        || judgement.rule.is_some_and(|rule| rule.monitor);
    let action = match judgement.action {
        MailAction::Accept if cut => MailAction::Replace,
        action @ (MailAction::Accept | MailAction::Replace | MailAction::Defer | MailAction::Deny) => action,
    };
    // A mail that killed two scanners has no answers, and passes nowhere.
    if monitors && action != MailAction::Accept && !cut && !inspection.unread {
        return Verdict { action: MailAction::Accept, rule, would: Some(action) };
    }
    Verdict { action, rule, would: None }
}

/// What rules can ask of a mail's own header.
#[derive(Default)]
struct Header {
    fields: Vec<(String, String)>,
    senders: Vec<String>,
}

impl Header {
    /// Reads the header as a tolerant reader would. Each field stands as it was written, unfolded, and once more decoded
    /// if that differs: a rule meets it either way.
    fn read(mail: &[u8]) -> Self {
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

    fn fields(&self) -> Vec<(&str, &str)> {
        self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    fn senders(&self) -> Vec<&str> {
        self.senders.iter().map(String::as_str).collect()
    }
}

fn to_usize(offset: u32) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}
