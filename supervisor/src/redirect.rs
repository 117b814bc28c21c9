//! NAT redirection to transparent listeners: installed at the start, gone with the process, however it ends.
//!
//! An `nft -i` child holds the netlink socket that owns the table (`flags owner`): the kernel lets nobody else change or
//! flush it and removes it when that socket closes. The child ends with us twice over: by the parent-death signal, and
//! because its standard input closes. Installed once while starting, and again if somebody kills the child.
//!
//! # Security
//! Its input is made of the policy (`batch.rs`); its output is nft's and goes into the log, printable and bounded.
mod batch;

pub(crate) use batch::Wanted;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{self, PipeReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

/// How long nft may take to answer; it takes some 10 ms.
const PATIENCE: Duration = Duration::from_secs(5);
/// More output than this is not read: a table of ours is far smaller.
const MAX_OUTPUT: usize = 256 * 1024;
/// Where nft is looked for, whatever the environment says.
const PATH: &str = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin";
/// A table that nobody has: nft names it in an error after everything before it is answered.
const END: &str = "inet mailward-answered";

/// The redirection; it stands as long as this lives.
#[derive(Debug)]
pub(crate) struct Redirect {
    nft: Child,
    input: Option<ChildStdin>,
    /// Kept open: nft would die of SIGPIPE at its next word.
    answers: PipeReader,
    batch: String,
    rules: usize,
}

impl Redirect {
    /// Installs what the listeners want, and asks the kernel whether it stands.
    ///
    /// # Errors
    /// A sentence with nft's own words; nothing is left behind then.
    pub(crate) fn install(wanted: &[Wanted]) -> Result<Self, String> {
        let (batch, rules) = batch::batch(wanted)?;
        let (answers, output) = io::pipe().map_err(|error| error.to_string())?;
        let mut command = Command::new("nft");
        command.arg("-i").env_clear().env("PATH", PATH).env("LC_ALL", "C").current_dir("/");
        // Interactive as it is, it would leave a history file.
        command.env("HOME", "/nonexistent");
        // Ctrl-C on a terminal is ours to act on.
        command.process_group(0);
        let errors = output.try_clone().map_err(|error| error.to_string())?;
        command.stdin(Stdio::piped()).stdout(output).stderr(errors);
        let mut nft = sandbox::tie(&mut command).spawn().map_err(|error| {
            format!("nft cannot be started ({error}): install nftables, or write method = \"none\" and redirect by rules of your own")
        })?;
        // The writing ends that nft inherited; with them open here its end would go unnoticed.
        drop(command);
        let input = nft.stdin.take();
        let mut redirect = Self { nft, input, answers, batch, rules };
        let table = batch::TABLE;
        redirect.tell(&format!("{}\nlist table {table}\nlist table {END}\n", redirect.batch));
        let said = redirect.answer();
        redirect.judge(&said)?;
        Ok(redirect)
    }

    /// The batch that was installed.
    pub(crate) fn batch(&self) -> &str {
        &self.batch
    }

    /// Whether the redirection is gone: its owner was killed.
    pub(crate) fn lost(&mut self) -> bool {
        !matches!(self.nft.try_wait(), Ok(None))
    }

    /// Ends the owner and waits for its end; the kernel removes the table before it.
    pub(crate) fn remove(&mut self) {
        self.input = None;
        let _ = self.nft.kill();
        let _ = self.nft.wait();
    }

    fn tell(&mut self, text: &str) {
        // If nft is gone, its missing answer says so.
        if let Some(input) = &mut self.input {
            let _ = input.write_all(text.as_bytes());
        }
    }

    /// What nft says to the batch and to the listing.
    fn answer(&mut self) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut said = String::new();
        let mut piece = [0; 4096];
        while said.len() < MAX_OUTPUT {
            // Its last words are an error and the line that caused it.
            if let Some(end) = said.find(END) {
                said.truncate(said.get(..end).and_then(|said| said.rfind("Error:")).unwrap_or(end));
                break;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
            let mut ready = [PollFd::new(self.answers.as_fd(), PollFlags::POLLIN)];
            match poll(&mut ready, timeout) {
                Ok(0) => break,
                Ok(_) => match self.answers.read(&mut piece) {
                    Ok(0) => break,
                    Ok(count) => {
                        said.push_str(&String::from_utf8_lossy(piece.get(..count).unwrap_or_default()));
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) => break,
                },
                Err(nix::errno::Errno::EINTR) if Instant::now() < deadline => {}
                Err(_) => break,
            }
        }
        said
    }

    /// Success is a listing that shows our rules, and no error.
    fn judge(&self, said: &str) -> Result<(), String> {
        let listed = said.lines().any(|line| line.starts_with(&format!("table {} {{", batch::TABLE)));
        if said.contains("Error:") {
            if listed {
                return Err(format!(
                    "table {} is there already: another Mailward redirects here, or it was made by hand \
                     (nft delete table {})",
                    batch::TABLE,
                    batch::TABLE
                ));
            }
            let why: Vec<&str> =
                said.lines().filter_map(|line| line.split_once("Error: ").map(|(_, why)| why)).collect();
            let why = why.first().copied().unwrap_or_default();
            let hint = if why.contains("not permitted") { " (it needs root, or CAP_NET_ADMIN)" } else { "" };
            return Err(format!("nft: {}{hint}", ipc::log::printable(why, 512)));
        }
        let rules = said.lines().filter(|line| line.contains(" tcp dport ")).count();
        if !listed || rules != self.rules {
            let said = ipc::log::printable(said, 512);
            return Err(format!("nft shows {rules} rules of {} that were asked for: {said}", self.rules));
        }
        Ok(())
    }
}

impl Drop for Redirect {
    fn drop(&mut self) {
        self.remove();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sched::{CloneFlags, unshare};
    use std::thread;

    /// Runs `test` in a network namespace of its own; without root there is none to be had.
    fn in_namespace(test: impl FnOnce() + Send) {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("skipped: needs root");
            return;
        }
        thread::scope(|scope| {
            let in_it = scope.spawn(|| {
                unshare(CloneFlags::CLONE_NEWNET).unwrap();
                test();
            });
            in_it.join().unwrap();
        });
    }

    fn nft(arguments: &[&str]) -> (bool, String) {
        let output = Command::new("nft").args(arguments).output().unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    }

    fn ruleset() -> String {
        nft(&["list", "ruleset"]).1
    }

    fn wanted() -> Wanted {
        Wanted {
            listener: "pop3".into(),
            ports: vec![(110, 110), (1100, 1110)],
            interfaces: vec!["lan0".into()],
            bound: vec!["0.0.0.0:10110".parse().unwrap(), "[::]:10110".parse().unwrap()],
            dual_stack: false,
            direct: vec!["0.0.0.0:110".parse().unwrap(), "[::]:110".parse().unwrap()],
        }
    }

    #[test]
    fn it_stands_while_it_lives_and_leaves_the_ruleset_as_it_was() {
        in_namespace(|| {
            nft(&["add table inet foreign; add chain inet foreign kept"]);
            let before = ruleset();
            let redirect = Redirect::install(&[wanted()]).unwrap();
            let rules = ruleset();
            assert!(rules.contains("flags owner"), "{rules}");
            assert!(
                rules.contains(
                    "iifname \"lan0\" meta nfproto ipv6 tcp dport { 110, 1100-1110 } redirect to :10110"
                ),
                "{rules}"
            );
            assert!(rules.contains("fib daddr type local tcp dport 110 accept"), "{rules}");
            drop(redirect);
            assert_eq!(ruleset(), before);
        });
    }

    #[test]
    fn nobody_else_can_delete_flush_or_change_it() {
        in_namespace(|| {
            let _redirect = Redirect::install(&[wanted()]).unwrap();
            let rules = ruleset();
            assert!(!nft(&["delete", "table", "inet", "mailward"]).0);
            assert!(!nft(&["flush", "chain", "inet", "mailward", "prerouting"]).0);
            nft(&["flush", "ruleset"]);
            assert_eq!(ruleset(), rules);
        });
    }

    #[test]
    fn a_second_one_is_refused_and_the_first_stays() {
        in_namespace(|| {
            let _first = Redirect::install(&[wanted()]).unwrap();
            let rules = ruleset();
            let why = Redirect::install(&[wanted()]).unwrap_err();
            assert!(why.contains("another Mailward"), "{why}");
            assert_eq!(ruleset(), rules);
        });
    }

    #[test]
    fn a_table_made_by_hand_is_not_taken_over() {
        in_namespace(|| {
            nft(&["add", "table", "inet", "mailward"]);
            let before = ruleset();
            assert!(Redirect::install(&[wanted()]).unwrap_err().contains("made by hand"));
            assert_eq!(ruleset(), before);
        });
    }

    #[test]
    fn a_killed_owner_takes_the_table_with_it_and_is_noticed() {
        in_namespace(|| {
            let mut redirect = Redirect::install(&[wanted()]).unwrap();
            assert!(!redirect.lost());
            redirect.nft.kill().unwrap();
            let deadline = Instant::now() + PATIENCE;
            while !redirect.lost() || ruleset().contains("mailward") {
                assert!(Instant::now() < deadline);
                thread::sleep(Duration::from_millis(5));
            }
            let _again = Redirect::install(&[wanted()]).unwrap();
            assert!(ruleset().contains("mailward"));
        });
    }

    #[test]
    fn it_ends_when_only_its_input_closes() {
        in_namespace(|| {
            let mut redirect = Redirect::install(&[wanted()]).unwrap();
            redirect.input = None;
            redirect.nft.wait().unwrap();
            assert!(!ruleset().contains("mailward"));
        });
    }

    #[test]
    fn what_nft_refuses_is_an_error_in_its_words_and_leaves_nothing() {
        in_namespace(|| {
            let odd = Wanted { interfaces: vec!["a-name-that-is-too-long".into()], ..wanted() };
            let why = Redirect::install(&[odd]).unwrap_err();
            assert!(why.starts_with("nft: "), "{why}");
            assert_eq!(ruleset(), "");
        });
    }
}
