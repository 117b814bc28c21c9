//! Each condition of each kind of rule: what it takes and what it leaves. The rules are written as an operator writes
//! them, so that reading and deciding are tested together.
use common::{facts, found};
use policy::acl::{self, Decision};
use policy::comparison::Spam;
use policy::conditions::{Certificate, Facts, Verdict};
use policy::judge::{self, Mail, Part};
use policy::load::{LoadOptions, load};
use policy::model::{MailAction, PartAction, Policy, TypeSource};
use policy::names::{Direction, Protocol};
use policy::status::{Status, StatusSet};
use policy::time::Moment;
use std::path::Path;

mod common;

/// A file with these rules; the listeners are "pop3" (0) and, of tenant acme (1), "nat" (1).
fn policy(rules: &str) -> Policy {
    let text = format!(
        "version = 1\n{rules}\n\
         [[tenant]]\nname = \"acme\"\n\
         [[listener]]\nname = \"pop3\"\nprotocol = \"pop3\"\ntls = \"off\"\n\
         [[listener]]\nname = \"nat\"\nprotocol = \"pop3\"\ntls = \"off\"\ntenant = \"acme\"\naddress = [\"*:10110\"]\n\
         transparent = {{ method = \"redirect\" }}\n\
         [antivirus.clamd]\n"
    );
    let options = LoadOptions { demo: false, cores: 1 };
    match load(Path::new("m.toml"), &text, &|_| Ok(Vec::new()), options) {
        Ok(loaded) => loaded.policy,
        Err(problems) => panic!("{rules}\n{problems:#?}"),
    }
}

const ANY_COMMAND: &str = "[[command-acl]]\nplug-to = [\"192.0.2.7\"]\nserver-tls = \"off\"\n";

/// Whether a session-acl with this condition takes the connection.
fn connects(condition: &str, facts: &Facts<'_>) -> bool {
    let policy = policy(&format!("[[session-acl]]\n{condition}\n{ANY_COMMAND}"));
    acl::session(&policy, facts, &mut ()) == Decision::Accept(0)
}

fn command(condition: &str, facts: &Facts<'_>) -> Decision {
    let rule =
        format!("[[session-acl]]\nname = \"a\"\n[[session-acl]]\nname = \"b\"\n{ANY_COMMAND}{condition}\n");
    acl::command(&policy(&rule), facts, 0, &mut ())
}

/// What becomes of a mail when a rule with this condition denies, and nothing else is written.
fn mail_meets(condition: &str, facts: &Facts<'_>, mail: &Mail<'_>) -> bool {
    let policy =
        policy(&format!("[[session-acl]]\n{ANY_COMMAND}[[mail-acl]]\naction = \"deny\"\n{condition}\n"));
    judge::mail(&policy.mail_acls, facts, 0, mail, &mut ()).action == MailAction::Deny
}

fn part_meets(condition: &str, action: &str, part: &Part<'_>) -> bool {
    let rules = format!("[[session-acl]]\n{ANY_COMMAND}[[doc-acl]]\naction = \"{action}\"\n{condition}\n");
    let policy = policy(&rules);
    let rule = judge::part(&policy.doc_acls, &facts("10.1.2.3:4"), 0, part, &mut ());
    rule.is_some_and(|rule| rule.name == "doc-acl-1")
}

fn certificate() -> Certificate {
    Certificate {
        subject: "CN=Ann,OU=Staff,O=Example".to_owned(),
        issuer: "CN=Users CA,O=Example".to_owned(),
        names: vec!["ann@example.net".to_owned(), "a.lan.example.net".to_owned()],
        fingerprint: "ab".repeat(32),
    }
}

