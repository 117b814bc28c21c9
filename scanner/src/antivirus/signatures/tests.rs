//! Signatures as ClamAV's tools write them.
use super::*;
use proptest::prelude::*;

const OCTETS: &[u8] = b"The quick brown fox jumps over the lazy dog";

fn with(file: &str, text: &str) -> (Signatures, Vec<String>) {
    let mut collector = Collector::default();
    collector.add_file(file, text.as_bytes());
    collector.finish()
}

fn infected(name: &str) -> Verdict {
    Verdict::Infected(Viruses::named(name))
}

#[test]
fn hashes_of_every_kind_name_a_file_of_their_size_and_no_other() {
    for (file, line) in [
        ("a.hdb", "9e107d9d372bb6826bd81d3542a419d6:43:Lab.Fox"),
        ("a.hsb", "2fd4e1c67a2d28fced849ee1bb76e7391b93eb12:43:Lab.Fox:73"),
        ("a.hsb", "d7a8fbb307d7809469ca9abcb0082e4f8d5651e46d3cdb762d02d0bf37c9e592:43:Lab.Fox"),
        ("a.hsb", "D7A8FBB307D7809469CA9ABCB0082E4F8D5651E46D3CDB762D02D0BF37C9E592:*:Lab.Fox:73"),
    ] {
        let (signatures, faults) = with(file, &format!("# a comment\n\n{line}\r\n"));
        assert_eq!((signatures.count(), faults), (1, Vec::new()), "{line}");
        assert_eq!(signatures.scan(OCTETS), infected("Lab.Fox"), "{line}");
        assert_eq!(signatures.scan(&OCTETS[1..]), Verdict::Clean);
        let (other, _) = with(file, &line.replace(":43:", ":44:").replace(":*:", ":44:"));
        assert_eq!(other.scan(OCTETS), Verdict::Clean, "of another size");
    }
}

#[test]
fn body_signatures_match_as_they_are_written() {
    // "quick" is 717569636b, "fox" 666f78, "dog" 646f67.
    for (rest, matches) in [
        ("0:*:717569636b", true),
        ("0:*:71756963ff", false),
        ("0:*:7175??636b2062", true),
        ("0:*:71756?636b2062", true),
        ("0:*:71757?636b2062", false),
        ("0:*:717569636b*666f78", true),
        ("0:*:666f78*717569636b", false),
        ("0:*:717569636b{7}666f78", true),
        ("0:*:717569636b{6}666f78", false),
        ("0:*:717569636b{2-8}666f78", true),
        ("0:*:717569636b{-6}666f78", false),
        ("0:*:717569636b{8-}666f78", false),
        ("0:*:717569636b{3-}666f78{-99}646f67", true),
        ("0:*:20717569(63|78)6b", true),
        ("0:*:20717569(64|78)6b", false),
        ("0:*:(7175|6669|646f)69636b20", true),
        ("0:*:71756963!(6b|6c)20", false),
        ("0:*:71756963!(6a|6c)20", true),
        ("0:*:71756963(6b20|6b|6c6c6c)62726f776e", true),
        ("0:*:71756963(6b21|6b2121|6c6c6c)62726f776e", false),
        ("0:*:717569636b[1-3](62|63)72", true),
        ("0:*:717569636b[2-3]62726f", false),
        ("0:*:(61|62|71)(74|75)(68|69)(62|63)6b2062726f776e", true),
        ("0:4:717569636b", true),
        ("0:5:717569636b", false),
        ("0:2,2:717569636b", true),
        ("0:2,1:717569636b", false),
        ("0:EOF-4:20646f67", true),
        ("0:EOF-5:20646f67", false),
        ("0:EOF-6,2:20646f67", true),
        ("0:EOF-99:20646f67", false),
        ("0:4:717569636b*646f67", true),
        ("0:3:717569636b*646f67", false),
        ("1:*:717569636b", false),
        ("10:*:717569636b:99:120", false),
    ] {
        let (signatures, faults) = with("a.ndb", &format!("Lab.Fox:{rest}\n"));
        assert_eq!((signatures.count(), faults), (1, Vec::new()), "{rest}");
        let expected = if matches { infected("Lab.Fox") } else { Verdict::Clean };
        assert_eq!(signatures.scan(OCTETS), expected, "{rest}");
    }
    let (signatures, _) = with("a.ndb", "Lab.Program:1:0:4d5a9000\nLab.Pdf:10:*:2f4a5320\n");
    assert_eq!(signatures.scan(b"MZ\x90\0"), infected("Lab.Program"));
    assert_eq!(signatures.scan(b"%PDF-1.7 /JS ()"), infected("Lab.Pdf"));
    assert_eq!(signatures.scan(b"/JS in a text"), Verdict::Clean);
    let (signatures, _) =
        with("a.ndb", "Lab.Picture:5:*:6c617a79\nLab.Flash:11:*:6c617a79\nLab.Java:12:*:6c617a79\n");
    assert_eq!(signatures.scan(b"GIF89a lazy"), infected("Lab.Picture"));
    assert_eq!(signatures.scan(b"CWS lazy"), infected("Lab.Flash"));
    assert_eq!(signatures.scan(b"\xca\xfe\xba\xbe lazy"), infected("Lab.Java"));
}

