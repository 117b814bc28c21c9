//! Where the lines of the log go: standard error, which whoever started the service reads.
//!
//! Writing never waits. What the reader does not take at once, as when a thousand sessions end in one moment, is held
//! and written as soon as it does; beyond [`MAX_HELD`] lines are lost, and counted.
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// Octets of lines that wait for a slow reader: some ten thousand records.
const MAX_HELD: usize = 4 << 20;

/// How long the end of the service waits for the reader.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What became of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Put {
    Written,
    /// Nobody reads now.
    Later,
    /// Nobody will.
    Failed,
}

/// Lines on their way to a reader.
#[derive(Debug)]
pub(crate) struct Sink<T: AsFd + io::Write> {
    to: T,
    held: VecDeque<String>,
    octets: usize,
    lost: u64,
}

impl<T: AsFd + io::Write> Sink<T> {
    pub(crate) const fn new(to: T) -> Self {
        Self { to, held: VecDeque::new(), octets: 0, lost: 0 }
    }

    /// Writes a line, which ends in a line feed and has at most PIPE_BUF octets, behind those that are held.
    pub(crate) fn put(&mut self, line: String) {
        self.flush();
        if self.held.is_empty() {
            match self.write(&line) {
                Put::Written => return,
                Put::Failed => return self.lose(),
                Put::Later => {}
            }
        }
        if self.octets.saturating_add(line.len()) > MAX_HELD {
            return self.lose();
        }
        self.octets = self.octets.saturating_add(line.len());
        self.held.push_back(line);
    }

    /// Whether lines wait for the reader.
    pub(crate) fn holds(&self) -> bool {
        !self.held.is_empty()
    }

    /// How many lines were lost since this was last told; none as long as there is no room to say so.
    pub(crate) fn take_lost(&mut self) -> Option<u64> {
        self.flush();
        (self.lost > 0 && self.held.is_empty()).then(|| std::mem::take(&mut self.lost))
    }

    /// Writes what is held and can be written now.
    pub(crate) fn flush(&mut self) {
        while let Some(line) = self.held.pop_front() {
            match self.write(&line) {
                Put::Written => {}
                Put::Failed => self.lose(),
                Put::Later => return self.held.push_front(line),
            }
            self.octets = self.octets.saturating_sub(line.len());
        }
    }

    const fn lose(&mut self) {
        self.lost = self.lost.saturating_add(1);
    }

    /// A pipe that polls writable takes PIPE_BUF octets without waiting (pipe(7)).
    fn write(&mut self, line: &str) -> Put {
        if !writable(&self.to, PollTimeout::ZERO) {
            return Put::Later;
        }
        if self.to.write_all(line.as_bytes()).is_ok() { Put::Written } else { Put::Failed }
    }
}

impl<T: AsFd + io::Write> Drop for Sink<T> {
    fn drop(&mut self) {
        let end = Instant::now() + LAST_WORDS;
        while self.holds() && Instant::now() < end {
            writable(&self.to, PollTimeout::from(100_u8));
            self.flush();
        }
    }
}

fn writable(to: &impl AsFd, wait: PollTimeout) -> bool {
    poll(&mut [PollFd::new(to.as_fd(), PollFlags::POLLOUT)], wait).is_ok_and(|count| count > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, PipeReader, PipeWriter, pipe};

    fn sink() -> (BufReader<PipeReader>, Sink<PipeWriter>) {
        let (reader, writer) = pipe().unwrap();
        (BufReader::new(reader), Sink::new(writer))
    }

    fn line(number: usize) -> String {
        format!("{number:>99}\n")
    }

    fn next(reader: &mut impl BufRead) -> usize {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        line.trim().parse().unwrap()
    }

    #[test]
    fn what_a_slow_reader_does_not_take_at_once_comes_in_order() {
        let (mut reader, mut sink) = sink();
        (0..5000).for_each(|number| sink.put(line(number)));
        assert!(sink.holds());
        for number in 0..5000 {
            sink.flush();
            assert_eq!(next(&mut reader), number);
        }
        assert!(!sink.holds());
        assert_eq!(sink.take_lost(), None);
    }

    #[test]
    fn a_reader_that_does_not_read_costs_a_bounded_memory_and_is_told_once_it_does() {
        let (mut reader, mut sink) = sink();
        let lines = MAX_HELD / 100 + 2000;
        (0..lines).for_each(|number| sink.put(line(number)));
        assert!(sink.octets <= MAX_HELD);
        assert_eq!(sink.take_lost(), None, "not while there is no room to say it");
        let mut read = 0;
        while sink.holds() {
            assert_eq!(next(&mut reader), read);
            read += 1;
            sink.flush();
        }
        let lost = sink.take_lost().unwrap();
        assert!(lost > 0);
        assert_eq!(sink.take_lost(), None);
        drop(sink);
        let last =
            reader.lines().last().map_or(read, |line| line.unwrap().trim().parse::<usize>().unwrap() + 1);
        assert_eq!(last as u64 + lost, lines as u64);
    }

    #[test]
    fn the_end_waits_a_second_for_the_reader_and_not_for_one_who_left() {
        let (mut reader, mut sink) = sink();
        (0..5000).for_each(|number| sink.put(line(number)));
        let reading =
            std::thread::spawn(move || (0..5000).for_each(|number| assert_eq!(next(&mut reader), number)));
        drop(sink);
        reading.join().unwrap();
        let (reader, mut sink) = self::sink();
        (0..5000).for_each(|number| sink.put(line(number)));
        drop(reader);
        sink.flush();
        assert!(!sink.holds());
        assert!(sink.take_lost().unwrap() > 3000);
    }
}
