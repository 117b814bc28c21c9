//! The tree that the parser builds, and the bounds it must stay within: its depth, the formatting elements that are
//! open at once, and all that is in it. A parser of HTML copies open formatting elements into each paragraph and
//! searches its open elements for each tag, so that without them 38 KB become 38 MB, or minutes.
use html5ever::interface::{
    Attribute, ElementFlags, ExpandedName, NodeOrText, QualName, QuirksMode, TreeSink,
};
use html5ever::tendril::StrTendril;
use html5ever::{LocalName, local_name, ns};
use std::borrow::Cow;
use std::cell::{Cell, Ref, RefCell};

/// Elements within each other.
const MAX_DEPTH: usize = 256;
/// Formatting elements within each other.
const MAX_FORMATTING: usize = 32;
/// Attributes of them together: each further formatting element is compared with all of them.
const MAX_FORMATTING_ATTRIBUTES: usize = 128;
/// Attributes that further `<body>` tags can bring.
const MAX_ADDED: usize = 256;

/// A node, by its place in the tree's table.
pub(super) type Id = usize;

/// The document itself.
pub(super) const DOCUMENT: Id = 0;

/// What a node is.
#[derive(Debug)]
pub(super) enum Data {
    /// The document, or what a template contains.
    Document,
    /// Text.
    Text(StrTendril),
    /// An element; what a template contains stands apart from it.
    Element { name: QualName, attributes: Vec<Attribute>, template: Option<Id>, integration: bool },
    /// Comments and the like, which nobody is passed.
    Nothing,
}

#[derive(Debug)]
struct Node {
    parent: Option<Id>,
    previous: Option<Id>,
    next: Option<Id>,
    first: Option<Id>,
    last: Option<Id>,
    data: Data,
}

/// The tree, while it is built and afterwards.
#[derive(Debug)]
pub(super) struct Tree {
    table: RefCell<Table>,
    quirks: Cell<QuirksMode>,
    /// Octets that may still come into being.
    room: Cell<usize>,
    exceeded: Cell<bool>,
}

#[derive(Debug)]
struct Table {
    nodes: Vec<Node>,
    /// The name of what has none; the parser does not ask for one.
    nameless: QualName,
}

impl Tree {
    /// An empty tree for at most so many octets.
    pub(super) fn new(room: usize) -> Self {
        let tree = Self {
            table: RefCell::new(Table {
                nodes: Vec::new(),
                nameless: QualName::new(None, ns!(), LocalName::from("")),
            }),
            quirks: Cell::new(QuirksMode::NoQuirks),
            room: Cell::new(room),
            exceeded: Cell::new(false),
        };
        tree.create(Data::Document);
        tree
    }

    /// Whether it is over a bound.
    pub(super) fn is_exceeded(&self) -> bool {
        self.exceeded.get()
    }

    /// How a browser would lay it out.
    pub(super) fn quirks(&self) -> QuirksMode {
        self.quirks.get()
    }

