//! What scanning costs: beside a relay that sends every mail through clamd, beside clamd's own client, with two daemons at
//! once, and with mails that were judged before.
use crate::load::{Plan, Protocol};
use crate::mail::Mail;
use crate::peers::{self, Mode, Peer};
use crate::rows::{LARGE, MEGABYTE, SMALL, Settings, backend, measurement, plan};
use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Mails that clamd's own client is given at once.
const AT_ONCE: usize = 600;

/// How often a session reads one mail, where it is read again.
const AGAIN: usize = 50;

/// Every row.
pub(crate) async fn run(
    settings: &Settings,
    many: &Rc<Vec<Mail>>,
    megabyte: &Rc<Vec<Mail>>,
    large: &Rc<Vec<Mail>>,
) -> io::Result<()> {
    beside("scanned 20 KB, 16 at a time: rows 14 and 17", settings, many, SMALL, 16).await?;
    beside("scanned 20 KB, one at a time: row 16", settings, many, SMALL, 1).await?;
    beside("scanned 1 MB, 4 at a time: rows 15, 16 and 17", settings, megabyte, MEGABYTE, 4).await?;
    beside("scanned 10 MB, one at a time", settings, large, LARGE, 1).await?;
    alone(settings, many)?;
    two(settings, many).await?;
    known(settings, many).await
}

async fn beside(
    title: &str,
    settings: &Settings,
    mails: &Rc<Vec<Mail>>,
    octets: usize,
    at_once: usize,
) -> io::Result<()> {
    let server = backend(mails.len(), octets)?;
    let (clamd, socket, _) = peers::clamd()?;
    let reference = peers::own("scan-ref", &[server.address.to_string(), socket.display().to_string()])?;
    let mailward = peers::mailward(&settings.binary, server.address, Mode::Clamd, Some(&socket))?;
    let builtin = peers::mailward(&settings.binary, server.address, Mode::Builtin, None)?;
    proven().await;
    let plan = Plan { by_mail: true, ..plan(settings, server.address, at_once, mails.len()) };
    let proxies = [&reference, &mailward, &builtin];
    measurement(title, settings, plan, &proxies, mails, "scan-ref", Some(&clamd)).await.map(drop)
}

/// An engine must have proved itself (it is shown the test virus first) before mails count.
async fn proven() {
    tokio::time::sleep(Duration::from_secs(2)).await;
}

/// clamd's own client on the same mails.
fn alone(settings: &Settings, mails: &Rc<Vec<Mail>>) -> io::Result<()> {
    println!("\nclamdscan alone, {AT_ONCE} mails of 20 KB in one folder");
    let (_clamd, _, configuration) = peers::clamd()?;
    let folder = tempfile::tempdir()?;
    for (mail, number) in mails.iter().cycle().zip(0..AT_ONCE) {
        fs::write(folder.path().join(format!("{number}.eml")), &mail.bytes)?;
    }
    for way in ["--stream", "--fdpass"] {
        let mut rates = Vec::new();
        for _ in 0..settings.rounds {
            rates.push(clamdscan(&configuration, way, folder.path())?);
        }
        rates.sort_by(f64::total_cmp);
        println!("  {way:<17} {:>9.0} mails/s", rates.get(rates.len() / 2).copied().unwrap_or_default());
    }
    Ok(())
}

fn clamdscan(configuration: &Path, way: &str, folder: &Path) -> io::Result<f64> {
    let mut command = Command::new("clamdscan");
    command.arg("--config-file").arg(configuration).args(["--multiscan", "--quiet", way]).arg(folder);
    let begun = Instant::now();
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    if !status.success() {
        return Err(io::Error::other("clamdscan does not call every mail clean; is it installed?"));
    }
    #[expect(clippy::cast_precision_loss, reason = "a count of mails")]
    let mails = AT_ONCE as f64;
    Ok(mails / begun.elapsed().as_secs_f64())
}

/// Two daemons are asked side by side: both take as long as the slower one.
async fn two(settings: &Settings, mails: &Rc<Vec<Mail>>) -> io::Result<()> {
    let server = backend(mails.len(), SMALL)?;
    let (_clamd, socket, _) = peers::clamd()?;
    let rspamd = peers::rspamd()?;
    let mailward = |mode, asked| peers::mailward_asking(&settings.binary, server.address, mode, asked);
    let proxies = [
        mailward(Mode::Clamd, (Some(&socket), None))?,
        mailward(Mode::Rspamd, (None, Some(rspamd.address)))?,
        mailward(Mode::ClamdAndRspamd, (Some(&socket), Some(rspamd.address)))?,
    ];
    proven().await;
    let proxies: Vec<&Peer> = proxies.iter().collect();
    let plan = Plan { by_mail: true, ..plan(settings, server.address, 1, mails.len()) };
    let title = "scanned 20 KB by clamd, by rspamd and by both, one at a time: row 18";
    let medians = measurement(title, settings, plan, &proxies, mails, "mailward+clamd", None).await?;
    if let [clamd, rspamd, both] = medians.as_slice() {
        println!("  both: {:.2} of the slower one's p50", both.p50 / clamd.p50.max(rspamd.p50));
    }
    Ok(())
}

/// Mails that another session had: the engine is not asked again, everything else is done again. Then mails that the same
/// session has read before: they come from its copies.
async fn known(settings: &Settings, mails: &Rc<Vec<Mail>>) -> io::Result<()> {
    let server = peers::backend_imap(mails.len(), SMALL)?;
    let (_clamd, socket, _) = peers::clamd()?;
    let mailward = |mode| peers::mailward_imap(&settings.binary, server.address, mode, Some(&socket));
    let proxies = [mailward(Mode::Pass)?, mailward(Mode::Clamd)?, mailward(Mode::ClamdOnce)?];
    proven().await;
    let proxies: Vec<&Peer> = proxies.iter().collect();
    let protocol = Protocol::Imap;
    let plan = Plan { protocol, by_mail: true, ..plan(settings, server.address, 16, mails.len()) };
    let title = "IMAP, 20 KB that were judged in another session, 16 at a time: row 19";
    measurement(title, settings, plan.clone(), &proxies, mails, "mailward", None).await?;
    let title = "IMAP, 20 KB, each read fifty times in its session, 16 at a time: row 19";
    let plan = Plan { times: AGAIN, mails: 1, ..plan };
    measurement(title, settings, plan, &proxies, mails, "mailward", None).await.map(drop)
}
