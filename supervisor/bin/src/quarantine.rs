//! `mailward quarantine`: the originals of mails that were served changed. Works on the directory itself, as root or as the
//! user that runs the service, whether it runs or not. What is known of a mail is shown; the mail itself goes to a file that
//! the operator names, and nowhere else.
use crate::args::{Case, Export, Quarantine, Where};
use crate::test::print;
use crate::{args, config};
use policy::load::LoadOptions;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::UNIX_EPOCH;
use writer::record::{MAX_LINE, Record};

/// Octets that are copied at once.
const PIECE: usize = 64 * 1024;

/// A mail in the quarantine.
#[derive(Debug, Serialize)]
pub(crate) struct Kept {
    tenant: String,
    /// When it came last, in seconds since 1970.
    last: u64,
    #[serde(flatten)]
    pub(crate) record: Record,
    #[serde(skip)]
    path: PathBuf,
    #[serde(skip)]
    begins: u64,
}

impl Kept {
    /// Whose it is.
    pub(crate) fn tenant(&self) -> String {
        supervisor::quarantine::tenant_of(&self.tenant)
    }
}

pub(crate) fn quarantine(command: &Quarantine) -> ExitCode {
    let done = match command {
        Quarantine::List(place) => list(place),
        Quarantine::Show(case) => show(case),
        Quarantine::Export(export) => write_out(export),
        Quarantine::Delete(case) => delete(case),
    };
    done.unwrap_or_else(|why| {
        config::say(&format!("mailward: {why}\n"));
        ExitCode::from(1)
    })
}

fn list(place: &Where) -> Result<ExitCode, String> {
    let mut kept = all(place)?;
    kept.sort_by(|a, b| (a.last, &a.record.sha256).cmp(&(b.last, &b.record.sha256)));
    for Kept { tenant, record, last, .. } in &kept {
        if place.json {
            continue;
        }
        let viruses: Vec<&str> = record.viruses.iter().map(|virus| virus.name.as_str()).collect();
        let found = if viruses.is_empty() { record.statuses.clone() } else { viruses.join(", ") };
        let Record { case, size, user, .. } = record;
        print::out(&format!("{case}  {}  {size:>10}  {tenant}/{user}  {found}\n", day(*last)));
    }
    if place.json {
        kept.iter().for_each(print::json);
    } else if kept.is_empty() {
        print::out("the quarantine is empty\n");
    }
    Ok(ExitCode::SUCCESS)
}

fn show(case: &Case) -> Result<ExitCode, String> {
    for kept in find(&case.place, &case.case)? {
        if case.place.json {
            print::json(&kept);
            continue;
        }
        let Record { case, sha256, size, protocol, direction, client, user, name, .. } = &kept.record;
        let Record { rule, statuses, viruses, reason, session, time, .. } = &kept.record;
        let mut text = format!(
            "case       {case}\nsha256     {sha256}\noctets     {size}\ntenant     {}\nuser       {user}\n\
             client     {client}\nsession    {session}\nprotocol   {protocol}, {direction}\nname       {name}\n\
             first      {}\nlast       {}\nrule       {rule}\nstatuses   {statuses}\n",
            kept.tenant,
            day(u64::try_from(*time).unwrap_or(0)),
            day(kept.last),
        );
        for virus in viruses {
            text.push_str(&format!("virus      {} ({})\n", virus.name, virus.engine));
        }
        text.push_str(&format!("reason     {reason}\nfile       {}\n", kept.path.display()));
        print::out(&text);
    }
    Ok(ExitCode::SUCCESS)
}

fn write_out(export: &Export) -> Result<ExitCode, String> {
    let kept = find(&export.case.place, &export.case.case)?;
    let Some(kept) = kept.first() else { return Err("there is no such mail".into()) };
    let at = |error: io::Error| format!("{}: {error}", export.file.display());
    // Never over a file that is there; for the operator alone.
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&export.file);
    let mut file = opened.map_err(|error| match error.kind() == io::ErrorKind::AlreadyExists {
        true => format!("{} is there already: name a file that is not", export.file.display()),
        false => at(error),
    })?;
    match copy(kept, &mut file).map_err(at)? {
        hash if hash == kept.record.sha256 => {
            config::say(&format!(
                "mailward: {} is the original as it came: {} was found in it. Do not open it where that can do harm.\n",
                export.file.display(),
                kept.record.statuses
            ));
            Ok(ExitCode::SUCCESS)
        }
        hash => Err(format!(
            "{} is damaged: its SHA-256 is {hash}, not {}",
            kept.path.display(),
            kept.record.sha256
        )),
    }
}

