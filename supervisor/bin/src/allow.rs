//! `mailward allow`: a mail in which a virus was found that is none passes from now on. Names of viruses come from the
//! quarantine, where it has the mail and this user may read it; all else the running service does.
use crate::args::{Allow, AllowAdd, AllowList, AllowRemove, WhichMail};
use crate::quarantine::{self, Kept, day};
use crate::test::print;
use crate::{config, control};
use std::collections::BTreeSet;
use std::process::ExitCode;
use supervisor::control::{self as service, AllowedVirus, Answer, Request};

/// Digits of a SHA-256.
const DIGITS: usize = 64;

pub(crate) fn allow(command: &Allow) -> ExitCode {
    let done = match command {
        Allow::Add(add) => self::add(add),
        Allow::List(list) => self::list(list),
        Allow::Remove(remove) => self::remove(remove),
    };
    match done {
        Ok(status) | Err(Failure::Said(status)) => status,
        Err(Failure::Why(why)) => {
            config::say(&format!("mailward: {}\n", why.trim_end()));
            ExitCode::from(1)
        }
    }
}

/// Why nothing came of it.
enum Failure {
    /// To be said.
    Why(String),
    /// It was said.
    Said(ExitCode),
}

impl From<String> for Failure {
    fn from(why: String) -> Self {
        Self::Why(why)
    }
}

fn add(add: &AllowAdd) -> Result<ExitCode, Failure> {
    let Meant { sha256, tenant, found } = meant(&add.mail)?;
    let viruses = named(&add.mail, found.as_deref())?;
    let mail = service::WhichMail { tenant, sha256 };
    let seconds = add.period.map(|period| period.as_secs());
    let answer = ask(&add.mail, &Request::Allow { mail, viruses: viruses.clone(), seconds })?;
    let Answer::Allowed { tenant, sha256, until, mailboxes } = answer else { return otherwise(answer) };
    if add.mail.json {
        print::json(&Answer::Allowed { tenant, sha256, until, mailboxes });
        return Ok(ExitCode::SUCCESS);
    }
    let case: String = sha256.chars().take(12).collect();
    let time = until.map_or_else(|| "for good".to_owned(), |until| format!("until {}", day(until)));
    print::out(&format!("allowed {time}: {} in case {case} of {tenant}\n", viruses.join(", ")));
    let where_it_was = match mailboxes {
        Some(0) => return Ok(ExitCode::SUCCESS),
        Some(1) => "in one mailbox".to_owned(),
        Some(number) => format!("in {number} mailboxes"),
        None => "in some mailboxes, perhaps".to_owned(),
    };
    print::out(&format!(
        "It was served as a notice {where_it_was}: what a client has stays what it is, under its UID or UIDL. Give its user\n\
         the original as a new message, octet for octet: mailward quarantine export {case} FILE\n"
    ));
    Ok(ExitCode::SUCCESS)
}

