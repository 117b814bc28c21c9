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

/// A compound file with these streams: those of less than 4096 octets within that of the root.
fn compound(streams: &[(&str, &[u8])]) -> Vec<u8> {
    const END: u32 = 0xffff_fffe;
    let chain = |table: &mut Vec<u32>, sectors: usize| {
        let start = u32::try_from(table.len()).unwrap();
        table.extend((1..sectors).map(|next| start + u32::try_from(next).unwrap()));
        table.push(END);
        start
    };
    let padded = |octets: &[u8], to: usize| {
        let mut octets = octets.to_vec();
        octets.resize(octets.len().div_ceil(to) * to, 0);
        octets
    };
    let (mut fat, mut mini_fat, mut mini, mut big) =
        (vec![0xffff_fffd_u32], Vec::new(), Vec::new(), Vec::new());
    let directory_length = (streams.len() + 1) * 128;
    let directory_start = chain(&mut fat, directory_length.div_ceil(512));
    let mut starts = Vec::new();
    for (_, content) in streams.iter().filter(|(_, content)| content.len() < 4096 && !content.is_empty()) {
        starts.push(chain(&mut mini_fat, content.len().div_ceil(64)));
        mini.extend(padded(content, 64));
    }
    let mini_table: Vec<u8> = mini_fat.iter().flat_map(|next| next.to_le_bytes()).collect();
    let (mut mini_fat_start, mut root_start) = (END, END);
    if !mini.is_empty() {
        mini_fat_start = chain(&mut fat, mini_table.len().div_ceil(512));
        root_start = chain(&mut fat, mini.len().div_ceil(512));
    }
    let mut small = starts.into_iter();
    let entry = |name: &str, kind: u8, start: u32, size: usize| {
        let mut entry = [0_u8; 128];
        let letters: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
        entry[..letters.len()].copy_from_slice(&letters);
        entry[64] = u8::try_from(letters.len() + 2).unwrap();
        entry[66] = kind;
        entry[116..120].copy_from_slice(&start.to_le_bytes());
        entry[120..124].copy_from_slice(&u32::try_from(size).unwrap().to_le_bytes());
        entry
    };
    let mut directory = entry("Root Entry", 5, root_start, mini.len()).to_vec();
    for (name, content) in streams {
        let start = if content.len() >= 4096 {
            big.extend(padded(content, 512));
            chain(&mut fat, content.len().div_ceil(512))
        } else if content.is_empty() {
            END
        } else {
            small.next().unwrap()
        };
        directory.extend(entry(name, 2, start, content.len()));
    }
    let mut table: Vec<u8> = fat.iter().flat_map(|next| next.to_le_bytes()).collect();
    assert!(table.len() <= 512, "one sector of the table is enough here");
    table.resize(512, 0xff);
    let mut head = vec![0_u8; 512];
    head[..8].copy_from_slice(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1");
    head[30] = 9;
    for (at, number) in [(48, directory_start), (60, mini_fat_start), (68, END), (76, 0)] {
        head[at..at + 4].copy_from_slice(&number.to_le_bytes());
    }
    head[80..512].fill(0xff);
    [head, table, padded(&directory, 512), padded(&mini_table, 512), padded(&mini, 512), big].concat()
}

/// What Windows writes for a file that is put into a document.
fn package(name: &str, content: &[u8]) -> Vec<u8> {
    let path = format!("C:\\Temp\\{name}\0");
    let mut object = [b"\x02\0".as_slice(), name.as_bytes(), b"\0", path.as_bytes(), b"\0\0\x03\0"].concat();
    object.extend(u32::try_from(path.len()).unwrap().to_le_bytes());
    object.extend(path.as_bytes());
    object.extend(u32::try_from(content.len()).unwrap().to_le_bytes());
    object.extend(content);
    [u32::try_from(object.len()).unwrap().to_le_bytes().as_slice(), &object].concat()
}

fn mail(name: &str, content: &[u8]) -> Vec<u8> {
    let base64 = String::from_utf8(encode_base64(content)).unwrap();
    format!(
        "X-First: x\nFrom: a@example.org\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nHello\n--b\n\
         Content-Type: application/octet-stream; name=\"{name}\"\nContent-Transfer-Encoding: base64\n\n{}\n--b--\n",
        base64.replace("\r\n", "\n").trim_end()
    )
    .into_bytes()
}

fn in_base64(before: &str, content: &[u8], behind: &str) -> Vec<u8> {
    let base64: String =
        encode_base64(content).into_iter().map(char::from).filter(|letter| !letter.is_whitespace()).collect();
    format!("{before}{base64}{behind}").into_bytes()
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
        ("zip at the end of a tar", tar(&[("a", b'0', b"x"), ("b.zip", b'0', &boxed)]), "note.js"),
        ("zip at the end of a compound file", compound(&[("Package", &boxed)]), "note.js"),
        ("compound file", compound(&[("Contents", WORDS)]), ""),
        ("compound file with a large stream", compound(&[("x", &WORDS.repeat(100))]), ""),
        (
            "file put into a document",
            compound(&[("\u{1}Ole10Native", &package("note.js", WORDS))]),
            "note.js",
        ),
        (
            "archive put into a document in an archive",
            zip(&[
                ("[Content_Types].xml", b"<Types/>"),
                ("word/embeddings/o.bin", &compound(&[("\u{1}Ole10Native", &package("a.zip", &boxed))])),
            ]),
            "note.js",
        ),
        (
            "attachment of Outlook's file",
            compound(&[("__substg1.0_3707001F", b"n\0o\0t\0e\0.\0j\0s\0"), ("__substg1.0_37010102", WORDS)]),
            "note.js",
        ),
        ("mail", mail("note.js", WORDS), "note.js"),
        ("archive in a mail in an archive", zip(&[("a.eml", &mail("a.zip", &boxed))]), "note.js"),
        (
            "calendar",
            in_base64(
                "BEGIN:VCALENDAR\r\nATTACH;ENCODING=BASE64;VALUE=BINARY;X-FILENAME=\"note.js\":\r\n ",
                WORDS,
                "\r\nEND:VCALENDAR\r\n",
            ),
            "note.js",
        ),
        ("address card", in_base64("BEGIN:VCARD\r\nKEY;ENCODING=b;TYPE=x:", WORDS, "\r\nEND:VCARD\r\n"), ""),
        ("address", in_base64("<a href=\"data:application/zip;base64,", WORDS, "\">x</a>"), ""),
        ("address of an archive", in_base64("<img src='DATA:x;charset=y;base64,", &boxed, "'>"), "note.js"),
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
fn the_name_in_unicode_of_either_header_is_known() {
    // 0x7075: a version, a checksum, the name; in front of the member alone.
    let honest = zip(&[("a.txt", b"one")]);
    let field = [b"\x75\x70\x0c\0\x01\0\0\0\0note.js".as_slice()].concat();
    let mut lying = honest[..35].to_vec();
    lying[28] = u8::try_from(field.len()).unwrap();
    lying.extend(&field);
    lying.extend(&honest[35..]);
    let end = lying.len() - 22;
    let directory = u32::try_from(memchr::memmem::find(&lying, b"PK\x01\x02").unwrap()).unwrap();
    lying[end + 16..end + 20].copy_from_slice(&directory.to_le_bytes());
    let inside = opened(&lying);
    assert!(inside.finding.statuses.is_empty() && inside.names.contains(&"note.js".to_owned()), "{inside:?}");
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
        (
            "pdf whose name of it is escaped",
            b"%PDF-1.6\ntrailer\n<</Size 4/#45ncr#79pt%x\n\x00 3 0 R>>\nstartxref\n9\n%%EOF".to_vec(),
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
        ("rar behind a picture", [b"GIF89a\x01\0\x01\0\0\0\0".as_slice(), &rar("a", 0, WORDS)].concat()),
        ("rar behind a text", [b"Some words.\r\n".as_slice(), &rar("a", 0, WORDS)].concat()),
        ("7z behind a program", [b"MZ\x90\0\x03\0\0\0".as_slice(), &seven].concat()),
        ("zip behind a document", [compound(&[("x", b"y")]), zip(&[("a", WORDS)])].concat()),
        ("zip behind a picture, its end in long numbers", {
            let zip = zip(&[("a", WORDS)]);
            let (members, end) = zip.split_at(zip.len() - 22);
            [b"GIF89a", members, b"PK\x06\x06", &[0; 52], b"PK\x06\x07", &[0; 16], end].concat()
        }),
        ("tar of old with a sum of signed octets", {
            let mut tar = tar(&[("\u{e9}\u{e9}", b'0', WORDS)]);
            tar[257..263].fill(0);
            let sum: i64 = (0..512)
                .map(|at| if (148..156).contains(&at) { 32 } else { i64::from(tar[at].cast_signed()) })
                .sum();
            tar[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
            tar.truncate(1000);
            tar
        }),
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
    for (what, octets) in [
        ("rar, packed", rar("a.exe", 3, WORDS)),
        ("cabinet", b"MSCF\0\0\0\0\x40\0\0\0\0\0\0\0".to_vec()),
        ("notebook", b"\xe4\x52\x5c\x7b\x8c\xd8\xa7\x4d\xae\xb1\x53\x78\xd0\x29\x96\xd3".to_vec()),
        ("disk", [vec![0; 4096], b"conectix".to_vec(), vec![0; 504]].concat()),
    ] {
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
    // Whoever calls an archive a document hides no program in it.
    parts.push(("setup.dat", b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff\0\0"));
    assert!(opened(&zip(&parts)).types.iter().any(|(_, name)| name.ends_with("portable-executable")));
    let archive = opened(&zip(&[("setup.dat", b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff\0\0")]));
    let program = "application/vnd.microsoft.portable-executable";
    assert!(archive.types.contains(&(TypeSource::Magic, program.into())), "{archive:?}");
}

#[test]
fn macros_are_known_wherever_an_office_keeps_them() {
    let project = compound(&[("VBA", b"x")]);
    let mut packer = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    packer.write_all(&project).unwrap();
    let packed =
        [u32::try_from(project.len()).unwrap().to_le_bytes().to_vec(), packer.finish().unwrap()].concat();
    let record = |head: u16, content: &[u8]| {
        let length = u32::try_from(content.len()).unwrap().to_le_bytes();
        [&head.to_le_bytes(), b"\x11\x10".as_slice(), &length, content].concat()
    };
    let slides = |record: Vec<u8>| [b"\x0f\0\xe8\x03\x02\0\0\0xx".to_vec(), record].concat();
    let sheet =
        |kind: u8| [b"\x09\x08\x02\0\0\x06\x85\0\x08\0\0\0\0\0\0".as_slice(), &[kind], b"\x01\0A"].concat();
    for (what, octets, expected) in [
        ("Word", compound(&[("vba", b"x")]), true),
        ("PowerPoint, packed", compound(&[("PowerPoint Document", &slides(record(0x10, &packed)))]), true),
        ("PowerPoint", compound(&[("PowerPoint Document", &slides(record(0, &project)))]), true),
        ("PowerPoint without", compound(&[("PowerPoint Document", &slides(Vec::new()))]), false),
        ("Excel's sheets of macros", compound(&[("Workbook", &sheet(1))]), true),
        ("Excel without", compound(&[("Workbook", &sheet(0))]), false),
        ("OpenDocument", zip(&[("mimetype", b"application/vnd.oasis.opendocument.text"), ("Basic/Standard/M.xml", b"<x/>")]), true),
        ("OpenDocument without", zip(&[("mimetype", b"application/vnd.oasis.opendocument.text"), ("content.xml", b"<x/>")]), false),
        ("a project under another name", zip(&[("[Content_Types].xml", b"<Types/>"), ("word/x.dat", &project)]), true),
        ("web archive", mail("editdata.mso", b"ActiveMime\0\0\x01\xf0"), true),
        ("one file of XML", b"<?xml version=\"1.0\"?><?mso-application progid=\"Word.Document\"?><w:d w:macrosPresent=\"yes\"/>".to_vec(), true),
    ] {
        let inside = opened(&octets);
        assert_eq!((inside.macros, inside.finding.statuses), (expected, StatusSet::EMPTY), "{what}: {inside:?}");
    }
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
        compound(&[
            ("\u{1}Ole10Native", &package("a", b"b")),
            ("PowerPoint Document", b"\x10\0\x11\x10\x02\0\0\0ab"),
        ]),
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
