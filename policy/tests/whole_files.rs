//! Whole files: what they mean once they are loaded.
use common::{facts, judged};
use policy::acl::{self, Decision};
use policy::conditions::Facts;
use policy::load::{LoadOptions, Loaded, Severity, example, load};
use policy::model::{MailAction, PlugTo};
use policy::names::{Language, Protocol};
use policy::notice::Notice;
use policy::status::{Status, StatusSet};
use std::path::Path;

mod common;

/// Types of one's own.
const TYPES: &str = "[[type]]\nmime-type = \"application/x-acme\"\nextension = [\"acme\"]\n";

fn loaded(text: &str) -> Loaded {
    let options = LoadOptions { demo: false, cores: 4 };
    match load(Path::new("mailward.toml"), text, &|_| Err("no files here".to_owned()), options) {
        Ok(loaded) => loaded,
        Err(problems) => panic!("{problems:#?}"),
    }
}

fn loaded_with_includes(text: &str) -> Loaded {
    let options = LoadOptions { demo: false, cores: 4 };
    let files = |path: &Path| match path.to_str() {
        Some("/etc/mailward/types.toml") => Ok(vec![(path.to_owned(), TYPES.to_owned())]),
        _ => Ok(Vec::new()),
    };
    match load(Path::new("mailward.toml"), text, &files, options) {
        Ok(loaded) => loaded,
        Err(problems) => panic!("{problems:#?}"),
    }
}

#[test]
fn the_simplest_useful_file_loads_without_a_warning() {
    let Loaded { policy, notes, .. } = loaded(example());
    assert_eq!(notes, []);
    assert_eq!(policy.listeners[0].name, "pop3-110");
    assert_eq!(policy.listeners[0].addresses, ["0.0.0.0:110".parse().unwrap(), "[::]:110".parse().unwrap()]);
    assert_eq!(acl::session(&policy, &facts("10.1.2.3:4000"), &mut ()), Decision::Accept(0));
    assert_eq!(acl::session(&policy, &facts("[::ffff:10.1.2.3]:4000"), &mut ()), Decision::Accept(0));
    assert_eq!(acl::session(&policy, &facts("203.0.113.9:4000"), &mut ()), Decision::NoMatch);
    assert_eq!(acl::command(&policy, &facts("10.1.2.3:4000"), 0, &mut ()), Decision::Accept(0));
    let rule = &policy.command_acls[0];
    assert_eq!(rule.plug_to, [PlugTo::Name { host: "mail.example.net".to_owned(), port: 0 }]);
    let at = |protocol| rule.plug_to[0].with_port(policy.server_port(rule, protocol)).to_string();
    assert_eq!(at(Protocol::Pop3), "mail.example.net:110");
    assert_eq!(at(Protocol::Imap), "mail.example.net:143");
    assert!(rule.session.commands.allows("retr"));
    assert!(!rule.session.commands.allows("XYZZY"));
    assert!(!rule.session.commands.allows("UNKNOWN"));
    assert_eq!(rule.session.download.engines, [0]);
    assert_eq!(policy.service.workers, 4);
    assert!(policy.refuse_delete);
}

#[test]
fn the_shipped_mail_rules_decide_as_documented() {
    let Loaded { policy, .. } = loaded(example());
    let judge = |statuses: &[Status]| judged(&policy.mail_acls, 0, statuses.iter().copied()).action;
    assert_eq!(judge(&[Status::Clean]), MailAction::Accept);
    assert_eq!(judge(&[Status::Infected]), MailAction::Replace);
    assert_eq!(judge(&[Status::Infected, Status::Error]), MailAction::Defer);
    assert_eq!(judge(&[Status::Limit, Status::Encrypted]), MailAction::Replace);
    assert_eq!(judge(&[Status::Skipped]), MailAction::Defer);
    assert_eq!(judge(&[]), MailAction::Defer);
    assert_eq!(judged(&policy.mail_acls, 9, []).rule, None);
}

