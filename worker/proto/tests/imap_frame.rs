//! Frames of IMAP: the same however the bytes are cut, bounded whatever is announced, and never a literal taken for a command.
#![expect(clippy::panic, reason = "a surprise is a failed test")]
use proptest::collection::vec;
use proptest::prelude::*;
use worker_proto::imap::command::{Command, Head};
use worker_proto::imap::frame::{Bounds, Elided, Frame, FrameError, Framer, Step};
use worker_proto::imap::response::Response;
use worker_proto::imap::response::fetch::{Fetch, FetchData, announces_content};
use worker_proto::imap::write::Writer;
use worker_proto::machine::Side;

const BEFORE_LOGIN: Bounds = Bounds { line: 8192, literal: 4096, literals: 4096 };
const AFTER_LOGIN: Bounds = Bounds { line: 65_536, literal: 65_536, literals: 65_536 };

/// What became of the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Frame(Vec<u8>, Vec<Elided>),
    Announced(u64, bool),
    Streamed(Vec<u8>),
    Failed(FrameError),
}

/// Streams content and messages, keeps what fits, and passes over or abandons the rest.
fn seen<'b>(side: Side, bounds: Bounds, pieces: impl Iterator<Item = &'b [u8]>) -> Vec<Seen> {
    let mut framer = Framer::new(side, bounds);
    let mut all = Vec::new();
    let mut streamed = Vec::new();
    for piece in pieces {
        let mut rest = piece;
        loop {
            let step = match framer.next(&mut rest) {
                Ok(step) => step,
                Err(error) => {
                    all.push(Seen::Failed(error));
                    return all;
                }
            };
            let announced = match step {
                Step::More => break,
                Step::Piece(piece) => {
                    assert!(!piece.is_empty());
                    streamed.extend_from_slice(piece);
                    continue;
                }
                Step::LiteralEnd => {
                    all.push(Seen::Streamed(std::mem::take(&mut streamed)));
                    continue;
                }
                Step::Frame(frame) => {
                    all.push(Seen::Frame(frame.text.to_vec(), frame.elided.to_vec()));
                    continue;
                }
                Step::Announced(announced) => announced,
            };
            let synchronising = announced.synchronising;
            all.push(Seen::Announced(announced.size, synchronising));
            let stream = match side {
                Side::Client => Head::parse(announced.frame).is_ok_and(|head| head.announces_message(false)),
                Side::Server => announces_content(announced.frame),
            };
            if stream {
                framer.stream();
            } else if !framer.keep() {
                if synchronising && side == Side::Client { framer.abandon() } else { framer.skip() }
            }
        }
    }
    all
}

fn at_once(side: Side, bounds: Bounds, bytes: &[u8]) -> Vec<Seen> {
    seen(side, bounds, std::iter::once(bytes))
}

fn texts(seen: &[Seen]) -> Vec<&[u8]> {
    let mut texts = Vec::new();
    for step in seen {
        match step {
            Seen::Frame(text, _) => texts.push(text.as_slice()),
            Seen::Announced(..) | Seen::Streamed(_) | Seen::Failed(_) => {}
        }
    }
    texts
}

const CLIENT: &[u8] = b"a1 LOGIN {3}\r\nann {6+}\r\nse\r\net\r\na2 APPEND x (\\Seen) {12+}\r\na3 LOGOUT\r\n+ (\\Draft) ~{3+}\r\n\0\r\n\r\na4 NOOP\n\
    a5 SELECT {999999}\r\na6 X {5+}\r\n)\"{9}\r\n";
const SERVER: &[u8] = b"* OK [ALERT] text {5}\r\n+ go {3}\r\na OK done {7}\r\n* LIST () \"/\" {4}\r\n\r\na!\r\n\
    * 1 FETCH (FLAGS () BODY[] {20}\r\n* 2 EXISTS\r\n)\r\na OK UID 7 BODY[1]<0> ~{2}\r\n\0\n RFC822 {0}\r\n)\r\n* 3 EXISTS\r\n";

