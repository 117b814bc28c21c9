//! Laws that hold for every list, every set of statuses and every set of rules.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
use common::judged;
use policy::acl::{self, Decision};
use policy::conditions::{Conditions, Facts, Verdict};
use policy::host::HostList;
use policy::judge;
use policy::list::{NameList, matches};
use policy::load::{LoadOptions, Severity};
use policy::model::{MailAcl, MailAction, SessionAcl};
use policy::status::{Status, StatusSet};
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

mod common;

/// Indices of command-acls.
const STAFF: u16 = 0;
const GUESTS: u16 = 1;

fn hosts(items: &[String]) -> HostList {
    let mut list = HostList::default();
    for item in items {
        list.add(item, &mut |_| None).unwrap();
    }
    list
}

/// Addresses from a small space, so that items and addresses meet.
fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        (0_u8..4, any::<u8>()).prop_map(|(net, host)| IpAddr::V4(Ipv4Addr::new(10, 0, net, host))),
        (0_u16..4, any::<u16>())
            .prop_map(|(net, host)| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, net, 0, 0, 0, 0, host))),
    ]
}

fn host_item() -> impl Strategy<Value = String> {
    let positive = prop_oneof![
        address().prop_map(|address| address.to_string()),
        (0_u8..4).prop_map(|net| format!("10.0.{net}.0/24")),
        (0_u8..4).prop_map(|net| format!("10.0.{net}.0/255.255.255.0")),
        (0_u8..4, any::<u8>()).prop_map(|(net, last)| format!("10.0.{net}.0-10.0.{net}.{last}")),
        (0_u16..4).prop_map(|net| format!("2001:db8:{net:x}::/48")),
        Just("*".to_owned()),
    ];
    (any::<bool>(), positive).prop_map(|(not, item)| if not { format!("!{item}") } else { item })
}

fn status() -> impl Strategy<Value = Status> {
    proptest::sample::select(Status::ALL.to_vec())
}

fn set() -> impl Strategy<Value = StatusSet> {
    proptest::collection::vec(status(), 0..5).prop_map(|statuses| statuses.into_iter().collect())
}

fn rule() -> impl Strategy<Value = MailAcl> {
    let actions = vec![MailAction::Accept, MailAction::Replace, MailAction::Defer, MailAction::Deny];
    let named = proptest::option::of(proptest::collection::vec(status(), 1..5));
    let parents = proptest::sample::select(vec![Vec::new(), vec![STAFF], vec![GUESTS]]);
    (named, proptest::sample::select(actions), parents).prop_map(|(named, action, parents)| MailAcl {
        name: format!("{action:?} {named:?} {parents:?}"),
        when: Conditions { parents, ..Conditions::default() },
        virus: named.map(StatusSet::naming),
        action,
        ..MailAcl::default()
    })
}

fn example() -> policy::model::Policy {
    let text = policy::load::example();
    let loaded =
        policy::load::load("example.toml".as_ref(), text, &|_| Ok(Vec::new()), LoadOptions::default());
    loaded.unwrap().policy
}

fn rules() -> impl Strategy<Value = Vec<MailAcl>> {
    proptest::collection::vec(rule(), 0..8)
}