fn list(list: &AllowList) -> Result<ExitCode, Failure> {
    let request = Request::AllowedList { tenant: list.tenant.clone() };
    let answer = control::ask(&list.service, &request).map_err(Failure::Said)?;
    let Answer::AllowedList { viruses, faults } = answer else { return otherwise(answer) };
    for AllowedVirus { tenant, case, virus, since, until, uid, sha256 } in &viruses {
        if list.json {
            let (tenant, case, virus, sha256) = (tenant.clone(), case.clone(), virus.clone(), sha256.clone());
            let (since, until, uid) = (*since, *until, *uid);
            print::json(&AllowedVirus { tenant, case, sha256, virus, since, until, uid });
            continue;
        }
        let until = until.map_or_else(|| "for good            ".to_owned(), day);
        print::out(&format!("{case}  {until}  {tenant}  {virus}  (since {}, by uid {uid})\n", day(*since)));
    }
    for fault in &faults {
        config::say(&format!("mailward: {fault}\n"));
    }
    if viruses.is_empty() && faults.is_empty() && !list.json {
        print::out("nothing is allowed\n");
    }
    Ok(if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn remove(remove: &AllowRemove) -> Result<ExitCode, Failure> {
    let which = &remove.mail;
    let digits = digits(&which.mail)?;
    let request = Request::AllowedList { tenant: which.tenant.clone() };
    let answer = ask(which, &request)?;
    let Answer::AllowedList { viruses, faults } = answer else { return otherwise(answer) };
    for fault in faults {
        config::say(&format!("mailward: {fault}\n"));
    }
    let mails: BTreeSet<(String, String)> = viruses
        .into_iter()
        .filter(|known| known.sha256.starts_with(&digits))
        .map(|known| (known.tenant, known.sha256))
        .collect();
    let mut mails = mails.into_iter();
    let (tenant, sha256) = match (mails.next(), mails.next()) {
        (Some(mail), None) => mail,
        (None, _) => return Err(format!("nothing is allowed in {} (mailward allow list)", which.mail).into()),
        (Some(_), Some(_)) => {
            return Err(format!("{} is several: write the whole SHA-256, or --tenant", which.mail).into());
        }
    };
    let mail = service::WhichMail { tenant: Some(tenant), sha256 };
    let answer = ask(which, &Request::AllowNoMore { mail, viruses: which.virus.clone() })?;
    let Answer::AllowedNoMore { tenant, sha256, removed } = answer else { return otherwise(answer) };
    if which.json {
        print::json(&Answer::AllowedNoMore { tenant, sha256, removed });
    } else {
        let case: String = sha256.chars().take(12).collect();
        let what = if removed == 1 { "a virus" } else { "viruses" };
        print::out(&format!("{what} in case {case} of {tenant} allowed no more\n"));
    }
    Ok(ExitCode::SUCCESS)
}

fn ask(which: &WhichMail, request: &Request) -> Result<Answer, Failure> {
    control::ask(&which.service, request).map_err(Failure::Said)
}

fn otherwise(answer: Answer) -> Result<ExitCode, Failure> {
    match answer {
        Answer::Refused { why } => Err(Failure::Why(why)),
        Answer::Reloaded { .. }
        | Answer::Allowed { .. }
        | Answer::AllowedNoMore { .. }
        | Answer::AllowedList { .. }
        | Answer::Sessions { .. }
        | Answer::Kicked { .. } => Err(Failure::Said(control::answered_otherwise())),
    }
}

/// A mail, and what the quarantine knows of it.
struct Meant {
    sha256: String,
    tenant: Option<String>,
    /// Names of viruses that were found in it; `None`: the quarantine does not have it, or this user may not look.
    found: Option<Vec<String>>,
}

fn meant(which: &WhichMail) -> Result<Meant, Failure> {
    let digits = digits(&which.mail)?;
    let kept = kept(which, &digits);
    match kept {
        Ok(kept) => {
            let mut tenants: Vec<String> = kept.iter().map(Kept::tenant).collect();
            if let Some(wanted) = &which.tenant {
                tenants = vec![wanted.clone()];
            }
            let [tenant] = tenants.as_slice() else {
                let tenants = tenants.join(", ");
                return Err(format!("{} came to several tenants: --tenant names one of {tenants}", which.mail).into());
            };
            let of_tenant = kept.iter().filter(|kept| kept.tenant() == *tenant);
            let names = |kept: &Kept| kept.record.viruses.iter().map(|virus| virus.name.clone()).collect::<Vec<_>>();
            let found: BTreeSet<String> = of_tenant.flat_map(names).collect();
            let sha256 = kept.first().map(|kept| kept.record.sha256.clone()).unwrap_or_default();
            Ok(Meant { sha256, tenant: Some(tenant.clone()), found: Some(found.into_iter().collect()) })
        }
        Err(_) if digits.len() == DIGITS => {
            Ok(Meant { sha256: digits, tenant: which.tenant.clone(), found: None })
        }
        Err(why) => Err(format!(
            "{why}: name the mail by the {DIGITS} digits of its SHA-256, which its MAIL record has, and --virus"
        )
        .into()),
    }
}

fn kept(which: &WhichMail, digits: &str) -> Result<Vec<Kept>, String> {
    let mut kept = quarantine::find(&which.place(), digits)?;
    if let Some(tenant) = &which.tenant {
        kept.retain(|kept| kept.tenant() == *tenant);
    }
    if kept.is_empty() {
        Err(format!("the quarantine has no case {digits} of that tenant"))
    } else {
        Ok(kept)
    }
}

fn digits(mail: &str) -> Result<String, Failure> {
    let digits = mail.to_ascii_lowercase();
    let right =
        (12..=DIGITS).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    if right { Ok(digits) } else { Err(quarantine::no_case(mail).into()) }
}

/// The viruses that are meant: those that were named, or the only one that was found.
fn named(which: &WhichMail, found: Option<&[String]>) -> Result<Vec<String>, Failure> {
    let all = found.unwrap_or_default().join(", ");
    if !which.virus.is_empty() {
        let other = which.virus.iter().find(|virus| found.is_some_and(|found| !found.contains(virus)));
        if let Some(virus) = other {
            let what = if all.is_empty() { "nothing" } else { &all };
            config::say(&format!("mailward: note: {what} was found in it when it was kept, not {virus}\n"));
        }
        return Ok(which.virus.clone());
    }
    match found {
        Some([virus]) => Ok(vec![virus.clone()]),
        Some([]) => Err(format!("no virus was found in {}: only a virus can be allowed", which.mail).into()),
        Some(_) => Err(format!(
            "{all} were found in {}: say which are none, with --virus NAME, once for each",
            which.mail
        )
        .into()),
        None => Err(format!(
            "the quarantine does not say what was found in {}: name it with --virus, as the log does",
            which.mail
        )
        .into()),
    }
}
