//! What root finds in `/proc` against what a child said of itself.
use crate::spec::{Namespace, Walls};
use std::fs;

/// Compares a child's report with `/proc/PID`. Needs root: an ordinary user may not look.
///
/// # Errors
/// Every difference, a sentence each.
pub fn verify(pid: u32, walls: &Walls) -> Result<(), Vec<String>> {
    let mut differences = Vec::new();
    let mut expect = |what: &str, reported: String, found: Option<String>| {
        let found = found.unwrap_or_else(|| "nothing".into());
        if reported != found {
            differences.push(format!("{what}: reported {reported}, found {found}"));
        }
    };
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.split(':').next() == Some(name))?;
        Some(line.split_once(':')?.1.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    let ids = |id: u32| [id.to_string().as_str(); 4].join(" ");
    expect("process", walls.pid.to_string(), Some(pid.to_string()));
    expect("uid", ids(walls.uid), field("Uid"));
    expect("gid", ids(walls.gid), field("Gid"));
    expect("seccomp mode", walls.seccomp_mode.to_string(), field("Seccomp"));
    expect("no_new_privs", u8::from(walls.no_new_privs).to_string(), field("NoNewPrivs"));
    let sets = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];
    let empty = sets.iter().all(|set| field(set).is_some_and(|set| set.bytes().all(|digit| digit == b'0')));
    expect("capabilities empty", walls.no_capabilities.to_string(), Some(empty.to_string()));
    for (kind, inode) in &walls.namespaces {
        expect(&format!("{kind:?} namespace"), inode.to_string(), namespace(pid, *kind));
    }
    let root = fs::read_dir(format!("/proc/{pid}/root/")).is_ok_and(|mut entries| entries.next().is_none());
    expect("empty root", walls.empty_root.to_string(), Some(root.to_string()));
    if differences.is_empty() { Ok(()) } else { Err(differences) }
}

fn namespace(pid: u32, kind: Namespace) -> Option<String> {
    let link = fs::read_link(format!("/proc/{pid}/ns/{}", kind.proc_name())).ok()?;
    let text = link.to_string_lossy().into_owned();
    Some(text.split_once('[')?.1.trim_end_matches(']').to_owned())
}