fn copy(kept: &Kept, to: &mut File) -> io::Result<String> {
    let mut from = File::open(&kept.path)?;
    from.seek(SeekFrom::Start(kept.begins))?;
    let (mut hash, mut piece) = (Sha256::new(), vec![0; PIECE]);
    loop {
        let count = from.read(&mut piece)?;
        let read = piece.get(..count).unwrap_or_default();
        if read.is_empty() {
            to.sync_all()?;
            return Ok(hash.finalize().iter().map(|octet| format!("{octet:02x}")).collect());
        }
        hash.update(read);
        to.write_all(read)?;
    }
}

fn delete(case: &Case) -> Result<ExitCode, String> {
    for kept in find(&case.place, &case.case)? {
        fs::remove_file(&kept.path).map_err(|error| format!("{}: {error}", kept.path.display()))?;
        print::out(&format!("deleted: case {} of {}/{}\n", kept.record.case, kept.tenant, kept.record.user));
    }
    Ok(ExitCode::SUCCESS)
}

/// What is said of what is neither a case nor a hash.
pub(crate) fn no_case(case: &str) -> String {
    format!("`{case}` is no case: write its twelve digits, or the SHA-256 of the mail")
}

/// The mails of a case, or of a hash: one for each tenant that has it. An error where there is none.
pub(crate) fn find(place: &Where, case: &str) -> Result<Vec<Kept>, String> {
    let wanted = case.to_ascii_lowercase();
    if wanted.len() < 12 || !wanted.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(no_case(case));
    }
    let mut found = all(place)?;
    found.retain(|kept| kept.record.sha256.starts_with(&wanted));
    let first = found.first().map(|kept| kept.record.sha256.clone());
    if found.iter().any(|kept| Some(&kept.record.sha256) != first.as_ref()) {
        return Err(format!("`{case}` is the beginning of several: write the whole SHA-256"));
    }
    if found.is_empty() { Err(format!("the quarantine has no case {case}")) } else { Ok(found) }
}

/// Every mail that is there.
fn all(place: &Where) -> Result<Vec<Kept>, String> {
    let state_dir = match &place.state_dir {
        Some(directory) => directory.clone(),
        None => state_dir(&place.file)?,
    };
    let folder = supervisor::quarantine::folder(&state_dir);
    let wrong = |error: io::Error| format!("{}: {error}", folder.display());
    let mut kept = Vec::new();
    let tenants = match fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(kept),
        tenants => tenants.map_err(wrong)?,
    };
    for tenant in tenants {
        let tenant = tenant.map_err(wrong)?;
        let name = tenant.file_name().to_string_lossy().into_owned();
        for entry in fs::read_dir(tenant.path()).map_err(wrong)? {
            let path = entry.map_err(wrong)?.path();
            if path.extension().is_some_and(|extension| extension == "mail") {
                match read(&name, &path) {
                    Ok(mail) => kept.push(mail),
                    Err(why) => config::say(&format!("mailward: {}: {why}\n", path.display())),
                }
            }
        }
    }
    Ok(kept)
}

fn read(tenant: &str, path: &Path) -> Result<Kept, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let modified =
        file.metadata().and_then(|metadata| metadata.modified()).map_err(|error| error.to_string())?;
    let mut beginning = Vec::with_capacity(MAX_LINE);
    file.take(MAX_LINE as u64).read_to_end(&mut beginning).map_err(|error| error.to_string())?;
    let (record, begins) = Record::read(&beginning).ok_or("no mail of the quarantine")?;
    Ok(Kept {
        tenant: tenant.to_owned(),
        last: modified.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        record,
        path: path.to_owned(),
        begins: begins as u64,
    })
}

fn state_dir(file: &args::Config) -> Result<PathBuf, String> {
    let configuration = config::load(&file.config, LoadOptions::default());
    let configuration =
        configuration.ok_or("the configuration cannot be read: --state-dir names the directory instead")?;
    Ok(configuration.loaded.policy.service.state_dir)
}

/// The time of day, UTC.
pub(crate) fn day(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Days since 1970 as a date (civil_from_days, H. Hinnant): years begin in March, so that the leap day is the last.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use super::day;

    #[test]
    fn seconds_are_dates() {
        assert_eq!(day(0), "1970-01-01T00:00:00Z");
        assert_eq!(day(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(day(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(day(1_795_775_400), "2026-11-27T10:30:00Z");
    }
}
