//! Which user each (role, tenant) runs as (D24): plain numbers, the same on every start, never shared.
use ipc::boot::Role;
use policy::model::Service;
use std::collections::HashMap;

/// The ids of every role that this policy starts.
#[derive(Debug)]
pub(crate) struct Identities {
    ids: HashMap<(Role, u16), u32>,
}

impl Identities {
    /// Gives each (role, tenant) its id: lookup and the keyholder have the first of the range, each tenant three of its own.
    ///
    /// # Errors
    /// A sentence for the operator: the range is too small, or an id would be used twice.
    pub(crate) fn allocate(service: &Service, tenants: u16) -> Result<Self, String> {
        let (first, last) = service.uid_range;
        let mut wanted = vec![(Role::Lookup, 0, first), (Role::Keyholder, 0, first.saturating_add(1))];
        for tenant in 0..tenants {
            let own = first.saturating_add(2).saturating_add(3 * u32::from(tenant));
            wanted.push((Role::Worker, tenant, own));
            wanted.push((Role::Scanner, tenant, own.saturating_add(1)));
            wanted.push((Role::Writer, tenant, own.saturating_add(2)));
        }
        let mut ids = HashMap::new();
        let mut owners: HashMap<u32, (Role, u16)> = HashMap::new();
        for (role, tenant, plain) in wanted {
            let account = service.accounts.iter().find(|(name, _)| name == role.name()).map(|(_, id)| *id);
            let id = account.unwrap_or(plain);
            if account.is_none() && id > last {
                return Err(format!("uid-range {first}-{last} is too small for {tenants} tenants"));
            }
            if id == 0 {
                return Err(format!("{role} must not run as root: choose another id in accounts"));
            }
            if let Some((other, other_tenant)) = owners.insert(id, (role, tenant)) {
                return Err(format!(
                    "id {id} would be used twice: by {other} of tenant number {other_tenant} and by {role} of tenant \
                     number {tenant}; give them different ids in accounts or uid-range"
                ));
            }
            ids.insert((role, tenant), id);
        }
        Ok(Self { ids })
    }

    /// The id of a role of a tenant.
    pub(crate) fn of(&self, role: Role, tenant: u16) -> Option<u32> {
        self.ids.get(&(role, tenant)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    #[test]
    fn no_two_roles_and_no_two_tenants_share_an_id() {
        let service = fixtures::policy(1).service;
        let identities = Identities::allocate(&service, 100).unwrap();
        let distinct: std::collections::HashSet<u32> = identities.ids.values().copied().collect();
        assert_eq!(distinct.len(), 302);
    }

    #[test]
    fn the_same_id_twice_is_an_error_that_names_both() {
        let mut service = fixtures::policy(1).service;
        service.accounts = vec![("worker".to_owned(), 4711), ("scanner".to_owned(), 4711)];
        let error = Identities::allocate(&service, 1).unwrap_err();
        assert!(error.contains("worker") && error.contains("scanner") && error.contains("4711"), "{error}");
        service.accounts = vec![("worker".to_owned(), 4711)];
        assert!(Identities::allocate(&service, 1).is_ok());
        assert!(Identities::allocate(&service, 2).is_err(), "two tenants under one id");
    }

    #[test]
    fn a_range_that_is_too_small_is_refused() {
        let mut service = fixtures::policy(1).service;
        service.uid_range = (2_147_000_000, 2_147_000_004);
        assert!(Identities::allocate(&service, 1).is_ok());
        assert!(Identities::allocate(&service, 2).is_err());
    }
}
