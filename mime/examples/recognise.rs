//! Says of each file named on the command line whether the recogniser accepts it.
use mime::recogniser::{Limits, recognise};

fn main() -> std::io::Result<()> {
    for path in std::env::args().skip(1) {
        let mail = std::fs::read(&path)?;
        match recognise(&mail, &Limits::default()) {
            Ok(accepted) => println!("{path}: accepted, {} leaves", accepted.leaves.len()),
            Err(refused) => println!("{path}: {} at octet {}", refused.what, refused.offset),
        }
    }
    Ok(())
}
