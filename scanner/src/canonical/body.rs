//! Leaves: decoded in the one way that is delivered, and taken apart where older formats hide files in them.
use super::header::Header;
use super::parameters::Structured;
use super::{Reader, text};
use crate::readings::{Older, is_tnef, older_blocks, unpack_tnef};
use mime::emitter::{Entity, Leaf, clean_name};
use mime::recogniser::{Offence, Refused};
use mime::transfer_encoding::{check_base64, check_quoted_printable, decode_base64, decode_quoted_printable};
use std::borrow::Cow;

/// Where a part stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) depth: usize,
    /// The type of a part that declares none.
    pub(super) default: &'static str,
}

/// Content-Transfer-Encoding, as far as it can be made out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Identity,
    Base64,
    QuotedPrintable,
    /// uuencode under one of its names.
    Uuencode,
    Unknown,
}

impl Encoding {
    /// The first field that names one of them.
    pub(super) fn of(header: &Header) -> Self {
        let mut unknown = false;
        for value in header.all("content-transfer-encoding") {
            match Structured::read(value).word.as_str() {
                "base64" | "x-base64" => return Self::Base64,
                "quoted-printable" | "x-quoted-printable" => return Self::QuotedPrintable,
                "7bit" | "8bit" | "binary" | "7-bit" | "8-bit" | "" => return Self::Identity,
                "uuencode" | "x-uuencode" | "x-uue" | "uue" => return Self::Uuencode,
                _ => unknown = true,
            }
        }
        if unknown { Self::Unknown } else { Self::Identity }
    }

    pub(super) fn decode(self, body: &[u8]) -> Vec<u8> {
        match self {
            Self::Identity | Self::Unknown => body.to_vec(),
            // Data that was padded and goes on was written in runs.
            Self::Base64 => body.split_inclusive(|octet| *octet == b'=').flat_map(decode_base64).collect(),
            Self::QuotedPrintable => decode_quoted_printable(&with_crlf(body)),
            Self::Uuencode => {
                let files: Vec<u8> = older_blocks(body).into_iter().flat_map(|file| file.content).collect();
                if files.is_empty() { body.to_vec() } else { files }
            }
        }
    }
}

/// Every line end as CRLF.
fn with_crlf(octets: &[u8]) -> Cow<'_, [u8]> {
    let good = memchr::memchr_iter(b'\n', octets).all(|at| at > 0 && octets.get(at - 1) == Some(&b'\r'));
    if good {
        return Cow::Borrowed(octets);
    }
    let mut lines = Vec::with_capacity(octets.len() + octets.len() / 32);
    for line in octets.split_inclusive(|octet| *octet == b'\n') {
        match line.strip_suffix(b"\n") {
            Some(line) => {
                lines.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
                lines.extend_from_slice(b"\r\n");
            }
            None => lines.extend_from_slice(line),
        }
    }
    Cow::Owned(lines)
}

