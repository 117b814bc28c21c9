//! Containers: archives, compressed files, office documents. Each is read by a strict recogniser: what is not plainly
//! well-formed is `malformed`, what needs a key is `encrypted`, what is too much is `limit`; none of them is a pass. What can be opened
//! is shown to the builtin engine, and names and types of members go to the document rules.
//!
//! ```text
//! zip.rs      every octet belongs to a member, and both headers say the same     tar.rs   likewise, with checksums
//! stream.rs   gzip, bzip2, xz, zstd: one file each                               seven.rs 7z, by sevenz-rust2
//! rar.rs      names and locks; nothing is unpacked                               ole.rs   streams, locks and macros
//! pdf.rs      locks                                                              pgp.rs   OpenPGP messages
//! message.rs  mails in files                                                     inline.rs   what texts hold in base64
//! macros.rs   a document without its macros                                      programs.rs   which documents have any
//! ```
//!
//! # Security
//! Reads octets that anybody on the Internet chose. Decoders write into bounded memory, no thread, no file; what headers
//! say of sizes is compared and never believed.
mod inline;
mod macros;
mod message;
mod ole;
mod pdf;
mod pgp;
mod programs;
mod rar;
mod read;
mod seven;
mod stream;
mod tar;
mod zip;

pub use macros::without_macros;

use crate::antivirus::Finding;
use crate::documents::{self, magic};
use crate::readings;
use policy::locked::Locked;
use policy::model::{ExtraType, MailFilter, TypeSource};
use policy::status::Status;

/// Members of all containers of one mail.
const MAX_MEMBERS: usize = 10_000;
/// Names and types that are kept for the rules.
const MAX_KEPT: usize = 20_000;
/// A member that grows to more than this, and so many times its packed size, is made to exhaust readers.
const BOMB: u64 = 16 << 20;
const MAX_RATIO: u64 = 250;
/// Depth at which a mail in a file is still taken apart: each level is as much work as a mail.
const MAX_MESSAGES: usize = 4;
/// Memory of one decoder, KiB.
const DECODER_KIB: u32 = 96 << 10;

/// The builtin engine, as members are shown to it.
pub type Look<'a> = dyn Fn(&[u8]) -> Finding + 'a;

/// What is inside the containers of one mail.
pub struct Opener<'a> {
    filter: &'a MailFilter,
    extra: &'a [ExtraType],
    /// Octets that may still be unpacked.
    budget: u64,
    members: usize,
    look: Option<&'a Look<'a>>,
}

/// What is inside one leaf.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Inside {
    /// Statuses of the container and of everything in it; nothing, if it is no container.
    pub finding: Finding,
    /// What the builtin engine found in its members.
    pub looked: Finding,
    /// Names of members, in every form.
    pub names: Vec<String>,
    /// Types of members, by content and by name.
    pub types: Vec<(TypeSource, String)>,
    /// It holds something that could not be looked into, for no fault of its own.
    pub closed: bool,
    /// A document with macros.
    pub macros: bool,
}