#[test]
fn of_many_signatures_with_the_same_beginning_each_is_found() {
    let lines: String =
        (0..300).map(|number| format!("Lab.N{number}:0:*:70726566697820{number:04x}\n")).collect();
    let (signatures, faults) = with("a.ndb", &lines);
    assert_eq!((signatures.count(), faults), (300, Vec::new()));
    for number in [0_u16, 1, 255, 299] {
        let octets = [b"prefix prefix ", &number.to_be_bytes()[..], b"..."].concat();
        assert_eq!(signatures.scan(&octets), infected(&format!("Lab.N{number}")));
    }
}

#[test]
fn lines_that_cannot_be_used_are_counted_and_said_and_the_rest_is_in_force() {
    let text = "Lab.A:0:*:717569636b\nLab.B:0:EP+0:717569636b\nLab.C:0:SL+0:717569636b\nLab.D:0:*:(aa|b)71756963\n\
                Lab.E:3:*:717569636b\nLab.F:4:*:717569636b\nLab.G:0:*:7?6?\nLab.H:0:*:xx\nLab.I\nLab J:0:*:717569636b\n\
                Lab.K:0:*:7175{9\nLab.L:0:*:7175{9-2}7175\nLab.M:0:*:*7175\nLab.N:0:*:71!(75|7575)75\nLab.O:0:x:7175\n";
    let (signatures, faults) = with("daily.ndb", text);
    assert_eq!(signatures.count(), 1);
    assert_eq!(signatures.scan(OCTETS), infected("Lab.A"));
    insta::assert_snapshot!(faults.join("\n"));
    let (_, faults) = with(
        "a.hdb",
        "9e107d9d372bb6826bd81d3542a419d6:x:Lab\n9e:1:Lab\n9e107d9d372bb6826bd81d3542a419dg:1:Lab\n",
    );
    insta::assert_snapshot!(faults.join("\n"));
    let (_, faults) = with("main.mdb", "36864:f9d2e2c2:Lab\n");
    assert_eq!(faults, ["main.mdb: neither .hdb, .hsb, .ndb, .yar nor .yara"]);
}

#[test]
fn who_writes_octets_to_make_the_search_slow_ends_it_undecided() {
    let lines: String = (0..2000)
        .map(|number| format!("Lab.N{number}:0:*:6161{{-9000}}6162{{-9000}}6161{number:04x}\n"))
        .collect();
    let (signatures, faults) = with("a.ndb", &lines);
    assert_eq!((signatures.count(), faults), (2000, Vec::new()));
    // What each of them is looked for by stands there, and none of the rest in its place.
    let hits: Vec<u8> =
        (0..2000_u16).flat_map(|number| [&b"aa"[..], &number.to_be_bytes()].concat()).collect();
    let octets = [hits, b"aaab".repeat(1 << 16)].concat();
    assert_eq!(signatures.scan(&octets), Verdict::Undecided);
    assert_eq!(
        signatures.scan(&b"a fox and its den ".repeat(1 << 14)),
        Verdict::Clean,
        "no ordinary file does"
    );
}

