//! What a process tree costs: CPU time and proportional memory, from `/proc`.
use std::fs;
use std::time::Duration;

/// Every process below and including `root`.
pub(crate) fn tree(root: u32) -> Vec<u32> {
    let mut pids = vec![root];
    let mut next = 0;
    while let Some(pid) = pids.get(next).copied() {
        next += 1;
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        pids.extend(children.split_whitespace().filter_map(|word| word.parse::<u32>().ok()));
    }
    pids
}

/// User and system time of the tree, with the children it has reaped.
pub(crate) fn cpu(root: u32) -> Duration {
    let ticks: u64 = tree(root)
        .into_iter()
        .filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/stat")).ok())
        .filter_map(|stat| {
            // Fields 14 to 17 of proc_pid_stat(5), counted behind the name, which may hold blanks.
            let fields: Vec<u64> =
                stat.rsplit(')').next()?.split_whitespace().skip(11).take(4).flat_map(str::parse).collect();
            Some(fields.iter().sum::<u64>())
        })
        .sum();
    Duration::from_millis(ticks * 10)
}

/// Proportional set size of the tree in kB.
pub(crate) fn pss(root: u32) -> u64 {
    tree(root)
        .into_iter()
        .filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok())
        .filter_map(|rollup| {
            let line = rollup.lines().find(|line| line.starts_with("Pss:"))?;
            line.split_whitespace().nth(1)?.parse::<u64>().ok()
        })
        .sum()
}
