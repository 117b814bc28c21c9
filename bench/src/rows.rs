//! The measurements, by the names that `docs/performance.md` uses.
use crate::load::{self, Plan, Protocol};
use crate::mail::Mail;
use crate::measure;
use crate::peers::{self, Mode, Peer};
use crate::tls::{Pki, Sides};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

/// What to run.
#[derive(Debug)]
pub(crate) struct Settings {
    /// The release build.
    pub(crate) binary: PathBuf,
    /// Of one load.
    pub(crate) time: Duration,
    /// Of every measurement.
    pub(crate) rounds: usize,
    /// Only these.
    pub(crate) only: Option<String>,
}

pub(crate) const SMALL: usize = 20_000;
pub(crate) const LARGE: usize = 10_000_000;
pub(crate) const MEGABYTE: usize = 1_000_000;
const IDLE_SESSIONS: usize = 1000;

/// Medians of one peer in one measurement.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) rate: f64,
    megabytes: f64,
    cpu_per_unit: f64,
    cpu_per_megabyte: f64,
    pub(crate) p50: f64,
    p99: f64,
}

/// Runs what is behind TLS: on the client's side, and on both.
async fn secured(settings: &Settings, small: &Rc<Vec<Mail>>, large: &Rc<Vec<Mail>>) -> io::Result<()> {
    let pki = Pki::new()?;
    let (front, both) = (Sides { front: true, back: false }, Sides { front: true, back: true });
    let full = Some(pki.connector(false)?);
    for (sides, name, anchor) in [(front, "TLS in front", "nginx"), (both, "TLS on both sides", "haproxy")] {
        for (mails, octets, at_once, rows) in [(small, SMALL, 64, "storm"), (large, LARGE, 4, "bulk")] {
            let server = peers::backend(mails.len(), octets, sides.back.then_some(&pki))?;
            let auth = auth(server.address)?;
            let mut proxies = vec![peers::haproxy_tls(server.address, &pki, sides)?];
            if !sides.back {
                let buffer = if rows == "bulk" { "64k" } else { "4k" };
                proxies.push(peers::nginx_tls(auth.address, buffer, &pki)?);
            }
            proxies.push(peers::mailward_tls(&settings.binary, server.address, Mode::Pass, &pki, sides)?);
            let plan = Plan {
                tls: full.clone(),
                by_mail: rows == "bulk",
                ..plan(settings, server.address, at_once, mails.len())
            };
            let proxies: Vec<&Peer> = proxies.iter().collect();
            let title = format!("{rows}, {name}, canned backend: rows 2, 3, 5, 7 and 8");
            measurement(&title, settings, plan, &proxies, mails, anchor, None).await?;
        }
    }
    let server = peers::backend(small.len(), SMALL, None)?;
    let auth = auth(server.address)?;
    let proxies = [
        peers::nginx_tls(auth.address, "4k", &pki)?,
        peers::mailward_tls(&settings.binary, server.address, Mode::Pass, &pki, front)?,
    ];
    let plan = Plan { tls: Some(pki.connector(true)?), ..plan(settings, server.address, 64, 3) };
    let proxies: Vec<&Peer> = proxies.iter().collect();
    measurement("storm, TLS in front, sessions resumed", settings, plan, &proxies, small, "nginx", None)
        .await?;
    idle_secured(settings, &pki).await
}

/// Memory of an idle session behind TLS.
async fn idle_secured(settings: &Settings, pki: &Pki) -> io::Result<()> {
    println!("\nmemory of an idle session behind TLS, {IDLE_SESSIONS} of them: rows 10 and 11");
    let connector = pki.connector(false)?;
    let (front, both) = (Sides { front: true, back: false }, Sides { front: true, back: true });
    let (clear, secured) = (peers::backend(3, SMALL, None)?, peers::backend(3, SMALL, Some(pki))?);
    let auth = auth(clear.address)?;
    let binary = &settings.binary;
    let proxies = [
        ("in front", peers::nginx_tls(auth.address, "4k", pki)?),
        ("in front", peers::mailward_tls(binary, clear.address, Mode::Pass, pki, front)?),
        ("both", peers::haproxy_tls(secured.address, pki, both)?),
        ("both", peers::mailward_tls(binary, secured.address, Mode::Pass, pki, both)?),
        ("both", peers::mailward_tls(binary, secured.address, Mode::PassPerSession, pki, both)?),
    ];
    for (sides, proxy) in &proxies {
        let count = if proxy.name.contains("session") { IDLE_SESSIONS / 10 } else { IDLE_SESSIONS };
        let warm = load::idle(Protocol::Pop3, proxy.address, 50, Some(&connector)).await?;
        tokio::time::sleep(Duration::from_millis(500)).await;
        let before = measure::pss(proxy.pid());
        let clients = load::idle(Protocol::Pop3, proxy.address, count, Some(&connector)).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let after = measure::pss(proxy.pid());
        drop((warm, clients));
        #[expect(clippy::cast_precision_loss, reason = "kilobytes and a count")]
        let each = after.saturating_sub(before) as f64 / count as f64;
        println!("  {:<17} {sides:<9} {each:>8.1} kB", proxy.name);
    }
    Ok(())
}

