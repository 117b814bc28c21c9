//! What the root process keeps once everything is open, each with its reason, and what it gives up. As an ordinary user
//! there is nothing to give up but the way to new privileges.
use caps::{CapSet, Capability, CapsHashSet};
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::io;

/// The capabilities that stay, in every set that a child of this process can inherit from.
pub(crate) const KEPT: &[(Capability, &str)] = &[
    (Capability::CAP_SETUID, "children become the user of their role"),
    (Capability::CAP_SETGID, "and its group, without others"),
    (Capability::CAP_SETPCAP, "children empty their bounding set"),
    (Capability::CAP_SYS_ADMIN, "children join the namespaces of their role"),
    (Capability::CAP_SYS_CHROOT, "joining a mount namespace changes the root"),
    (Capability::CAP_KILL, "children run as other users and must be ended at their deadline"),
    (Capability::CAP_SYS_PTRACE, "what a child reports of its walls is compared with /proc"),
    (Capability::CAP_DAC_OVERRIDE, "sockets of engines belong to their users"),
    (Capability::CAP_CHOWN, "a writer's folder in the quarantine is its own"),
    (Capability::CAP_NET_ADMIN, "the redirection is removed at the end"),
];

/// How likely the kernel's out-of-memory killer takes the supervisor: all sessions end with it, so last.
const OOM_SCORE: &str = "-900";

/// As many descriptors as the system allows: each session costs three in its worker.
///
/// # Errors
/// Of the kernel.
pub(crate) fn raise_descriptor_limit() -> io::Result<u64> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    Ok(hard)
}

/// Gives up what is not needed any more. Children that are started later inherit the smaller sets.
///
/// # Errors
/// A sentence.
pub(crate) fn confine(root: bool) -> Result<(), String> {
    if root {
        // Containers may forbid it; then the kernel's usual order holds.
        let _ = std::fs::write("/proc/self/oom_score_adj", OOM_SCORE);
        drop_capabilities().map_err(|error| format!("capabilities: {error}"))?;
    }
    prctl::set_no_new_privs().map_err(|errno| format!("no_new_privs: {errno}"))
}

fn drop_capabilities() -> Result<(), caps::errors::CapsError> {
    let kept: CapsHashSet = KEPT.iter().map(|(capability, _)| *capability).collect();
    for capability in caps::read(None, CapSet::Bounding)?.difference(&kept) {
        caps::drop(None, CapSet::Bounding, *capability)?;
    }
    let permitted: CapsHashSet = caps::read(None, CapSet::Permitted)?.intersection(&kept).copied().collect();
    caps::clear(None, CapSet::Ambient)?;
    caps::set(None, CapSet::Inheritable, &CapsHashSet::new())?;
    caps::set(None, CapSet::Effective, &permitted)?;
    caps::set(None, CapSet::Permitted, &permitted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_capability_that_stays_has_a_reason() {
        assert!(KEPT.iter().all(|(_, why)| !why.is_empty()));
        for absent in [Capability::CAP_NET_RAW, Capability::CAP_SYS_MODULE, Capability::CAP_NET_BIND_SERVICE]
        {
            assert!(KEPT.iter().all(|(kept, _)| *kept != absent));
        }
    }

    #[test]
    fn the_system_service_leaves_exactly_these_and_what_the_start_needs() {
        let unit = include_str!("../../dist/mailward.service");
        let set = unit.lines().find_map(|line| line.strip_prefix("CapabilityBoundingSet=")).unwrap();
        let mut left: Vec<String> = set.split(' ').map(str::to_owned).collect();
        let mut kept: Vec<String> = KEPT.iter().map(|(capability, _)| capability.to_string()).collect();
        kept.push(Capability::CAP_NET_BIND_SERVICE.to_string());
        left.sort();
        kept.sort();
        assert_eq!(left, kept);
    }
}