    /// What a node is.
    pub(super) fn data(&self, id: Id) -> Ref<'_, Data> {
        Ref::map(self.table.borrow(), |table| table.nodes.get(id).map_or(&Data::Nothing, |node| &node.data))
    }

    /// The children of a node; of a template, what it contains.
    pub(super) fn children(&self, id: Id) -> Vec<Id> {
        let parent = match *self.data(id) {
            Data::Element { template: Some(contents), .. } => contents,
            Data::Element { .. } | Data::Document | Data::Text(_) | Data::Nothing => id,
        };
        let mut children = Vec::new();
        let mut next = self.link(parent, |node| node.first);
        while let Some(child) = next {
            children.push(child);
            next = self.link(child, |node| node.next);
        }
        children
    }

    fn create(&self, data: Data) -> Id {
        let nodes = &mut self.table.borrow_mut().nodes;
        nodes.push(Node { parent: None, previous: None, next: None, first: None, last: None, data });
        nodes.len() - 1
    }

    fn link(&self, id: Id, which: impl Fn(&Node) -> Option<Id>) -> Option<Id> {
        self.table.borrow().nodes.get(id).and_then(which)
    }

    fn change(&self, id: Option<Id>, how: impl FnOnce(&mut Node)) {
        let nodes = &mut self.table.borrow_mut().nodes;
        if let Some(node) = id.and_then(|id| nodes.get_mut(id)) {
            how(node);
        }
    }

    fn detach(&self, id: Id) {
        let (parent, previous, next) = {
            let nodes = &mut self.table.borrow_mut().nodes;
            let Some(node) = nodes.get_mut(id) else { return };
            (node.parent.take(), node.previous.take(), node.next.take())
        };
        match previous {
            Some(_) => self.change(previous, |node| node.next = next),
            None => self.change(parent, |node| node.first = next),
        }
        match next {
            Some(_) => self.change(next, |node| node.previous = previous),
            None => self.change(parent, |node| node.last = previous),
        }
    }

    /// Puts a node under `parent`, before `next` or as the last.
    fn insert(&self, parent: Id, next: Option<Id>, child: Id) {
        self.detach(child);
        let previous = match next {
            Some(next) => self.link(next, |node| node.previous),
            None => self.link(parent, |node| node.last),
        };
        self.change(Some(child), |node| {
            node.parent = Some(parent);
            node.previous = previous;
            node.next = next;
        });
        match previous {
            Some(_) => self.change(previous, |node| node.next = Some(child)),
            None => self.change(Some(parent), |node| node.first = Some(child)),
        }
        match next {
            Some(_) => self.change(next, |node| node.previous = Some(child)),
            None => self.change(Some(parent), |node| node.last = Some(child)),
        }
    }

    fn place(&self, parent: Id, next: Option<Id>, child: NodeOrText<Id>) {
        match child {
            NodeOrText::AppendNode(child) => {
                self.insert(parent, next, child);
                self.measure(child);
            }
            NodeOrText::AppendText(text) => {
                self.spend(text.len());
                let before = match next {
                    Some(next) => self.link(next, |node| node.previous),
                    None => self.link(parent, |node| node.last),
                };
                if let Some(before) = before
                    && let Some(Node { data: Data::Text(there), .. }) =
                        self.table.borrow_mut().nodes.get_mut(before)
                {
                    there.push_tendril(&text);
                    return;
                }
                self.insert(parent, next, self.create(Data::Text(text)));
            }
        }
    }

    fn spend(&self, octets: usize) {
        match self.room.get().checked_sub(octets) {
            Some(room) => self.room.set(room),
            None => self.exceeded.set(true),
        }
    }

    /// Whether a new node is within the bounds. The walk to the root is as long as the bound.
    fn measure(&self, id: Id) {
        let nodes = &self.table.borrow().nodes;
        let (mut depth, mut formatting, mut compared, mut next) = (0, 0, 0, Some(id));
        while let Some(node) = next.and_then(|id| nodes.get(id)) {
            depth += 1;
            if let Data::Element { name, attributes, .. } = &node.data
                && is_formatting(name.expanded())
            {
                formatting += 1;
                compared += attributes.len();
            }
            if depth > MAX_DEPTH || formatting > MAX_FORMATTING || compared > MAX_FORMATTING_ATTRIBUTES {
                return self.exceeded.set(true);
            }
            next = node.parent;
        }
    }
}

/// HTML standard 13.2.4.3: the elements that end up in the list of active formatting elements.
fn is_formatting(name: ExpandedName<'_>) -> bool {
    *name.ns == ns!(html)
        && matches!(
            *name.local,
            local_name!("a")
                | local_name!("b")
                | local_name!("big")
                | local_name!("code")
                | local_name!("em")
                | local_name!("font")
                | local_name!("i")
                | local_name!("nobr")
                | local_name!("s")
                | local_name!("small")
                | local_name!("strike")
                | local_name!("strong")
                | local_name!("tt")
                | local_name!("u")
        )
}

