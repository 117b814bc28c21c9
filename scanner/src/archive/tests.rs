//! Every container that is opened, honest and lying.
use super::*;
use ::zip::write::SimpleFileOptions;
use mime::transfer_encoding::{decode_base64, encode_base64};
use policy::status::StatusSet;
use std::io::{Cursor, Write};

const WORDS: &[u8] = b"MARKER-IN-AN-ARCHIVE and some words around it";
const XZ: &str = "/Td6WFoAAATm1rRGAgAhARYAAAB0L+WjAQAsTUFSS0VSLUlOLUFOLUFSQ0hJVkUgYW5kIHNvbWUgd29yZHMgYXJvdW5kIGl0AAAAAGz9cbEn3RaNAAFFLR5SV+gftvN9AQAAAAAEWVo=";
const ZSTD: &str = "KLUv/SQtaQEATUFSS0VSLUlOLUFOLUFSQ0hJVkUgYW5kIHNvbWUgd29yZHMgYXJvdW5kIGl0kjguZQ==";
const SEVEN: &str = "N3q8ryccAAStLu9PMQAAAAAAAABaAAAAAAAAAPH2UCQBACxNQVJLRVItSU4tQU4tQVJDSElWRSBhbmQgc29tZSB3b3JkcyBhcm91bmQgaXQAAQQGAAEJMQAHCwEAASEhAQAMLQAICgGVQfYCAAAFARkMAAAAAAAAAAAAAAAAERMAbgBvAHQAZQAuAHQAeAB0AAAAGQAUCgEAZvELpWF+3QEVBgEAIICkgQAA";
const SEVEN_LOCKED: &str = "N3q8ryccAARRB7o8QAAAAAAAAABqAAAAAAAAAO+2F51aRD5/fZ6ddXoLC8sBZfUKkjbFTaVZcwwNRFRMnEDuYYtBxIRYnzmv7jJpQPI33SyxVgHT7bmQP2gr15NLotG2AQQGAAEJQAAHCwEAAiQG8QcBElMPfG+FU3GNre3B7IzhsPCZVyEhAQABAAwxLQAICgGVQfYCAAAFARkBABETAG4AbwB0AGUALgB0AHgAdAAAABkAFAoBAGbxC6Vhft0BFQYBACCApIEAAA==";
const SEVEN_ALL_LOCKED: &str = "N3q8ryccAASUSi6QsAAAAAAAAAAuAAAAAAAAAKoG8PUekkW8BsH8K9WvhtKPE6yL915yWMfytvObF+KnbVe94GJquPAO54NsixORSRnt6wD7YovbRNa9wphxWdlP+k4Y0+eNficisYjX5/GT60JojiIQkoQljLT0DdAOmAZxvDBKfIsSJzZU8M/DphDZZIZ7ZzbuEEC7SWRvhEDLq8p65gm5ae7VWB/KxPcnS4dD2iEdjm+0e/azLM58er6AB+ylTFBB4XDgtl4ve6PP3jt0VxcGQAEJcAAHCwEAASQG8QcBElMPmBH4y2YRzeMr116w6zAChAxqCgFmOT7gAAA=";

/// What is inside; the engine finds the words.
fn opened(octets: &[u8]) -> Inside {
    let filter = MailFilter::default();
    let look = |octets: &[u8]| {
        let found = memchr::memmem::find(octets, b"MARKER-IN-AN-ARCHIVE").is_some();
        if found { Finding::infected("Marker") } else { Finding::clean() }
    };
    Opener::new(&filter, &[], Some(&look)).open(octets)
}

fn statuses(octets: &[u8]) -> StatusSet {
    opened(octets).finding.statuses
}

fn is_found(octets: &[u8]) -> bool {
    opened(octets).looked.statuses.contains(Status::Infected)
}

