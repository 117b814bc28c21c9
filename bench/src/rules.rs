//! What a decision costs when a thousand rules are tried and the last one matches.
use policy::acl::{self, Decision};
use policy::conditions::Facts;
use policy::judge::{self, Mail};
use policy::load::{LoadOptions, load};
use policy::model::Policy;
use policy::names::{Direction, Protocol};
use policy::status::{Status, StatusSet};
use policy::time::Zone;
use std::fmt::Write;
use std::hint::black_box;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

const RULES: usize = 1000;
const TURNS: u32 = 2000;

/// Prints what each phase costs, in microseconds.
pub(crate) fn run() -> io::Result<()> {
    let policy = policy()?;
    let clock = Zone::Utc.clock();
    let facts = Facts {
        listener: 0,
        tenant: 0,
        protocol: Protocol::Pop3,
        client: ([203, 0, 113, 9], 40_000).into(),
        client_name: None,
        destination: ([192, 0, 2, 1], 110).into(),
        transparent: false,
        moment: clock.moment(1_800_000_000),
        certificate: None,
        user: None,
        groups: None,
    };
    let last = u16::try_from(RULES - 1).map_err(io::Error::other)?;
    let mail = Mail {
        direction: Direction::Download,
        statuses: StatusSet::of(Status::Infected),
        borne: StatusSet::EMPTY,
        viruses: &["Eicar-Test-Signature"],
        spam: Default::default(),
        size: 20_000,
        header: &[("Subject", "an ordinary mail")],
        senders: &["ann@example.net"],
    };
    let facts_of_mail = Facts { user: Some("ann"), ..facts };
    println!("\n{RULES} rules, the last one matches");
    told("session-acl", || acl::session(&policy, black_box(&facts), &mut ()) == Decision::Accept(last))?;
    told("command-acl", || {
        acl::command(&policy, black_box(&facts), last, &mut ()) == Decision::Accept(last)
    })?;
    told("mail-acl", || {
        let judgement = judge::mail(&policy.mail_acls, black_box(&facts_of_mail), last, &mail, &mut ());
        judgement.rule.is_some_and(|rule| rule.name == "standard-bad")
    })
}

fn told(phase: &str, decide: impl Fn() -> bool) -> io::Result<()> {
    if !decide() {
        return Err(io::Error::other(format!("{phase}: another rule decided")));
    }
    let mut best = Duration::MAX;
    for _ in 0..5 {
        let begun = Instant::now();
        for _ in 0..TURNS {
            black_box(decide());
        }
        best = best.min(begun.elapsed() / TURNS);
    }
    println!("  {phase:12} {:6.2} us a decision", best.as_secs_f64() * 1e6);
    Ok(())
}

/// Rules as a provider writes them: a customer each.
fn policy() -> io::Result<Policy> {
    let mut text = "version = 1\n[[listener]]\nprotocol = \"pop3\"\ntls = \"off\"\n[antivirus.clamd]\n\
                    [time-list.office]\ntimes = [\"mon-fri 08:00-18:00\", \"!12-24..01-02\"]\n"
        .to_owned();
    let mut add = |line: String| {
        text.push_str(&line);
        text.push('\n');
    };
    for customer in 0..RULES {
        let (high, low) = (customer / 250, customer % 250);
        let last = customer == RULES - 1;
        let from = if last { "203.0.113.0/24".to_owned() } else { format!("10.{high}.{low}.0/24") };
        let mut line = String::new();
        let time = if last { "" } else { "time = [\"@office\"]\n" };
        let _ = write!(
            line,
            "[[session-acl]]\nname = \"customer-{customer}\"\nfrom = [\"{from}\", \"!10.{high}.{low}.1\"]\n{time}\
             [[command-acl]]\nname = \"mail-of-{customer}\"\nsession-acl = [\"customer-{customer}\"]\n\
             plug-to = [\"192.0.2.{low}\"]\nserver-tls = \"off\""
        );
        add(line);
        if !last {
            add(format!(
                "[[mail-acl]]\nname = \"bulk-{customer}\"\ncommand-acl = [\"mail-of-{customer}\"]\nuser = [\"*@c{customer}.example\"]\n\
                 virus = [\"infected\"]\naction = \"deny\""
            ));
        }
    }
    let loaded = load(Path::new("bench.toml"), &text, &|_| Ok(Vec::new()), LoadOptions::default());
    loaded.map(|loaded| loaded.policy).map_err(|problems| io::Error::other(format!("{:?}", problems.first())))
}
