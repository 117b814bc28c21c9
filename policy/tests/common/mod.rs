//! Facts for tests.
#![allow(dead_code, reason = "no test file uses all of it")]
use policy::conditions::Facts;
use policy::judge::{self, Judgement, Mail};
use policy::model::MailAcl;
use policy::names::{Direction, Protocol};
use policy::status::{Status, StatusSet};
use policy::time::Moment;

/// A client of the first listener whose login is still to come.
pub(crate) fn facts(client: &str) -> Facts<'static> {
    Facts {
        listener: 0,
        tenant: 0,
        protocol: Protocol::Pop3,
        client: client.parse().expect("an address and port"),
        client_name: None,
        destination: "192.0.2.1:110".parse().expect("an address and port"),
        transparent: false,
        moment: Moment::new(2026, 5, 8, 9 * 60 + 30).expect("a Friday"),
        certificate: None,
        user: None,
        groups: None,
    }
}

/// A downloaded mail with these statuses, and nothing else that rules ask for.
pub(crate) fn found(statuses: StatusSet) -> Mail<'static> {
    Mail {
        direction: Direction::Download,
        statuses,
        viruses: &[],
        borne: StatusSet::EMPTY,
        spam: Default::default(),
        size: 1000,
        header: &[],
        senders: &[],
    }
}

/// What the rules make of these statuses in a session under the command-acl `parent`.
pub(crate) fn judged(
    rules: &[MailAcl],
    parent: u16,
    statuses: impl IntoIterator<Item = Status>,
) -> Judgement<'_> {
    judge::mail(rules, &facts("10.1.2.3:4000"), parent, &found(statuses.into_iter().collect()), &mut ())
}