/// Two tenants; the rules of one are none of the other's business.
const TENANTS: &str = r#"
version = 1
[[tenant]]
name = "acme"
[[listener]]
name = "ours"
protocol = "pop3"
tls = "off"
address = ["192.0.2.1:110"]
[[listener]]
name = "theirs"
protocol = "pop3"
tls = "off"
address = ["192.0.2.2:110"]
tenant = "acme"
[[session-acl]]
[[command-acl]]
name = "acme"
tenant = ["acme"]
plug-to = ["mail.acme.example"]
server-tls = "off"
[[command-acl]]
name = "ours"
listener = ["ours"]
plug-to = ["192.0.2.7:1110", "[2001:db8::7]", "2001:db8::8", "mail.example.net"]
server-tls = "off"
[[command-acl]]
name = "guests"
from = ["203.0.113.0/24"]
action = "deny"
[[mail-acl]]
name = "acme-tolerates"
command-acl = ["acme"]
virus = ["clean", "encrypted"]
action = "accept"
[[mail-acl]]
name = "both"
command-acl = ["acme", "ours"]
virus = ["malformed"]
action = "deny"
[antivirus.clamd]
socket = "/run/clamav/clamd.ctl"
[mail-filter.default]
max-parts = 10
"#;

#[test]
fn a_slice_has_the_tenants_own_rules_only() {
    let Loaded { policy, .. } = loaded(TENANTS);
    let ours = policy.worker_slice(0, "");
    let theirs = policy.worker_slice(1, "");
    let names = |slice: &policy::slice::WorkerSlice| -> Vec<Option<String>> {
        slice.rules.iter().map(|rule| rule.as_ref().map(|rule| rule.name.clone())).collect()
    };
    assert_eq!(names(&ours), [None, Some("ours".to_owned()), None]);
    assert_eq!(names(&theirs), [Some("acme".to_owned()), None, None]);
    assert_eq!(ours.listeners, ["ours", ""]);
    assert_eq!(theirs.listeners, ["", "theirs"]);
    assert_eq!(theirs.tenant, "acme");

    let ours = policy.scanner_slice(0);
    let mail_rules: Vec<_> = ours.mail_acls.iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(mail_rules, ["both", "standard-trouble", "standard-bad", "standard-clean"]);
    assert_eq!(ours.filters, [None, Some((0, 0)), None]);
    assert_eq!(ours.mail_filters[0].max_parts, 10);
    assert!(!format!("{ours:?}").contains("acme"));

    let lookup = policy.lookup_slice();
    assert_eq!(
        lookup.plug_to[1],
        [
            PlugTo::Address("192.0.2.7:1110".parse().unwrap()),
            PlugTo::Address("[2001:db8::7]:0".parse().unwrap()),
            PlugTo::Address("[2001:db8::8]:0".parse().unwrap()),
            PlugTo::Name { host: "mail.example.net".to_owned(), port: 0 },
        ]
    );
    assert_eq!(lookup.plug_to[2], []);
}

#[test]
fn a_slice_judges_as_the_whole_policy_does() {
    let Loaded { policy, .. } = loaded(TENANTS);
    for (tenant, rule) in [(0, 1), (1, 0)] {
        let slice = policy.scanner_slice(tenant);
        for bits in 0_u16..256 {
            let statuses: StatusSet = (Status::ALL.into_iter().zip(0..))
                .filter(|(_, bit)| bits >> bit & 1 == 1)
                .map(|(status, _)| status)
                .collect();
            assert_eq!(
                judged(&slice.mail_acls, rule, statuses.iter()),
                judged(&policy.mail_acls, rule, statuses.iter())
            );
        }
    }
}

#[test]
fn the_shipped_rules_are_the_toml_that_is_shown() {
    let written = format!(
        "{}\n{}",
        example().replace("version = 1", "version = 1\nstandard-rules = false"),
        policy::load::standard_rules()
    );
    let (written, shipped) = (loaded(&written).policy, loaded(example()).policy);
    assert_eq!(written.mail_acls, shipped.mail_acls);
    assert_eq!(written.doc_acls, shipped.doc_acls);
    assert_eq!((shipped.doc_acls.len(), shipped.mail_acls.len()), (2, 3));
}