#[test]
fn a_session_acl_takes_what_all_its_conditions_hold_for() {
    let plain = facts("10.1.2.3:4000");
    let nat = Facts { listener: 1, tenant: 1, transparent: true, ..plain };
    let sunday = Facts { moment: Moment::new(2026, 5, 10, 600).unwrap(), ..plain };
    for (condition, of, expected) in [
        ("", &plain, true),
        ("from = [\"10.0.0.0/8\"]", &plain, true),
        ("from = [\"!10.0.0.0/8\"]", &plain, false),
        ("to = [\"192.0.2.1\"]", &plain, true),
        ("to = [\"192.0.2.2\"]", &plain, false),
        ("listener = [\"pop3\"]", &plain, true),
        ("listener = [\"pop3\"]", &nat, false),
        ("listener = [\"pop3\", \"nat\"]", &nat, true),
        ("tenant = [\"default\"]", &plain, true),
        ("tenant = [\"default\"]", &nat, false),
        ("tenant = [\"acme\"]", &nat, true),
        ("transparent = true", &plain, false),
        ("transparent = true", &nat, true),
        ("transparent = false", &nat, false),
        ("time = [\"mon-fri\"]", &plain, true),
        ("time = [\"mon-fri\"]", &sunday, false),
        ("time = [\"!sun\"]", &sunday, false),
        ("time = [\"09:00-10:00\"]", &plain, true),
        ("time = [\"09:00-09:30\"]", &plain, false),
        ("from = [\"10.0.0.0/8\"]\nto = [\"192.0.2.2\"]", &plain, false),
        ("action = \"deny\"", &plain, false),
    ] {
        assert_eq!(connects(condition, of), expected, "{condition} for {of:?}");
    }
}

#[test]
fn a_command_acl_takes_what_all_its_conditions_hold_for() {
    let anonymous = facts("10.1.2.3:4000");
    let certificate = certificate();
    let groups = ["staff".to_owned()];
    let ann = Facts {
        user: Some("ann@Example.NET"),
        groups: Some(&groups),
        certificate: Some(Some(&certificate)),
        ..anonymous
    };
    let bare = Facts { certificate: Some(None), ..anonymous };
    let (yes, no) = (Decision::Accept(0), Decision::NoMatch);
    for (condition, of, expected) in [
        ("session-acl = [\"a\"]", &anonymous, yes),
        ("session-acl = [\"b\"]", &anonymous, no),
        ("session-acl = [\"a\", \"b\"]", &anonymous, yes),
        ("protocol = [\"pop3\"]", &anonymous, yes),
        ("protocol = [\"imap\"]", &anonymous, no),
        ("protocol = [\"imap\"]", &Facts { protocol: Protocol::Imap, ..anonymous }, yes),
        ("from = [\"192.0.2.0/24\"]", &anonymous, no),
        ("time = [\"fri 09:00-10:00\"]", &anonymous, yes),
        ("time = [\"fri 10:00-11:00\"]", &anonymous, no),
        ("user = [\"*@example.net\"]", &anonymous, Decision::Waits(0, "user")),
        ("user = [\"*@example.net\"]", &ann, yes),
        ("user = [\"Ann@example.net\"]", &ann, no),
        ("user = [\"!ann@example.net\"]", &ann, no),
        ("group = [\"staff\"]", &anonymous, Decision::Waits(0, "group")),
        ("group = [\"staff\"]", &ann, yes),
        ("group = [\"Staff\"]", &ann, no),
        (
            "client-certificate = [{ subject = \"*,ou=staff,*\" }]",
            &anonymous,
            Decision::Waits(0, "client-certificate"),
        ),
        ("client-certificate = [{ subject = \"*,ou=staff,*\" }]", &ann, yes),
        ("client-certificate = [{ subject = \"*,ou=staff,*\" }]", &bare, no),
        ("client-certificate = [{ issuer = \"CN=Users CA,*\", san = \"*@example.net\" }]", &ann, yes),
        ("client-certificate = [{ issuer = \"CN=Other CA,*\", san = \"*@example.net\" }]", &ann, no),
        ("client-certificate = [{ san = \"*.example.net\" }]", &ann, yes),
        ("client-certificate = [{ san = \"*.net\" }]", &ann, yes),
        ("client-certificate = [{ san = \"a.*.example.net\" }]", &ann, yes),
        ("client-certificate = [{ san = \"b.*\" }, { subject = \"CN=Ann,*\" }]", &ann, yes),
        // A condition that fails decides before one that waits.
        ("user = [\"*\"]\nfrom = [\"192.0.2.0/24\"]", &anonymous, no),
    ] {
        assert_eq!(command(condition, of), expected, "{condition}");
    }
    let fingerprint = "AB:".repeat(31) + "AB";
    assert_eq!(command(&format!("client-certificate = [{{ fingerprint = \"{fingerprint}\" }}]"), &ann), yes);
}

