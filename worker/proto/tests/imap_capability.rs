//! What a client sees of a server's capabilities in each state, and that what is hidden is refused.
use policy::list::{IMAP_COMMANDS, NameList};
use worker_proto::imap::capability::{
    Capability, CapabilitySet, Viewer, announce, may_authenticate, may_enable,
};
use worker_proto::imap::command::Command;
use worker_proto::imap::frame::Frame;
use worker_proto::imap::verb::Verb;
use worker_proto::machine::Security;

const SERVER: &str = "IMAP4rev1 IMAP4rev2 SASL-IR LITERAL+ ID ENABLE IDLE STARTTLS AUTH=PLAIN AUTH=SCRAM-SHA-256 \
    AUTH=SCRAM-SHA-256-PLUS AUTH=EXTERNAL AUTH=GSSAPI COMPRESS=DEFLATE URLAUTH CATENATE NOTIFY CONVERT PREVIEW=FUZZY \
    LOGIN-REFERRALS JMAPACCESS UIDONLY XAPPLEPUSHSERVICE THREAD=REFERENCES SORT MOVE APPENDLIMIT=35651584 X-NEW";

fn seen(list: &[&str], security: Security, logged_in: bool) -> String {
    let list = NameList::new(list.iter().copied());
    let words = SERVER.split_ascii_whitespace().map(str::as_bytes);
    String::from_utf8(announce(
        words,
        Viewer { welcome: &NameList::default(), list: &list, security, disabled: false, logged_in },
    ))
    .expect("text")
}

#[test]
fn each_state_has_its_capabilities() {
    let rest = "ID ENABLE IDLE";
    let tail = "THREAD=REFERENCES SORT MOVE APPENDLIMIT=35651584";
    let auth = "AUTH=PLAIN AUTH=SCRAM-SHA-256";
    let all = ["*"];
    assert_eq!(
        seen(&all, Security::Clear, false),
        format!("CAPABILITY IMAP4rev1 IMAP4rev2 SASL-IR LITERAL- {rest} {auth} {tail}")
    );
    assert_eq!(
        seen(&all, Security::Offered, false),
        format!("CAPABILITY IMAP4rev1 IMAP4rev2 SASL-IR LITERAL- {rest} {auth} {tail} STARTTLS")
    );
    assert_eq!(
        seen(&all, Security::Required, false),
        format!("CAPABILITY IMAP4rev1 IMAP4rev2 LITERAL- {rest} {tail} STARTTLS LOGINDISABLED")
    );
    for security in [Security::Clear, Security::Secured] {
        assert_eq!(
            seen(&all, security, true),
            format!("CAPABILITY IMAP4rev1 IMAP4rev2 SASL-IR LITERAL+ {rest} {tail}")
        );
    }
}

#[test]
fn rules_hide_with_and_without_value() {
    let view = |list: &[&str]| seen(list, Security::Secured, false);
    assert!(!view(&["*", "!IDLE"]).contains("IDLE"));
    assert!(!view(&["*", "!IDLE"]).contains("IMAP4rev2"), "which has IDLE in itself");
    assert!(!view(&["*", "!THREAD"]).contains("THREAD"));
    assert!(!view(&["*", "!AUTH=PLAIN"]).contains("AUTH=PLAIN"));
    assert!(view(&["*", "!AUTH=PLAIN"]).contains("AUTH=SCRAM-SHA-256"));
    let few = view(&["IDLE", "AUTH=PLAIN"]);
    assert_eq!(few, "CAPABILITY IMAP4rev1 IDLE AUTH=PLAIN");
}

#[test]
fn mechanisms_that_are_hidden_are_refused() {
    let all = NameList::new(["*"]);
    let few = NameList::new(["*", "!AUTH=PLAIN"]);
    let may = |mechanism: &[u8], list, welcome| {
        may_authenticate(
            mechanism,
            Viewer { list, welcome, security: Security::Clear, disabled: false, logged_in: false },
        )
    };
    assert!(may(b"plain", &all, &all) && may(b"XOAUTH2", &all, &all));
    assert!(!may(b"SCRAM-SHA-1-PLUS", &all, &all) && !may(b"EXTERNAL", &all, &all));
    // The rule's list and the listener's each hide.
    for (list, welcome) in [(&few, &all), (&all, &few)] {
        assert!(!may(b"PLAIN", list, welcome) && may(b"LOGIN", list, welcome));
    }
    let permitted = CapabilitySet::permitted(&all);
    assert!(may_enable(b"utf8=accept", permitted) && may_enable(b"CONDSTORE", permitted));
    assert!(!may_enable(b"UIDONLY", permitted) && !may_enable(b"IDLE", permitted));
    assert!(!may_enable(b"QRESYNC", CapabilitySet::permitted(&NameList::new(["*", "!CONDSTORE"]))));
}