#[test]
fn the_first_rule_that_matches_decides() {
    let Loaded { policy, .. } = loaded(TENANTS);
    let guest = facts("203.0.113.9:4000");
    assert_eq!(acl::command(&policy, &guest, 0, &mut ()), Decision::Accept(1));
    let elsewhere = Facts { listener: 1, tenant: 1, ..guest };
    assert_eq!(acl::command(&policy, &elsewhere, 0, &mut ()), Decision::Accept(0));
    // No rule of a tenant matches the listener of another one.
    let stray = Facts { listener: 1, tenant: 0, ..guest };
    assert_eq!(acl::command(&policy, &stray, 0, &mut ()), Decision::Deny(2));
    assert_eq!(
        acl::command(&policy, &Facts { client: "10.0.0.1:1".parse().unwrap(), ..stray }, 0, &mut ()),
        Decision::NoMatch
    );
}

#[test]
fn a_transparent_listener_needs_no_server() {
    let text = r#"
version = 1
[[listener]]
name = "caught"
protocol = "pop3"
tls = "off"
address = ["*:10110"]
transparent = { method = "redirect", ports = ["110", "1100-1110"], interfaces = ["lan0"] }
[[listener]]
protocol = "pop3"
tls = "off"
[[session-acl]]
name = "caught"
transparent = true
to = ["198.51.100.0/24"]
[[session-acl]]
name = "direct"
transparent = false
[[command-acl]]
session-acl = ["direct"]
plug-to = ["mail.example.net"]
server-tls = "off"
[[command-acl]]
server-tls = "off"
session-acl = ["caught"]
commands = ["*", "!AP*"]
[command-acl.download]
no-mail-scanning = true
[antivirus.clamd]
"#;
    let Loaded { policy, notes, .. } = loaded(text);
    assert_eq!(notes, []);
    let transparent = policy.listeners[0].transparent.as_ref().unwrap();
    assert_eq!(transparent.ports, [(110, 110), (1100, 1110)]);
    assert_eq!(transparent.interfaces, ["lan0"]);
    let caught =
        Facts { transparent: true, destination: "198.51.100.7:110".parse().unwrap(), ..facts("10.0.0.1:1") };
    assert_eq!(acl::session(&policy, &caught, &mut ()), Decision::Accept(0));
    assert_eq!(acl::command(&policy, &caught, 0, &mut ()), Decision::Accept(1));
    assert_eq!(acl::session(&policy, &Facts { transparent: false, ..caught }, &mut ()), Decision::Accept(1));
    let strange = Facts { destination: "192.0.2.7:110".parse().unwrap(), ..caught };
    assert_eq!(acl::session(&policy, &strange, &mut ()), Decision::NoMatch);
    let session = &policy.command_acls[1].session;
    assert!(!session.commands.allows("unknown"));
    assert!(!session.commands.allows("APOP"));
    assert!(!session.download.scan);
}

#[test]
fn included_rules_stand_after_ones_own_in_the_order_of_their_paths() {
    let include = |pattern: &Path| {
        assert_eq!(pattern, Path::new("/etc/mailward/conf.d/*.toml"));
        let file = |name: &str| {
            let text = format!(
                "[[session-acl]]\nname = \"{name}\"\nfrom = [\"192.0.2.1\"]\n[host-list.{name}]\nhosts = [\"*\"]\n"
            );
            (Path::new("/etc/mailward/conf.d").join(format!("{name}.toml")), text)
        };
        Ok(vec![file("b"), file("a"), file("B")])
    };
    let text = format!("include = [\"conf.d/*.toml\"]\n{}", example());
    let options = LoadOptions { demo: false, cores: 1 };
    let loaded = load(Path::new("/etc/mailward/mailward.toml"), &text, &include, options).unwrap();
    let names: Vec<_> = loaded.policy.session_acls.iter().map(|acl| acl.name.as_str()).collect();
    assert_eq!(names, ["session-acl-1", "B", "a", "b"]);
}

