//! Walks a process into confinement, in the one legal order, and proves each wall.
#![warn(missing_docs)]

mod spec;
pub use spec::{Limits, Namespace, Spec, Walls};
