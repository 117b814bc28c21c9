//! Limits that hold within a mail, whichever protocol brings it.

/// How many octets of a piece come before a line that is over the limit, which counts its CRLF; `usize::MAX` where
/// none is. Jumps from LF to LF by the limit, so that ordinary mail is looked at in a few places only.
pub(crate) fn within_line_limit(piece: &[u8], column: &mut usize, limit: usize) -> usize {
    let mut rest = piece;
    loop {
        let room = limit.saturating_sub(*column);
        if rest.len() <= room {
            // What is left fits on the line; only where its last line starts matters.
            match memchr::memrchr(b'\n', rest) {
                Some(at) => *column = rest.len() - at - 1,
                None => *column += rest.len(),
            }
            return usize::MAX;
        }
        let Some(at) = memchr::memrchr(b'\n', rest.get(..room).unwrap_or(rest)) else {
            return piece.len() - rest.len() + room;
        };
        rest = rest.get(at + 1..).unwrap_or_default();
        *column = 0;
    }
}
