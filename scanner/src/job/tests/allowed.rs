//! Viruses that the operator allowed in one mail.
use super::*;

/// Three attachments, of which two bear a virus, and the text.
fn twice_infected() -> Vec<u8> {
    let part = |name: &str, octets: &[u8]| {
        let body = String::from_utf8(encode_base64(octets)).unwrap();
        format!(
            "--b\r\nContent-Type: application/octet-stream; name=\"{name}\"\r\nContent-Transfer-Encoding: base64\r\n\r\n{body}"
        )
    };
    let fill = |text: &[u8]| [text, &[b' '; 700]].concat();
    let parts = part("1.bin", &fill(b"one one one")) + &part("2.bin", &fill(b"two two two"));
    format!(
        "From: a@example.org\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b\"\r\n\r\n\
         --b\r\nContent-Type: text/plain\r\n\r\nHello.\r\n{parts}--b--\r\n"
    )
    .into_bytes()
}

fn allowing(allowed: &[&str], mail: &[u8]) -> Judged {
    judged_where_allowed(allowed, (Protocol::Pop3, Direction::Download), "", "", mail)
}

#[test]
fn a_mail_whose_only_virus_is_allowed_passes_and_what_the_engine_said_stays_said() {
    let mail = mail("application/octet-stream", "a.bin", b"one one one");
    let Judged { verdict, copy } = allowing(&["Lab_One"], &mail);
    assert_eq!((verdict.disposition, copy), (Disposition::Pass, None));
    assert_eq!(verdict.statuses, StatusSet::of(Status::Clean));
    assert_eq!(verdict.answers[0].statuses, StatusSet::of(Status::Infected));
    assert_eq!(verdict.answers[0].viruses, Viruses::named("Lab_One"));
    assert_eq!(verdict.reason, "Lab_One is allowed");
    let upload = judged_where_allowed(&["Lab_One"], (Protocol::Pop3, Direction::Upload), "", "", &mail);
    assert_eq!(upload.verdict.disposition, Disposition::Pass);
    for others in [&["Lab_Two"][..], &["lab_one"], &["Lab_One "], &["*"], &[""]] {
        assert_ne!(allowing(others, &mail).verdict.disposition, Disposition::Pass, "{others:?}");
    }
}

#[test]
fn of_two_viruses_the_one_that_is_not_allowed_is_taken_out_and_the_other_stays() {
    let mail = twice_infected();
    let plain = allowing(&[], &mail);
    assert_eq!(plain.verdict.answers[0].viruses.names, ["Lab_One", "Lab_Two"]);
    for (leaf, virus) in [(1, "Lab One"), (2, "Lab Two")] {
        assert!(
            plain.leaf(leaf).starts_with("# ") && plain.leaf(leaf).contains(virus),
            "{}",
            plain.leaf(leaf)
        );
    }
    let one = allowing(&["Lab_One"], &mail);
    assert_eq!(one.verdict.statuses, StatusSet::of(Status::Infected));
    assert!(one.leaf(1).starts_with("one one one"), "{}", one.leaf(1));
    assert_eq!(one.leaf(2), plain.leaf(2));
    assert_eq!(allowing(&["Lab_Two", "Lab_One"], &mail).verdict.disposition, Disposition::Pass);
}

#[test]
fn two_viruses_in_one_part_are_both_known_and_both_must_be_allowed() {
    let mail = mail("application/octet-stream", "a.bin", b"two two two, one one one");
    assert_eq!(allowing(&[], &mail).verdict.answers[0].viruses.names, ["Lab_One", "Lab_Two"]);
    for one in ["Lab_One", "Lab_Two"] {
        assert_eq!(allowing(&[one], &mail).verdict.rule, "standard-bad-part");
    }
    assert_eq!(allowing(&["Lab_One", "Lab_Two"], &mail).verdict.disposition, Disposition::Pass);
}

