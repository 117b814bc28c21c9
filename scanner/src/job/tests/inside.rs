//! What is locked, wrapped or executable within a part.
use super::*;

/// One of each kind of locked content: its type, its name, its octets.
fn locked_content() -> [(&'static str, &'static str, &'static str, Vec<u8>); 5] {
    let mut boxed = archive("a.txt", &[7; 900]);
    let directory = memchr::memmem::find(&boxed, b"PK\x01\x02").unwrap();
    for at in [6, directory + 8] {
        boxed[at] |= 1;
    }
    let pdf = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\ntrailer\n<</Encrypt 5 0 R>>\nstartxref\n0\n%%EOF\n".repeat(9);
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, content) in [
        ("mimetype", "application/vnd.oasis.opendocument.text".to_owned()),
        ("META-INF/manifest.xml", format!("<manifest:encryption-data/>{}", "<!-- -->".repeat(90))),
    ] {
        let stored =
            zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        writer.start_file(name, stored).unwrap();
        std::io::Write::write_all(&mut writer, content.as_bytes()).unwrap();
    }
    let office = writer.finish().unwrap().into_inner();
    let mut enveloped = b"\x30\x0f\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03\xa0\x02\x30\x00".to_vec();
    enveloped.resize(900, 0);
    let pgp =
        ["-----BEGIN PGP MESSAGE-----\r\n\r\n", &"hQEMA0\r\n".repeat(90), "-----END PGP MESSAGE-----\r\n"];
    [
        ("archive", "application/zip", "a.zip", boxed),
        ("office", "application/vnd.oasis.opendocument.text", "a.odt", office),
        ("pdf", "application/pdf", "a.pdf", pdf),
        ("smime", "application/pkcs7-mime", "smime.p7m", enveloped),
        ("pgp", "application/octet-stream", "encrypted.asc", pgp.concat().into_bytes()),
    ]
}

#[test]
fn what_counts_as_encrypted_is_the_mail_filters_to_say() {
    for (counted, list) in [
        (&["archive", "office", "pdf"][..], ""),
        (&["smime", "pgp"], "encrypted = [\"smime\", \"pgp\"]"),
        (&["archive"], "encrypted = [\"archive\"]"),
        (&["office"], "encrypted = [\"office\"]"),
        (&[], "encrypted = []"),
    ] {
        for (kind, declared, name, octets) in locked_content() {
            let judged = judged(&format!("[mail-filter.default]\n{list}\n"), &mail(declared, name, &octets));
            let verdict = &judged.verdict;
            if counted.contains(&kind) {
                assert_eq!(verdict.statuses, StatusSet::of(Status::Encrypted), "{kind} {list}: {verdict:?}");
                assert_eq!(verdict.rule, "standard-locked", "{kind} {list}");
                assert!(judged.leaf(1).starts_with("# "), "{kind}: {}", judged.leaf(1));
            } else {
                assert_eq!(verdict.disposition, Disposition::Pass, "{kind} {list}: {verdict:?}");
                assert!(verdict.statuses.is_clean(), "{kind} {list}: {verdict:?}");
            }
            // Whatever becomes of it, the log has a word about it.
            assert!(
                verdict.reason.contains("locked") || verdict.reason.contains("only its reader"),
                "{verdict:?}"
            );
        }
    }
}

#[test]
fn what_an_opaque_signature_wraps_is_shown_to_the_engines() {
    let element = |kind: u8, content: &[u8]| {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[kind, 0x82], &length[..], content].concat()
    };
    let signed = |kind: u8| {
        let object = |last| element(6, &[b"\x2a\x86\x48\x86\xf7\x0d\x01\x07", &[last][..]].concat());
        let virus = String::from_utf8(encode_base64(&eicar())).unwrap();
        let text = format!(
            "Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n{virus}"
        );
        let inner = element(0x30, &[object(1), element(0xa0, &element(4, text.as_bytes()))].concat());
        let body = [element(2, &[1]), element(0x31, &[]), inner].concat();
        element(0x30, &[object(kind), element(0xa0, &element(0x30, &body))].concat())
    };
    let judged = judged("", &mail("application/pkcs7-mime", "smime.p7m", &signed(2)));
    assert_eq!(judged.verdict.statuses, StatusSet::of(Status::Infected), "{:?}", judged.verdict);
    assert!(!String::from_utf8_lossy(judged.copy()).contains("smime.p7m"), "the body is gone");
    let other = self::judged("", &mail("application/pkcs7-mime", "smime.p7m", &signed(5)));
    assert_eq!(
        other.verdict.statuses,
        StatusSet::of(Status::Infected),
        "of no kind that is known, but it names an encoding"
    );
}

#[test]
fn a_document_loses_its_macros_in_its_place_and_one_that_cannot_be_without_them_is_replaced() {
    let rule = "[html-filter.safe]\n[[doc-acl]]\nname = \"macros\"\nmime-type = [\"application/vnd.ms-office.vbaproject\"]\n\
                action = \"html-filter\"\nhtml-filter = \"safe\"\n";
    let package = |relations: &str| {
        let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        for (name, content) in [
            (
                "[Content_Types].xml",
                "<Types><Default Extension=\"bin\" ContentType=\"application/vnd.ms-office.vbaProject\"/></Types>",
            ),
            ("word/document.xml", "<w:document/>"),
            ("word/_rels/document.xml.rels", relations),
            ("word/vbaProject.bin", "Sub AutoOpen()"),
        ] {
            writer.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
            std::io::Write::write_all(&mut writer, content.as_bytes()).unwrap();
        }
        writer.finish().unwrap().into_inner()
    };
    let good = package(
        "<Relationships><Relationship Id=\"r1\" Type=\"t\" Target=\"vbaProject.bin\"/></Relationships>",
    );
    let mail = mail("application/vnd.ms-word.document.macroEnabled.12", "a.docm", &good);
    for direction in [Direction::Download, Direction::Upload] {
        let judged = judged_in(direction, rule, &mail);
        assert_eq!(judged.verdict.rule, "macros");
        assert_eq!(judged.copy().len(), mail.len());
        let copy = mime::recogniser::recognise(judged.copy(), &mime::recogniser::Limits::default()).unwrap();
        let document = mime::recogniser::decode(judged.copy(), &copy.leaves[1]);
        let inside = Opener::new(&MailFilter::default(), &[], None).open(&document);
        assert!(!inside.macros && inside.finding == Finding::nothing(), "{inside:?}");
        assert!(inside.names.contains(&"document.xml".to_owned()), "{inside:?}");
        assert_eq!(copy.leaves[1].names, ["a.docm"]);
    }
    let odd = package("<!-- odd --><Relationships/>");
    let mail = self::mail("application/vnd.ms-word.document.macroEnabled.12", "a.docm", &odd);
    assert!(judged(rule, &mail).leaf(1).starts_with("# "));
    assert_eq!(judged_in(Direction::Upload, rule, &mail).verdict.disposition, Disposition::Deny);
    // Where macros may stay nothing is looked for.
    let keep = rule.replace("[html-filter.safe]\n", "[html-filter.safe]\nmacros = \"keep\"\n");
    assert_eq!(judged(&keep, &mail).verdict.disposition, Disposition::Pass);
}