impl TreeSink for Tree {
    type Handle = Id;
    type Output = Self;
    type ElemName<'a> = Ref<'a, QualName>;

    fn finish(self) -> Self {
        self
    }

    fn parse_error(&self, _: Cow<'static, str>) {}

    fn get_document(&self) -> Id {
        DOCUMENT
    }

    fn elem_name<'a>(&'a self, target: &'a Id) -> Ref<'a, QualName> {
        Ref::map(self.table.borrow(), |table| match table.nodes.get(*target).map(|node| &node.data) {
            Some(Data::Element { name, .. }) => name,
            Some(Data::Document | Data::Text(_) | Data::Nothing) | None => &table.nameless,
        })
    }

    fn create_element(&self, name: QualName, attributes: Vec<Attribute>, flags: ElementFlags) -> Id {
        let values: usize = attributes.iter().map(|one| one.name.local.len() + one.value.len()).sum();
        self.spend(name.local.len() + values);
        // What a template contains hangs below it, so that depths add up; it is not among its children.
        let template = flags.template.then(|| self.create(Data::Document));
        let integration = flags.mathml_annotation_xml_integration_point;
        let id = self.create(Data::Element { name, attributes, template, integration });
        self.change(template, |node| node.parent = Some(id));
        id
    }

    fn create_comment(&self, _: StrTendril) -> Id {
        self.create(Data::Nothing)
    }

    fn create_pi(&self, _: StrTendril, _: StrTendril) -> Id {
        self.create(Data::Nothing)
    }

    fn append(&self, parent: &Id, child: NodeOrText<Id>) {
        self.place(*parent, None, child);
    }

    fn append_before_sibling(&self, sibling: &Id, child: NodeOrText<Id>) {
        if let Some(parent) = self.link(*sibling, |node| node.parent) {
            self.place(parent, Some(*sibling), child);
        }
    }

    fn append_based_on_parent_node(&self, element: &Id, previous: &Id, child: NodeOrText<Id>) {
        if self.link(*element, |node| node.parent).is_some() {
            self.append_before_sibling(element, child);
        } else {
            self.append(previous, child);
        }
    }

    fn append_doctype_to_document(&self, _: StrTendril, _: StrTendril, _: StrTendril) {}

    fn get_template_contents(&self, target: &Id) -> Id {
        match *self.data(*target) {
            Data::Element { template: Some(contents), .. } => contents,
            Data::Element { .. } | Data::Document | Data::Text(_) | Data::Nothing => *target,
        }
    }

    fn same_node(&self, x: &Id, y: &Id) -> bool {
        x == y
    }

    fn set_quirks_mode(&self, mode: QuirksMode) {
        self.quirks.set(mode);
    }

    fn add_attrs_if_missing(&self, target: &Id, more: Vec<Attribute>) {
        self.change(Some(*target), |node| {
            if let Data::Element { attributes, .. } = &mut node.data {
                for one in more {
                    if attributes.len() < MAX_ADDED && attributes.iter().all(|known| known.name != one.name) {
                        attributes.push(one);
                    }
                }
            }
        });
    }

    fn remove_from_parent(&self, target: &Id) {
        self.detach(*target);
    }

    fn reparent_children(&self, node: &Id, new_parent: &Id) {
        let mut next = self.link(*node, |node| node.first);
        while let Some(child) = next {
            next = self.link(child, |node| node.next);
            self.insert(*new_parent, None, child);
        }
    }

    fn is_mathml_annotation_xml_integration_point(&self, target: &Id) -> bool {
        match *self.data(*target) {
            Data::Element { integration, .. } => integration,
            Data::Document | Data::Text(_) | Data::Nothing => false,
        }
    }
}
