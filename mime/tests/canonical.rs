//! What the emitter writes: accepted by the recogniser whatever it was given, and read back as it was meant.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

use mime::emitter::{Entity, Leaf, Message, emit};
use mime::recogniser::{Limits, decode, recognise};
use proptest::prelude::*;

/// No bounds: what the emitter is given has none.
const LIMITS: Limits = Limits { max_parts: 100_000, max_depth: 64, max_header: 16 << 20 };

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{0,20}",
        "(begin 644 x|=ybegin |\\(This file must be converted with BinHex|begin-base64 7|\r|\n|\r\n| |--=_mailward_000000|[\\PC]){0,12}",
    ]
}

fn octets() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![text().prop_map(String::into_bytes), proptest::collection::vec(any::<u8>(), 0..200)]
}

fn parameters() -> impl Strategy<Value = Vec<(String, String)>> {
    let name = prop_oneof!["charset", "boundary", "name", "format", text()];
    proptest::collection::vec((name, text()), 0..4)
}

fn leaf() -> impl Strategy<Value = Entity> {
    let kind = prop_oneof![
        "text/plain",
        "text/html",
        "application/pdf",
        "multipart/mixed",
        "message/partial",
        "application/ms-tnef",
        text()
    ];
    (kind, parameters(), proptest::option::of(text()), any::<bool>(), proptest::option::of(text()), octets())
        .prop_map(|(content_type, parameters, name, attached, id, content)| {
            Entity::Leaf(Leaf { content_type, parameters, name, attached, id, content })
        })
}

fn fields() -> impl Strategy<Value = Vec<(Vec<u8>, Vec<u8>)>> {
    let name = prop_oneof![
        "From",
        "Subject",
        "To",
        "X-Mailward-Notice",
        "Content-Type",
        "MIME-Version",
        "Received",
        text()
    ];
    proptest::collection::vec((name.prop_map(String::into_bytes), octets()), 0..6)
}

fn entity() -> impl Strategy<Value = Entity> {
    leaf().prop_recursive(5, 24, 4, |inner| {
        prop_oneof![
            (text(), parameters(), proptest::collection::vec(inner.clone(), 0..4))
                .prop_map(|(subtype, parameters, parts)| Entity::Multipart { subtype, parameters, parts }),
            (fields(), inner).prop_map(|(fields, body)| Entity::Message(Box::new(Message { fields, body }))),
        ]
    })
}

fn contents(entity: &Entity, found: &mut Vec<Vec<u8>>) {
    match entity {
        Entity::Leaf(leaf) => found.push(leaf.content.clone()),
        Entity::Multipart { parts, .. } if parts.is_empty() => found.push(Vec::new()),
        Entity::Multipart { parts, .. } => parts.iter().for_each(|part| contents(part, found)),
        Entity::Message(message) => contents(&message.body, found),
    }
}

/// What is left when the blanks that break older encodings are taken away.
fn without_blanks(octets: &[u8]) -> Vec<u8> {
    octets.iter().copied().filter(|octet| *octet != b' ').collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn whatever_is_given_the_recogniser_accepts_what_is_written_and_finds_every_leaf(fields in fields(), body in entity()) {
        let message = Message { fields, body };
        let mail = emit(&message);
        let accepted = match recognise(&mail, &LIMITS) {
            Ok(accepted) => accepted,
            Err(refused) => return Err(TestCaseError::fail(format!("{refused:?}\n{}", String::from_utf8_lossy(&mail)))),
        };
        let mut given = Vec::new();
        contents(&message.body, &mut given);
        let read: Vec<_> = accepted.leaves.iter().map(|leaf| without_blanks(&decode(&mail, leaf))).collect();
        let given: Vec<_> = given.iter().map(|leaf| without_blanks(leaf)).collect();
        prop_assert_eq!(read, given);
        prop_assert!(mail.split(|octet| *octet == b'\n').all(|line| line.len() <= 998));
    }
}

#[test]
fn the_canonical_form_is_written_as_it_is_documented() {
    let leaf = |content_type: &str, name: Option<&str>, content: &[u8]| {
        Entity::Leaf(Leaf {
            content_type: content_type.into(),
            name: name.map(str::to_owned),
            attached: name.is_some(),
            content: content.to_vec(),
            ..Leaf::default()
        })
    };
    let inner = Message {
        fields: vec![(b"Subject".to_vec(), b"inner".to_vec())],
        body: leaf("text/plain", None, b"inner text"),
    };
    let message = Message {
        fields: vec![
            (b"From".to_vec(), b"a@example.org".to_vec()),
            (b"from".to_vec(), b"b@example.org".to_vec()),
            (b"Subject".to_vec(), "Zpráva".as_bytes().to_vec()),
            (b"Content-Type".to_vec(), b"text/html".to_vec()),
            (b"X-Mailward-Notice".to_vec(), b"spoofed".to_vec()),
        ],
        body: Entity::Multipart {
            subtype: "mixed".into(),
            parameters: Vec::new(),
            parts: vec![
                leaf("text/plain", None, b"begin 644 x\r\n"),
                leaf("application/x-msdownload", Some("../příloha.exe"), b"MZ"),
                Entity::Message(Box::new(inner)),
            ],
        },
    };
    insta::assert_snapshot!(String::from_utf8(emit(&message)).unwrap().replace("\r\n", "\n"));
}
