//! `mailward show`: the rules, the configuration or its hash, as they take effect.
use crate::test::print;
use crate::{args, config};
use policy::effective;
use policy::load::LoadOptions;
use sha2::{Digest, Sha256};
use std::process::ExitCode;
use toml::Table;

pub(crate) fn show(arguments: &args::Show) -> ExitCode {
    let Some(configuration) = config::load(&arguments.file.config, LoadOptions::default()) else {
        return ExitCode::from(1);
    };
    let merged = effective::merge(configuration.texts());
    match arguments.what {
        args::What::Rules => table(&effective::rules(&merged), arguments.json),
        args::What::Config if arguments.defaults => table(&effective::with_defaults(merged), arguments.json),
        args::What::Config => table(&merged, arguments.json),
        args::What::Hash => {
            // Of what takes effect: comments, order of items and the cut into files change nothing.
            let text = sorted(&toml::Value::Table(effective::with_defaults(merged)));
            let hash: String = Sha256::digest(text).iter().map(|octet| format!("{octet:02x}")).collect();
            if arguments.json {
                print::json(&serde_json::json!({ "hash": hash }));
            } else {
                print::out(&format!("{hash}\n"));
            }
        }
    }
    ExitCode::SUCCESS
}

/// The value as text, with the items of tables in the order of their names.
fn sorted(value: &toml::Value) -> String {
    match value {
        toml::Value::Table(table) => {
            let mut items: Vec<String> =
                table.iter().map(|(key, value)| format!("{key:?}:{}", sorted(value))).collect();
            items.sort();
            format!("{{{}}}", items.join(","))
        }
        toml::Value::Array(list) => format!("[{}]", list.iter().map(sorted).collect::<Vec<_>>().join(",")),
        toml::Value::String(_)
        | toml::Value::Integer(_)
        | toml::Value::Float(_)
        | toml::Value::Boolean(_)
        | toml::Value::Datetime(_) => value.to_string(),
    }
}

fn table(table: &Table, json: bool) {
    if json { print::json(table) } else { print::out(&table.to_string()) }
}
