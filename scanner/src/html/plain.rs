//! The text of HTML alone, found in one pass: for what is over a bound.

/// HTML whose `<pre>` has the text, in at most so many octets when it is written out.
pub(super) fn text_only(input: &str, most: usize) -> String {
    const AROUND: usize = "<pre></pre>".len();
    let mut out = String::from("<pre>");
    let mut room = most.saturating_sub(2 * AROUND);
    let mut rest = input;
    while let Some(c) = rest.chars().next() {
        if c == '<'
            && let Some((name, after)) = tag(rest)
        {
            rest = after;
            if is_block(&name) {
                push(&mut out, &mut room, '\n');
            }
            if matches!(name.as_str(), "script" | "style") {
                rest = behind_end_tag(rest, &name);
            }
            continue;
        }
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
        if !push(&mut out, &mut room, c) {
            break;
        }
    }
    out.push_str("</pre>");
    out
}

/// Whether there was room.
fn push(out: &mut String, room: &mut usize, c: char) -> bool {
    // A `&` stays, so that references are read; what is none is written as `&amp;` later.
    let (written, length) = match c {
        '<' => ("&lt;", 4),
        '>' => ("&gt;", 4),
        '&' => ("&", 5),
        _ => ("", c.len_utf8()),
    };
    let Some(left) = room.checked_sub(length) else { return false };
    *room = left;
    if written.is_empty() {
        out.push(c)
    } else {
        out.push_str(written)
    }
    true
}

/// The name of the tag that begins here, empty for a comment, and what follows it.
fn tag(text: &str) -> Option<(String, &str)> {
    let inner = text.strip_prefix('<')?;
    if let Some(comment) = inner.strip_prefix("!--") {
        return Some((String::new(), comment.split_once("-->").map_or("", |(_, after)| after)));
    }
    let inner = inner.strip_prefix('/').unwrap_or(inner);
    let first = inner.chars().next()?;
    if !first.is_ascii_alphabetic() && !matches!(first, '!' | '?') {
        return None;
    }
    let end = inner.find(|c: char| c.is_ascii_whitespace() || matches!(c, '>' | '/')).unwrap_or(inner.len());
    let name = inner.get(..end)?.to_ascii_lowercase();
    let mut quote = None;
    let mut after_equals = false;
    for (at, c) in inner.char_indices().skip_while(|(at, _)| *at < end) {
        match (quote, c) {
            (Some(open), _) if open == c => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') if after_equals => quote = Some(c),
            (None, '>') => return Some((name, inner.get(at + 1..).unwrap_or_default())),
            (None, _) => {}
        }
        after_equals = c == '=' || (after_equals && c.is_ascii_whitespace());
    }
    // It has no end; a browser shows nothing of it.
    Some((name, ""))
}

fn behind_end_tag<'a>(text: &'a str, name: &str) -> &'a str {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("</") {
        if after.get(..name.len()).is_some_and(|found| found.eq_ignore_ascii_case(name)) {
            return after.split_once('>').map_or("", |(_, behind)| behind);
        }
        rest = after;
    }
    ""
}

fn is_block(name: &str) -> bool {
    matches!(
        name,
        "br" | "p"
            | "div"
            | "tr"
            | "li"
            | "table"
            | "h1"
            | "h2"
            | "h3"
            | "h4"
            | "h5"
            | "h6"
            | "hr"
            | "blockquote"
    )
}