/// Runs every measurement that was asked for.
pub(crate) async fn run(settings: &Settings) -> io::Result<()> {
    if !settings.binary.exists() {
        return Err(io::Error::other(format!(
            "{} is missing: cargo build --release first, or name it by --mailward",
            settings.binary.display()
        )));
    }
    let small = Rc::new((0..3).map(|seed| Mail::new(SMALL, seed + 1)).collect::<Vec<_>>());
    let large = Rc::new(vec![Mail::new(LARGE, 1)]);
    let many = Rc::new((0..30).map(|seed| Mail::new(SMALL, seed + 1)).collect::<Vec<_>>());
    let megabyte = Rc::new((0..5).map(|seed| Mail::new(MEGABYTE, seed + 1)).collect::<Vec<_>>());
    let canned = backend(3, SMALL)?;
    let wanted = |name: &str| settings.only.as_ref().is_none_or(|only| name.contains(only.as_str()));

    if wanted("rules") {
        crate::rules::run()?;
    }
    if wanted("storm") {
        let plan = plan(settings, canned.address, 64, 3);
        let auth = auth(canned.address)?;
        let passing = passing(settings, canned.address, auth.address)?;
        let proxies = passing.iter().collect::<Vec<_>>();
        measurement("storm, canned backend: rows 1 and 5", settings, plan, &proxies, &small, "nginx", None)
            .await?;
    }
    if wanted("dovecot") {
        let server = peers::dovecot(&small)?;
        let auth = auth(server.address)?;
        let passing = passing(settings, server.address, auth.address)?;
        let plan = plan(settings, server.address, 64, 3);
        let mut proxies = vec![&server];
        proxies.extend(&passing);
        measurement("storm, dovecot backend: row 4", settings, plan, &proxies, &small, "nginx", None).await?;
    }
    if wanted("latency") {
        let server = peers::dovecot(&small)?;
        let auth = auth(server.address)?;
        let passing = passing(settings, server.address, auth.address)?;
        let one = peers::mailward(&settings.binary, server.address, Mode::PassPerSession, None)?;
        let plan = Plan { pace: 60, ..plan(settings, server.address, 64, 1) };
        let mut proxies = vec![&server];
        proxies.extend(&passing);
        proxies.push(&one);
        measurement(
            "latency at 60 sessions/s, dovecot: rows 9 and 13",
            settings,
            plan,
            &proxies,
            &small,
            "dovecot",
            None,
        )
        .await?;
    }
    if wanted("bulk") {
        let server = backend(1, LARGE)?;
        let auth = auth(server.address)?;
        let passing = passing(settings, server.address, auth.address)?;
        let plan = Plan { by_mail: true, ..plan(settings, server.address, 4, 1) };
        let proxies = passing.iter().collect::<Vec<_>>();
        measurement(
            "bulk, 10 MB mails, canned backend: row 6",
            settings,
            plan,
            &proxies,
            &large,
            "nginx64k",
            None,
        )
        .await?;
    }
    if wanted("session") {
        let perdition = peers::perdition(canned.address)?;
        let one = peers::mailward(&settings.binary, canned.address, Mode::PassPerSession, None)?;
        let plan = plan(settings, canned.address, 16, 3);
        measurement(
            "process per session, canned backend: row 12",
            settings,
            plan,
            &[&perdition, &one],
            &small,
            "perdition",
            None,
        )
        .await?;
    }
    if wanted("idle") {
        idle(settings, canned.address).await?;
    }
    if wanted("tls") {
        secured(settings, &small, &large).await?;
    }
    if wanted("imap") {
        imap(settings, &small, &many, &large).await?;
    }
    if wanted("scan") && settings.only.as_deref() != Some("scanner") {
        crate::scanned::run(settings, &many, &megabyte, &large).await?;
    }
    if wanted("scanner") {
        let (small, large) = (Duration::from_micros(300), Duration::from_millis(60));
        crate::scanner::run([(SMALL, 3000, small), (LARGE, 30, large)]).await?;
    }
    Ok(())
}