#[test]
fn an_allowed_virus_in_an_archive_passes_and_every_other_status_stands() {
    let boxed = mail("application/zip", "a.zip", &archive("note.txt", b"one one one"));
    assert_eq!(allowing(&["Lab_One"], &boxed).verdict.disposition, Disposition::Pass);
    let mut locked = archive("a.txt", &[7; 900].map(|octet: u8| octet));
    let directory = memchr::memmem::find(&locked, b"PK\x01\x02").unwrap();
    for at in [6, directory + 8] {
        locked[at] |= 1;
    }
    let mail = mail("application/zip", "one one one.zip", &locked);
    let judged = allowing(&["Lab_One"], &mail);
    assert_eq!(judged.verdict.statuses, StatusSet::of(Status::Encrypted));
    assert_ne!(judged.verdict.disposition, Disposition::Pass);
    let broken = [b"From: one one one\r\n\0\r\n".as_slice(), &twice_infected()].concat();
    let judged = allowing(&["Lab_One", "Lab_Two"], &broken);
    assert!(matches!(judged.verdict.disposition, Disposition::Correct { .. }), "{:?}", judged.verdict);
    assert_ne!(allowing(&["Lab_One"], &broken).verdict.rule, judged.verdict.rule);
}

#[test]
fn a_mail_that_was_served_changed_for_a_virus_stays_changed_for_it_when_nobody_finds_it_any_more() {
    let way = (Protocol::Pop3, Direction::Download);
    let mail = twice_infected();
    let now = judged_where_allowed(&[], way, "", "", &mail);
    let formerly = Found::of(&now.verdict.answers);
    assert_eq!(formerly[0].parts.len(), 2);
    let again = judged_knowing((&[], formerly), way, "", "", &mail);
    assert_eq!(again.copy(), now.copy(), "what is found twice is said once");
    // A signature that is gone.
    let part = |name: &str| Found {
        engine: "builtin".into(),
        viruses: Viruses::named(name),
        parts: vec![(1, Viruses::named(name))],
    };
    let corrected = super::mail("application/octet-stream", "a.bin", &[b' '; 900]);
    let judged = judged_knowing((&[], vec![part("Lab_Gone")]), way, "", "", &corrected);
    assert_eq!(judged.verdict.statuses, StatusSet::of(Status::Infected));
    assert_eq!(
        judged.verdict.answers[0].statuses,
        StatusSet::of(Status::Clean),
        "the engine is not misquoted"
    );
    assert!(judged.leaf(1).starts_with("# ") && judged.leaf(1).contains("Lab Gone"), "{}", judged.leaf(1));
    assert_eq!(judged.copy().len(), corrected.len());
    assert!(judged.verdict.reason.contains("Lab_Gone had been found"), "{}", judged.verdict.reason);
    let nowhere = Found { parts: Vec::new(), ..part("Lab_Gone") };
    let judged = judged_knowing((&[], vec![nowhere]), way, "", "", &corrected);
    assert!(matches!(judged.verdict.disposition, Disposition::Replace { .. }), "{:?}", judged.verdict);
}

#[test]
fn what_was_found_in_each_part_is_remembered_of_each() {
    let named = |name: &str| Viruses::named(name);
    let answer = EngineAnswer {
        engine: "clamd".into(),
        statuses: StatusSet::of(Status::Infected),
        viruses: named("A").and(named("B")),
        detail: String::new(),
        parts: vec![(1, named("A")), (2, named("B")), (3, named("A").and(Viruses::unnamed()))],
        micros: 0,
    };
    let known = KnownMail {
        sha256: Sha256([1; 32]),
        answers: vec![answer],
        allowed: Vec::new(),
        formerly: Vec::new(),
    };
    let (_, located) = engines::known(Some(&known), "clamd").unwrap();
    let counting: Vec<usize> = located
        .into_iter()
        .filter_map(|located| located.counting(&["A".to_owned()]).map(|located| located.leaf))
        .collect();
    assert_eq!(counting, [2, 3]);
}