/// What is loaded where the tenant `acme` has this file of its own.
fn with_tenants_file(own: &str) -> Result<Loaded, Vec<policy::load::Diagnostic>> {
    let include = |path: &Path| {
        assert_eq!(path, Path::new("/etc/mailward/tenants/acme.toml"));
        Ok(vec![(path.to_owned(), own.to_owned())])
    };
    let text = format!("{}\n[[tenant]]\nname = \"acme\"\ninclude = \"tenants/acme.toml\"\n", example());
    let options = LoadOptions { demo: false, cores: 1 };
    load(Path::new("/etc/mailward/mailward.toml"), &text, &include, options)
}

#[test]
fn what_stands_in_a_tenants_own_file_is_about_that_tenant_alone() {
    let own = "[[listener]]\nname = \"second\"\nprotocol = \"pop3\"\ntls = \"off\"\naddress = [\"*:1110\"]\n\
               [host-list.mine]\nhosts = [\"10.0.0.0/8\"]\n[[session-acl]]\nname = \"mine\"\nfrom = [\"@mine\"]\n\
               [[command-acl]]\nname = \"also-mine\"\nsession-acl = [\"mine\"]\nplug-to = [\"192.0.2.9\"]\n\
               server-tls = \"off\"\n[[mail-acl]]\nname = \"gone\"\nvirus = [\"infected\"]\naction = \"deny\"\n";
    let loaded = with_tenants_file(own).unwrap();
    let policy = &loaded.policy;
    assert_eq!(policy.listeners[1].tenant, 1);
    for when in [&policy.session_acls[1].when, &policy.command_acls[1].when, &policy.mail_acls[0].when] {
        assert_eq!(when.tenants, [1]);
    }
    let sources: Vec<_> = loaded.sources.iter().map(|(_, tenant)| tenant.as_deref()).collect();
    assert_eq!(sources, [None, Some("acme")]);
    let shown = policy::effective::merge([(example(), None), (own, Some("acme"))]);
    assert_eq!(shown["session-acl"][1]["tenant"][0].as_str(), Some("acme"));
    assert_eq!(shown["listener"][1]["tenant"].as_str(), Some("acme"));
}

#[test]
fn a_tenants_own_file_can_speak_of_nothing_else() {
    for own in [
        "[service]\nmax-sessions = 1\n",
        "version = 1\n",
        "include = [\"x.toml\"]\n",
        "standard-rules = false\n",
        "[mail-filter.default]\n",
        "[antivirus.builtin]\n",
        "[[tenant]]\nname = \"other\"\n",
        "[[session-acl]]\ntenant = [\"default\"]\n",
        "[[listener]]\nprotocol = \"pop3\"\ntls = \"off\"\naddress = [\"*:1110\"]\ntenant = \"default\"\n",
    ] {
        let problems = with_tenants_file(own).unwrap_err();
        let told: Vec<&str> = problems.iter().map(|problem| problem.message.as_str()).collect();
        assert!(
            told.iter().any(|told| told.contains("tenant") && problems[0].file.ends_with("acme.toml")),
            "{own}: {told:?}"
        );
    }
}

#[test]
fn a_demonstration_may_use_the_test_signature_and_any_port() {
    let text = example()
        .replace("[antivirus.clamd]", "[antivirus.builtin]\nsignatures = [\"builtin:test\"]")
        .replace("tls = \"off\"  ", "tls = \"off\"\naddress = [\"127.0.0.1:0\"]\n#");
    let load_as =
        |demo| load(Path::new("demo.toml"), &text, &|_| Ok(Vec::new()), LoadOptions { demo, cores: 1 });
    assert_eq!(load_as(true).unwrap().policy.listeners[0].addresses, ["127.0.0.1:0".parse().unwrap()]);
    assert_eq!(load_as(false).unwrap_err().len(), 2);
}