proptest! {
    #[test]
    fn the_order_of_a_host_list_never_matters(
        items in proptest::collection::vec(host_item(), 0..6).prop_flat_map(|items| (Just(items.clone()), Just(items).prop_shuffle())),
        address in address(),
    ) {
        prop_assert_eq!(hosts(&items.0).matches(address), hosts(&items.1).matches(address));
    }

    #[test]
    fn a_negated_item_is_the_opposite_of_the_item(item in host_item(), address in address()) {
        let opposite = item.strip_prefix('!').map_or_else(|| format!("!{item}"), str::to_owned);
        prop_assert_ne!(hosts(&[item]).matches(address), hosts(&[opposite]).matches(address));
    }

    #[test]
    fn what_is_negated_is_never_matched(items in proptest::collection::vec(host_item(), 0..6), address in address()) {
        let mut items = items;
        items.push(format!("!{address}"));
        prop_assert!(!hosts(&items).matches(address));
    }

    #[test]
    fn a_mapped_address_counts_as_ipv4(items in proptest::collection::vec(host_item(), 0..6), address in any::<u32>()) {
        let v4 = Ipv4Addr::from(address);
        let list = hosts(&items);
        prop_assert_eq!(list.matches(v4.into()), list.matches(v4.to_ipv6_mapped().into()));
    }

    #[test]
    fn no_item_of_a_host_list_makes_the_reader_panic(text in "\\PC{0,40}") {
        let _ = HostList::default().add(&text, &mut |_| None);
    }

    #[test]
    fn a_network_matches_exactly_the_addresses_of_its_prefix(network: u32, other: u32, prefix in 0_u32..=32) {
        let mask = u32::MAX.checked_shl(32 - prefix).unwrap_or(0);
        let text = format!("{}/{prefix}", Ipv4Addr::from(network & mask));
        let masked = format!("{}/{}", Ipv4Addr::from(network & mask), Ipv4Addr::from(mask));
        let (list, masked) = (hosts(&[text]), hosts(&[masked]));
        for address in [network, other, network & mask, network | !mask] {
            let expected = address & mask == network & mask;
            prop_assert_eq!(list.matches(Ipv4Addr::from(address).into()), expected);
            prop_assert_eq!(masked.matches(Ipv4Addr::from(address).into()), expected);
        }
    }

    #[test]
    fn an_ipv6_network_matches_exactly_the_addresses_of_its_prefix(network: u128, other: u128, prefix in 0_u32..=128) {
        let mask = u128::MAX.checked_shl(128 - prefix).unwrap_or(0);
        let list = hosts(&[format!("{}/{prefix}", Ipv6Addr::from(network & mask))]);
        for address in [network, other, network & mask, network | !mask] {
            // What is IPv4 in disguise is compared as IPv4.
            prop_assume!(Ipv6Addr::from(address).to_ipv4_mapped().is_none());
            prop_assert_eq!(list.matches(Ipv6Addr::from(address).into()), address & mask == network & mask);
        }
    }

    #[test]
    fn no_text_makes_the_loader_panic(text in "\\PC{0,200}") {
        let options = LoadOptions { demo: false, cores: 1 };
        let _ = policy::load::load(std::path::Path::new("x"), &text, &|_| Ok(Vec::new()), options);
    }

    #[test]
    fn a_damaged_example_is_loaded_or_told(cut in 0_usize..600, junk in "[\\[\\]\"={}a-z0-9.#\n]{0,6}") {
        let text = policy::load::example();
        let at = (0..=cut.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let text = format!("{}{junk}{}", &text[..at], &text[at..]);
        let options = LoadOptions { demo: false, cores: 1 };
        if let Err(problems) = policy::load::load(std::path::Path::new("x"), &text, &|_| Ok(Vec::new()), options) {
            prop_assert!(problems.iter().any(|problem| problem.severity == Severity::Error));
            for problem in problems {
                prop_assert!(problem.span.end <= text.len());
                prop_assert!(policy::load::render(&problem, &text, false).contains(": "));
            }
        }
    }

    #[test]
    fn a_star_matches_any_run(head in "[A-Z]{0,4}", run in "[A-Z*]{0,6}", tail in "[A-Z]{0,4}") {
        let pattern = format!("{head}*{tail}");
        let name = format!("{head}{run}{tail}");
        prop_assert!(matches(&pattern, &name));
    }

    #[test]
    fn a_name_list_ignores_case_and_order(names in proptest::collection::vec("!?[A-C*]{1,3}", 0..5), name in "[A-C]{1,3}") {
        let forward = NameList::new(names.iter().map(String::as_str));
        let lower: Vec<_> = names.iter().rev().map(|name| name.to_ascii_lowercase()).collect();
        let backward = NameList::new(lower.iter().map(String::as_str));
        prop_assert_eq!(forward.allows(&name), backward.allows(&name.to_ascii_lowercase()));
    }

    #[test]
    fn union_of_statuses_forgets_nothing_but_clean(a in set(), b in set()) {
        let both = a.union(b);
        prop_assert_eq!(both, b.union(a));
        prop_assert_eq!(a.union(a), a);
        prop_assert_eq!(a.union(StatusSet::EMPTY), a);
        for status in Status::ALL.into_iter().filter(|status| *status != Status::Clean) {
            prop_assert_eq!(both.contains(status), a.contains(status) || b.contains(status));
        }
        let all_clean = (a.is_clean() || a.is_empty()) && (b.is_clean() || b.is_empty()) && !(a.is_empty() && b.is_empty());
        prop_assert_eq!(both.is_clean(), all_clean);
        prop_assert_eq!(both.contains(Status::Clean), all_clean);
    }

    #[test]
    fn union_of_statuses_is_associative(a in set(), b in set(), c in set()) {
        prop_assert_eq!(a.union(b).union(c), a.union(b.union(c)));
    }

    #[test]
    fn no_mail_is_accepted_by_a_rule_that_does_not_name_all_of_it(rules in rules(), statuses in set()) {
        let judgement = judged(&rules, STAFF, statuses.iter());
        if judgement.action == MailAction::Accept {
            let rule = judgement.rule.unwrap();
            prop_assert_eq!(rule.action, MailAction::Accept);
            prop_assert!(statuses.is_clean() || rule.virus.is_some_and(|named| statuses.within(named)));
            prop_assert!(!statuses.is_empty());
        }
    }

    #[test]
    fn a_further_finding_never_weakens_the_decision(rules in rules(), statuses in set(), further in status()) {
        prop_assume!(!statuses.is_clean() && !statuses.is_empty() && further != Status::Clean);
        let before = judged(&rules, STAFF, statuses.iter()).action;
        let after = judged(&rules, STAFF, statuses.with(further).iter()).action;
        prop_assert!(after >= before, "{statuses} {before:?}, with {further:?} {after:?}");
    }

    #[test]
    fn a_rule_after_those_that_decided_changes_nothing(rules in rules(), further in rule(), statuses in set()) {
        let judge = |rules: &[MailAcl]| {
            let judgement = judged(rules, STAFF, statuses.iter());
            (judgement.action, judgement.rule.cloned())
        };
        // Some rule holds for each of the statuses. (Alone one may be accepted by a rule that does not name the others.)
        let mut tried = Vec::new();
        judge::mail(&rules, &common::facts("10.1.2.3:4000"), STAFF, &common::found(statuses), &mut tried);
        let held = tried.iter().filter(|(_, verdict): &&(u16, Verdict)| *verdict == Verdict::Holds).count();
        if held != statuses.iter().count() {
            return Ok(());
        }
        let before = judge(&rules);
        prop_assert_eq!(judge(&[&rules[..], &[further]].concat()), before);
    }

    #[test]
    fn a_connection_rule_after_the_one_that_decided_changes_nothing(
        lists in proptest::collection::vec((any::<bool>(), proptest::collection::vec(host_item(), 0..3)), 1..6),
        further in proptest::collection::vec(host_item(), 0..3),
        client in address(),
    ) {
        let policy = |lists: &[(bool, Vec<String>)]| {
            let mut policy = example();
            let rule = policy.session_acls.remove(0);
            policy.session_acls = lists
                .iter()
                .map(|(accept, items)| SessionAcl {
                    accept: *accept,
                    when: Conditions { from: hosts(items), ..Conditions::default() },
                    ..rule.clone()
                })
                .collect();
            policy
        };
        let facts = Facts { client: (client, 4000).into(), ..common::facts("10.1.2.3:4000") };
        let before = acl::session(&policy(&lists), &facts, &mut ());
        if before == Decision::NoMatch {
            return Ok(());
        }
        for accept in [true, false] {
            let longer = [&lists[..], &[(accept, further.clone())]].concat();
            prop_assert_eq!(acl::session(&policy(&longer), &facts, &mut ()), before);
        }
    }

    #[test]
    fn rules_of_other_sessions_change_nothing(rules in rules(), statuses in set()) {
        let own: Vec<_> = rules
            .iter()
            .filter(|rule| rule.when.parents.is_empty() || rule.when.parents.contains(&STAFF))
            .cloned()
            .collect();
        prop_assert_eq!(judged(&rules, STAFF, statuses.iter()), judged(&own, STAFF, statuses.iter()));
    }
}

#[test]
fn a_star_is_not_taken_twice() {
    assert!(!matches("A*A", "A"));
    assert!(matches("A*A", "AA"));
    assert!(matches("*A*B*", "xAyBz"));
    assert!(!matches("*A*B", "BA"));
    assert!(matches("", ""));
    assert!(!matches("", "A"));
}

#[test]
fn an_engine_in_trouble_defers_an_infected_mail_wherever_the_rules_stand() {
    let rule = |name: &str, virus: &[Status], action| MailAcl {
        name: name.to_owned(),
        virus: Some(StatusSet::naming(virus.iter().copied())),
        action,
        ..MailAcl::default()
    };
    let rules = [
        rule("bad", &[Status::Infected], MailAction::Replace),
        rule("trouble", &[Status::Error], MailAction::Defer),
    ];
    let judgement = judged(&rules, STAFF, [Status::Infected, Status::Error]);
    assert_eq!((judgement.action, judgement.rule), (MailAction::Defer, rules.get(1)));
}

#[test]
fn a_rule_may_tolerate_what_it_names_beside_clean() {
    let rules = [MailAcl {
        name: "tolerant".to_owned(),
        virus: Some(StatusSet::naming([Status::Clean, Status::Encrypted])),
        action: MailAction::Accept,
        ..MailAcl::default()
    }];
    let judge = |statuses: &[Status]| judged(&rules, STAFF, statuses.iter().copied()).action;
    assert_eq!(judge(&[Status::Clean]), MailAction::Accept);
    assert_eq!(judge(&[Status::Encrypted]), MailAction::Accept);
    assert_eq!(judge(&[Status::Encrypted, Status::Infected]), MailAction::Defer);
    assert_eq!(judge(&[]), MailAction::Defer);
}
