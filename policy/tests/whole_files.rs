//! Whole files: what they mean once they are loaded.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
use policy::acl::{self, Decision, Peer};
use policy::load::{LoadOptions, Loaded, example, load};
use policy::model::{MailAction, PlugTo};
use policy::names::Protocol;
use policy::status::{Status, StatusSet};
use std::path::Path;

fn loaded(text: &str) -> Loaded {
    let options = LoadOptions { demo: false, cores: 4 };
    match load(Path::new("mailward.toml"), text, &|_| Err("no files here".to_owned()), options) {
        Ok(loaded) => loaded,
        Err(problems) => panic!("{problems:#?}"),
    }
}

fn peer(client: &str) -> Peer {
    Peer {
        listener: 0,
        tenant: 0,
        protocol: Protocol::Pop3,
        client: client.parse().unwrap(),
        destination: "192.0.2.1:110".parse().unwrap(),
        transparent: false,
    }
}

#[test]
fn the_simplest_useful_file_loads_without_a_warning() {
    let Loaded { policy, warnings } = loaded(example());
    assert_eq!(warnings, []);
    assert_eq!(policy.listeners[0].name, "pop3-110");
    assert_eq!(policy.listeners[0].addresses, ["0.0.0.0:110".parse().unwrap(), "[::]:110".parse().unwrap()]);
    assert_eq!(acl::session(&policy, &peer("10.1.2.3:4000")), Decision::Accept(0));
    assert_eq!(acl::session(&policy, &peer("[::ffff:10.1.2.3]:4000")), Decision::Accept(0));
    assert_eq!(acl::session(&policy, &peer("203.0.113.9:4000")), Decision::NoMatch);
    assert_eq!(acl::command(&policy, &peer("10.1.2.3:4000"), 0), Decision::Accept(0));
    let rule = &policy.command_acls[0];
    assert_eq!(rule.plug_to, [PlugTo::Name { host: "mail.example.net".to_owned(), port: 110 }]);
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
    let judge = |statuses: &[Status]| {
        policy::judge::mail(&policy.mail_acls, "command-acl-1", statuses.iter().copied().collect()).action
    };
    assert_eq!(judge(&[Status::Clean]), MailAction::Accept);
    assert_eq!(judge(&[Status::Infected]), MailAction::Replace);
    assert_eq!(judge(&[Status::Infected, Status::Error]), MailAction::Defer);
    assert_eq!(judge(&[Status::Limit, Status::Encrypted]), MailAction::Replace);
    assert_eq!(judge(&[Status::Skipped]), MailAction::Defer);
    assert_eq!(judge(&[]), MailAction::Defer);
    assert_eq!(policy::judge::mail(&policy.mail_acls, "any", StatusSet::EMPTY).rule, None);
}
