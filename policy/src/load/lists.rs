//! `[host-list.NAME]` and `[time-list.NAME]`, and the same lists in conditions.
use super::document::Document;
use crate::host::{HostError, HostList};
use crate::read::{Item, nearest};
use crate::time::{TimeError, TimeList};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A kind of list that has a name and can name others of its kind.
pub(super) trait List: Default + Sized {
    type Error;
    /// Its section, and the item in it.
    const SECTION: (&'static str, &'static str);
    /// What to write if the item is missing.
    const EXAMPLE: &'static str;

    fn add(
        &mut self,
        text: &str,
        lists: &mut dyn FnMut(&str) -> Option<Arc<Self>>,
    ) -> Result<(), Self::Error>;

    /// What is wrong with an item; an unknown list is for the caller.
    fn explain(text: &str, error: Self::Error) -> Trouble;
}

/// What is wrong with an item of a list.
pub(super) enum Trouble {
    /// Message and help.
    Wrong(String, &'static str),
    UnknownList(String),
}

impl List for HostList {
    type Error = HostError;
    const SECTION: (&'static str, &'static str) = ("host-list", "hosts");
    const EXAMPLE: &'static str = "write hosts = [\"192.0.2.0/24\"]";

    fn add(&mut self, text: &str, lists: &mut dyn FnMut(&str) -> Option<Arc<Self>>) -> Result<(), HostError> {
        Self::add(self, text, lists)
    }

    fn explain(text: &str, error: HostError) -> Trouble {
        match error {
            HostError::Invalid(why) => Trouble::Wrong(
                format!("`{text}` in a list of hosts: {why}"),
                "write \"192.0.2.1\", \"192.0.2.0/24\", \"192.0.2.1-192.0.2.9\", \"2001:db8::/32\", \"host.example.net\", \"@list\" or \"*\"",
            ),
            HostError::UnknownList(name) => Trouble::UnknownList(name),
        }
    }
}

impl List for TimeList {
    type Error = TimeError;
    const SECTION: (&'static str, &'static str) = ("time-list", "times");
    const EXAMPLE: &'static str = "write times = [\"mon-fri 08:00-18:00\"]";

    fn add(&mut self, text: &str, lists: &mut dyn FnMut(&str) -> Option<Arc<Self>>) -> Result<(), TimeError> {
        Self::add(self, text, lists)
    }

    fn explain(text: &str, error: TimeError) -> Trouble {
        match error {
            TimeError::Invalid(why) => Trouble::Wrong(
                format!("`{text}` in a list of times: {why}"),
                "write \"mon-fri 08:00-18:00\", \"12-24..01-02\", \"jul..aug\", \"2026-05-08\" or \"@list\"",
            ),
            TimeError::UnknownList(name) => Trouble::UnknownList(name),
        }
    }
}

/// The lists with names, resolved.
#[derive(Debug)]
pub(super) struct Lists<L> {
    lists: BTreeMap<String, Arc<L>>,
}

impl<L: List> Lists<L> {
    pub(super) fn read(document: &mut Document<'_>) -> Self {
        let mut waiting = BTreeMap::new();
        let mut order = Vec::new();
        for (name, _, mut table) in document.named_tables(L::SECTION.0) {
            let items = table.require(L::SECTION.1, L::EXAMPLE);
            waiting.insert(name, items.and_then(|item| item.some_strings()).unwrap_or_default());
            order.push(name);
            table.finish();
        }
        let state = RefCell::new(Resolving { waiting, order, lists: BTreeMap::new() });
        let order = state.borrow().order.clone();
        for name in order {
            resolve(&state, name);
        }
        Self { lists: state.into_inner().lists }
    }

    /// The list of a condition; not given: what matches everything.
    pub(super) fn list(&self, item: Option<Item<'_>>) -> L {
        let mut list = L::default();
        for (item, text) in item.and_then(|item| item.some_strings()).unwrap_or_default() {
            let added = list.add(text, &mut |name| self.lists.get(name).cloned());
            let bare = text.strip_prefix('!').unwrap_or(text).trim();
            match added {
                Err(error) => {
                    tell::<L>(&item, L::explain(text, error), &mut self.lists.keys().map(String::as_str));
                }
                // A host can have that name too, and hardly does.
                Ok(()) if self.lists.contains_key(bare) => {
                    item.error(format!("`{bare}` is the name of a list"), format!("write \"@{bare}\""))
                }
                Ok(()) => {}
            }
        }
        list
    }
}

/// The lists on the way to being resolved.
struct Resolving<'a, L> {
    waiting: BTreeMap<&'a str, Vec<(Item<'a>, &'a str)>>,
    order: Vec<&'a str>,
    lists: BTreeMap<String, Arc<L>>,
}

/// Resolves one list and those that it names. A list that is being resolved is no longer waiting and not yet there,
/// so that a circle ends as an error at the item that closes it.
fn resolve<L: List>(state: &RefCell<Resolving<'_, L>>, name: &str) -> Option<Arc<L>> {
    if let Some(list) = state.borrow().lists.get(name) {
        return Some(Arc::clone(list));
    }
    let items = state.borrow_mut().waiting.remove(name)?;
    let mut list = L::default();
    for (item, text) in items {
        let Err(error) = list.add(text, &mut |name| resolve(state, name)) else { continue };
        match L::explain(text, error) {
            Trouble::UnknownList(other) if state.borrow().order.contains(&other.as_str()) => item.error(
                format!("the lists `{name}` and `{other}` name each other in a circle"),
                format!("write the {} themselves into one of them", L::SECTION.1),
            ),
            trouble @ (Trouble::Wrong(..) | Trouble::UnknownList(_)) => {
                tell::<L>(&item, trouble, &mut state.borrow().order.iter().copied());
            }
        }
    }
    let list = Arc::new(list);
    state.borrow_mut().lists.insert(name.to_owned(), Arc::clone(&list));
    Some(list)
}

fn tell<L: List>(item: &Item<'_>, trouble: Trouble, lists: &mut dyn Iterator<Item = &str>) {
    match trouble {
        Trouble::Wrong(message, help) => item.error(message, help),
        Trouble::UnknownList(name) => {
            let (section, inner) = L::SECTION;
            let help = match nearest(&name, lists) {
                Some(near) => format!("did you mean \"@{near}\"?"),
                None => format!("write [{section}.{name}] with {inner} = [...]"),
            };
            item.error(format!("there is no {} `{name}`", section.replace('-', " ")), help);
        }
    }
}