fn zip(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ::zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in members {
        writer.start_file(*name, SimpleFileOptions::default()).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn gzip(octets: &[u8]) -> Vec<u8> {
    let mut encoder =
        flate2::GzBuilder::new().filename("note.js").write(Vec::new(), flate2::Compression::default());
    encoder.write_all(octets).unwrap();
    encoder.finish().unwrap()
}

fn bzip2(octets: &[u8]) -> Vec<u8> {
    let mut encoder = ::bzip2::write::BzEncoder::new(Vec::new(), ::bzip2::Compression::default());
    encoder.write_all(octets).unwrap();
    encoder.finish().unwrap()
}

fn tar_member(name: &str, kind: u8, content: &[u8]) -> Vec<u8> {
    let mut header = [0_u8; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
    header[156] = kind;
    header[257..263].copy_from_slice(b"ustar\0");
    header[148..156].copy_from_slice(b"        ");
    let sum: u32 = header.iter().map(|octet| u32::from(*octet)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    let mut member = header.to_vec();
    member.extend_from_slice(content);
    member.resize(512 + content.len().div_ceil(512) * 512, 0);
    member
}

fn tar(members: &[(&str, u8, &[u8])]) -> Vec<u8> {
    let mut tar: Vec<u8> =
        members.iter().flat_map(|(name, kind, content)| tar_member(name, *kind, content)).collect();
    tar.resize(tar.len() + 1024, 0);
    tar
}

fn block(kind: u8, flags: u8, body: &[u8], data: Option<&[u8]>) -> Vec<u8> {
    let mut header = vec![kind, flags];
    if let Some(data) = data {
        header.push(u8::try_from(data.len()).unwrap());
    }
    header.extend_from_slice(body);
    let mut hashed = vec![u8::try_from(header.len()).unwrap()];
    hashed.extend(header);
    let mut block = crc32fast::hash(&hashed).to_le_bytes().to_vec();
    block.extend(hashed);
    block.extend_from_slice(data.unwrap_or_default());
    block
}

/// RAR 5 with one file: `method` is 0 for stored.
fn rar(name: &str, method: u8, content: &[u8]) -> Vec<u8> {
    let mut file = vec![0, u8::try_from(content.len()).unwrap(), 0];
    file.extend_from_slice(&[0x80 | (method << 7), method >> 1, 0, u8::try_from(name.len()).unwrap()]);
    file.extend_from_slice(name.as_bytes());
    [
        b"Rar!\x1a\x07\x01\0".to_vec(),
        block(1, 0, &[0], None),
        block(2, 2, &file, Some(content)),
        block(5, 0, &[0], None),
    ]
    .concat()
}

#[test]
fn what_is_packed_is_found_and_its_name_is_known() {
    let boxed = zip(&[("docs/note.js", WORDS)]);
    for (what, octets, name) in [
        ("zip", boxed.clone(), "note.js"),
        ("zip in zip", zip(&[("inner.zip", &boxed)]), "note.js"),
        ("gzip", gzip(WORDS), "note.js"),
        ("tar", tar(&[("note.js", b'0', WORDS)]), "note.js"),
        ("tar.gz", gzip(&tar(&[("a/", b'5', b""), ("a/note.js", b'0', WORDS)])), "note.js"),
        ("tar.bz2", bzip2(&tar(&[("note.js", b'0', WORDS)])), "note.js"),
        ("long name", tar(&[("x", b'L', b"very/long/note.js\0"), ("x", b'0', WORDS)]), "note.js"),
        ("xz", decode_base64(XZ.as_bytes()), ""),
        ("zstd", decode_base64(ZSTD.as_bytes()), ""),
        ("7z", decode_base64(SEVEN.as_bytes()), "note.txt"),
        ("rar, stored", rar("note.js", 0, WORDS), "note.js"),
    ] {
        let inside = opened(&octets);
        assert_eq!(inside.finding.statuses, StatusSet::EMPTY, "{what}: {inside:?}");
        assert!(inside.looked.statuses.contains(Status::Infected), "{what}");
        assert!(
            name.is_empty() || inside.names.iter().any(|known| known == name),
            "{what}: {:?}",
            inside.names
        );
    }
    assert_eq!(opened(b"no container at all"), Inside::default());
}

#[test]
fn what_needs_a_key_is_encrypted() {
    let mut locked = zip(&[("a.txt", WORDS)]);
    locked[6] |= 1;
    let directory = memchr::memmem::find(&locked, b"PK\x01\x02").unwrap();
    locked[directory + 8] |= 1;
    for (what, octets) in [
        ("zip", locked),
        ("7z", decode_base64(SEVEN_LOCKED.as_bytes())),
        ("7z with its names", decode_base64(SEVEN_ALL_LOCKED.as_bytes())),
        (
            "pdf",
            b"%PDF-1.6\n1 0 obj\n<<>>\nendobj\ntrailer\n<</Size 4/Encrypt 3 0 R>>\nstartxref\n9\n%%EOF"
                .to_vec(),
        ),
        ("rar with its names", [b"Rar!\x1a\x07\x01\0".to_vec(), block(4, 0, &[0, 0], None)].concat()),
    ] {
        assert_eq!(statuses(&octets), StatusSet::of(Status::Encrypted), "{what}");
        assert!(!is_found(&octets), "{what}");
    }
    assert_eq!(statuses(b"%PDF-1.6\n% how to /Encrypt files\nstartxref\n9\n%%EOF"), StatusSet::EMPTY);
}

#[test]
fn zip_archives_that_readers_would_read_differently_are_malformed() {
    let honest = zip(&[("a.txt", b"one"), ("b.txt", b"two")]);
    let at = |mark: &[u8]| memchr::memmem::find(&honest, mark).unwrap();
    let (directory, end) = (at(b"PK\x01\x02"), at(b"PK\x05\x06"));
    let changed = |offset: usize, octet: u8| {
        let mut zip = honest.clone();
        zip[offset] = octet;
        zip
    };
    assert_eq!(statuses(&honest), StatusSet::EMPTY);
    for (what, octets) in [
        ("glued in front", [b"GIF89a".as_slice(), &honest].concat()),
        ("glued behind", [&honest, b"more".as_slice()].concat()),
        ("two archives", [honest.clone(), honest.clone()].concat()),
        ("cut off", honest[..honest.len() - 5].to_vec()),
        ("cut in the middle", honest[..honest.len() / 2].to_vec()),
        ("another name in front of the member", changed(30, b'z')),
        ("another name in the directory", changed(directory + 46, b'z')),
        ("another method", changed(8, 0)),
        ("another size", changed(22, 9)),
        ("another checksum", changed(14, honest[14] ^ 1)),
        ("a count that lies", changed(end + 10, 1)),
        ("a directory elsewhere", changed(end + 16, honest[end + 16] ^ 1)),
        ("a name that leads elsewhere", zip(&[("../a.txt", b"one")])),
        ("an absolute name", zip(&[("/etc/a", b"one")])),
        ("the same name twice", zip(&[("a.txt", b"one"), ("A.TXT", b"two")])),
        ("octets that are not its members'", {
            let mut zip = honest.clone();
            let content = 30 + 5;
            zip[content] ^= 0x55;
            zip
        }),
    ] {
        let found = statuses(&octets);
        assert!(found.contains(Status::Malformed), "{what}: {found}");
    }
    let mut writer = ::zip::ZipWriter::new(Cursor::new(Vec::new()));
    writer.add_symlink("link", "/etc/passwd", SimpleFileOptions::default()).unwrap();
    assert_eq!(statuses(&writer.finish().unwrap().into_inner()), StatusSet::of(Status::Malformed));
}

#[test]
fn other_containers_that_lie_are_malformed() {
    let one = tar(&[("a", b'0', WORDS)]);
    let seven = decode_base64(SEVEN.as_bytes());
    for (what, octets) in [
        ("gzip and more", [gzip(WORDS), b"more".to_vec()].concat()),
        ("gzip cut off", gzip(WORDS)[..30].to_vec()),
        ("bzip2 and more", [bzip2(WORDS), b"more".to_vec()].concat()),
        ("xz and more", [decode_base64(XZ.as_bytes()), b"more".to_vec()].concat()),
        (
            "zstd and a frame to skip",
            [decode_base64(ZSTD.as_bytes()), b"\x50\x2a\x4d\x18\x01\0\0\0x".to_vec()].concat(),
        ),
        ("7z and more", [seven.clone(), b"more".to_vec()].concat()),
        ("7z cut off", seven[..seven.len() - 3].to_vec()),
        ("tar cut off", one[..700].to_vec()),
        ("tar and more", [one.clone(), WORDS.to_vec()].concat()),
        ("tar with a link", tar(&[("a", b'2', b"")])),
        ("tar with a device", tar(&[("a", b'3', b"")])),
        ("tar that leads elsewhere", tar(&[("../a", b'0', b"")])),
        ("tar with two sizes", tar(&[("x", b'x', b"12 size=100\n"), ("a", b'0', WORDS)])),
        ("rar and more", [rar("a", 0, WORDS), b"more".to_vec()].concat()),
        ("rar cut off", rar("a", 0, WORDS)[..40].to_vec()),
        ("a document that is none", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 and no more".to_vec()),
    ] {
        let found = statuses(&octets);
        assert!(found.contains(Status::Malformed), "{what}: {found}");
    }
}

#[test]
fn too_much_is_a_limit_and_never_a_pass() {
    let zeros = vec![0; 64 << 20];
    let bomb = zip(&[("zeros", &zeros)]);
    assert!(bomb.len() < 100_000);
    assert_eq!(statuses(&bomb), StatusSet::of(Status::Limit));
    assert_eq!(statuses(&gzip(&zeros)), StatusSet::of(Status::Limit));
    assert_eq!(statuses(&bzip2(&zeros)), StatusSet::of(Status::Limit));
    let mut deep = zip(&[("words", WORDS)]);
    for _ in 0..8 {
        deep = zip(&[("deeper.zip", &deep)]);
    }
    let inside = opened(&deep);
    assert_eq!(inside.finding.statuses, StatusSet::of(Status::Limit));
    let names: Vec<String> = (0..=MAX_MEMBERS).map(|number| number.to_string()).collect();
    let many: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), b"".as_slice())).collect();
    assert_eq!(statuses(&zip(&many)), StatusSet::of(Status::Limit));
}

#[test]
fn what_cannot_be_opened_is_said() {
    for (what, octets) in
        [("rar, packed", rar("a.exe", 3, WORDS)), ("cabinet", b"MSCF\0\0\0\0\x40\0\0\0\0\0\0\0".to_vec())]
    {
        let inside = opened(&octets);
        assert!(inside.closed && inside.finding == Finding::nothing(), "{what}: {inside:?}");
        assert_eq!(inside.found(true).statuses, StatusSet::of(Status::Limit));
        assert_eq!(inside.found(false).statuses, StatusSet::EMPTY);
    }
    assert!(opened(&rar("a.exe", 3, WORDS)).names.contains(&"a.exe".to_owned()));
}

#[test]
fn documents_with_macros_are_known_and_their_parts_are_no_documents() {
    let plain = [
        ("[Content_Types].xml", b"<Types/>".as_slice()),
        ("word/document.xml", b"<w/>"),
        ("word/media/a.png", b"\x89PNG\r\n\x1a\n"),
    ];
    let document = opened(&zip(&plain));
    assert!(!document.macros && document.types.is_empty(), "{document:?}");
    let mut parts = plain.to_vec();
    parts.push(("word/vbaProject.bin", b"macro"));
    assert!(opened(&zip(&parts)).macros);
    let archive = opened(&zip(&[("setup.dat", b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff\0\0")]));
    let program = "application/vnd.microsoft.portable-executable";
    assert!(archive.types.contains(&(TypeSource::Magic, program.into())), "{archive:?}");
}

#[test]
fn no_octets_make_a_reader_panic() {
    let samples = [
        zip(&[("a.txt", WORDS), ("b.bin", &gzip(WORDS))]),
        gzip(&tar(&[("a", b'0', WORDS)])),
        tar(&[("x", b'x', b"18 path=other.name\n"), ("a", b'0', WORDS)]),
        decode_base64(SEVEN.as_bytes()),
        decode_base64(XZ.as_bytes()),
        decode_base64(ZSTD.as_bytes()),
        bzip2(WORDS),
        rar("a.txt", 0, WORDS),
    ];
    for sample in &samples {
        let _ = encode_base64(sample);
        for at in 0..sample.len() {
            for octet in [0x00, 0x01, 0x7f, 0xff] {
                let mut broken = sample.clone();
                broken[at] = octet;
                let _ = opened(&broken);
            }
            let _ = opened(&sample[..at]);
        }
    }
}
