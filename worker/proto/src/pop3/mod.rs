//! The POP3 machine.
use crate::machine::{Fault, Input, Machine, Output, Side};
use policy::model::{Login, SessionRules};
use std::rc::Rc;
use std::time::Duration;

/// What one configuration says about a session; shared by the sessions of a worker.
#[derive(Debug)]
pub struct Settings {
    /// The command-acl rule that was decided at admission.
    pub rules: SessionRules,
    /// `[login]`.
    pub login: Login,
    /// `without-quarantine = "refuse-delete"`.
    pub refuse_delete: bool,
}

/// A POP3 session between a client and a server that are both connected.
#[derive(Debug)]
pub struct Pop3 {
    _settings: Rc<Settings>,
}

impl Pop3 {
    /// A session admitted at `now`.
    pub fn new(settings: Rc<Settings>, _now: Duration) -> Self {
        Self { _settings: settings }
    }
}

impl Machine for Pop3 {
    fn handle(self, _now: Duration, _input: Input<'_>, _out: &mut Output) -> Result<Self, Fault> {
        todo!()
    }

    fn wants(&self, _side: Side) -> bool {
        todo!()
    }

    fn wants_copy(&self) -> bool {
        todo!()
    }

    fn deadline(&self) -> Option<Duration> {
        todo!()
    }
}
