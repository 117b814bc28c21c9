//! The log for people: one line for one record.
use super::word;
use ipc::log::Level;
use serde_json::Value;
use std::fmt::Write as _;

/// `time LEVEL RECORD message name=value ...`: values with blanks or odd characters are quoted and escaped.
pub(super) fn line(
    now: &str,
    level: Level,
    record: &str,
    fields: &[(&'static str, Value)],
    colour: bool,
) -> String {
    let paint = match level {
        Level::Error => "31",
        Level::Warn => "33",
        Level::Info => "32",
        Level::Debug => "2",
    };
    let mut line = String::with_capacity(256);
    let _ = if colour {
        write!(line, "{now} \x1b[{paint}m{:<5}\x1b[0m {record:<13}", word(level).to_uppercase())
    } else {
        write!(line, "{now} {:<5} {record:<13}", word(level).to_uppercase())
    };
    for (name, value) in fields {
        match value {
            Value::Null => {}
            Value::String(text) if *name == "message" => {
                let _ = write!(line, " {}", text.escape_debug());
            }
            Value::String(text) => plain(&mut line, name, text),
            Value::Array(items) => {
                for item in items {
                    let of = |key: &str| item.get(key).and_then(Value::as_str).unwrap_or_default();
                    let said = [of("statuses"), of("virus"), of("detail")];
                    let said: Vec<&str> = said.into_iter().filter(|part| !part.is_empty()).collect();
                    if of("filter").is_empty() {
                        plain(&mut line, of("engine"), &said.join(": "));
                        continue;
                    }
                    let said = [of("score"), of("symbols"), of("detail")];
                    let said: Vec<&str> = said.into_iter().filter(|part| !part.is_empty()).collect();
                    plain(&mut line, &format!("{name}.{}", of("filter")), &said.join(": "));
                }
            }
            Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
                let _ = write!(line, " {name}={value}");
            }
        }
    }
    line
}

fn plain(line: &mut String, name: &str, text: &str) {
    let simple =
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'=');
    let _ = if simple {
        write!(line, " {name}={text}")
    } else {
        write!(line, " {name}=\"{}\"", text.escape_debug())
    };
}