#[test]
fn a_decision_waits_only_for_the_first_rule_that_may_match() {
    let rules = "[[session-acl]]\n\
         [[command-acl]]\nname = \"elsewhere\"\nfrom = [\"192.0.2.0/24\"]\nuser = [\"x\"]\naction = \"deny\"\n\
         [[command-acl]]\nname = \"here\"\nfrom = [\"10.0.0.0/8\"]\nplug-to = [\"192.0.2.7\"]\nserver-tls = \"off\"\n\
         [[command-acl]]\nname = \"users\"\nuser = [\"y\"]\naction = \"deny\"\n";
    let policy = policy(rules);
    let mut tried = Vec::new();
    assert_eq!(acl::command(&policy, &facts("10.1.2.3:4"), 0, &mut tried), Decision::Accept(1));
    assert_eq!(tried, [(0, Verdict::Fails("from")), (1, Verdict::Holds)]);
    assert_eq!(acl::command(&policy, &facts("172.16.0.1:4"), 0, &mut ()), Decision::Waits(2, "user"));
    let named = Facts { user: Some("z"), ..facts("172.16.0.1:4") };
    assert_eq!(acl::command(&policy, &named, 0, &mut ()), Decision::NoMatch);
}

#[test]
fn a_decision_that_waits_is_made_by_the_certificate_and_only_ones_that_could_be_are_possible() {
    let here = "plug-to = [\"192.0.2.7\"]\nserver-tls = \"off\"\n";
    let rules = format!(
        "[[session-acl]]\n\
         [[command-acl]]\nfrom = [\"192.0.2.0/24\"]\nclient-certificate = [{{ subject = \"*\" }}]\n{here}\
         [[command-acl]]\nclient-certificate = [{{ subject = \"CN=Ann,*\" }}]\n{here}\
         [[command-acl]]\nclient-certificate = [{{ subject = \"CN=Bob,*\" }}]\naction = \"deny\"\n\
         [[command-acl]]\nfrom = [\"10.0.0.0/8\"]\n{here}"
    );
    let policy = policy(&rules);
    let slice = policy.lookup_slice();
    let (inside, outside) = (facts("10.1.2.3:4"), facts("172.16.0.1:4"));
    for facts in [&inside, &outside] {
        let waits = Decision::Waits(1, "client-certificate");
        assert_eq!(acl::command(&policy, facts, 0, &mut ()), waits);
    }
    let of = |subject: &str| Certificate { subject: subject.to_owned(), ..certificate() };
    for (certificate, near, far) in [
        (Some(of("CN=Ann,O=Example")), Decision::Accept(1), Decision::Accept(1)),
        (Some(of("CN=Bob,O=Example")), Decision::Deny(2), Decision::Deny(2)),
        (Some(of("CN=Carl,O=Example")), Decision::Accept(3), Decision::NoMatch),
        (None, Decision::Accept(3), Decision::NoMatch),
    ] {
        for (facts, expected) in [(&inside, near), (&outside, far)] {
            let known = Facts { certificate: Some(certificate.as_ref()), ..*facts };
            assert_eq!(acl::command(&policy, &known, 0, &mut ()), expected, "{certificate:?}");
            assert_eq!(slice.command(&known, 0), expected, "the slice says the same");
        }
    }
    let possible = |facts: &Facts<'_>| {
        [Some(0), Some(1), Some(2), Some(3), Some(4), None].map(|rule| acl::possible(&policy, facts, 0, rule))
    };
    assert_eq!(possible(&inside), [false, true, true, true, false, false]);
    assert_eq!(possible(&outside), [false, true, true, false, false, true]);
}

