//! Commands and responses of IMAP: what is read, what is written from it, what is refused.
#![expect(clippy::panic, reason = "a surprise is a failed test")]
use worker_proto::imap::command::{Command, Why};
use worker_proto::imap::frame::{Bounds, Frame, Framer, Step};
use worker_proto::imap::response::Response;
use worker_proto::imap::write::{Literals, Writer};
use worker_proto::machine::Side;

const WIDE: Bounds = Bounds { line: 65_536, literal: 65_536, literals: 65_536 };

/// Frames that keep every literal.
fn frames(side: Side, bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut framer = Framer::new(side, WIDE);
    let mut frames = Vec::new();
    let mut rest = bytes;
    loop {
        match framer.next(&mut rest).expect("frames") {
            Step::More => return frames,
            Step::Announced(_) => assert!(framer.keep()),
            Step::Frame(frame) => frames.push(frame.text.to_vec()),
            Step::Piece(_) | Step::LiteralEnd => panic!("nothing is streamed here"),
        }
    }
}

fn whole(text: &[u8]) -> Frame<'_> {
    Frame { text, elided: &[] }
}

/// What a server with LITERAL+ gets for a command, or what is wrong with it.
fn command(line: &str) -> String {
    let frames = frames(Side::Client, format!("{line}\r\n").as_bytes());
    let [frame] = frames.as_slice() else { panic!("{line:?} is {} frames", frames.len()) };
    match Command::parse(whole(frame), false) {
        Ok(command) => {
            let (mut out, mut stops) = (Vec::new(), Vec::new());
            command.write(command.tag, &mut Writer::to_server(&mut out, &mut stops, Literals::Plus, false));
            assert!(stops.is_empty());
            let written = String::from_utf8(out).expect("text");
            assert_eq!(
                Command::parse(whole(written.trim_end().as_bytes()), false).as_ref(),
                Ok(&command),
                "{written}"
            );
            written.trim_end().to_owned()
        }
        Err(refusal) => match refusal.why {
            Why::Malformed(wrong) => format!("{} at {}", wrong.what, wrong.at),
            Why::Tag | Why::Unknown => format!("{:?}", refusal.why),
        },
    }
}

fn response(line: &str) -> String {
    let frames = frames(Side::Server, format!("{line}\r\n").as_bytes());
    let [frame] = frames.as_slice() else { panic!("{line:?} is {} frames", frames.len()) };
    match Response::parse(whole(frame)) {
        Ok(response) => {
            let mut out = Vec::new();
            response.write(&mut Writer::to_client(&mut out, false));
            let written = String::from_utf8(out).expect("text");
            let line = written.strip_suffix("\r\n").expect("a line");
            let mut again = Vec::new();
            let parsed =
                Response::parse(whole(line.as_bytes())).unwrap_or_else(|wrong| panic!("{wrong:?} in {line}"));
            parsed.write(&mut Writer::to_client(&mut again, false));
            assert_eq!(written.as_bytes(), again, "written once and again");
            line.to_owned()
        }
        Err(wrong) => format!("{} at {}", wrong.what, wrong.at),
    }
}

/// All rows that differ are told at once.
#[derive(Default)]
struct Table(Vec<String>);

impl Table {
    fn row(&mut self, input: &str, is: &str, should_be: &str) {
        if is != should_be {
            self.0.push(format!("{input:?}\n  is        {is:?}\n  should be {should_be:?}"));
        }
    }

    fn check(self) {
        assert!(self.0.is_empty(), "{}", self.0.join("\n"));
    }
}

