//! Text into a tree, in steps, so that a bound ends the work soon after it was crossed.
use super::tree::{Id, Tree};
use html5ever::buffer_queue::BufferQueue;
use html5ever::interface::TreeSink;
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::{Token, TokenSink, TokenSinkResult, Tokenizer};
use html5ever::tree_builder::{TreeBuilder, TreeBuilderOpts};
use html5ever::{ParseOpts, TokenizerResult};
use std::cell::Cell;

/// Octets between two looks at the bounds.
const STEP: usize = 4096;
/// Attributes of one tag are compared with each other, each with all before it; so many comparisons are a fraction of
/// a second. A tag that holds an image of a megabyte, in which every `/` could separate two, takes a quarter of it.
const MAX_COMPARISONS: usize = 1 << 29;

/// The tree of a document; `None`: it is over a bound.
pub(super) fn parse(text: &str, room: usize) -> Option<Tree> {
    // Scripts do not run in mail, so that what stands in for them is looked at.
    let options = TreeBuilderOpts { scripting_enabled: false, ..ParseOpts::default().tree_builder };
    let builder = TreeBuilder::new(Tree::new(room), options);
    let tokenizer = Tokenizer::new(Counted { builder, tokens: Cell::new(0) }, ParseOpts::default().tokenizer);
    let input = BufferQueue::default();
    let (mut tokens, mut separators, mut comparisons) = (0, 0_usize, 0_usize);
    let mut rest = text;
    while !rest.is_empty() {
        let (step, after) = rest.split_at(rest.floor_char_boundary(STEP));
        rest = after;
        // Whoever looks for the end of a tag has compared the attributes since the last one.
        for octet in step.bytes() {
            if octet.is_ascii_whitespace() || matches!(octet, b'/' | b'"' | b'\'') {
                separators += 1;
                comparisons = comparisons.saturating_add(separators);
            }
        }
        if comparisons > MAX_COMPARISONS {
            return None;
        }
        input.push_back(StrTendril::from_slice(step));
        // A script or a charset is where a browser would pause.
        while !matches!(tokenizer.feed(&input), TokenizerResult::Done) {}
        if tokenizer.sink.builder.sink.is_exceeded() {
            return None;
        }
        if tokenizer.sink.tokens.get() != tokens {
            tokens = tokenizer.sink.tokens.get();
            separators = 0;
        }
    }
    tokenizer.end();
    let tree = tokenizer.sink.builder.sink.finish();
    (!tree.is_exceeded()).then_some(tree)
}

/// Counts tokens on their way to the tree.
struct Counted {
    builder: TreeBuilder<Id, Tree>,
    tokens: Cell<u64>,
}

impl TokenSink for Counted {
    type Handle = Id;

    fn process_token(&self, token: Token, line: u64) -> TokenSinkResult<Id> {
        if !matches!(token, Token::ParseError(_)) {
            self.tokens.set(self.tokens.get() + 1);
        }
        self.builder.process_token(token, line)
    }

    fn end(&self) {
        self.builder.end();
    }

    fn adjusted_current_node_present_but_not_in_html_namespace(&self) -> bool {
        self.builder.adjusted_current_node_present_but_not_in_html_namespace()
    }
}