#[test]
fn a_mail_acl_takes_what_all_its_conditions_hold_for() {
    let ann = Facts { user: Some("ann@example.net"), ..facts("10.1.2.3:4000") };
    let nobody = facts("10.1.2.3:4000");
    let infected = Mail {
        viruses: &["PUA.Toolbar", "Eicar-Test-Signature"],
        size: 2048,
        header: &[("Subject", "hello"), ("X-Bulk", "Yes, indeed")],
        senders: &["Bob@example.org"],
        ..found(StatusSet::of(Status::Infected))
    };
    let scored = Mail { spam: Spam { score: Some(5_000), failed: false }, ..infected };
    let half = Mail { spam: Spam { score: Some(5_000), failed: true }, ..infected };
    for (condition, facts, mail, expected) in [
        ("", &nobody, &infected, true),
        ("spam-score = \">= 5.0\"", &nobody, &half, true),
        ("spam-score = \"unknown\"", &nobody, &half, true),
        ("virus = [\"infected\"]", &nobody, &infected, true),
        ("virus = [\"clean\", \"error\"]", &nobody, &infected, false),
        ("virus-name = [\"Eicar*\"]", &nobody, &infected, true),
        ("virus-name = [\"eicar*\"]", &nobody, &infected, true),
        ("virus-name = [\"!PUA.*\"]", &nobody, &infected, true),
        ("virus-name = [\"Win.*\"]", &nobody, &infected, false),
        ("direction = [\"download\"]", &nobody, &infected, true),
        ("direction = [\"upload\"]", &nobody, &infected, false),
        ("size = \"> 1KiB\"", &nobody, &infected, true),
        ("size = \"> 2KiB\"", &nobody, &infected, false),
        ("size = \">= 2KiB\"", &nobody, &infected, true),
        ("size = \"< 3000\"", &nobody, &infected, true),
        ("size = \"= 2048\"", &nobody, &infected, true),
        ("header = [{ name = \"x-bulk\" }]", &nobody, &infected, true),
        ("header = [{ name = \"x-*\", match = \"yes*\" }]", &nobody, &infected, true),
        ("header = [{ name = \"X-Bulk\", match = \"no*\" }]", &nobody, &infected, false),
        (
            "header = [{ name = \"X-None\" }, { name = \"Subject\", match = \"hello\" }]",
            &nobody,
            &infected,
            true,
        ),
        ("sender = [\"*@example.org\"]", &nobody, &infected, true),
        ("sender = [\"bob@example.org\"]", &nobody, &infected, false),
        ("sender = [\"!*@example.org\"]", &nobody, &infected, false),
        ("spam-score = \">= 5.0\"", &nobody, &scored, true),
        ("spam-score = \"> 5\"", &nobody, &scored, false),
        ("spam-score = \">= 5.0\"", &nobody, &infected, false),
        ("spam-score = \"unknown\"", &nobody, &infected, true),
        ("spam-score = \"unknown\"", &nobody, &scored, false),
        ("from = [\"10.0.0.0/8\"]", &nobody, &infected, true),
        ("from = [\"!10.0.0.0/8\"]", &nobody, &infected, false),
        ("time = [\"fri\"]", &nobody, &infected, true),
        ("time = [\"sat\"]", &nobody, &infected, false),
        ("user = [\"*@example.net\"]", &ann, &infected, true),
        ("user = [\"!*@example.net\"]", &ann, &infected, false),
        // When a mail is judged, who has no name will have none.
        ("user = [\"!*@example.net\"]", &nobody, &infected, false),
        ("listener = [\"nat\"]", &nobody, &infected, false),
        ("tenant = [\"default\"]", &nobody, &infected, true),
        ("protocol = [\"pop3\"]", &nobody, &infected, true),
        ("command-acl = [\"command-acl-1\"]", &nobody, &infected, true),
    ] {
        assert_eq!(mail_meets(condition, facts, mail), expected, "{condition}");
    }
}

