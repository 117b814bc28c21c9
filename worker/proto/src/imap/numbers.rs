//! Message numbers that are kept while the server renumbers (RFC 9051 section 7.5.1). It may do so while it answers nearly any
//! command, but not while it answers FETCH, STORE or SEARCH by numbers, and not unasked: then they are certain on their way to it.
use super::core::Core;

/// What becomes of a number once the message with the number `gone` is. `None`: nobody knows it any more.
pub(super) fn behind(number: Option<u32>, gone: Option<u32>) -> Option<u32> {
    let (number, gone) = (number?, gone?);
    if number == gone { None } else { Some(if number > gone { number - 1 } else { number }) }
}

impl Core {
    /// A message is gone, those behind it move up. `None`: some are, and nobody says which numbers they had (RFC 7162 section
    /// 3.2.10).
    pub(super) fn renumber(&mut self, gone: Option<u32>) {
        if let Some(selected) = &mut self.selected {
            selected.renumber(gone);
        }
        self.outbox.renumber(gone);
        self.marks.renumber(gone);
        for late in &mut self.put_off {
            late.number = behind(late.number, gone);
        }
        self.outstanding.jobs().for_each(|job| job.renumber(gone));
        self.pulls.iter().for_each(|pull| pull.job.renumber(gone));
    }
}

#[cfg(test)]
mod tests {
    use super::behind;

    #[test]
    fn what_is_behind_a_message_that_is_gone_moves_up() {
        assert_eq!([1, 2, 3].map(|number| behind(Some(number), Some(2))), [Some(1), None, Some(2)]);
        assert_eq!((behind(None, Some(2)), behind(Some(3), None)), (None, None));
        assert_eq!(behind(Some(u32::MAX), Some(0)), Some(u32::MAX - 1));
    }
}
