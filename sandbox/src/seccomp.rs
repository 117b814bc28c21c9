//! A policy becomes a filter of the kernel. The same filter in debug, test and release.
use crate::error::Error;
use crate::policy::{Allow, Arg, Policy};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};
use std::collections::BTreeMap;

const WALL: &str = "system call filter";

/// The filter's program. What is not allowed kills the process, and so does a call of another architecture.
///
/// # Errors
/// When the policy cannot be expressed.
pub fn compile(policy: &Policy) -> Result<BpfProgram, Error> {
    let mut calls: BTreeMap<i64, Option<Vec<SeccompRule>>> = BTreeMap::new();
    for allow in policy.entries() {
        let rules = rules(allow)?;
        let entry = calls.entry(allow.syscall).or_insert_with(|| Some(Vec::new()));
        // Once a call is allowed with any argument, a narrower entry adds nothing.
        match (entry.as_mut(), rules) {
            (Some(known), Some(more)) => known.extend(more),
            (Some(_) | None, _) => *entry = None,
        }
    }
    let calls = calls.into_iter().map(|(call, rules)| (call, rules.unwrap_or_default())).collect();
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(|error| Error::new(WALL, error))?;
    SeccompFilter::new(calls, SeccompAction::KillProcess, SeccompAction::Allow, arch)
        .and_then(BpfProgram::try_from)
        .map_err(|error| Error::new(WALL, error))
}

/// Installs a program on this thread, for good.
///
/// # Errors
/// When the kernel refuses it.
pub fn install(program: &BpfProgram) -> Result<(), Error> {
    seccompiler::apply_filter(program).map_err(|error| Error::new(WALL, error))
}

/// `None`: any argument.
fn rules(allow: &Allow) -> Result<Option<Vec<SeccompRule>>, Error> {
    let rule = |index: u8, operator: SeccompCmpOp, value: u64| {
        SeccompCondition::new(index, SeccompCmpArgLen::Dword, operator, value)
            .and_then(|condition| SeccompRule::new(vec![condition]))
            .map_err(|error| Error::new(WALL, error))
    };
    match allow.arg {
        Arg::Any => Ok(None),
        Arg::OneOf(index, values) => values
            .iter()
            .map(|value| rule(index, SeccompCmpOp::Eq, *value))
            .collect::<Result<_, _>>()
            .map(Some),
        Arg::NoneOf(index, bits) => Ok(Some(vec![rule(index, SeccompCmpOp::MaskedEq(bits), 0)?])),
    }
}