#[test]
fn commands_pass_as_they_are() {
    let mut table = Table::default();
    for line in [
        "a CAPABILITY",
        "a NOOP",
        "a1.b LOGOUT",
        "a STARTTLS",
        "a ID NIL",
        "a ID (\"name\" \"x\" \"version\" NIL)",
        "a ENABLE CONDSTORE UTF8=ACCEPT",
        "a LOGIN ann secret",
        "a LOGIN \"an n\" \"se\\\"cr\\\\et\"",
        "a AUTHENTICATE PLAIN",
        "a AUTHENTICATE PLAIN =",
        "a AUTHENTICATE PLAIN AGEAYg==",
        "a SELECT INBOX",
        "a SELECT \"a b\" (CONDSTORE)",
        "a SELECT INBOX (QRESYNC (67890007 20050715194045000 41,43:211,214:541 (1:4 5:8)))",
        "a SELECT INBOX (CONDSTORE QRESYNC (1 2))",
        "a EXAMINE INBOX",
        "a CREATE x/y",
        "a CREATE x (USE (\\Sent \\Drafts))",
        "a DELETE x",
        "a RENAME x y",
        "a SUBSCRIBE x",
        "a UNSUBSCRIBE x",
        "a LIST \"\" *",
        "a LIST \"\" %/%",
        "a LIST (SUBSCRIBED RECURSIVEMATCH) \"\" (INBOX Drafts Sent/%) RETURN (CHILDREN SPECIAL-USE STATUS (MESSAGES UNSEEN))",
        "a LIST (SPECIAL-USE) \"\" *",
        "a LSUB \"\" *",
        "a NAMESPACE",
        "a STATUS \"a b\" (MESSAGES UIDNEXT UIDVALIDITY UNSEEN SIZE HIGHESTMODSEQ DELETED)",
        "a IDLE",
        "a CHECK",
        "a CLOSE",
        "a UNSELECT",
        "a EXPUNGE",
        "a UID EXPUNGE 3:9",
        "a SEARCH ALL",
        "a SEARCH CHARSET UTF-8 FLAGGED SINCE 1-Feb-1994 NOT FROM Smith",
        "a UID SEARCH RETURN (MIN MAX COUNT SAVE) 1:* (OR SEEN (UNSEEN LARGER 5)) UID $ KEYWORD $Junk",
        "a SEARCH RETURN (PARTIAL -1:-100) HEADER X-TUID abc YOUNGER 600 SAVEDSINCE 1-Jan-2020 MODSEQ 5",
        "a SEARCH RETURN () MODSEQ \"/flags/\\\\draft\" all 620162338",
        "a SEARCH EMAILID M6d99ac3275bb4e SAVEDATESUPPORTED",
        "a SORT (REVERSE DATE SUBJECT) UTF-8 ALL",
        "a UID SORT RETURN (COUNT) (ARRIVAL) US-ASCII SINCE 1-Feb-1994",
        "a THREAD REFERENCES UTF-8 ALL",
        "a UID THREAD ORDEREDSUBJECT US-ASCII TO x",
        "a FETCH 1 (FLAGS)",
        "a UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODY BODYSTRUCTURE MODSEQ EMAILID THREADID SAVEDATE)",
        "a FETCH 1 (BODY[] BODY.PEEK[] BODY[HEADER] BODY[TEXT] BODY[1] BODY[1.2.MIME] BODY[1.HEADER] BODY[2.TEXT])",
        "a FETCH 1 (BODY.PEEK[HEADER.FIELDS (FROM \"X Y\")]<0.65536> BODY[1.HEADER.FIELDS.NOT (TO)])",
        "a FETCH 1 (BINARY[1.2] BINARY.PEEK[]<0.5> BINARY.SIZE[3] RFC822 RFC822.HEADER RFC822.TEXT)",
        "a UID FETCH 1:* (FLAGS) (CHANGEDSINCE 12345 VANISHED PARTIAL 1:50)",
        "a STORE 2:4 +FLAGS (\\Deleted)",
        "a UID STORE * (UNCHANGEDSINCE 12121230045) -FLAGS.SILENT (\\Seen $Junk)",
        "a STORE 1 FLAGS ()",
        "a COPY 2:4 MEETING",
        "a UID COPY $ \"a b\"",
        "a MOVE 2:4 MEETING",
        "a UID MOVE 42:69 foo",
        "a GETQUOTA \"\"",
        "a GETQUOTAROOT INBOX",
        "a SETQUOTA \"\" (STORAGE 512)",
        "a GETACL INBOX",
        "a SETACL INBOX fred +lrs",
        "a DELETEACL INBOX fred",
        "a LISTRIGHTS INBOX fred",
        "a MYRIGHTS INBOX",
        "a GETMETADATA (MAXSIZE 1024 DEPTH infinity) INBOX (/private/comment /shared/comment)",
        "a GETMETADATA \"\" (/shared/comment)",
        "a SETMETADATA INBOX (/private/comment \"My\" /shared/comment NIL)",
    ] {
        table.row(line, &command(line), line);
    }
    table.check();
}

#[test]
fn commands_are_written_in_one_form() {
    let mut table = Table::default();
    for (line, written) in [
        ("a noop ", "a NOOP"),
        ("a login {3}\r\nann {6+}\r\nse ret", "a LOGIN ann \"se ret\""),
        ("a login ann {5}\r\nse\r\nc", "a LOGIN ann {5+}\r\nse\r\nc"),
        ("a login \"ann\" \"pässword\"", "a LOGIN ann {9+}\r\npässword"),
        ("a select {5}\r\ninbox", "a SELECT inbox"),
        ("a select \"NIL\"", "a SELECT \"NIL\""),
        ("a fetch 1 fast", "a FETCH 1 (FLAGS INTERNALDATE RFC822.SIZE)"),
        ("a fetch 1 all", "a FETCH 1 (FLAGS INTERNALDATE RFC822.SIZE ENVELOPE)"),
        ("a fetch 1 full", "a FETCH 1 (FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODY)"),
        ("a fetch 1 body[header.fields (from)]", "a FETCH 1 (BODY[HEADER.FIELDS (from)])"),
        ("a uid store 1 flags \\Seen \\Deleted", "a UID STORE 1 FLAGS (\\Seen \\Deleted)"),
        ("a search since \"1-feb-1994\"", "a SEARCH SINCE 1-feb-1994"),
        ("a getmetadata inbox (depth 1) /shared/x", "a GETMETADATA (DEPTH 1) inbox (/shared/x)"),
    ] {
        table.row(line, &command(line), written);
    }
    table.check();
}