#[test]
fn a_doc_acl_takes_what_all_its_conditions_hold_for() {
    let part = Part {
        direction: Direction::Download,
        statuses: StatusSet::of(Status::Clean),
        viruses: &[],
        types: &[(TypeSource::Magic, "application/pdf"), (TypeSource::ContentType, "text/plain")],
        inner: &[(TypeSource::Magic, "image/png")],
        filenames: &["report.txt", "setup.EXE"],
        mismatch: true,
        polyglot: false,
        size: 100,
    };
    let nameless = Part { filenames: &[], ..part };
    for (condition, action, part, expected) in [
        ("", "deny", &part, true),
        ("mime-type = [\"application/*\"]", "deny", &part, true),
        ("mime-type = [\"application/*\"]", "accept", &part, false),
        ("mime-type = [\"application/*\", \"text/*\"]", "accept", &part, true),
        ("mime-type = [\"text/*\"]\ndocument-types = [\"magic\"]", "deny", &part, false),
        ("mime-type = [\"text/*\"]\ndocument-types = [\"content-type\"]", "accept", &part, true),
        ("mime-type = [\"image/*\"]", "replace", &part, true),
        ("mime-type = [\"image/*\", \"text/*\"]", "accept", &part, false),
        ("filename = [\"*.exe\"]", "replace", &part, true),
        ("filename = [\"*.txt\"]", "accept", &part, false),
        ("filename = [\"*.exe\", \"!report*\"]", "replace", &part, true),
        ("filename = [\"*.exe\"]", "replace", &nameless, false),
        ("filename = [\"!*.exe\"]", "replace", &nameless, true),
        ("mismatch = true", "defer", &part, true),
        ("mismatch = false", "defer", &part, false),
        ("polyglot = true", "defer", &part, false),
        ("size = \"> 1KiB\"", "replace", &part, false),
        ("virus = [\"infected\"]", "replace", &part, false),
        ("virus = [\"clean\"]", "replace", &part, true),
        ("direction = [\"upload\"]", "replace", &part, false),
    ] {
        assert_eq!(part_meets(condition, action, part), expected, "{condition}, {action}");
    }
}

#[test]
fn the_strongest_decision_about_a_part_wins_and_no_rule_leaves_it() {
    let rules = format!(
        "standard-rules = false\n[[session-acl]]\n{ANY_COMMAND}\
         [[doc-acl]]\nvirus = [\"infected\"]\naction = \"replace\"\n\
         [[doc-acl]]\nvirus = [\"error\"]\naction = \"defer\"\n"
    );
    let policy = policy(&rules);
    let part = |statuses: &[Status]| Part {
        direction: Direction::Download,
        statuses: statuses.iter().copied().collect(),
        viruses: &[],
        types: &[],
        inner: &[],
        filenames: &[],
        mismatch: false,
        polyglot: false,
        size: 0,
    };
    let judged = |statuses: &[Status]| {
        judge::part(&policy.doc_acls, &facts("10.1.2.3:4"), 0, &part(statuses), &mut ())
            .map(|rule| rule.action)
    };
    assert_eq!(judged(&[Status::Infected]), Some(PartAction::Replace));
    assert_eq!(judged(&[Status::Infected, Status::Error]), Some(PartAction::Defer));
    assert_eq!(judged(&[Status::Clean]), None);
}

#[test]
fn a_rule_that_accepts_must_match_every_virus() {
    let rules = format!(
        "[[session-acl]]\n{ANY_COMMAND}\
         [[mail-acl]]\nvirus = [\"infected\", \"clean\"]\nvirus-name = [\"PUA.*\"]\naction = \"accept\"\n"
    );
    let policy = policy(&rules);
    let with = |viruses: &[&str]| {
        let mail = Mail { viruses, ..found(StatusSet::of(Status::Infected)) };
        judge::mail(&policy.mail_acls, &facts("10.1.2.3:4"), 0, &mail, &mut ()).action
    };
    assert_eq!(with(&["PUA.Toolbar"]), MailAction::Accept);
    assert_eq!(with(&["PUA.Toolbar", "Eicar"]), MailAction::Replace);
}

