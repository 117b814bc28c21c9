//! Ids and capabilities: given up, and proved to be gone.
use crate::error::Error;
use caps::CapSet;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{Gid, Uid, getgroups, getppid, getresgid, getresuid, setgroups, setresgid, setresuid};

const IDS: &str = "identity";
const CAPABILITIES: &str = "capabilities";
const SETS: [CapSet; 5] =
    [CapSet::Ambient, CapSet::Bounding, CapSet::Effective, CapSet::Inheritable, CapSet::Permitted];

/// Becomes `id` for good, without groups. Proved: all three ids, and that root cannot be had back.
pub(crate) fn become_id(id: u32) -> Result<(), Error> {
    let (uid, gid) = (Uid::from_raw(id), Gid::from_raw(id));
    let wall = |error| Error::new(IDS, error);
    setgroups(&[]).map_err(wall)?;
    setresgid(gid, gid, gid).map_err(wall)?;
    setresuid(uid, uid, uid).map_err(wall)?;
    let users = getresuid().map_err(wall)?;
    let groups = getresgid().map_err(wall)?;
    let ours = [users.real, users.effective, users.saved].iter().all(|now| *now == uid)
        && [groups.real, groups.effective, groups.saved].iter().all(|now| *now == gid)
        && getgroups().is_ok_and(|groups| groups.is_empty());
    let root = Uid::from_raw(0);
    if !ours || (!uid.is_root() && setresuid(root, root, root).is_ok()) {
        return Err(Error::new(IDS, "the old identity can be had back"));
    }
    Ok(())
}

/// The bounding set can be emptied only while the right to do so is still held.
pub(crate) fn drop_bounding() -> Result<(), Error> {
    caps::clear(None, CapSet::Bounding).map_err(|error| Error::new(CAPABILITIES, error))
}

/// Empties the other sets.
pub(crate) fn drop_capabilities() -> Result<(), Error> {
    for set in [CapSet::Ambient, CapSet::Inheritable, CapSet::Effective, CapSet::Permitted] {
        caps::clear(None, set).map_err(|error| Error::new(CAPABILITIES, error))?;
    }
    Ok(())
}

/// Whether all five sets are empty.
pub(crate) fn no_capabilities() -> bool {
    SETS.iter().all(|set| caps::read(None, *set).is_ok_and(|held| held.is_empty()))
}

/// Nobody of the same id can look into this process, and it ends with its supervisor.
pub(crate) fn tie_to(supervisor: u32) -> Result<(), Error> {
    let wall = |error| Error::new("tie to the supervisor", error);
    prctl::set_dumpable(false).map_err(wall)?;
    // setresuid clears it, so it comes last; if the supervisor is gone by now, nothing would ever end us.
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(wall)?;
    if u32::try_from(getppid().as_raw()) == Ok(supervisor) {
        Ok(())
    } else {
        Err(Error::new("tie to the supervisor", "the supervisor is gone"))
    }
}