pub(crate) fn plan(settings: &Settings, address: SocketAddr, at_once: usize, mails: usize) -> Plan {
    let protocol = Protocol::Pop3;
    Plan {
        protocol,
        address,
        at_once,
        time: settings.time,
        mails,
        by_mail: false,
        times: 1,
        pace: 0,
        tls: None,
    }
}

/// IMAP: passed on beside nginx and haproxy, and scanned by the builtin engine beside the server itself.
async fn imap(
    settings: &Settings,
    small: &Rc<Vec<Mail>>,
    many: &Rc<Vec<Mail>>,
    large: &Rc<Vec<Mail>>,
) -> io::Result<()> {
    let binary = &settings.binary;
    for (title, mails, octets, at_once, by_mail) in [
        ("IMAP storm, canned backend: rows 1 and 5", small, SMALL, 64, false),
        ("IMAP bulk, 10 MB mails, canned backend: row 6", large, LARGE, 4, true),
    ] {
        let server = peers::backend_imap(mails.len(), octets)?;
        let auth = auth(server.address)?;
        let proxies = [
            peers::haproxy(server.address)?,
            peers::nginx_imap(auth.address, if by_mail { "64k" } else { "4k" })?,
            peers::mailward_imap(binary, server.address, Mode::Pass, None)?,
        ];
        let proxies: Vec<&Peer> = proxies.iter().collect();
        let plan = Plan {
            protocol: Protocol::Imap,
            by_mail,
            ..plan(settings, server.address, at_once, mails.len())
        };
        measurement(title, settings, plan, &proxies, mails, "nginx", None).await?;
    }
    let server = peers::backend_imap(many.len(), SMALL)?;
    let scanned = peers::mailward_imap(binary, server.address, Mode::Builtin, None)?;
    let passed = peers::mailward_imap(binary, server.address, Mode::Pass, None)?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    for at_once in [16, 1] {
        let plan = Plan {
            protocol: Protocol::Imap,
            by_mail: true,
            ..plan(settings, server.address, at_once, many.len())
        };
        let title = format!("IMAP, scanned 20 KB by the builtin engine, {at_once} at a time");
        measurement(&title, settings, plan, &[&server, &passed, &scanned], many, "backend", None).await?;
    }
    let server = peers::backend_imap(3, SMALL)?;
    let auth = auth(server.address)?;
    let proxies = [
        peers::nginx_imap(auth.address, "4k")?,
        peers::mailward_imap(binary, server.address, Mode::Pass, None)?,
    ];
    println!("\nmemory of an idle IMAP session, {IDLE_SESSIONS} of them: row 10");
    memory(Protocol::Imap, &proxies).await
}

pub(crate) fn backend(mails: usize, octets: usize) -> io::Result<Peer> {
    peers::backend(mails, octets, None)
}

fn auth(server: SocketAddr) -> io::Result<Peer> {
    peers::own("auth-http", &[server.to_string()])
}

fn passing(settings: &Settings, server: SocketAddr, auth: SocketAddr) -> io::Result<Vec<Peer>> {
    Ok(vec![
        peers::haproxy(server)?,
        peers::nginx("nginx", auth, "4k")?,
        peers::nginx("nginx64k", auth, "64k")?,
        peers::perdition(server)?,
        peers::mailward(&settings.binary, server, Mode::Pass, None)?,
    ])
}

