//! What operators say of mails in which a virus was found that is none: over the control socket, into the list
//! (`allowed.rs`), and from there to the scanner that judges the mail next.
use crate::allowed::Grant;
use crate::control::{AllowedVirus, Answer, WhichMail};
use crate::event_loop::Supervisor;
use crate::lease::MailJob;
use ipc::ids::{Found, SessionId, Sha256};
use ipc::log::{Level, printable};
use ipc::supervisor_worker::ChangedMail;
use std::io;
use std::time::{SystemTime, UNIX_EPOCH};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

impl Supervisor {
    /// Reads the lists. One that cannot be read allows nothing, is said, and stops nobody.
    pub(crate) fn read_allowed(&mut self) {
        for tenant in self.policy.tenants.clone() {
            match self.allowed.list(&tenant, now()) {
                Ok(mails) if mails.is_empty() => {}
                Ok(mails) => {
                    let fields = [("tenant", tenant.clone()), ("viruses", mails.len().to_string())];
                    self.journal.note(Level::Info, "viruses are allowed in mails", &fields);
                }
                Err(error) => self.not_allowed(&tenant, &error),
            }
        }
    }

    /// The viruses that do not count in a mail. Of one that was served changed all of them do: under its name it stays
    /// what its client holds (D21).
    pub(crate) fn allowed_in(&mut self, tenant: u16, mail: &MailJob) -> Vec<String> {
        let name = self.policy.tenants.get(usize::from(tenant)).map_or("", |name| name);
        let viruses = self.allowed.viruses(name, mail.sha256, now());
        if viruses.is_empty() || mail.changed || self.was_served_nameless(mail.session, mail.sha256) {
            return Vec::new();
        }
        viruses
    }

    /// What was found in a mail when it was served changed under the name that it has. What engines find in it later, or do not,
    /// changes nothing there (D21): a signature that was corrected frees it for whoever gets it as a new message.
    pub(crate) fn found_formerly(&mut self, mail: &MailJob) -> Vec<Found> {
        let Some(Ok(entries)) = self.changed_before(mail.session) else { return Vec::new() };
        let entry = entries.iter().find(|entry| {
            let is_it = entry.sha256 == mail.sha256 && (mail.changed || entry.uidl.is_empty());
            is_it && !entry.found.is_empty()
        });
        entry.map(|entry| entry.found.clone()).unwrap_or_default()
    }

    /// Whether this mail is one of those of its maildrop that were served changed and have no UIDL to be known by.
    fn was_served_nameless(&mut self, session: SessionId, mail: Sha256) -> bool {
        let Some(entries) = self.changed_before(session) else { return false };
        // Where the index cannot be read it may have been.
        let Ok(entries) = entries else { return true };
        entries.iter().any(|entry| entry.uidl.is_empty() && entry.sha256 == mail)
    }

    /// The mails of a session's mailbox that were served changed.
    fn changed_before(&mut self, session: SessionId) -> Option<io::Result<&[ChangedMail]>> {
        let (_, mailbox) = self.sessions.get(session)?.mailbox.as_ref()?;
        Some(self.index.entries(mailbox))
    }

    /// An operator allows viruses in a mail.
    pub(crate) fn allow(
        &mut self,
        uid: u32,
        which: &WhichMail,
        viruses: &[String],
        seconds: Option<u64>,
    ) -> Answer {
        let since = now();
        let until = seconds.map(|seconds| since.saturating_add(seconds));
        let done = self.meant(which).and_then(|(tenant, mail)| {
            if viruses.is_empty() {
                return Err("no virus is named".to_owned());
            }
            self.allowed.add(&tenant, mail, viruses, Grant { since, until, uid })?;
            Ok((tenant, mail))
        });
        match done {
            Ok((tenant, mail)) => {
                for virus in viruses {
                    let fields = [
                        ("by", format!("uid {uid}")),
                        ("tenant", tenant.clone()),
                        ("case", mail.case()),
                        ("sha256", mail.to_string()),
                        ("virus", virus.clone()),
                        ("until", until.map(date).unwrap_or_default()),
                    ];
                    self.journal.note(Level::Warn, "a virus is allowed in a mail", &fields);
                }
                let mailboxes = self.index.holders(&tenant, mail);
                Answer::Allowed { tenant, sha256: mail.to_string(), until, mailboxes }
            }
            Err(why) => self.refuse_allow(uid, why),
        }
    }