/// Why a container was not opened to its end: a status and a few constant words.
type Fault = (Status, &'static str);

const TOO_MUCH: Fault = (Status::Limit, "an archive of more octets than max-decoded");

impl<'a> Opener<'a> {
    /// For one mail under `filter`; `look` is the builtin engine, if it is asked.
    pub fn new(filter: &'a MailFilter, extra: &'a [ExtraType], look: Option<&'a Look<'a>>) -> Self {
        Self { filter, extra, budget: filter.max_decoded, members: 0, look }
    }

    /// Opens a leaf, if it is a container.
    pub fn open(&mut self, octets: &[u8]) -> Inside {
        let mut inside = Inside { macros: programs::are_in("", octets), ..Inside::default() };
        self.container(octets, 1, &mut inside);
        inside
    }

    fn container(&mut self, octets: &[u8], depth: usize, inside: &mut Inside) {
        let kind = Kind::of(octets);
        let lock = kind.as_ref().map_or(Locked::Archive, Kind::lock);
        if kind.is_some() && depth > self.filter.max_archive_depth {
            inside.fault((Status::Limit, "archives nested deeper than max-archive-depth"));
            return;
        }
        let mut members = Members { opener: self, depth, inside, of_office: false, of_document: false, lock };
        let done = match kind {
            Some(Kind::Zip) => zip::open(octets, &mut members),
            Some(Kind::Tar) => tar::open(octets, &mut members),
            Some(Kind::Gzip) => stream::gzip(octets, &mut members),
            Some(Kind::Bzip2) => stream::bzip2(octets, &mut members),
            Some(Kind::Xz) => stream::xz(octets, &mut members),
            Some(Kind::Zstd) => stream::zstd(octets, &mut members),
            Some(Kind::Seven) => seven::open(octets, &mut members),
            Some(Kind::Rar) => rar::open(octets, &mut members),
            Some(Kind::Ole) => ole::open(octets, &mut members),
            Some(Kind::Pdf) => pdf::check(octets),
            Some(Kind::Message) if depth > MAX_MESSAGES => {
                Err((Status::Limit, "mails in files nested too deep"))
            }
            Some(Kind::Message) => message::open(octets, &mut members),
            Some(Kind::Smime) => Err((Status::Encrypted, "an S/MIME message that only its reader can open")),
            Some(Kind::Pgp) => Err((Status::Encrypted, "an OpenPGP message that only its reader can open")),
            Some(Kind::Glued) => Err((Status::Malformed, "an archive behind something else")),
            Some(Kind::Closed) => {
                members.inside.closed = true;
                Ok(())
            }
            None if depth <= members.opener.filter.max_archive_depth => inline::open(octets, &mut members),
            None => Ok(()),
        };
        if let Err(fault) = done {
            members.fault(fault);
        }
    }
}

impl Inside {
    /// What was found in the container, `alone`: no engine outside looks into what is closed here.
    pub(crate) fn found(&self, alone: bool) -> Finding {
        let closed = alone && self.closed;
        let limit = || Finding::of(Status::Limit, "a container that no engine looks into");
        if closed { self.finding.clone().and(limit()) } else { self.finding.clone() }
    }

    fn fault(&mut self, (status, why): Fault) {
        self.finding = std::mem::take(&mut self.finding).and(Finding::of(status, why));
    }
}

/// The members of one container, as its reader finds them.
struct Members<'o, 'a, 'i> {
    opener: &'o mut Opener<'a>,
    depth: usize,
    inside: &'i mut Inside,
    /// Of an office suite.
    of_office: bool,
    /// Of a document: what documents are made of is nothing of its own.
    of_document: bool,
    /// What is meant where a reader says that something is locked.
    lock: Locked,
}

impl Members<'_, '_, '_> {
    /// Counts a member and keeps its name.
    fn name(&mut self, name: &str) -> Result<(), Fault> {
        self.opener.members += 1;
        if self.opener.members > MAX_MEMBERS {
            return Err((Status::Limit, "archives with too many members"));
        }
        for form in documents::forms(name) {
            if self.inside.names.len() < MAX_KEPT && !self.inside.names.contains(&form) {
                self.inside.names.push(form);
            }
        }
        Ok(())
    }

    /// Octets that may still come out of a member that is packed into `packed`.
    fn room(&self, packed: usize) -> u64 {
        let ratio = BOMB.max((packed as u64).saturating_mul(MAX_RATIO));
        self.opener.budget.min(ratio)
    }

    /// Octets of a member for the builtin engine.
    fn shown(&mut self, octets: &[u8]) -> Result<(), Fault> {
        let left = self.opener.budget.checked_sub(octets.len() as u64).ok_or(TOO_MUCH)?;
        self.opener.budget = left;
        if let Some(look) = self.opener.look {
            self.inside.looked = std::mem::take(&mut self.inside.looked).and(look(octets));
        }
        Ok(())
    }

    /// What came out of a member; it is looked at, and opened if it is a container again.
    fn content(&mut self, name: &str, octets: &[u8]) -> Result<(), Fault> {
        self.shown(octets)?;
        self.inside.macros |= programs::are_in(name, octets);
        for known in documents::types_of_member(name, octets, self.opener.extra) {
            let counts = !(self.of_document && is_of_documents(&known.1));
            if counts && self.inside.types.len() < MAX_KEPT && !self.inside.types.contains(&known) {
                self.inside.types.push(known);
            }
        }
        self.opener.container(octets, self.depth + 1, self.inside);
        Ok(())
    }

    /// Something is wrong with one member, or with the whole; the other members are still looked at.
    fn fault(&mut self, (status, why): Fault) {
        let lock = if self.of_office { Locked::Office } else { self.lock };
        if status == Status::Encrypted && !self.opener.filter.encrypted.contains(lock) {
            self.inside.finding = std::mem::take(&mut self.inside.finding).and(Finding::remark(why));
        } else {
            self.inside.fault((status, why));
        }
    }
}