/// A piece of a pattern: its text, and a matcher that tries everything.
#[derive(Clone, Debug)]
enum Token {
    Octet(u8),
    Any,
    /// One of these, or none of them.
    Choice(Vec<[u8; 2]>, bool),
    Gap(usize, Option<usize>),
}

impl Token {
    fn text(&self) -> String {
        match self {
            Self::Octet(octet) => format!("{octet:02x}"),
            Self::Any => "??".into(),
            Self::Choice(all, not) => {
                let all: Vec<String> = all.iter().map(|[one, two]| format!("{one:02x}{two:02x}")).collect();
                format!("{}({})", if *not { "!" } else { "" }, all.join("|"))
            }
            Self::Gap(0, None) => "*".into(),
            Self::Gap(least, None) => format!("{{{least}-}}"),
            Self::Gap(least, Some(most)) => format!("{{{least}-{most}}}"),
        }
    }
}

fn matches_here(tokens: &[Token], octets: &[u8]) -> bool {
    match (tokens, octets) {
        ([], _) => true,
        ([Token::Octet(wanted), rest @ ..], [octet, behind @ ..]) => {
            wanted == octet && matches_here(rest, behind)
        }
        ([Token::Any, rest @ ..], [_, behind @ ..]) => matches_here(rest, behind),
        ([Token::Choice(all, not), rest @ ..], [one, two, behind @ ..]) => {
            all.contains(&[*one, *two]) != *not && matches_here(rest, behind)
        }
        ([Token::Gap(least, most), rest @ ..], octets) => {
            let most = most.unwrap_or(octets.len()).min(octets.len());
            (*least..=most).any(|length| matches_here(rest, &octets[length..]))
        }
        ([Token::Octet(_) | Token::Any, ..], []) | ([Token::Choice(..), ..], [] | [_]) => false,
    }
}

fn piece() -> impl Strategy<Value = Vec<Token>> {
    let two = proptest::array::uniform2(prop::sample::select(vec![b'a', b'b']));
    let choice =
        (proptest::collection::vec(two, 1..3), any::<bool>()).prop_map(|(all, not)| Token::Choice(all, not));
    let octet = prop_oneof![1 => choice, 3 => prop::sample::select(vec![b'a', b'b']).prop_map(Token::Octet), 1 => Just(Token::Any)];
    proptest::collection::vec(octet, 1..4)
}

fn gap() -> impl Strategy<Value = Token> {
    (0_usize..4, proptest::option::of(0_usize..4))
        .prop_map(|(least, more)| Token::Gap(least, more.map(|more| least + more)))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(3000) })]

    #[test]
    fn a_search_finds_what_trying_everything_finds(
        first in piece(), more in proptest::collection::vec((gap(), piece()), 0..3), octets in "[ab]{0,32}"
    ) {
        // Four octets side by side are asked for.
        let mut tokens = b"abab".map(Token::Octet).to_vec();
        tokens.extend(first);
        for (gap, piece) in more {
            tokens.push(gap);
            tokens.extend(piece);
        }
        let line: String = tokens.iter().map(Token::text).collect();
        let (signatures, faults) = with("a.ndb", &format!("Lab:0:*:{line}\n"));
        prop_assert_eq!(faults, Vec::<String>::new());
        let octets = octets.as_bytes();
        let expected = (0..=octets.len()).any(|at| matches_here(&tokens, &octets[at..]));
        prop_assert_eq!(signatures.scan(octets) == infected("Lab"), expected, "{}", line);
    }

    #[test]
    fn no_line_and_no_octets_break_anything(line in "[0-9a-f?*{}\\-,:EOFS()!|\\[\\]]{0,60}", octets in proptest::collection::vec(any::<u8>(), 0..200)) {
        let (signatures, _) = with("a.ndb", &format!("Lab:0:*:{line}\nLab:{line}\n"));
        let _ = signatures.scan(&octets);
        let (signatures, _) = with("a.hsb", &line);
        let _ = signatures.scan(&octets);
    }
}
