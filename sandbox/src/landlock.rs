//! Landlock: the third belt, behind the empty root and the filter. Denies every file but those of the one directory that a
//! role may have, and the network to roles that have none.
use crate::error::Error;
use landlock::{
    ABI, Access, AccessFs, AccessNet, LandlockStatus, PathBeneath, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetStatus, Scope,
};
use std::os::fd::BorrowedFd;

const WALL: &str = "Landlock";
/// The newest rules that are asked for; an older kernel gives what it has.
const RULES: ABI = ABI::V6;

/// Denies everything but to make, write, list and remove files in `directory`; gives the ABI in force, 0 where the kernel
/// has none.
pub(crate) fn deny(network_too: bool, directory: Option<BorrowedFd<'_>>) -> Result<u32, Error> {
    let wall = |error| Error::new(WALL, error);
    let mut rules = Ruleset::default().handle_access(AccessFs::from_all(RULES)).map_err(wall)?;
    if network_too {
        rules = rules.handle_access(AccessNet::from_all(RULES)).map_err(wall)?;
        rules = rules.scope(Scope::from_all(RULES)).map_err(wall)?;
    }
    let mut rules = rules.create().map_err(wall)?;
    if let Some(directory) = directory {
        let there = AccessFs::MakeReg | AccessFs::WriteFile | AccessFs::RemoveFile | AccessFs::ReadDir;
        rules = rules.add_rule(PathBeneath::new(directory, there)).map_err(wall)?;
    }
    let status = rules.restrict_self().map_err(wall)?;
    if status.ruleset == RulesetStatus::NotEnforced {
        return Ok(0);
    }
    Ok(match status.landlock {
        LandlockStatus::Available { effective_abi, .. } => effective_abi as u32,
        LandlockStatus::NotEnabled | LandlockStatus::NotImplemented => 0,
    })
}
