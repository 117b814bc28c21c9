//! `mailward init`: the first configuration, from what is found on this machine and at most four answers.
mod draft;
mod find;
mod protocol;

use crate::test::print;
use crate::{args, config};
use draft::Draft;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, BufRead, IsTerminal, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::process::ExitCode;

/// Attempts at one answer.
const ATTEMPTS: usize = 5;

pub(crate) fn init(arguments: &args::Init) -> ExitCode {
    let target = &arguments.file.config;
    if !arguments.print && target.symlink_metadata().is_ok() {
        config::say(&format!(
            "mailward: {} exists and is left as it is; --print shows what would be written\n",
            target.display()
        ));
        return ExitCode::from(1);
    }
    let found = find::everything();
    let asks = io::stdin().is_terminal() && !arguments.yes;
    if !arguments.print {
        print::out(&found.told());
    }
    let draft = match answers(arguments, found, asks) {
        Ok(draft) => draft,
        Err(why) => {
            config::say(&format!("mailward: {why}\n"));
            return ExitCode::from(2);
        }
    };
    if arguments.print {
        print::out(&draft.text());
        return ExitCode::SUCCESS;
    }
    if let Err(error) = write(target, &draft.text()) {
        config::say(&format!("mailward: {}: {error}\n", target.display()));
        return ExitCode::from(3);
    }
    let path = target.display();
    print::out(&format!(
        "\nWritten: {path}\n\nWhat it says, checked; what would happen to a client; and serve:\n  \
         mailward check -c {path}\n  mailward test -c {path} --from {}\n  mailward run -c {path}\n",
        draft.some_client()
    ));
    ExitCode::SUCCESS
}

/// Flags first, then answers, then what was found.
fn answers(arguments: &args::Init, found: find::Found, asks: bool) -> Result<Draft, String> {
    let mut draft = Draft::from(found);
    let given = |list: &[String]| (!list.is_empty()).then(|| list.to_vec());
    if let Some(server) = &arguments.server {
        draft.server = Some(server.clone());
    }
    if let Some(clients) = given(&arguments.clients) {
        draft.clients = clients;
    }
    if let Some(listen) = given(&arguments.listen) {
        draft.listen = listen;
    }
    if let Some(clamd) = &arguments.clamd {
        draft.clamd = Some(clamd.clone());
    }
    if let (Some(cert), Some(key)) = (&arguments.certificate, &arguments.key) {
        draft.certificate = Some([cert, key].map(|path| path.display().to_string()));
    }
    if asks {
        if arguments.server.is_none() {
            let known = draft.server.clone().unwrap_or_default();
            ask(
                &mut draft,
                "Which mail server?  name or address, with a port if that is not the usual one",
                &known,
                |draft, answer| {
                    draft.server = (!answer.is_empty()).then(|| answer.to_owned());
                },
            )?;
        }
        if arguments.clients.is_empty() {
            let known = draft.clients.join(", ");
            ask(&mut draft, "Who may connect?  networks, with commas between", &known, |draft, answer| {
                draft.clients = list(answer);
            })?;
        }
        if arguments.listen.is_empty() {
            let known = draft.places().join(", ");
            ask(
                &mut draft,
                "Where shall clients connect?  address:port, * is every address; 143 and 993 are IMAP, 110 and 995 POP3",
                &known,
                |draft, answer| {
                    draft.listen = list(answer);
                },
            )?;
        }
        if arguments.clamd.is_none() && draft.clamd.is_none() {
            ask(&mut draft, "Where is clamd?  a path or address:port", "auto", |draft, answer| {
                draft.clamd = (answer != "auto").then(|| answer.to_owned());
            })?;
        }
    }
    if draft.server.is_none() {
        return Err("which mail server? --server names it: --server mail.example.net".to_owned());
    }
    let protocols: Vec<_> = draft.protocols().into_iter().map(|(protocol, _)| protocol).collect();
    draft.server_tls = draft.server.as_deref().is_some_and(|server| find::offers_tls(server, &protocols));
    draft.check()?;
    Ok(draft)
}

fn list(answer: &str) -> Vec<String> {
    answer.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

/// Asks until the answer makes a configuration that loads. Nothing typed takes what is known.
fn ask(draft: &mut Draft, question: &str, known: &str, put: impl Fn(&mut Draft, &str)) -> Result<(), String> {
    for _ in 0..ATTEMPTS {
        let shown = if known.is_empty() { String::new() } else { format!(" [{known}]") };
        print::out(&format!("{question}{shown}\n> "));
        let _ = io::stdout().flush();
        let mut line = String::new();
        if !matches!(io::stdin().lock().read_line(&mut line), Ok(1..)) {
            return Err("no answer: nothing was written".to_owned());
        }
        let answer = if line.trim().is_empty() { known } else { line.trim() };
        put(draft, answer);
        match draft.check() {
            Ok(()) if draft.server.is_some() => return Ok(()),
            Ok(()) => print::out("  it is needed\n"),
            Err(why) => print::out(&format!("  {why}\n")),
        }
    }
    Err("no answer that can be used: nothing was written".to_owned())
}

/// Writes a file that is not there yet, for its owner and its group.
fn write(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o640).open(path)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    if written.is_err() {
        // Half a file would be in the way of the next attempt.
        let _ = std::fs::remove_file(path);
    }
    written
}
