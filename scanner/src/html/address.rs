//! Where links and images lead. Read as browsers read addresses, which skip what nobody sees.

/// Programs that a link may open.
const LINKS: [&str; 14] = [
    "http", "https", "ftp", "mailto", "tel", "sms", "sip", "sips", "xmpp", "webcal", "geo", "cid", "mid",
    "news",
];
/// Images whose format cannot hold a document.
const RASTER: [&str; 8] = [
    "image/png",
    "image/gif",
    "image/jpeg",
    "image/jpg",
    "image/webp",
    "image/bmp",
    "image/x-icon",
    "image/avif",
];

/// Where an address leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Into the same mail: `cid:`, `mid:`, `#place`.
    Within,
    /// To another machine, when it is followed. A name alone too: fields like Content-Base and Content-Location say from
    /// where, to the readers that know them.
    Elsewhere,
    /// It is the content: `data:`, an image of dots.
    Image,
    /// It is the content: `data:`, anything else.
    Data,
    /// A script.
    Script,
    /// To a file, a share, or a program that has no place in a mail.
    Forbidden,
}

/// An address as it is passed on, and where it leads.
pub(super) fn read(value: &str) -> (String, Kind) {
    // URL standard: C0 and blank at both ends, and tab and line breaks anywhere, do not count.
    let trimmed = value.trim_matches(|c: char| c <= ' ');
    let address: String = trimmed.chars().filter(|c| !c.is_control()).collect();
    let kind = kind(&address);
    (address, kind)
}

fn kind(address: &str) -> Kind {
    let Some((scheme, rest)) = scheme(address) else {
        let slashes = address.bytes().take_while(|octet| matches!(octet, b'/' | b'\\')).count();
        return match slashes {
            // `\\server\share` sends the user's password away, and `//server` is whatever the reader makes of it.
            _ if address.contains('\\') => Kind::Forbidden,
            0 if address.is_empty() || address.starts_with('#') => Kind::Within,
            _ => Kind::Elsewhere,
        };
    };
    match scheme.as_str() {
        "cid" | "mid" => Kind::Within,
        "javascript" | "vbscript" | "livescript" | "mocha" => Kind::Script,
        "data" => {
            let media = rest.split([',', ';']).next().unwrap_or_default().trim().to_ascii_lowercase();
            if RASTER.contains(&media.as_str()) { Kind::Image } else { Kind::Data }
        }
        "http" | "https" if rest.contains('\\') => Kind::Forbidden,
        known if LINKS.contains(&known) => Kind::Elsewhere,
        _ => Kind::Forbidden,
    }
}

/// The scheme and what follows it. Whatever has a colon before any `/`, `?` or `#` has one: a reader that skips
/// characters which a browser does not must not find another.
fn scheme(address: &str) -> Option<(String, &str)> {
    let end = address.find([':', '/', '?', '#'])?;
    let (scheme, rest) = address.split_at_checked(end)?;
    let rest = rest.strip_prefix(':')?;
    Some((scheme.to_ascii_lowercase(), rest))
}

/// What is shown behind a link: the machine it leads to, or the whole of an address of another kind.
pub(super) fn destination(address: &str) -> Option<String> {
    let Some((scheme, rest)) = scheme(address) else {
        return match address.strip_prefix("//") {
            Some(_) => host(address),
            None if address.is_empty() || address.starts_with('#') => None,
            None => Some(address.chars().take(100).collect()),
        };
    };
    if !matches!(scheme.as_str(), "http" | "https" | "ftp") {
        return match scheme.as_str() {
            "cid" | "mid" => None,
            _ => Some(address.chars().take(100).collect()),
        };
    }
    host(rest)
}

/// The machine, from the slashes on.
fn host(rest: &str) -> Option<String> {
    let rest = rest.trim_start_matches('/');
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|octet| octet.is_ascii_digit()) => name,
        Some(_) | None => host,
    };
    // Letters of other alphabets that look like these are shown as what they are.
    Some(idna::domain_to_ascii(host).unwrap_or_else(|_| host.escape_default().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_sees_hides_no_scheme() {
        for script in ["javascript:a", " \u{1}java\nscript:a", "JaVaScRiPt\t:a", "vbscript:a"] {
            assert_eq!(read(script).1, Kind::Script, "{script:?}");
        }
        for other in [
            "\u{a0}javascript:a",
            "file:///etc/passwd",
            "ms-word:ofe|u|x",
            "search-ms:x",
            "java\u{ad}script:x",
        ] {
            assert_eq!(read(other).1, Kind::Forbidden, "{other:?}");
        }
    }

    #[test]
    fn shares_are_forbidden_and_what_names_no_machine_may_lead_to_one() {
        assert_eq!(read(r"\\host\share").1, Kind::Forbidden);
        assert_eq!(read(r"http:\\host").1, Kind::Forbidden);
        assert_eq!(read("//host/a.png").1, Kind::Elsewhere);
        assert_eq!(read("image001.png").1, Kind::Elsewhere);
        assert_eq!(read("").1, Kind::Within);
        assert_eq!(read("#top").1, Kind::Within);
        assert_eq!(read("cid:part1@example.net").1, Kind::Within);
    }

    #[test]
    fn only_images_of_dots_are_images() {
        assert_eq!(read("data:image/png;base64,AAAA").1, Kind::Image);
        assert_eq!(read("data:image/svg+xml,<svg/onload=a>").1, Kind::Data);
        assert_eq!(read("data:text/html,<b>").1, Kind::Data);
        assert_eq!(read("data:,a").1, Kind::Data);
    }

    #[test]
    fn a_destination_is_the_machine_itself() {
        assert_eq!(
            destination("https://bank.example@evil.example:8080/x?y").as_deref(),
            Some("evil.example")
        );
        assert_eq!(destination("HTTP:EVIL.example").as_deref(), Some("evil.example"));
        assert_eq!(destination("https://b\u{430}nk.example/").as_deref(), Some("xn--bnk-6cd.example"));
        assert_eq!(destination("mailto:a@example.net").as_deref(), Some("mailto:a@example.net"));
        assert_eq!(destination("cid:x"), None);
    }
}