#[test]
fn a_name_matches_the_addresses_that_it_stands_for_and_unresolved_it_never_lets_anybody_in() {
    use policy::host::{HostList, Names};
    use std::sync::Arc;
    let inner = |items: &[&str]| {
        let mut list = HostList::default();
        for item in items {
            list.add(item, &mut |_| None).unwrap();
        }
        Arc::new(list)
    };
    let known = Names::from([("office.example".to_owned(), vec!["10.0.0.1".parse().unwrap()])]);
    for (items, named, office, other) in [
        (&["office.example"][..], &[][..], true, false),
        (&["Office.Example."], &[], true, false),
        (&["*", "!office.example"], &[], false, true),
        (&["nobody.example"], &[], false, false),
        (&["nobody.example", "10.0.0.1"], &[], true, false),
        (&["*", "!nobody.example"], &[], false, false),
        (&["@named"], &["office.example"], true, false),
        (&["*", "!@named"], &["office.example"], false, true),
        (&["*", "!@named"], &["nobody.example"], false, false),
        (&["*", "!@named"], &["nobody.example", "!10.0.0.1"], true, false),
    ] {
        let mut list = HostList::default();
        let named = inner(named);
        for item in items {
            list.add(item, &mut |_| Some(Arc::clone(&named))).unwrap();
        }
        list.settle(&known);
        let matches = ["::ffff:10.0.0.1", "10.0.0.2"].map(|address| list.matches(address.parse().unwrap()));
        assert_eq!(matches, [office, other], "{items:?} {named:?}");
    }
}

#[test]
fn a_pattern_is_held_against_a_confirmed_name_and_without_one_lets_nobody_in() {
    use policy::host::HostList;
    let address = "10.0.0.1".parse().unwrap();
    for (items, name, expected) in [
        (&["*.example.net"][..], Some("a.b.example.net"), true),
        (&["*.example.net"], Some("example.net"), false),
        (&["*.example.net"], Some("example.net.evil"), false),
        (&["pc*.example.net"], Some("pc1.example.net"), true),
        (&["pc*.example.net"], Some("pc1.x.example.net"), false),
        (&["/^pc[0-9]+[.]/"], Some("pc12.example.net"), true),
        (&["/^PC[0-9]+[.]/"], Some("pc12.example.net"), true),
        (&["/^pc[0-9]+[.]/"], Some("xpc12.example.net"), false),
        (&["*.example.net"], None, false),
        (&["*", "!*.example.net"], None, false),
        (&["*", "!*.example.net"], Some("pc.example.com"), true),
        (&["*", "!/example/"], Some("pc.example.com"), false),
        (&["10.0.0.1", "*.example.net"], None, true),
    ] {
        let mut list = HostList::default();
        items.iter().for_each(|item| list.add(item, &mut |_| None).unwrap());
        assert_eq!(list.matches_host(address, name), expected, "{items:?} {name:?}");
        assert_eq!(list.clone(), list);
    }
}

#[test]
fn parts_are_replaced_where_every_status_that_replaces_is_borne_by_one() {
    let policy = policy(&format!("[[session-acl]]\n{ANY_COMMAND}"));
    let judged = |statuses: &[Status], borne: &[Status]| {
        let set = |statuses: &[Status]| statuses.iter().copied().collect::<StatusSet>();
        let mail = Mail { borne: set(borne), ..found(set(statuses)) };
        let judgement = judge::mail(&policy.mail_acls, &facts("10.1.2.3:4"), 0, &mail, &mut ());
        (judgement.action, judgement.parts)
    };
    let (infected, locked) = (Status::Infected, Status::Encrypted);
    assert_eq!(judged(&[infected], &[infected]), (MailAction::Replace, StatusSet::of(infected)));
    assert_eq!(judged(&[infected], &[]), (MailAction::Replace, StatusSet::EMPTY));
    let both = StatusSet::of(infected).with(locked);
    assert_eq!(judged(&[infected, locked], &[infected, locked]), (MailAction::Replace, both));
    assert_eq!(judged(&[infected, locked], &[locked]), (MailAction::Replace, StatusSet::EMPTY));
    assert_eq!(judged(&[infected, Status::Error], &[infected]), (MailAction::Defer, StatusSet::EMPTY));
    assert_eq!(judged(&[Status::Clean], &[]), (MailAction::Accept, StatusSet::EMPTY));
}