#[test]
fn frames_are_the_same_at_every_cut() {
    for (side, bytes) in [(Side::Client, CLIENT), (Side::Server, SERVER)] {
        let whole = at_once(side, BEFORE_LOGIN, bytes);
        assert!(whole.iter().all(|seen| !matches!(seen, Seen::Failed(_))), "{whole:?}");
        assert_eq!(whole, seen(side, BEFORE_LOGIN, bytes.chunks(1)));
        for cut in 0..bytes.len() {
            let (one, other) = bytes.split_at(cut);
            assert_eq!(whole, seen(side, BEFORE_LOGIN, [one, other].into_iter()), "cut at {cut}");
        }
    }
}

#[test]
fn literals_never_become_commands() {
    let seen = at_once(Side::Client, BEFORE_LOGIN, CLIENT);
    assert_eq!(
        texts(&seen),
        [
            b"a1 LOGIN {3}\r\nann {6+}\r\nse\r\net".as_slice(),
            b"a2 APPEND x (\\Seen) {12+}\r\n (\\Draft) ~{3+}\r\n",
            b"a4 NOOP",
            b"a6 X {5+}\r\n)\"{9}",
        ]
        .as_slice()
    );
    assert!(seen.contains(&Seen::Streamed(b"a3 LOGOUT\r\n+".to_vec())));
    assert!(seen.contains(&Seen::Streamed(b"\0\r\n".to_vec())));
}

#[test]
fn text_for_people_announces_nothing() {
    let seen = at_once(Side::Server, AFTER_LOGIN, SERVER);
    let texts = texts(&seen);
    assert_eq!(texts.first(), Some(&b"* OK [ALERT] text {5}".as_slice()));
    assert_eq!(texts.get(1..3), Some([b"+ go {3}".as_slice(), b"a OK done {7}"].as_slice()));
    let mut out = Vec::new();
    let status = Response::parse(Frame { text: b"* OK text {5}", elided: &[] }).expect("a status");
    status.write(&mut Writer::to_client(&mut out, false));
    assert_eq!(out, b"* OK text {5}.\r\n", "clients that frame naively must not wait for five octets");
}

#[test]
fn a_response_is_read_as_far_as_it_came() {
    let mut framer = Framer::new(Side::Server, AFTER_LOGIN);
    let mut rest = b"* 1 FETCH (UID 5 BODY[] {3}\r\nabc FLAGS (\\Seen))\r\n".as_slice();
    let Ok(Step::Announced(announced)) = framer.next(&mut rest) else { panic!("a literal is announced") };
    let fetch = Fetch::parse_announced(announced.frame).expect("a FETCH so far");
    let mut items = fetch.items();
    assert_eq!(items.next(), Some(Ok(FetchData::Uid(5))));
    assert!(matches!(items.next(), Some(Ok(FetchData::Content(..)))));
    let behind = items.at();
    assert_eq!(items.next(), None);
    framer.stream();
    assert_eq!(framer.next(&mut rest), Ok(Step::Piece(b"abc")));
    assert_eq!(framer.next(&mut rest), Ok(Step::LiteralEnd));
    let Ok(Step::Frame(frame)) = framer.next(&mut rest) else { panic!("the frame is complete") };
    let Ok(Response::Data(worker_proto::imap::response::Data::Fetch(fetch))) = Response::parse(frame) else {
        panic!("a FETCH")
    };
    assert!(matches!(fetch.items_from(behind).collect::<Vec<_>>().as_slice(), [Ok(FetchData::Flags(_))]));
    assert!(fetch.has_content());
}

/// L1, L2: whatever is announced, nothing is allocated for it.
#[test]
fn a_literal_costs_what_came_of_it() {
    for digits in [
        "2147483648",
        "4294967295",
        "9223372036854775808",
        "1000000000000000000000000000000",
        "000000000004097",
    ] {
        for (side, start) in [
            (Side::Client, "a LOGIN "),
            (Side::Client, "a ID ("),
            (Side::Client, "a SELECT "),
            (Side::Client, "a SEARCH TEXT "),
            (Side::Client, "a FROB "),
            (Side::Server, "* LIST () \"/\" "),
            (Side::Server, "* 1 FETCH (ENVELOPE ("),
        ] {
            let plus = if side == Side::Client { "+" } else { "" };
            let line = format!("{start}{{{digits}{plus}}}\r\n");
            let mut framer = Framer::new(side, BEFORE_LOGIN);
            let mut rest = line.as_bytes();
            let Ok(Step::Announced(announced)) = framer.next(&mut rest) else { panic!("{line}") };
            assert!(announced.size > 4096, "{line}");
            assert!(!framer.keep(), "{line}");
            framer.skip();
            let mut some = [b'x'; 4096].as_slice();
            assert_eq!(framer.next(&mut some), Ok(Step::More));
        }
    }
    for odd in ["{}", "{-1}", "{+}", "{1 }", "{0x5}", "{5++}"] {
        let line = format!("a LOGIN {odd}\r\n");
        let seen = at_once(Side::Client, BEFORE_LOGIN, line.as_bytes());
        let [Seen::Frame(text, _)] = seen.as_slice() else { panic!("{odd} announces nothing: {seen:?}") };
        assert!(Command::parse(Frame { text, elided: &[] }, false).is_err(), "{odd}");
    }
}