#[test]
fn a_notice_of_ones_own_is_read_with_the_configuration_and_checked() {
    let text = |rule: &str| format!("{}{rule}", example());
    let load_with = |rule: &str, notice: &str| {
        let file = notice.to_owned();
        let files = move |path: &Path| Ok(vec![(path.to_owned(), file.clone())]);
        load(Path::new("mailward.toml"), &text(rule), &files, LoadOptions { demo: false, cores: 1 })
    };
    let rule = "[[doc-acl]]\naction = \"replace\"\nreplace-file = \"/etc/mailward/gone.txt\"\n";
    let Loaded { policy, files, .. } = load_with(rule, "Gone: {file}\n[cs]\nPryc: {file}\n").unwrap();
    let Notice::Own(own) = &policy.doc_acls[0].notice else { panic!("{:?}", policy.doc_acls[0]) };
    assert_eq!((own.of(Language::Cs), own.of(Language::De)), ("Pryc: {file}\n", "Gone: {file}\n"));
    assert!(files.iter().any(|file| file.path.ends_with("gone.txt") && !file.secret));
    let problems = load_with(rule, "Gone: {fyle}\n").unwrap_err();
    assert!(problems[0].message.contains("/etc/mailward/gone.txt`: line 1: `{fyle}`"), "{problems:?}");
}

/// Every item of the language, in sections that belong together.
const WHOLE: &str = include_str!("whole.toml");

#[test]
fn a_file_with_every_item_is_right() {
    let Loaded { policy, notes, files, .. } = loaded_with_includes(WHOLE);
    let wrong: Vec<_> = notes.iter().filter(|note| note.severity == Severity::Error).collect();
    assert_eq!(wrong, Vec::<&policy::load::Diagnostic>::new());
    assert_eq!(policy.doc_acls.len(), 4 + 2, "one's own and the shipped ones");
    assert_eq!(policy.extra_types[0].extensions, ["acme"]);
    assert!(files.iter().any(|file| file.secret && file.path.ends_with("mail.key")));
    assert!(files.iter().any(|file| !file.secret && file.path.ends_with("mail.pem")));
}

#[test]
fn every_item_of_the_language_stands_in_that_file() {
    let mut missing = Vec::new();
    for section in policy::schema::sections() {
        // With several tenants only lookup can have an account of its own.
        for entry in section.entries.iter().filter(|_| section.place != "service.accounts") {
            let there = WHOLE.lines().any(|line| {
                let words = line.split(['=', '{', ',', '[', ']', '.', ' ']).map(str::trim);
                words.into_iter().any(|word| word == entry.name)
            });
            if !there {
                missing.push(format!("`{}` of {}", entry.name, policy::schema::title(section.place)));
            }
        }
    }
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn the_file_that_is_installed_is_right_also_with_its_example_of_a_gateway() {
    let shipped = include_str!("../../dist/mailward.toml");
    let lines = shipped.lines().map(|line| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(|first: char| first == '[' || first.is_ascii_lowercase()) => rest,
        Some(_) | None => line,
    });
    let gateway = lines.collect::<Vec<_>>().join("\n");
    assert!(gateway.contains("\naddress = [\"*:10110\"]\n"));
    for text in [shipped, &gateway] {
        let notes = loaded(text).notes;
        assert!(notes.is_empty(), "{notes:#?}");
    }
}

#[test]
fn what_this_version_cannot_honour_is_right_and_not_whole() {
    let text = format!("{}\n[metrics]\nlisten = \"127.0.0.1:9187\"\n", example());
    let loaded = loaded(&text);
    assert!(!loaded.is_whole());
    assert_eq!(loaded.notes.len(), 1);
}

#[test]
fn the_schema_in_the_manual_is_current() {
    let written = include_str!("../../docs/mailward.schema.json");
    assert!(
        written == policy::schema::json_schema(),
        "docs/mailward.schema.json is old: `mailward schema` prints the new one"
    );
}