/// Types that documents are made of: texts, pictures, sound, and documents.
fn is_of_documents(name: &str) -> bool {
    const BEGINNINGS: [&str; 7] = [
        "image/",
        "audio/",
        "video/",
        "font/",
        "model/",
        "application/vnd.openxmlformats",
        "application/vnd.oasis.opendocument",
    ];
    const OTHERS: [&str; 13] = [
        magic::UNKNOWN,
        magic::MACROS,
        "text/plain",
        "text/html",
        "text/css",
        "text/csv",
        "text/xml",
        "application/xhtml+xml",
        "application/x-cfb",
        "application/msword",
        "application/vnd.ms-excel",
        "application/vnd.ms-powerpoint",
        "application/pdf",
    ];
    BEGINNINGS.iter().any(|beginning| name.starts_with(beginning)) || OTHERS.contains(&name)
}

enum Kind {
    Zip,
    Tar,
    Gzip,
    Bzip2,
    Xz,
    Zstd,
    Seven,
    Rar,
    Ole,
    Pdf,
    Message,
    Smime,
    Pgp,
    /// An archive behind something that is none.
    Glued,
    /// A container that nothing here can open.
    Closed,
}

impl Kind {
    fn of(octets: &[u8]) -> Option<Self> {
        let begins = |mark: &[u8]| octets.starts_with(mark);
        let zip = [b"PK\x03\x04".as_slice(), b"PK\x05\x06", b"PK\x07\x08"];
        Some(match octets {
            _ if zip.iter().any(|mark| begins(mark)) => Self::Zip,
            [0x1f, 0x8b, ..] => Self::Gzip,
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31 | 0x17, ..] => Self::Bzip2,
            _ if begins(b"\xfd7zXZ\0") => Self::Xz,
            // A frame, or one that is skipped.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ if begins(b"7z\xbc\xaf\x27\x1c") => Self::Seven,
            _ if begins(b"Rar!\x1a\x07") => Self::Rar,
            _ if begins(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1") => Self::Ole,
            _ if tar::is_tar(octets) => Self::Tar,
            // A ZIP archive is known by its end: whatever stands in front of it, some reader opens it. Those above account for
            // every octet, and may hold one as their last member.
            _ if magic::ends_as_zip(octets) => Self::Zip,
            _ if octets
                .get(..octets.len().min(1024))
                .is_some_and(|start| memchr::memmem::find(start, b"%PDF-").is_some()) =>
            {
                Self::Pdf
            }
            _ if readings::is_enveloped(octets) => Self::Smime,
            _ if pgp::is_message(octets) => Self::Pgp,
            _ if !inline::is_card(octets) && readings::looks_like_a_mail(octets) => Self::Message,
            _ => {
                let types = magic::look(octets, &[]).types;
                let any = |kinds: &[&str]| types.iter().any(|name| kinds.contains(&name.as_str()));
                return match (any(&[magic::RAR, magic::SEVEN]), any(&CLOSED)) {
                    (true, _) => Some(Self::Glued),
                    (false, true) => Some(Self::Closed),
                    (false, false) => None,
                };
            }
        })
    }
}

impl Kind {
    /// As `[mail-filter.NAME] encrypted` calls it where it is locked.
    const fn lock(&self) -> Locked {
        match self {
            Self::Zip | Self::Tar | Self::Gzip | Self::Bzip2 | Self::Xz | Self::Zstd | Self::Seven => {
                Locked::Archive
            }
            Self::Rar | Self::Closed | Self::Glued | Self::Message => Locked::Archive,
            Self::Ole => Locked::Office,
            Self::Pdf => Locked::Pdf,
            Self::Smime => Locked::Smime,
            Self::Pgp => Locked::Pgp,
        }
    }
}

/// Containers that nothing here opens.
const CLOSED: [&str; 18] = [
    "application/onenote",
    "application/vnd.ms-htmlhelp",
    "application/vnd.ms-cab-compressed",
    "application/x-arj",
    "application/x-ace-compressed",
    "application/x-lzh-compressed",
    "application/x-iso9660-image",
    "application/x-apple-diskimage",
    "application/x-vhd",
    "application/x-vhdx",
    "application/x-vmdk",
    "application/x-ms-wim",
    "application/x-compress",
    "application/x-lzip",
    "application/x-lz4",
    "application/x-stuffit",
    "application/x-stuffitx",
    "application/x-alz-compressed",
];

#[cfg(test)]
mod tests;