#[test]
fn kept_literals_have_a_bound_together() {
    let line = b"a ID (\"a\" {4000+}\r\n".to_vec();
    let stream = [line, vec![b'x'; 4000], b" \"b\" {97+}\r\n".to_vec()].concat();
    let mut framer = Framer::new(Side::Client, BEFORE_LOGIN);
    let mut rest = stream.as_slice();
    assert!(matches!(framer.next(&mut rest), Ok(Step::Announced(_))));
    assert!(framer.keep());
    assert!(matches!(framer.next(&mut rest), Ok(Step::Announced(_))));
    assert!(!framer.keep(), "4097 together");
}

/// L3: parentheses in parentheses, open and closed, end soon in both directions.
#[test]
fn four_thousand_parentheses_are_refused() {
    for inner in ["(".repeat(4000), "()".repeat(2000), "(".repeat(2000) + &")".repeat(2000), ")".repeat(4000)]
    {
        for start in [
            "a NOOP ",
            "a ID ",
            "a SEARCH ",
            "a FETCH 1 ",
            "a LIST ",
            "a STATUS x ",
            "a SELECT x ",
            "a APPEND x ",
        ] {
            let line = format!("{start}{inner}");
            assert!(Command::parse(Frame { text: line.as_bytes(), elided: &[] }, false).is_err(), "{start}");
        }
        for start in [
            "",
            "LIST ",
            "LIST () \"/\" x ",
            "FLAGS ",
            "THREAD ",
            "1 FETCH ",
            "1 FETCH (BODYSTRUCTURE ",
            "1 FETCH (ENVELOPE ",
            "NAMESPACE ",
            "METADATA x ",
            "STATUS x ",
            "ESEARCH ",
            "ID ",
            "QUOTA x ",
        ] {
            let line = format!("* {start}{inner}");
            assert!(Response::parse(Frame { text: line.as_bytes(), elided: &[] }).is_err(), "{start}");
        }
    }
    let nots = format!("a SEARCH {}ALL", "NOT ".repeat(4000));
    assert!(Command::parse(Frame { text: nots.as_bytes(), elided: &[] }, false).is_err());
    let ors = format!("a SEARCH {}ALL", "OR ALL ".repeat(4000));
    assert!(Command::parse(Frame { text: ors.as_bytes(), elided: &[] }, false).is_err());
}

/// L4: a line has a bound, whether it ends or not.
#[test]
fn lines_are_bounded() {
    let long = [b"a SEARCH TEXT ".to_vec(), vec![b'x'; 9000]].concat();
    for bytes in [long.clone(), [long.as_slice(), b"\r\n"].concat()] {
        for size in [1, 100, 100_000] {
            let seen = seen(Side::Client, BEFORE_LOGIN, bytes.chunks(size));
            assert_eq!(seen, [Seen::Failed(FrameError::TooLong)]);
        }
    }
    let fits = [vec![b'x'; BEFORE_LOGIN.line - 2], b"\r\n".to_vec()].concat();
    assert!(matches!(at_once(Side::Client, BEFORE_LOGIN, &fits).as_slice(), [Seen::Frame(..)]));
}

