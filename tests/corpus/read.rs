//! Reads the corpus, for the tests of every crate: each takes this file in by its path.
use std::fs;
use std::path::Path;

/// The mails of these folders, in this order, those of one by name.
pub(crate) fn mails(folders: &[&str]) -> Vec<(String, Vec<u8>)> {
    let mut above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let corpus = above.find_map(|folder| Some(folder.join("tests/corpus")).filter(|corpus| corpus.is_dir()));
    let corpus = corpus.expect("a folder tests/corpus above the crate");
    let folder = |name: &&str| {
        let files = fs::read_dir(corpus.join(name)).expect("a folder of the corpus").flatten();
        let mut mails: Vec<_> = files
            .filter(|file| file.path().extension().is_some_and(|extension| extension == "eml"))
            .map(|file| {
                let mail = fs::read(file.path()).expect("a mail that can be read");
                (file.file_name().to_string_lossy().into_owned(), mail)
            })
            .collect();
        mails.sort();
        mails
    };
    folders.iter().flat_map(folder).collect()
}
