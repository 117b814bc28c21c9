//! Tolerances beyond the RFCs, each with the program that needs it. What is not named here is refused.

/// Clients may end a command with a bare LF: people who type into netcat, and scripts that print `\n`. Safe, because
/// commands are written anew before they go on; a server gets no such tolerance. Takes a line without its LF.
pub fn without_carriage_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Blanks after a command's last argument are ignored (old Outlook Express sends `LIST ` and `AUTH `). PASS is not
/// concerned: its argument is the rest of the line.
pub fn without_trailing_blanks(argument: &[u8]) -> &[u8] {
    argument.trim_ascii_end()
}

/// Servers may say more after the size in LIST (RFC 1939 section 5 discourages it but allows it); it is dropped.
/// Returns what precedes the first blank.
pub fn without_listing_remarks(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == b' ').next().unwrap_or_default()
}

/// `+` without a blank asks for the next SASL line just like `+ ` (some servers send an empty challenge so).
pub fn challenge(line: &[u8]) -> Option<&[u8]> {
    match line.strip_prefix(b"+")? {
        [] => Some(b""),
        [b' ', challenge @ ..] => Some(challenge),
        _other => None,
    }
}

/// IMAP: how many blanks stand before the end of a command or response. Old clients end commands with one (`a NOOP `), mail.ru and
/// others end `* SEARCH ` so.
pub fn blanks_before_the_end(rest: &[u8]) -> usize {
    if rest.iter().all(|byte| *byte == b' ') { rest.len() } else { 0 }
}

/// IMAP servers: how many blanks stand where none or one more may (Exchange 2007 between the parts of a body, mail.ru in lists).
pub fn further_blanks(rest: &[u8]) -> usize {
    rest.iter().take_while(|byte| **byte == b' ').count()
}

/// IMAP servers: a backslash in quotes in front of an octet that needs none (iCloud, old Courier). Both stay, as a reader
/// that knows no other escapes would have them.
pub fn unknown_escape(bytes: &mut Vec<u8>, escaped: u8) {
    bytes.extend_from_slice(&[b'\\', escaped]);
}

/// IMAP servers: the length of what stands for a number of octets or lines where the server does not know it: `-1` (Exchange), NIL
/// (Zimbra), `""` (old Domino). It is written as 0.
pub fn odd_size(rest: &[u8]) -> Option<usize> {
    let minus =
        rest.strip_prefix(b"-").map(|rest| rest.iter().take_while(|byte| byte.is_ascii_digit()).count() + 1);
    match (minus, rest) {
        (Some(length @ 2..), _) => Some(length),
        (_, [b'N' | b'n', b'I' | b'i', b'L' | b'l', b' ' | b')', ..]) => Some(3),
        (_, [b'"', b'"', ..]) => Some(2),
        (_, _) => None,
    }
}