/// Alternating rounds over the proxies, medians, and ratios to the anchor.
pub(crate) async fn measurement(
    title: &str,
    settings: &Settings,
    plan: Plan,
    proxies: &[&Peer],
    mails: &Rc<Vec<Mail>>,
    anchor: &str,
    engine: Option<&Peer>,
) -> io::Result<Vec<Figures>> {
    println!("\n{title}");
    let mut rounds: Vec<Vec<Figures>> = vec![Vec::new(); proxies.len()];
    let mut engine_cpu = vec![Duration::ZERO; proxies.len()];
    let mut units = vec![0_u64; proxies.len()];
    for _ in 0..settings.rounds {
        for (index, proxy) in proxies.iter().enumerate() {
            let before = measure::cpu(proxy.pid());
            let engine_before = engine.map_or(Duration::ZERO, |engine| measure::cpu(engine.pid()));
            let result = load::run(Plan { address: proxy.address, ..plan.clone() }, Rc::clone(mails))
                .await
                .map_err(|error| io::Error::other(format!("{}: {error}", proxy.name)))?;
            let cpu = measure::cpu(proxy.pid()).saturating_sub(before).as_secs_f64();
            let engine_after = engine.map_or(Duration::ZERO, |engine| measure::cpu(engine.pid()));
            if let (Some(total), Some(units)) = (engine_cpu.get_mut(index), units.get_mut(index)) {
                *total += engine_after.saturating_sub(engine_before);
                *units += result.units;
            }
            let wall = result.wall.as_secs_f64();
            if let Some(rounds) = rounds.get_mut(index) {
                rounds.push(Figures {
                    rate: result.rate(),
                    megabytes: result.megabytes_per_second(),
                    cpu_per_unit: cpu * 1e6 / (result.rate() * wall).max(1.0),
                    cpu_per_megabyte: cpu * 1e3 / (result.megabytes_per_second() * wall).max(1e-9),
                    p50: result.quantile(0.5).as_secs_f64() * 1e3,
                    p99: result.quantile(0.99).as_secs_f64() * 1e3,
                });
            }
        }
    }
    let medians: Vec<Figures> = rounds.iter().map(|rounds| median_figures(rounds)).collect();
    let base =
        proxies.iter().position(|proxy| proxy.name == anchor).and_then(|index| medians.get(index)).copied();
    let base = base.unwrap_or_default();
    println!(
        "  {:<17} {:>9} {:>6} {:>9} {:>10} {:>6} {:>8} {:>8} {:>6} {:>8}",
        "", "units/s", "ratio", "MB/s", "CPU us/unit", "ratio", "CPU ms/MB", "p50 ms", "ratio", "p99 ms"
    );
    for (proxy, figures) in proxies.iter().zip(&medians) {
        println!(
            "  {:<17} {:>9.0} {:>6.2} {:>9.1} {:>10.0} {:>6.2} {:>9.3} {:>8.2} {:>6.2} {:>8.2}",
            proxy.name,
            figures.rate,
            figures.rate / base.rate,
            figures.megabytes,
            figures.cpu_per_unit,
            figures.cpu_per_unit / base.cpu_per_unit,
            figures.cpu_per_megabyte,
            figures.p50,
            figures.p50 / base.p50,
            figures.p99
        );
    }
    if engine.is_some() {
        for (index, proxy) in proxies.iter().enumerate() {
            let cpu = engine_cpu.get(index).copied().unwrap_or_default().as_secs_f64() * 1e6;
            #[expect(clippy::cast_precision_loss, reason = "a count of mails")]
            let each = cpu / units.get(index).copied().unwrap_or(1).max(1) as f64;
            let own = medians.get(index).copied().unwrap_or_default().cpu_per_unit;
            if each > 1.0 {
                println!(
                    "  {:<17} clamd's CPU {each:.0} us a mail; the proxy's is {:.2} of it",
                    proxy.name,
                    own / each
                );
            }
        }
    }
    Ok(medians)
}

fn median_figures(rounds: &[Figures]) -> Figures {
    let median = |field: fn(&Figures) -> f64| {
        let mut values: Vec<f64> = rounds.iter().map(field).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or_default()
    };
    Figures {
        rate: median(|figures| figures.rate),
        megabytes: median(|figures| figures.megabytes),
        cpu_per_unit: median(|figures| figures.cpu_per_unit),
        cpu_per_megabyte: median(|figures| figures.cpu_per_megabyte),
        p50: median(|figures| figures.p50),
        p99: median(|figures| figures.p99),
    }
}

/// Proportional memory of an idle logged-in session: the difference that a thousand of them make.
async fn idle(settings: &Settings, server: SocketAddr) -> io::Result<()> {
    println!("\nmemory of an idle session, {IDLE_SESSIONS} of them: rows 10 and 11");
    let auth = auth(server)?;
    let mut proxies = passing(settings, server, auth.address)?;
    proxies.push(peers::mailward(&settings.binary, server, Mode::PassPerSession, None)?);
    memory(Protocol::Pop3, &proxies).await
}

async fn memory(protocol: Protocol, proxies: &[Peer]) -> io::Result<()> {
    let mut anchor = 1.0;
    for proxy in proxies {
        let count = if proxy.name.contains("session") { IDLE_SESSIONS / 10 } else { IDLE_SESSIONS };
        // The first sessions pay for what all share.
        let warm = load::idle(protocol, proxy.address, 50, None).await?;
        tokio::time::sleep(Duration::from_millis(500)).await;
        let before = measure::pss(proxy.pid());
        let clients = load::idle(protocol, proxy.address, count, None).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let after = measure::pss(proxy.pid());
        drop((warm, clients));
        #[expect(clippy::cast_precision_loss, reason = "kilobytes and a count")]
        let each = after.saturating_sub(before) as f64 / count as f64;
        if proxy.name == "nginx" {
            anchor = each;
        }
        println!("  {:<17} {each:>8.1} kB   {:>5.2} x nginx", proxy.name, each / anchor);
    }
    Ok(())
}
