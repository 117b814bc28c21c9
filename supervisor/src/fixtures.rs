//! Policies for tests.
use policy::load::{LoadOptions, load};
use policy::model::Policy;
use std::path::Path;

/// One POP3 listener to one server, with clamd, and this many tenants (the listener is the first one's).
pub(crate) fn policy(tenants: usize) -> Policy {
    let mut policy =
        load(Path::new("test.toml"), policy::load::example(), &|_| Ok(Vec::new()), LoadOptions::default())
            .unwrap_or_else(|problems| panic!("the example does not load: {problems:?}"))
            .policy;
    for number in 1..tenants {
        policy.tenants.push(format!("tenant{number}"));
    }
    policy
}