    /// An operator allows them no more.
    pub(crate) fn allow_no_more(&mut self, uid: u32, which: &WhichMail, viruses: &[String]) -> Answer {
        let done = self.meant(which).and_then(|(tenant, mail)| {
            let removed = self.allowed.remove(&tenant, mail, viruses)?;
            if removed == 0 {
                return Err("no such virus is allowed in that mail (mailward allow list)".to_owned());
            }
            Ok((tenant, mail, removed))
        });
        match done {
            Ok((tenant, mail, removed)) => {
                let fields = [
                    ("by", format!("uid {uid}")),
                    ("tenant", tenant.clone()),
                    ("case", mail.case()),
                    ("sha256", mail.to_string()),
                    ("viruses", viruses.join(", ")),
                ];
                self.journal.note(Level::Warn, "viruses are allowed in a mail no more", &fields);
                Answer::AllowedNoMore { tenant, sha256: mail.to_string(), removed }
            }
            Err(why) => self.refuse_allow(uid, why),
        }
    }

    /// What is allowed, in mails of one tenant or of all.
    pub(crate) fn list_allowed(&mut self, tenant: Option<&str>) -> Answer {
        let tenants: Vec<String> = match tenant.map(|name| self.tenant(Some(name))) {
            None => self.policy.tenants.clone(),
            Some(Ok(tenant)) => vec![tenant],
            Some(Err(why)) => return Answer::Refused { why },
        };
        let (mut viruses, mut faults) = (Vec::new(), Vec::new());
        for tenant in tenants {
            match self.allowed.list(&tenant, now()) {
                Ok(list) => viruses.extend(list.into_iter().map(|(mail, virus, grant)| AllowedVirus {
                    tenant: tenant.clone(),
                    case: mail.case(),
                    sha256: mail.to_string(),
                    virus,
                    since: grant.since,
                    until: grant.until,
                    uid: grant.uid,
                })),
                Err(why) => faults.push(why),
            }
        }
        Answer::AllowedList { viruses, faults }
    }

    fn meant(&self, which: &WhichMail) -> Result<(String, Sha256), String> {
        let mail = Sha256::parse(&which.sha256)
            .ok_or_else(|| "a mail is named by the 64 digits of its SHA-256".to_owned())?;
        Ok((self.tenant(which.tenant.as_deref())?, mail))
    }

    /// The tenant of this name; the only one, if none is named.
    fn tenant(&self, name: Option<&str>) -> Result<String, String> {
        let tenants = &self.policy.tenants;
        let known = tenants.join(", ");
        match (name, tenants.as_slice()) {
            (None, [only]) => Ok(only.clone()),
            (None, _) => Err(format!("whose mail? --tenant names one of {known}")),
            (Some(name), _) if tenants.iter().any(|tenant| tenant == name) => Ok(name.to_owned()),
            (Some(name), _) => {
                Err(format!("there is no tenant `{}`: there are {known}", printable(name, 64)))
            }
        }
    }

    fn refuse_allow(&mut self, uid: u32, why: String) -> Answer {
        let fields = [("by", format!("uid {uid}")), ("why", why.clone())];
        self.journal.note(Level::Warn, "what is allowed in mails stays as it was", &fields);
        Answer::Refused { why }
    }

    fn not_allowed(&mut self, tenant: &str, error: &str) {
        let fields = [("tenant", tenant.to_owned()), ("error", error.to_owned())];
        self.journal.note(
            Level::Error,
            "a list of allowed mails cannot be read: nothing is allowed",
            &fields,
        );
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn date(seconds: u64) -> String {
    let date = i64::try_from(seconds).ok().and_then(|at| OffsetDateTime::from_unix_timestamp(at).ok());
    date.and_then(|date| date.format(&Rfc3339).ok()).unwrap_or_else(|| seconds.to_string())
}
