//! Where a panic happened, for the log: the standard hook would write to a descriptor that leads nowhere.
use std::cell::Cell;

thread_local! {
    static WHERE: Cell<Option<String>> = const { Cell::new(None) };
}

/// From now on a panic is remembered instead of printed.
pub(crate) fn remember_where() {
    std::panic::set_hook(Box::new(|panic| {
        WHERE.set(panic.location().map(|place| format!("{}:{}", place.file(), place.line())));
    }));
}

/// Where the last panic of this thread was, once.
pub(crate) fn take_where() -> String {
    WHERE.take().unwrap_or_default()
}
