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
