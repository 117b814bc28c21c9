//! THE ORDER in which a process gives up what it does not need. Each step needs a right that a later step gives up.
use crate::error::Error;
use crate::policy::Policy;
use crate::spec::{Namespace, Spec, Walls};
use crate::{filesystem, identity, landlock, limits, seccomp};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::prctl;
use nix::sys::stat::{fstat, stat};
use nix::unistd::{getgid, getpid, getuid};
use std::fs;
use std::os::fd::{BorrowedFd, OwnedFd};

/// A child has a dozen descriptors when it confines itself; more are not looked for.
const MOST_DESCRIPTORS: u64 = 128;

/// Proof that this process is confined. Only [`confine`] makes one.
#[derive(Debug)]
pub struct Confined {
    walls: Walls,
}

impl Confined {
    /// What was proved.
    pub const fn walls(&self) -> &Walls {
        &self.walls
    }
}

/// Confines this process, which must have one thread and its runtime already built.
///
/// # Errors
/// The first wall that cannot stand; the process must end then. With `require_all` unset, walls that need a right
/// which the invoking user lacks are named in [`Walls::missing`] instead.
pub fn confine(
    spec: &Spec,
    namespaces: Vec<OwnedFd>,
    directory: Option<BorrowedFd<'_>>,
    policy: &Policy,
) -> Result<Confined, Error> {
    // Compiled first: it allocates, and nothing must fail once the rights are gone.
    let filter = seccomp::compile(policy)?;
    let mut walls = Walls { pid: getpid().as_raw().unsigned_abs(), ..Walls::default() };

    if spec.id.is_some() {
        identity::drop_bounding()?;
    }
    enter(spec, namespaces, &mut walls)?;
    walls.empty_root = filesystem::root_is_empty();
    if !walls.empty_root {
        miss(spec, &mut walls, "empty root", "the root directory is the host's")?;
    }
    limits::apply(&spec.limits)?;
    prctl::set_no_new_privs().map_err(|error| Error::new("no_new_privs", error))?;
    walls.landlock_abi = landlock::deny(!spec.network, directory)?;
    if walls.landlock_abi == 0 {
        // A belt more than the promise of "full": many kernels of today lack it.
        walls.missing.push("Landlock: this kernel has none".into());
    }
    match spec.id {
        Some(id) => identity::become_id(id)?,
        None => miss(spec, &mut walls, "identity", "without root every role keeps the invoking user's id")?,
    }
    if spec.id.is_none() {
        // In a user namespace of one's own there are capabilities to give up, too.
        let _ = identity::drop_bounding();
    }
    identity::drop_capabilities()?;
    identity::tie_to(spec.supervisor_pid)?;

    walls.no_capabilities = identity::no_capabilities();
    if !walls.no_capabilities {
        miss(spec, &mut walls, "capabilities", "some set is not empty")?;
    }
    walls.uid = getuid().as_raw();
    walls.gid = getgid().as_raw();
    walls.no_new_privs = prctl::get_no_new_privs().unwrap_or(false);
    walls.descriptors = descriptors();
    seccomp::install(&filter)?;
    walls.seccomp_mode = 2;
    Ok(Confined { walls })
}

/// Joins the namespaces that were passed, or makes them where the kernel lets this user.
fn enter(spec: &Spec, namespaces: Vec<OwnedFd>, walls: &mut Walls) -> Result<(), Error> {
    let wall = |error| Error::new("namespaces", error);
    if namespaces.len() != spec.join.len() {
        return Err(Error::new("namespaces", "descriptors and kinds differ in number"));
    }
    // The mount namespace last: it takes /proc away.
    let mut joined: Vec<_> = spec.join.iter().copied().zip(namespaces).collect();
    joined.sort_by_key(|(kind, _)| *kind == Namespace::Mount);
    for (kind, descriptor) in joined {
        walls.namespaces.push((kind, fstat(&descriptor).map_err(wall)?.st_ino));
        setns(descriptor, kind.flag()).map_err(wall)?;
    }
    if spec.make.is_empty() {
        return Ok(());
    }
    let (uid, gid) = (getuid(), getgid());
    let flags = spec.make.iter().fold(CloneFlags::empty(), |flags, kind| flags | kind.flag());
    if let Err(error) = unshare(flags) {
        return miss(spec, walls, "namespaces", &format!("this user may not make any: {error}"));
    }
    for kind in &spec.make {
        let path = format!("/proc/self/ns/{}", kind.proc_name());
        walls.namespaces.push((*kind, stat(path.as_str()).map_err(wall)?.st_ino));
    }
    if spec.make.contains(&Namespace::User) {
        let maps = [
            ("setgroups", "deny".to_owned()),
            ("uid_map", format!("{uid} {uid} 1")),
            ("gid_map", format!("{gid} {gid} 1")),
        ];
        for (name, content) in maps {
            fs::write(format!("/proc/self/{name}"), content)
                .map_err(|error| Error::new("namespaces", error))?;
        }
    }
    if spec.empty_root
        && let Err(error) = filesystem::empty_root()
    {
        walls.missing.push(error.to_string());
    }
    Ok(())
}

fn miss(spec: &Spec, walls: &mut Walls, wall: &'static str, why: &str) -> Result<(), Error> {
    if spec.require_all {
        return Err(Error::new(wall, why));
    }
    walls.missing.push(format!("{wall}: {why}"));
    Ok(())
}

/// Counts open descriptors without /proc, which is out of reach by now.
fn descriptors() -> u32 {
    let limit = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE);
    let highest = limit.map_or(1024, |(soft, _)| soft).min(MOST_DESCRIPTORS);
    let open = (0..highest).filter(|number| {
        let Ok(number) = i32::try_from(*number) else { return false };
        // SAFETY: F_GETFD only reads a flag of a descriptor number; on a closed one it fails.
        (unsafe { libc::fcntl(number, libc::F_GETFD) }) >= 0
    });
    u32::try_from(open.count()).unwrap_or(u32::MAX)
}