#[test]
fn malformed_commands_are_told_from_unknown_ones() {
    let mut table = Table::default();
    for (line, why) in [
        ("", "Tag"),
        ("a", "Tag"),
        ("* NOOP", "Tag"),
        ("a+ NOOP", "Tag"),
        ("a ", "Unknown"),
        ("a FROB", "Unknown"),
        ("a UID", "Unknown"),
        ("a UID NOOP", "Unknown"),
        ("a UID UID FETCH 1 FLAGS", "Unknown"),
        ("a UID-FETCH 1 FLAGS", "Unknown"),
        ("a COMPRESS DEFLATE", "Unknown"),
        ("a NOTIFY NONE", "Unknown"),
        ("a URLFETCH x", "Unknown"),
        ("a NOOP x", "the end was expected at 6"),
        ("a LOGIN ann", "a blank was expected at 11"),
        ("a LOGIN  ann x", "a string was expected at 8"),
        ("a LOGIN \"ann x", "a quote is not closed at 9"),
        ("a LOGIN a\"b x", "a blank was expected at 9"),
        ("a LOGIN a\u{1b} x", "a blank was expected at 9"),
        ("a SELECT päth", "the end was expected at 10"),
        ("a SELECT \"päth\"", "8-bit octets in a name at 16"),
        ("a SELECT {3}\r\na\nb", "a control character in a name at 17"),
        ("a FETCH 0 FLAGS", "a number is zero at 8"),
        ("a FETCH 4294967296 FLAGS", "a number is too large at 8"),
        ("a FETCH 1 PREVIEW", "an item that FETCH does not have here at 10"),
        ("a FETCH 1 (FLAGS BODY[0])", "a part's number begins with 0 at 22"),
        ("a FETCH 1 BODY[1.]", "a section was expected at 17"),
        ("a FETCH 1 BODY[MIME]", "a section was expected at 19"),
        ("a FETCH 1 BODY[]<0>", "`.` was expected at 18"),
        ("a FETCH 1 ()", "FETCH asks for nothing at 12"),
        ("a FETCH 1 BODY[HEADER.FIELDS ({5}\r\na\r\nbc)]", "the name of a header field was expected at 40"),
        ("a APPEND x CATENATE (URL \"/x\")", "a literal was expected at 11"),
        ("a SEARCH FUZZY BODY x", "a search key was expected at 9"),
        ("a SEARCH BEFORE 1-Foo-1994", "a date was expected at 16"),
        ("a SEARCH MODSEQ \"/flags/ä\" all 1", "the name of a flag was expected at 27"),
        ("a IDLE x", "the end was expected at 6"),
    ] {
        table.row(line, &command(line), why);
    }
    table.check();
}