impl Reader<'_> {
    /// A leaf, or the parts that a leaf of an older format holds.
    pub(super) fn leaf(
        &mut self,
        header: &Header,
        declared: &Structured,
        body: &[u8],
    ) -> Result<Entity, Refused> {
        let encoding = Encoding::of(header);
        self.check(header, encoding, body);
        let content = encoding.decode(body);
        self.spend(content.len())?;
        let disposition = header.first("content-disposition").map(Structured::read).unwrap_or_default();
        self.note(Offence::Ambiguous, disposition.doubtful);
        let mut names = disposition.names("filename");
        // Where they belong first, then where some readers look for them too.
        let more = [declared.names("name"), disposition.names("name"), declared.names("filename")];
        for name in more.into_iter().flatten() {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let name = usable(&names);
        let is_text = declared.kind() == "text";
        // A file that says nothing of itself is one to be saved; a picture or a text is one to be shown.
        let attached = match disposition.word.as_str() {
            "" => name.is_some() && !is_text && declared.kind() != "image",
            word => word != "inline",
        };
        if is_tnef(&content)
            && let Some(parts) = self.unpacked(&content)?
        {
            return Ok(parts);
        }
        let shown = is_text && !attached && name.is_none();
        let older = older_blocks(&content);
        if (shown || !is_text)
            && older.iter().any(|file| file.ended)
            && (shown || is_older_type(&declared.word))
        {
            return self.with_files(declared, &content, older);
        }
        let unknown = matches!(encoding, Encoding::Unknown) && !is_text;
        let content_type =
            if unknown { "application/octet-stream".to_owned() } else { declared.word.clone() };
        let (content, parameters) = if shown {
            shown_text(declared, content, encoding)
        } else {
            let charset = text::kept_label(declared.get("charset")).filter(|_| is_text);
            (content, charset.map(|charset| ("charset".to_owned(), charset)).into_iter().collect())
        };
        let id = header.first("content-id").map(|id| {
            String::from_utf8_lossy(id).trim().trim_start_matches('<').trim_end_matches('>').to_owned()
        });
        self.names.push(names);
        Ok(Entity::Leaf(Leaf { content_type, parameters, name, attached, id, content }))
    }

    /// What is wrong with a body as it stands.
    fn check(&mut self, header: &Header, encoding: Encoding, body: &[u8]) {
        match encoding {
            Encoding::Identity => {
                let declared = header.first("content-transfer-encoding").map(<[u8]>::trim_ascii);
                let eight = declared.is_some_and(|word| {
                    [&b"8bit"[..], b"binary"].iter().any(|eight| word.eq_ignore_ascii_case(eight))
                });
                self.note(Offence::EightBitBody, !eight && !body.is_ascii());
            }
            Encoding::Base64 => self.note(Offence::BadEncoding, check_base64(body).is_err()),
            Encoding::QuotedPrintable => {
                self.note(Offence::BadQuoting, check_quoted_printable(body).is_err())
            }
            Encoding::Uuencode | Encoding::Unknown => self.note(Offence::BadEncoding, true),
        }
    }

    /// A text of our own, or one that was found.
    pub(super) fn plain_leaf(&mut self, content: Vec<u8>) -> Entity {
        self.names.push(Vec::new());
        let parameters = vec![("charset".to_owned(), "utf-8".to_owned())];
        Entity::Leaf(Leaf { content_type: "text/plain".into(), parameters, content, ..Leaf::default() })
    }

    fn file(&mut self, names: Vec<String>, content: Vec<u8>) -> Result<Entity, Refused> {
        self.parts += 1;
        if self.parts > self.limits.max_parts {
            return Err(super::limit("more parts than max-parts"));
        }
        self.spend(content.len())?;
        let name = usable(&names);
        self.names.push(names);
        Ok(Entity::Leaf(Leaf {
            content_type: "application/octet-stream".into(),
            name,
            attached: true,
            content,
            ..Leaf::default()
        }))
    }

    /// winmail.dat: its text and its attachments; `None` if it cannot be read to its end, for then it stays a file.
    fn unpacked(&mut self, content: &[u8]) -> Result<Option<Entity>, Refused> {
        self.offences.insert(Offence::Ambiguous);
        let Some(tnef) = unpack_tnef(content).filter(|tnef| tnef.whole) else { return Ok(None) };
        let mut parts = Vec::new();
        if let Some(content) = tnef.text {
            self.spend(content.len())?;
            self.names.push(Vec::new());
            let (content_type, parameters) = match tnef.text_type {
                "text/rtf" => ("text/rtf", Vec::new()),
                kind => (kind, vec![("charset".to_owned(), "utf-8".to_owned())]),
            };
            let content = if parameters.is_empty() { content } else { text::to_utf8(&content, None) };
            parts.push(Entity::Leaf(Leaf {
                content_type: content_type.into(),
                parameters,
                content,
                ..Leaf::default()
            }));
        }
        for attachment in tnef.attachments {
            parts.push(self.file(attachment.names, attachment.content)?);
        }
        if parts.is_empty() {
            return Ok(None);
        }
        Ok(Some(Entity::Multipart { subtype: "mixed".into(), parameters: Vec::new(), parts }))
    }

    /// A text with files in it: what stands between them stays text, and they become attachments.
    fn with_files(
        &mut self,
        declared: &Structured,
        content: &[u8],
        files: Vec<Older>,
    ) -> Result<Entity, Refused> {
        self.offences.insert(Offence::Ambiguous);
        let mut parts = Vec::new();
        let mut from = 0;
        for file in files.into_iter().filter(|file| file.ended) {
            let before = content.get(from..file.range.start).unwrap_or_default();
            if !before.trim_ascii().is_empty() {
                parts.push(self.plain_leaf(text::to_utf8(before, declared.get("charset"))));
            }
            from = file.range.end;
            let name = String::from_utf8(file.name)
                .unwrap_or_else(|error| error.as_bytes().iter().map(|octet| char::from(*octet)).collect());
            parts.push(self.file(if name.is_empty() { Vec::new() } else { vec![name] }, file.content)?);
        }
        let rest = content.get(from..).unwrap_or_default();
        if !rest.trim_ascii().is_empty() {
            parts.push(self.plain_leaf(text::to_utf8(rest, declared.get("charset"))));
        }
        Ok(Entity::Multipart { subtype: "mixed".into(), parameters: Vec::new(), parts })
    }
}

/// The first of these names of which something is left once it is clean; a name of which nothing is left is none.
fn usable(names: &[String]) -> Option<String> {
    names.iter().find(|name| clean_name(name).is_some()).cloned()
}

/// Types that say that a file is inside.
fn is_older_type(word: &str) -> bool {
    ["uuencode", "uue", "yenc", "binhex"].iter().any(|older| word.contains(older))
}

/// Text that is shown is UTF-8, and its lines end in CRLF where they are no octets of a file.
fn shown_text(
    declared: &Structured,
    content: Vec<u8>,
    encoding: Encoding,
) -> (Vec<u8>, Vec<(String, String)>) {
    let text = text::to_utf8(&content, declared.get("charset"));
    let text = if matches!(encoding, Encoding::Identity | Encoding::Unknown) {
        with_crlf(&text).into_owned()
    } else {
        text
    };
    let mut parameters = vec![("charset".to_owned(), "utf-8".to_owned())];
    parameters.extend(declared.keep(&["format", "delsp"]));
    (text, parameters)
}
