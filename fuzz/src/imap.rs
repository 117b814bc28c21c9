//! Frames for the targets of IMAP's grammar.
use worker_proto::imap::command::Head;
use worker_proto::imap::frame::{Bounds, Frame, Framer, Step};
use worker_proto::imap::response::fetch::announces_content;
use worker_proto::machine::Side;

const BOUNDS: Bounds = Bounds { line: 4096, literal: 1024, literals: 2048 };

/// Every step as text, for comparison; frames are shown to `look`.
pub fn framed(side: Side, piece: usize, bytes: &[u8], mut look: impl FnMut(Frame<'_>)) -> Vec<String> {
    let mut framer = Framer::new(side, BOUNDS);
    let mut steps = Vec::new();
    let mut streamed = Vec::new();
    for piece in bytes.chunks(piece.max(1)) {
        let mut rest = piece;
        loop {
            let announced = match framer.next(&mut rest) {
                Err(error) => {
                    steps.push(format!("{error:?}"));
                    return steps;
                }
                Ok(Step::More) => break,
                Ok(Step::Piece(piece)) => {
                    streamed.extend_from_slice(piece);
                    continue;
                }
                Ok(Step::LiteralEnd) => {
                    steps.push(format!("{:?}", std::mem::take(&mut streamed)));
                    continue;
                }
                Ok(Step::Frame(frame)) => {
                    steps.push(format!("{frame:?}"));
                    look(frame);
                    continue;
                }
                Ok(Step::Announced(announced)) => announced,
            };
            steps.push(format!("{announced:?}"));
            let stream = match side {
                Side::Client => Head::parse(announced.frame).is_ok_and(|head| head.announces_message(true)),
                Side::Server => announces_content(announced.frame),
            };
            let abandon = announced.synchronising && side == Side::Client;
            if stream && announced.size <= 1024 {
                framer.stream();
            } else if !framer.keep() {
                if abandon { framer.abandon() } else { framer.skip() }
            }
        }
    }
    steps
}

/// The frames of what was written; every literal is kept.
pub fn rejoined(side: Side, bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut framer = Framer::new(side, Bounds { line: 1 << 20, literal: 1 << 20, literals: 1 << 20 });
    let mut frames = Vec::new();
    let mut rest = bytes;
    loop {
        let announced = match framer.next(&mut rest).expect("what was written is framed") {
            Step::More => break,
            Step::Announced(_) => true,
            Step::Frame(frame) => {
                frames.push(frame.text.to_vec());
                false
            }
            Step::Piece(_) | Step::LiteralEnd => unreachable!("nothing is streamed"),
        };
        assert!(!announced || framer.keep());
    }
    assert!(framer.is_between_frames());
    frames
}
