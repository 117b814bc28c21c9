//! What an operator reads when a file is wrong. Each case is a file; its snapshot is the whole output.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
use policy::load::{LoadOptions, load, render};
use std::path::{Path, PathBuf};

/// Listener, session-acl and engine of a good file, for cases about something else.
const REST: &str = "
[[listener]]
protocol = \"pop3\"
tls = \"off\"
[[session-acl]]
[[command-acl]]
plug-to = [\"mail.example.net\"]
server-tls = \"off\"
[antivirus.clamd]
";

fn outcome(main: &str, included: &[(&str, &str)]) -> String {
    let include = |pattern: &Path| {
        let folder = pattern.parent().unwrap();
        let found = included.iter().filter(|(path, _)| {
            let path = Path::new(path);
            path.parent() == Some(folder)
                && policy::load::include_matches(pattern, &path.file_name().unwrap().to_string_lossy())
        });
        let found: Vec<_> = found.map(|(path, text)| (PathBuf::from(path), (*text).to_owned())).collect();
        if found.is_empty() { Err("no such file".to_owned()) } else { Ok(found) }
    };
    let options = LoadOptions { demo: false, cores: 2 };
    let problems = match load(Path::new("mailward.toml"), main, &include, options) {
        Ok(loaded) => loaded.notes,
        Err(problems) => problems,
    };
    let drawn = problems.iter().map(|problem| {
        let text =
            included.iter().find(|(path, _)| Path::new(path) == problem.file).map_or(main, |(_, text)| text);
        render(problem, text, false)
    });
    drawn.collect::<Vec<_>>().join("\n")
}

macro_rules! cases {
    ($($name:ident: $text:expr;)*) => { $(
        #[test]
        fn $name() {
            insta::assert_snapshot!(outcome(&$text, &[]));
        }
    )* };
}

fn with_rest(head: &str) -> String {
    format!("version = 1\n{head}{REST}")
}

/// A good file whose command-acl has these lines too.
fn with_command(lines: &str) -> String {
    format!(
        "version = 1\n{}",
        REST.replace("server-tls = \"off\"\n", &format!("server-tls = \"off\"\n{lines}\n"))
    )
}

/// A good file whose listener has these lines too.
fn with_listener(lines: &str) -> String {
    format!("version = 1\n{}", REST.replace("tls = \"off\"\n[[s", &format!("tls = \"off\"\n{lines}\n[[s")))
}

cases! {
    an_empty_file_lacks_everything: "";
    syntax_errors_do_not_hide_each_other: with_rest("[log\nlevel = \"info\"\n[login]\ndeadline = \n");
    a_wrong_version_is_refused: format!("version = 2\n{REST}");
    an_unknown_section_gets_the_nearest_name: with_rest("[loging]\nlevel = \"info\"\n");
    an_unknown_item_gets_the_nearest_name: with_rest("[login]\nfailure_limit = 3\nbadcommand-limit = 4\n");
    an_unknown_item_far_from_any_name_gets_the_list: with_rest("[login]\ncolour = \"blue\"\n");
    sections_of_later_versions_are_named_as_such:
        with_rest("[metrics]\nlisten = \"127.0.0.1:9187\"\n[client-tls.lan]\n[[doc-acl]]\nname = \"x\"\n[route.x]\n");
    items_of_later_versions_are_named_as_such:
        with_rest("[service]\nconnection-rate = \"10/s\"\ntz = \"local\"\n[log]\noutput = \"stderr\"\n[login]\nthrottle = {}\n");
    wrong_types_say_what_was_expected:
        with_rest("standard-rules = \"yes\"\n[service]\nworkers = 2.5\nbacklog = true\nspool-dir = 7\n[log]\nlevel = [\"info\"]\n");
    sizes_need_a_known_unit: with_rest("[service]\nspool-memory = \"512MB\"\nspool-file-above = \"1.5MiB\"\ncopy-cache = true\n");
    sizes_have_bounds: with_rest("[service]\nspool-file-above = 12\n");
    durations_need_a_unit: with_rest("[login]\ndeadline = 60\nfailure-delay = \"2 seconds\"\n");
    durations_have_a_floor: with_rest("[login]\ndeadline = \"0\"\n");
    numbers_have_bounds: with_rest("[service]\nscanner-lives = 0\nmax-sessions = -1\nworkers = 5000\n");
    words_get_the_nearest_word: with_rest("[service]\nisolation = \"sesion\"\nrequire-sandbox = \"none\"\n[log]\nformat = \"perdition\"\n");
    relative_paths_are_refused: with_rest("[service]\nstate-dir = \"var/mailward\"\n");
    accounts_are_numbers_and_differ:
        with_rest("[service]\naccounts = { worker = \"mail\", scanner = 71, lookup = \"71\", keeper = 1 }\nuid-range = \"10-1\"\n");
    a_quarantine_is_checked: with_rest("[quarantine]\nenabled = 1\nkeep = \"1m\"\nmax-size = \"1KiB\"\nwithout-quarantine = \"delete\"\n");
    name_servers_are_addresses: with_rest("[resolver]\nservers = [\"dns.example.net\", \"192.0.2.1\", 3]\n");
    tls_left_out_is_not_guessed: "version = 1\n[[listener]]\nprotocol = \"pop3\"\n[[session-acl]]\n[[command-acl]]\nplug-to = [\"mail.example.net\"]\n[antivirus.clamd]\n";
    tls_needs_a_certificate_and_known_names:
        format!("version = 1\n{}", REST.replace("tls = \"off\"\n[[s", "tls = \"starttls\"\n[[s").replace("server-tls = \"off\"", "server-tls = \"public\""));
    tls_towards_clients_is_checked:
        with_rest("[client-tls.a]\ncertificates = [{ cert = \"mail.pem\" }]\nversions = [\"1.1\"]\nciphers = [\"TLS_AES_256_GCM_SHA385\", \"RC4\"]\nclient-certificates = \"required\"\ndeadline = \"10ms\"\n[client-tls.b]\ncertificates = []\n[[listener]]\nname = \"s\"\nprotocol = \"pop3\"\n[[session-acl]]\ntls = \"starttls\"\nclient-tls = \"c\"\n");
    a_rule_that_asks_for_a_certificate_needs_sessions_that_learn_one:
        "version = 1\n[client-tls.a]\ncertificates = [{ cert = \"/a.pem\", key = \"/a.key\" }]\n[[listener]]\nprotocol = \"pop3\"\n[[session-acl]]\n[[command-acl]]\nclient-certificate = [{ san = \"*@example.net\" }]\nplug-to = [\"mail.example.net\"]\n[[command-acl]]\nclient-certificate = [{ san = \"*@example.net\" }]\nplug-to = [\"mail.example.net\"]\n[antivirus.clamd]\n";
    credentials_have_the_names_that_systemd_gives_them:
        with_rest("[client-tls.a]\ncertificates = [{ cert = \"credential:cert\", key = \"credential:../a.key\", passphrase-file = \"credential:\" }]\n");
    interception_is_checked:
        with_rest("[client-tls.a]\ncertificates = [{ cert = \"/a.pem\", key = \"/a.key\" }]\n[client-tls.a.intercept]\nuntrusted-ca = { cert = \"/b.pem\" }\nbypass = [\"*.bank.example\", \"192.0.2.0/24\", \"!192.0.2.1\", \"192.0.2.1/40\"]\ncertificate-asked = \"accept\"\n");
    an_interception_that_no_connection_meets_is_told:
        with_rest("[client-tls.a]\ncertificates = [{ cert = \"/a.pem\", key = \"/a.key\" }]\nintercept = { ca = { cert = \"/ca.pem\", key = \"/ca.key\" } }\n[[listener]]\nname = \"s\"\nprotocol = \"pop3\"\n");
    required_certificates_need_an_authority:
        "version = 1\n[client-tls.a]\ncertificates = [{ cert = \"/a.pem\", key = \"/a.key\" }]\n[[listener]]\nprotocol = \"pop3\"\n[[session-acl]]\nrequire-client-certificate = [{ san = \"*@example.net\" }]\n[[command-acl]]\nplug-to = [\"mail.example.net\"]\n[antivirus.clamd]\n";
    tls_towards_servers_is_checked:
        with_rest("[server-tls.off]\n[server-tls.a]\nmode = \"starttls\"\nverify = \"fingerprint\"\n[server-tls.b]\nverify = \"chain\"\naccept = [\"expired\", \"revoked\"]\ndepth = 9\nname = \"a b\"\nfingerprints = [\"12:34\"]\nca = \"ca.pem\"\n[server-tls.c]\nmode = \"opportunistic\"\n[server-tls.d]\nverify = \"none\"\n");
    other_protocols_are_not_in_this_version:
        format!("version = 1\n{}\n[[command-acl]]\naction = \"deny\"\nprotocol = [\"imap\"]\n", REST.replace("\"pop3\"", "\"imap\""));
    listen_addresses_are_checked:
        with_listener("address = [\"mail.example.net:110\", \"192.0.2.1:99999\", \"unix:/run/x\", \"*:1100-1110\", \"[::]:0\", \"*:110\"]");
    one_string_is_no_list: with_listener("address = \"*:110\"");
    an_address_is_taken_once: with_rest("[[listener]]\nname = \"first\"\nprotocol = \"pop3\"\ntls = \"off\"\naddress = [\"0.0.0.0:110\"]\n");
    transparent_listeners_are_checked:
        with_listener("transparent = { method = \"tproxy\", ports = [\"x\", \"120-110\"], interfaces = [\"a name\"], mark = 3 }");
    method_none_makes_ports_useless: with_listener("transparent = { method = \"none\", ports = [\"110\"] }");
    a_tenant_has_a_name: with_rest("[[tenant]]\n[[tenant]]\nname = \"default\"\n[[tenant]]\nname = \"a\"\n[[tenant]]\nname = \"a\"\nmax-sessions = 3\n");
    single_brackets_for_a_list_of_tables: "version = 1\n[listener]\nprotocol = \"pop3\"\n";
    names_are_given_once: with_rest("[[session-acl]]\nname = \"lan\"\n[[session-acl]]\nname = \"lan\"\n");
    unknown_names_get_the_nearest_name:
        with_command("session-acl = [\"session-acl-2\"]\nlistener = [\"pop3\"]\ntenant = [\"acme\"]\n[command-acl.download]\nantivirus = [\"clamav\"]\nmail-filter = \"strict\"");
    empty_conditions_are_ambiguous: with_command("from = []\ncommands = []");
    host_lists_are_checked:
        with_command("from = [\"10.1.2.3/8\", \"10.0.0.0/33\", \"10.0.0.0/255.0.255.0\", \"10.0.0.9-10.0.0.1\", \"10.0.0.1-::1\", \"10.0.0\", \"mail.example.net\", \"*.example.net\", \"/x.*/\", \"@lan\", \"!\"]");
    host_lists_name_no_circle:
        with_rest("[host-list.a]\nhosts = [\"@b\"]\n[host-list.b]\nhosts = [\"@a\"]\n[host-list.c]\n");
    servers_are_checked:
        with_command("").replace("[\"mail.example.net\"]", "[\"mail..example.net\", \"192.0.2.1:0\", \"0.0.0.0\", \"[::1\", \"[192.0.2.1]\", \"192.0.2\", \"mail.example.net:pop3\"]");
    a_session_must_have_somewhere_to_go: with_command("").replace("plug-to = [\"mail.example.net\"]\n", "");
    mail_must_not_come_back: with_command("").replace("mail.example.net", "localhost");
    mail_must_not_come_back_by_address:
        with_listener("address = [\"192.0.2.1:110\"]").replace("mail.example.net", "192.0.2.1");
    expressions_are_compiled: with_command("from = [\"/pc(/\", \"/[z-a]/\"]");
    a_server_has_no_confirmed_name:
        with_command("").replace("[[session-acl]]", "[[session-acl]]\nto = [\"*.example.net\"]");
    a_list_is_named_with_its_sign:
        with_command("from = [\"lan\", \"!lan\"]\n[host-list.lan]\nhosts = [\"10.0.0.0/8\"]");
    commands_are_checked: with_command("commands = [\"RETRY\", \"FROB\", \"STLS\", \"UNKNOWN\", \"!APOP\"]");
    items_of_a_later_command_acl:
        with_command("user = [\"*\"]\nroute = \"directory\"\nenforce = \"monitor\"\nmetadata = \"lazy\"\nserver-conn = { buffer = 1 }\n[command-acl.download]\nantispam = []\n[command-acl.upload]\nmax-mail = 1");
    line_lengths_have_the_rfcs_floor: with_command("cmd-line-len = 100\nresp-line-len = 511\n[command-acl.download]\nmail-line-len = 999");
    engines_and_spam_filters_are_checked:
        with_rest("[antivirus.a]\n[antivirus.b]\ntype = \"icap\"\n[antivirus.c]\ntype = \"icap\"\nurl = \"http://av/x\"\nserver-tls = \"system\"\n[antivirus.d]\ntype = \"clamd\"\nsocket = \"tls:/run/x\"\n[antivirus.e]\ntype = \"clamd\"\nsocket = \"tls:av.example.net:3310\"\nserver-tls = \"off\"\n[antispam.f]\ntype = \"rspamd\"\nurl = \"http://127.0.0.1:11333/checkv2\"\n[antispam.builtin]\nrules = [{ name = \"X\", score = \"2\" }, { name = \"X\", score = 2.5555 }, { score = 1 }]\n");
    scanning_needs_an_engine: with_command("").replace("[antivirus.clamd]\n", "");
    the_test_signature_is_no_protection: with_command("").replace("[antivirus.clamd]", "[antivirus.builtin]\nsignatures = [\"builtin:test\"]");
    no_engine_demanded_defers_everything: with_command("[command-acl.download]\nantivirus = []");
    engines_are_checked:
        with_rest("[antivirus.other]\nport = 3\n[antivirus.gateway]\ntype = \"icap\"\nurl = \"icap://x\"\n[antivirus.c2]\ntype = \"clamd\"\nsocket = \"av.example.net:3310\"\n[antivirus.c3]\ntype = \"clamd\"\nsocket = \"tls:av:3310\"\ntimeout = 60\n[antivirus.builtin]\nsignatures = [\"builtin:all\", \"rules\"]\n");
    mail_filters_have_limits_only: with_rest("[mail-filter.default]\nmax-part = 10\nmax-depth = 0\nnul-bytes = \"correct\"\n");
    mail_rules_are_checked:
        with_rest("[[mail-acl]]\nvirus = [\"infectd\"]\n[[mail-acl]]\naction = \"replace\"\nreplace = \"parts\"\nvirus = []\n[[mail-acl]]\nname = \"standard-bad\"\naction = \"drop\"\ncommand-acl = [\"staff\"]\ndirection = [\"download\"]\n");
    a_rule_that_accepts_names_its_statuses: with_rest("[[mail-acl]]\naction = \"accept\"\n");
    a_mail_rule_that_never_decides:
        with_rest("[[mail-acl]]\nvirus = [\"infected\", \"error\"]\naction = \"defer\"\n[[mail-acl]]\nname = \"late\"\nvirus = [\"infected\"]\naction = \"deny\"\n");
    mail_rules_without_a_catch_all:
        with_rest("standard-rules = false\n[[mail-acl]]\nvirus = [\"clean\"]\naction = \"accept\"\n");
    replace_belongs_to_rules_that_replace: with_rest("[[mail-acl]]\nvirus = [\"infected\"]\naction = \"deny\"\nreplace = \"body\"\n");
    rules_that_nothing_gets_to_are_told:
        with_rest("[[tenant]]\nname = \"acme\"\n[[listener]]\nname = \"theirs\"\ntenant = \"acme\"\nprotocol = \"pop3\"\ntls = \"off\"\naddress = [\"*:1110\"]\n[[session-acl]]\nname = \"first\"\nlistener = [\"pop3-110\"]\n[[session-acl]]\nname = \"second\"\nlistener = [\"pop3-110\"]\nfrom = [\"192.0.2.1\"]\n[[session-acl]]\nname = \"mixed\"\ntenant = [\"acme\"]\nlistener = [\"pop3-110\"]\n[[session-acl]]\nname = \"nat\"\ntransparent = true\n[[command-acl]]\nname = \"nobodys\"\nsession-acl = [\"mixed\"]\nplug-to = [\"mail.example.net\"]\nserver-tls = \"off\"\n")
            .replace("[[session-acl]]\n[[command-acl]]\n", "[[command-acl]]\n");
    sessions_that_no_rule_takes_are_told: with_command("listener = [\"theirs\"]")
        .replace("[[session-acl]]", "[[listener]]\nname = \"theirs\"\nprotocol = \"pop3\"\ntls = \"off\"\naddress = [\"*:1110\"]\n[[session-acl]]\nlistener = [\"pop3-110\"]\n[[session-acl]]");
    user_ids_are_nobody_elses:
        with_rest("[service]\naccounts = { worker = 2147000003, lookup = 71 }\nuid-range = \"2147000000-2147000003\"\n[[tenant]]\nname = \"acme\"\n");
    a_mail_must_fit_somewhere: with_rest("[service]\nspool-memory = \"16MiB\"\nspool-file-above = \"17MiB\"\n");
    named_sections_need_their_name:
        with_rest("[host-list]\nhosts = [\"192.0.2.1\"]\n").replace("[antivirus.clamd]", "[antivirus]\nsocket = \"auto\"");
    an_item_stands_once_in_a_section: with_rest("[login]\ndeadline = \"30s\"\ndeadline = \"40s\"\n[log]\n[log]\n");
    a_rule_that_denies_has_no_server: with_rest("[[command-acl]]\naction = \"deny\"\nfrom = [\"192.0.2.1\"]\nplug-to = [\"mail.example.net\"]\n");
    control_characters_do_not_reach_the_terminal: with_rest("[log]\nlevel = \"\\u001b[2J\"\n");
}

#[test]
fn a_missing_include_is_an_error_at_its_pattern() {
    insta::assert_snapshot!(outcome(&with_rest("include = [\"conf.d/*.toml\", \"*/x.toml\", 3]\n"), &[]));
}

#[test]
fn the_same_section_in_two_files_names_both_places() {
    let included = [
        ("conf.d/b.toml", "[log]\nlevel = \"info\"\n[antivirus.clamd]\n[[tenant]]\nname = \"b\"\n"),
        ("conf.d/a.toml", "version = 1\ninclude = []\n[[tenant]]\nnam = \"a\"\n"),
        ("conf.d/.hidden.toml", "nonsense"),
    ];
    insta::assert_snapshot!(outcome(
        &with_rest("include = [\"conf.d/*.toml\"]\n[log]\nlevel = \"warn\"\n"),
        &included
    ));
}

#[test]
fn a_file_is_included_once() {
    let included = [("conf.d/a.toml", "[[tenant]]\nname = \"a\"\n")];
    insta::assert_snapshot!(outcome(
        &with_rest("include = [\"conf.d/*.toml\", \"conf.d/a.toml\"]\n"),
        &included
    ));
}

#[test]
fn colour_marks_the_word_and_the_carets() {
    let problems = load(
        Path::new("mailward.toml"),
        "version = 2\n",
        &|_| Ok(Vec::new()),
        LoadOptions { demo: false, cores: 1 },
    )
    .unwrap_err();
    let wrong = problems.iter().find(|problem| problem.message.contains("reads")).unwrap();
    insta::assert_snapshot!(render(wrong, "version = 2\n", true).escape_debug().to_string());
}

/// A file with this rule for mails and this listener; what is warned of.
fn marks(protocol: &str, command: &str, rule: &str) -> String {
    let file = with_command(command).replace("protocol = \"pop3\"", &format!("protocol = \"{protocol}\""));
    outcome(
        &format!("{file}[[mail-acl]]\nname = \"mark\"\nvirus = [\"clean\"]\naction = \"accept\"\n{rule}"),
        &[],
    )
}

#[test]
fn keywords_that_no_mail_can_have_are_told_and_others_are_not() {
    let never = "this rule sets keywords, which only mails that are downloaded by IMAP have: it never does";
    let keyword = "keyword = [\"$Junk\"]\n";
    assert_eq!(marks("imap", "", keyword), "");
    assert_eq!(marks("imap", "metadata = \"strict\"", &format!("{keyword}protocol = [\"imap\"]\n")), "");
    for (protocol, command, more) in [
        ("pop3", "", ""),
        ("imap", "", "protocol = [\"pop3\"]\n"),
        ("imap", "", "direction = [\"upload\"]\n"),
        ("imap", "protocol = [\"pop3\"]", ""),
        ("imap", "[command-acl.download]\nno-mail-scanning = true", ""),
    ] {
        let told = marks(protocol, command, &format!("{keyword}{more}"));
        assert!(told.contains(never), "{protocol} {command} {more}: {told}");
        assert!(told.contains("remove `keyword`, or limit the rule less"), "{told}");
    }
    insta::assert_snapshot!(marks("pop3", "", keyword));
}

#[test]
fn header_changes_that_clients_of_imap_do_not_see_are_told_and_others_are_not() {
    let unseen =
        "this rule changes headers, which a client of IMAP has seen before the mail is judged: under";
    for change in [
        "subject-prefix = \"[?] \"\n",
        "add-header = [{ name = \"X-Checked\", value = \"yes\" }]\n",
        "replace-header = [{ name = \"X-Checked\", value = \"yes\" }]\n",
        "remove-header = [\"X-Checked\"]\n",
    ] {
        let told = marks("imap", "", change);
        assert!(told.contains(unseen), "{change}: {told}");
        assert!(told.contains("write metadata = \"strict\" there, or protocol = [\"pop3\"] here"), "{told}");
        for (protocol, command, more) in [
            ("pop3", "", ""),
            ("imap", "metadata = \"strict\"", ""),
            ("imap", "", "protocol = [\"pop3\"]\n"),
            ("imap", "", "direction = [\"upload\"]\n"),
        ] {
            assert_eq!(
                marks(protocol, command, &format!("{change}{more}")),
                "",
                "{protocol} {command} {more}"
            );
        }
    }
    insta::assert_snapshot!(marks("imap", "", "subject-prefix = \"[?] \"\n"));
}
