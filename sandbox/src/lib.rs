//! Walks a process into confinement, in the one legal order, and proves each wall.
//!
//! Mechanism only: this crate knows no role. A role brings its own list of system calls ([`Policy`]), the supervisor
//! says the rest ([`Spec`]), and [`confine`] returns a [`Confined`] that nobody else can make.
//!
//! ```text
//! jail.rs        namespaces with an empty root, made once per role and tenant
//! spawn.rs       the image again, as a role, with two descriptors and nothing else
//! tied.rs        a program of the system, such as nft, that dies with us
//! confine.rs     THE ORDER: namespaces, root, limits, ids, capabilities, Landlock, filter
//! verify.rs      what root finds in /proc, against what the child reported
//! ```
#![warn(missing_docs)]

mod confine;
mod error;
mod filesystem;
mod identity;
mod jail;
mod landlock;
mod limits;
mod policy;
mod seccomp;
mod spawn;
mod spec;
mod tied;
mod verify;

pub use confine::{Confined, confine};
pub use error::Error;
pub use jail::Jail;
pub use policy::{Allow, Arg, COMMON, Policy};
pub use seccomp::{compile, install};
pub use spawn::{Child, spawn};
pub use spec::{Limits, Namespace, Spec, Walls};
pub use tied::tie;
pub use verify::verify;
