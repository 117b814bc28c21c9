//! Any octets as a mail, and any octets as its part map: every FETCH item is answered as long as it says, or refused.
#![no_main]
use libfuzzer_sys::fuzz_target;
use mime::part_map::PartMap;
use mime::recogniser::Limits;
use worker_proto::imap::content::plan;
use worker_proto::imap::cursor::Cursor;
use worker_proto::imap::fetch_item::FetchItem;
use worker_proto::machine::{CopyFault, ScannedCopy, Side};

const ITEMS: &[u8] = b"(ENVELOPE BODY BODYSTRUCTURE RFC822.SIZE BODY[] BODY[HEADER] BODY[TEXT] BODY[1] BODY[1.MIME] BODY[2.1] \
    BODY[1.HEADER] BODY[1.TEXT]<3.9> BODY[HEADER.FIELDS (From To)] BODY[HEADER.FIELDS.NOT (From)]<2.50> BINARY[1] BINARY[2]<1.5> BINARY.SIZE[1])";

#[derive(Debug)]
struct Held<'a>(&'a [u8], PartMap);

impl ScannedCopy for Held<'_> {
    fn length(&self) -> u64 {
        self.0.len() as u64
    }
    fn parts(&self) -> &PartMap {
        &self.1
    }
    fn read_at(&self, at: u64, into: &mut [u8]) -> Result<usize, CopyFault> {
        let rest = self.0.get(at as usize..).ok_or(CopyFault::Unreadable)?;
        let count = rest.len().min(into.len()).min(100);
        into[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}

fn answer(copy: &Held<'_>, honest: bool) {
    for item in FetchItem::parse_all(&mut Cursor::of_part(ITEMS, Side::Client)).expect("items") {
        let Ok(Some(mut answer)) = plan(&item, copy, false) else { continue };
        let (length, mut out) = (answer.length(), Vec::new());
        let ended = loop {
            match answer.write(copy, &mut out, 512) {
                Ok(false) => {}
                Ok(true) => break true,
                Err(_) => break false,
            }
        };
        assert!(ended || !honest, "a true map is served to its end");
        assert!(out.len() as u64 <= length && (!ended || out.len() as u64 == length));
    }
}

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits::default();
    let map = PartMap::tolerant(bytes);
    let encoded = map.encode().expect("a tolerant map has bounds");
    assert_eq!(PartMap::decode(&encoded, bytes.len(), &limits), Ok(map.clone()));
    if let Ok(accepted) = PartMap::of(bytes, &limits) {
        assert_eq!(accepted, map);
    }
    answer(&Held(bytes, map), true);
    // Half of it as the map that a captured scanner wrote of the other half.
    let (mail, map) = bytes.split_at(bytes.len() / 2);
    if let Ok(map) = PartMap::decode(map, mail.len(), &limits) {
        answer(&Held(mail, map), false);
    }
});
