//! Which types can be the same document, and which contradict each other.
use super::magic::UNKNOWN;

const ZIP: &str = "application/zip";
const OLE: &str = "application/x-cfb";
const TEXT: &str = "text/plain";

/// Names that mean the same: the first is the one that is used.
const ALIASES: [(&str, &[&str]); 17] = [
    (ZIP, &["application/x-zip-compressed", "application/x-zip", "application/x-compressed"]),
    ("application/gzip", &["application/x-gzip", "application/x-gunzip"]),
    ("application/x-bzip2", &["application/x-bzip", "application/bzip2"]),
    ("application/vnd.rar", &["application/x-rar-compressed", "application/x-rar", "application/rar"]),
    ("application/pdf", &["application/x-pdf", "application/acrobat", "text/pdf"]),
    ("application/rtf", &["text/rtf", "text/richtext", "application/x-rtf"]),
    ("application/javascript", &["text/javascript", "application/x-javascript", "application/ecmascript"]),
    ("text/xml", &["application/xml"]),
    ("image/jpeg", &["image/jpg", "image/pjpeg"]),
    ("image/png", &["image/x-png", "image/apng"]),
    ("image/bmp", &["image/x-bmp", "image/x-ms-bmp"]),
    ("image/tiff", &["image/x-tiff"]),
    ("image/vnd.microsoft.icon", &["image/x-icon"]),
    (
        "application/vnd.microsoft.portable-executable",
        &[
            "application/x-msdownload",
            "application/x-msdos-program",
            "application/x-dosexec",
            "application/x-exe",
            "application/x-ms-ne-executable",
        ],
    ),
    ("application/vnd.ms-tnef", &["application/ms-tnef"]),
    ("application/x-pkcs7-signature", &["application/pkcs7-signature"]),
    ("application/x-iso9660-image", &["application/x-iso-image", "application/x-cd-image"]),
];

/// The one name that is used for a type.
pub(super) fn alias(name: &str) -> &str {
    ALIASES.iter().find(|(_, others)| others.contains(&name)).map_or(name, |(first, _)| first)
}

/// Whether content, names and declaration cannot all be true. An empty document is of every type.
pub(super) fn mismatch(content: &[String], by_name: &[String], declared: &str, empty: bool) -> bool {
    if empty {
        return false;
    }
    let content = content.first().map_or(UNKNOWN, String::as_str);
    let claims = || by_name.iter().map(String::as_str).chain([declared]).map(alias);
    let lies = |claim: &str| {
        if content == UNKNOWN { has_magic(claim) } else { contradict(alias(content), claim) }
    };
    let named = || by_name.iter().map(String::as_str).map(alias);
    claims().any(lies) || named().any(|name| contradict(name, alias(declared)))
}

fn contradict(one: &str, other: &str) -> bool {
    if one == other || UNKNOWN == one || UNKNOWN == other {
        return false;
    }
    let (mine, theirs) = (bases(one), bases(other));
    if mine.contains(&other) || theirs.contains(&one) {
        return false;
    }
    match (one, other) {
        // Word writes and opens RTF under its own name.
        ("application/msword", "application/rtf") | ("application/rtf", "application/msword") => false,
        // Nothing is known of one of them that the other could contradict.
        _ => {
            let known = |name: &str, bases: &[&str]| has_magic(name) || !bases.is_empty() || name == TEXT;
            let media = |name: &str| is_media(name);
            let related = mine.iter().any(|base| theirs.contains(base) && *base == TEXT);
            known(one, &mine) && known(other, &theirs) && !(media(one) && media(other)) && !related
        }
    }
}

/// What a reader of this type starts from: a DOCX is a ZIP archive, HTML is text.
fn bases(name: &str) -> Vec<&'static str> {
    let zip = name.contains("openxmlformats")
        || name.contains(".oasis.opendocument")
        || name.contains(".sun.xml")
        || name.ends_with("+zip")
        || name.contains("macroenabled")
        || [
            "application/java-archive",
            "application/vnd.android.package-archive",
            "application/vnd.ms-appx",
            "application/vnd.ms-appx.bundle",
            "application/vnd.ms-visio.drawing.main+xml",
            "application/x-xpinstall",
            "application/oxps",
            "application/vnd.ms-xpsdocument",
            "application/vnd.google-earth.kmz",
            "application/vnd.apple.pages",
            "application/vnd.apple.numbers",
            "application/vnd.apple.keynote",
        ]
        .contains(&name);
    let ole = [
        "application/msword",
        "application/vnd.ms-excel",
        "application/vnd.ms-powerpoint",
        "application/vnd.ms-outlook",
        "application/vnd.ms-publisher",
        "application/vnd.ms-project",
        "application/vnd.visio",
        "application/vnd.ms-works",
        "application/x-msi",
    ]
    .contains(&name);
    let xml = name.ends_with("+xml") || name == "text/xml";
    let text = name.starts_with("text/")
        || name.starts_with("message/")
        || xml
        || name.ends_with("+json")
        || [
            "application/json",
            "application/javascript",
            "application/x-sh",
            "application/x-shellscript",
            "application/x-perl",
            "application/x-php",
            "application/x-python",
            "application/sql",
            "application/x-yaml",
            "application/yaml",
            "application/toml",
            "application/x-subrip",
            "application/hta",
            "application/x-wsf",
            "application/x-mswinurl",
            "application/x-sylk",
            "application/x-rdp",
            "application/x-mimearchive",
            "application/pgp-encrypted",
            "application/pgp-signature",
            "application/pgp-keys",
            "application/x-pem-file",
            "application/postscript",
            "application/windows-library+xml",
            "application/ics",
        ]
        .contains(&name);
    let mut bases = Vec::new();
    if zip && name != ZIP {
        bases.push(ZIP);
    }
    if ole {
        bases.push(OLE);
    }
    if xml && !zip && name != "text/xml" {
        bases.push("text/xml");
    }
    if text && !zip && name != TEXT {
        bases.push(TEXT);
    }
    bases
}

/// Sound and pictures that move: containers and what is in them are named alike.
fn is_media(name: &str) -> bool {
    name.starts_with("audio/")
        || name.starts_with("video/")
        || ["application/ogg", "application/mp4", "application/x-matroska", "application/vnd.ms-asf"]
            .contains(&name)
}

/// Types whose content always says so.
fn has_magic(name: &str) -> bool {
    [
        "application/pdf",
        "application/rtf",
        "application/gzip",
        "application/x-bzip2",
        "application/x-xz",
        "application/zstd",
        "application/x-7z-compressed",
        "application/vnd.rar",
        "application/vnd.ms-cab-compressed",
        "application/x-executable",
        "application/vnd.microsoft.portable-executable",
        "application/vnd.ms-tnef",
        "application/onenote",
        "application/x-ms-shortcut",
        "application/vnd.ms-htmlhelp",
        "application/x-iso9660-image",
        "application/x-shockwave-flash",
        "application/java-vm",
        "image/png",
        "image/gif",
        "image/jpeg",
        "image/webp",
        "image/bmp",
        "image/tiff",
        "image/vnd.microsoft.icon",
        ZIP,
        OLE,
    ]
    .contains(&name)
        || matches!(bases(name).as_slice(), [base, ..] if *base == ZIP || *base == OLE)
}