#[test]
fn responses_pass_as_they_are() {
    let mut table = Table::default();
    for line in [
        "* OK [CAPABILITY IMAP4rev1 LITERAL+] Dovecot ready.",
        "* PREAUTH hello",
        "* BYE Logging out",
        "a OK [READ-WRITE] Select completed",
        "a NO [ALERT] disk is full",
        "a BAD what",
        "* OK [UNSEEN 12] first",
        "* OK [UIDVALIDITY 3857529045] valid",
        "* OK [UIDNEXT 4392] next",
        "* OK [HIGHESTMODSEQ 715194045007] highest",
        "* OK [NOMODSEQ] none",
        "* OK [PERMANENTFLAGS (\\Deleted \\Seen \\*)] limited",
        "a OK [APPENDUID 38505 3955] done",
        "a OK [COPYUID 38505 304,319:320 3956:3958] done",
        "a OK [MODIFIED 7,9] done",
        "* OK [CLOSED] closed",
        "a NO [X-NEW some thing] text",
        "* OK [this is text",
        "* OK [x* OK [CAPABILITY,IMAP4rev1] text",
        "+ idling",
        "+ ",
        "* CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN",
        "* ENABLED CONDSTORE",
        "* ENABLED",
        "* ID NIL",
        "* ID (\"name\" \"Dovecot\")",
        "* FLAGS (\\Answered \\Flagged $Junk)",
        "* LIST (\\HasNoChildren) \"/\" INBOX",
        "* LIST (\\Noselect) \"/\" \"a b\"",
        "* LIST () NIL foo (\"CHILDINFO\" (\"SUBSCRIBED\"))",
        "* LSUB () \".\" {3}\r\na\"b",
        "* STATUS blurdybloop (MESSAGES 231 UIDNEXT 44292 MAILBOXID (F22))",
        "* SEARCH 2 3 6",
        "* SEARCH",
        "* SEARCH 2 5 (MODSEQ 917162500)",
        "* ESEARCH (TAG \"a567\") UID COUNT 5 ALL 4:19,21,28",
        "* ESEARCH (TAG \"a\") UID PARTIAL (-1:-100 200:250,252) MODSEQ 9",
        "* ESEARCH",
        "* SORT 5 3 4",
        "* THREAD (2)(3 6 (4 23)(44 7 96))",
        "* THREAD ((3)(5))",
        "* THREAD",
        "* QUOTA \"\" (STORAGE 10 512)",
        "* QUOTAROOT INBOX \"\"",
        "* ACL INBOX Fred rwipslda",
        "* LISTRIGHTS ~/Mail/saved smith la r swicdkxte",
        "* MYRIGHTS INBOX rwiptsldaex",
        "* METADATA INBOX (/private/comment \"My\" /shared/comment NIL)",
        "* METADATA \"\" /shared/comment /private/x",
        "* NAMESPACE ((\"\" \"/\")) NIL ((\"#shared/\" \"/\" \"X-PARAM\" (\"FLAG1\" \"FLAG2\")))",
        "* 23 EXISTS",
        "* 5 RECENT",
        "* 44 EXPUNGE",
        "* VANISHED (EARLIER) 41,43:116",
        "* VANISHED 405,407",
        "* 1 FETCH (FLAGS (\\Seen) UID 5 MODSEQ (65402) INTERNALDATE \"17-Jul-1996 02:44:25 -0700\" RFC822.SIZE 44827)",
        "* 1 FETCH (EMAILID (M6d99) THREADID NIL SAVEDATE NIL BINARY.SIZE[1] 5)",
        "* 1 FETCH (ENVELOPE (\"d\" \"s\" ((\"A\" NIL \"a\" \"x\")) ((NIL NIL \"a\" \"x\")(NIL NIL \"b\" \"x\")) NIL NIL NIL NIL NIL \"<i>\"))",
        "* 1 FETCH (BODY (\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL \"7BIT\" 3028 92))",
        "* 1 FETCH (BODYSTRUCTURE ((\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" 1152 23 NIL NIL NIL NIL)(\"APPLICATION\" \"PDF\" (\"NAME\" \"a\") \"<i>\" \"d\" \"BASE64\" 4554 NIL (\"ATTACHMENT\" (\"FILENAME\" \"a\")) (\"en\" \"de\") \"loc\") \"MIXED\" (\"BOUNDARY\" \"b\") NIL NIL NIL))",
        "* 1 FETCH (BODYSTRUCTURE (\"MESSAGE\" \"RFC822\" NIL NIL NIL \"7BIT\" 9 (NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL) (\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" 1 1) 3))",
        "* 1 FETCH (BODY[] {3}\r\nabc BODY[1.HEADER.FIELDS (FROM)]<5> \"\" BINARY[1] ~{2}\r\na\0 RFC822.TEXT NIL)",
        "* 1 FETCH (BODY[TEXT]<10> {0}\r\n)",
    ] {
        table.row(line, &response(line), line);
    }
    table.check();
}

#[test]
fn what_no_server_says_is_no_response() {
    for line in [
        "",
        "*",
        "* ",
        "* FROB",
        "a",
        "a FETCH",
        "a BYE x",
        "* 1 FROB",
        "* 1",
        "* EXISTS 1",
        "* 99999999999 EXISTS",
        "* 1 FETCH",
        "* 1 FETCH ()x",
        "* 1 FETCH (PREVIEW \"secret\")",
        "* 1 FETCH (X-GM-LABELS (a))",
        "* 1 FETCH (UID 0)",
        "* 1 FETCH (BODY.PEEK[] \"x\")",
        "* 1 FETCH (BODY[] x)",
        "* 1 FETCH (FLAGS (\\Seen)",
        "* URLFETCH x",
        "* LIST (\\a \"/\" x",
        "* SEARCH x",
        "* OK [CAPABILITY \"x\"] y",
        "* 1 FETCH (ENVELOPE (NIL))",
        "* 1 FETCH (BODYSTRUCTURE (\"a\"))",
    ] {
        let answer = response(line);
        assert!(answer.contains(" at "), "{line}: {answer}");
    }
}