/// L5: every octet that ends or splits a line, in every place.
#[test]
fn control_octets_have_no_place() {
    let command = "a1 LOGIN \"ann\" se";
    for at in 0..command.len() {
        for odd in [0_u8, b'\r'] {
            let mut line = command.as_bytes().to_vec();
            line.insert(at, odd);
            line.extend_from_slice(b"\r\n");
            let seen = at_once(Side::Client, BEFORE_LOGIN, &line);
            assert_eq!(seen, [Seen::Failed(FrameError::Malformed)], "{odd} at {at}");
            assert_eq!(at_once(Side::Server, BEFORE_LOGIN, &line), [Seen::Failed(FrameError::Malformed)]);
        }
        for odd in [0x1b_u8, 0x80, 0xff] {
            let mut line = command.as_bytes().to_vec();
            line.insert(at, odd);
            let parsed = Command::parse(Frame { text: &line, elided: &[] }, false);
            let quoted = (10..=13).contains(&at);
            assert_eq!(parsed.is_ok(), quoted, "{odd} at {at}: {parsed:?}");
        }
        let mut line = command.as_bytes().to_vec();
        line.insert(at, b'\n');
        line.extend_from_slice(b"\r\n");
        let seen = at_once(Side::Client, BEFORE_LOGIN, &line);
        let halves = texts(&seen);
        assert_eq!(halves.len(), 2);
        let behind = halves.last().copied().unwrap_or_default();
        let parsed = Command::parse(Frame { text: behind, elided: &[] }, false);
        assert!(at < 2 || parsed.is_err(), "a bare LF ends a line, and what follows is no command: {at}");
    }
    assert_eq!(at_once(Side::Server, BEFORE_LOGIN, b"* OK x\n"), [Seen::Failed(FrameError::Malformed)]);
}

#[test]
fn lines_of_an_exchange_announce_nothing() {
    let mut framer = Framer::new(Side::Client, BEFORE_LOGIN);
    framer.set_plain(true);
    let mut rest = b"AAAA{5}\r\nDONE\r\n".as_slice();
    assert_eq!(framer.next(&mut rest), Ok(Step::Frame(Frame { text: b"AAAA{5}", elided: &[] })));
    assert_eq!(framer.next(&mut rest), Ok(Step::Frame(Frame { text: b"DONE", elided: &[] })));
    assert_eq!(framer.offset(), 15);
    assert!(framer.is_between_frames());
}

#[test]
fn it_must_be_decided_about_a_literal() {
    let mut framer = Framer::new(Side::Client, BEFORE_LOGIN);
    let mut rest = b"a LOGIN {3}\r\nann".as_slice();
    assert!(matches!(framer.next(&mut rest), Ok(Step::Announced(_))));
    assert_eq!(framer.next(&mut rest), Err(FrameError::Undecided));
    assert_eq!(
        format!("{framer:?}"),
        "Framer(Client, Undecided, 13 octets)",
        "a framer never prints what it holds"
    );
}

/// Words of which streams that nearly mean something are made.
fn words() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        Just(b"\r\n".to_vec()),
        Just(b"a LOGIN ".to_vec()),
        Just(b"a APPEND x ".to_vec()),
        Just(b"* 1 FETCH (BODY[] ".to_vec()),
        Just(b"* LIST () \"/\" ".to_vec()),
        Just(b"* OK ".to_vec()),
        Just(b"\"".to_vec()),
        Just(b")".to_vec()),
        (0_u64..40).prop_map(|size| format!("{{{size}}}\r\n").into_bytes()),
        (0_u64..40).prop_map(|size| format!("~{{{size}+}}\r\n").into_bytes()),
        vec(any::<u8>(), 0..4),
        "[a-z0-9 ]{0,9}".prop_map(String::into_bytes),
    ];
    vec(word, 0..24).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn any_cut_gives_the_same_frames(bytes in words(), sizes in vec(1_usize..9, 1..9), client in any::<bool>()) {
        let side = if client { Side::Client } else { Side::Server };
        let bounds = Bounds { line: 64, literal: 20, literals: 30 };
        let whole = at_once(side, bounds, &bytes);
        let mut rest = bytes.as_slice();
        let mut pieces = Vec::new();
        for size in sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, after) = rest.split_at((*size).min(rest.len()));
            pieces.push(piece);
            rest = after;
        }
        prop_assert_eq!(whole, seen(side, bounds, pieces.into_iter()));
    }
}