#[test]
fn a_command_is_refused_where_what_it_uses_is_hidden() {
    for (line, capability) in [
        ("ID NIL", Capability::Id),
        ("ENABLE CONDSTORE", Capability::Enable),
        ("IDLE", Capability::Idle),
        ("NAMESPACE", Capability::Namespace),
        ("UNSELECT", Capability::Unselect),
        ("UID EXPUNGE 1", Capability::UidPlus),
        ("MOVE 1 x", Capability::Move),
        ("UID MOVE 1 x", Capability::Move),
        ("REPLACE 1 x {1+}\r\nx", Capability::Replace),
        ("APPEND x {1+}\r\nx {1+}\r\ny", Capability::MultiAppend),
        ("APPEND x ~{1+}\r\nx", Capability::Binary),
        ("APPEND x UTF8 (~{1+}\r\nx)", Capability::Utf8Accept),
        ("CREATE x (USE (\\Sent))", Capability::CreateSpecialUse),
        ("LIST (SPECIAL-USE) \"\" *", Capability::SpecialUse),
        ("LIST \"\" (a b)", Capability::ListExtended),
        ("LIST \"\" * RETURN (STATUS (MESSAGES))", Capability::ListStatus),
        ("LIST \"\" * RETURN (MYRIGHTS)", Capability::ListMyRights),
        ("STATUS x (SIZE)", Capability::StatusSize),
        ("STATUS x (MAILBOXID)", Capability::ObjectId),
        ("SELECT x (CONDSTORE)", Capability::Condstore),
        ("SELECT x (QRESYNC (1 1))", Capability::Qresync),
        ("FETCH 1 MODSEQ", Capability::Condstore),
        ("FETCH $ FLAGS", Capability::SearchRes),
        ("FETCH 1 FLAGS (CHANGEDSINCE 1)", Capability::Condstore),
        ("UID FETCH 1 FLAGS (CHANGEDSINCE 1 VANISHED)", Capability::Qresync),
        ("FETCH 1 FLAGS (PARTIAL 1:2)", Capability::Partial),
        ("FETCH 1 BINARY.SIZE[1]", Capability::Binary),
        ("FETCH 1 (EMAILID)", Capability::ObjectId),
        ("FETCH 1 (SAVEDATE)", Capability::SaveDate),
        ("STORE 1 (UNCHANGEDSINCE 1) FLAGS ()", Capability::Condstore),
        ("SEARCH RETURN (COUNT) ALL", Capability::Esearch),
        ("SEARCH RETURN (SAVE) ALL", Capability::SearchRes),
        ("SEARCH NOT (OR YOUNGER 1 ALL)", Capability::Within),
        ("SEARCH SAVEDON 1-Jan-2020", Capability::SaveDate),
        ("SORT (DISPLAYFROM) UTF-8 ALL", Capability::SortDisplay),
        ("SORT (DATE) UTF-8 ALL", Capability::Sort),
        ("UID THREAD REFERENCES UTF-8 ALL", Capability::Thread),
        ("GETQUOTAROOT x", Capability::Quota),
        ("MYRIGHTS x", Capability::Acl),
        ("GETMETADATA \"\" /shared/x", Capability::MetadataServer),
        ("AUTHENTICATE PLAIN AA==", Capability::SaslIr),
    ] {
        let text = format!("a {line}");
        let command = Command::parse(Frame { text: text.as_bytes(), elided: &[] }, true).expect(line);
        let hidden = ["*".to_owned(), format!("!{}", capability.name())];
        let permitted = CapabilitySet::permitted(&NameList::new(hidden.iter().map(String::as_str)));
        assert!(command.uses().beyond(permitted).is_some(), "{line}");
        assert!(command.uses().contains(capability), "{line}");
        assert_eq!(command.uses().beyond(CapabilitySet::permitted(&NameList::new(["*"]))), None, "{line}");
    }
}

#[test]
fn the_rules_know_the_verbs_by_the_same_names() {
    let names: Vec<&str> = Verb::ALL.into_iter().map(Verb::name).collect();
    assert_eq!(names, IMAP_COMMANDS);
}
