//! Mails for the tests. Virus signatures are put together here, so that no scanner stops at this file.
#[path = "../corpus/read.rs"]
mod read;

/// The EICAR test string.
pub fn eicar() -> String {
    [r"X5O!P%@AP[4\PZX54(P^)7CC)7}$", "EICAR-STANDARD-", "ANTIVIRUS-TEST-FILE!$H+H*"].concat()
}

/// A marker that the laboratory's clamd calls `Lab.Marker`; nothing else knows it.
pub fn marker() -> String {
    ["mailward-", "laboratory-", "marker"].concat()
}

/// An ordinary mail with this text as its body (lines end in CRLF).
pub fn plain(subject: &str, body: &str) -> Vec<u8> {
    format!(
        "Return-Path: <alice@example.org>\r\n\
         Received: from mx.example.org (mx.example.org [192.0.2.25])\r\n\tby mail.example.net with ESMTP; Mon, 02 Nov 2026 09:12:44 +0100\r\n\
         Date: Mon, 02 Nov 2026 09:12:44 +0100\r\n\
         From: Alice Novak <alice@example.org>\r\n\
         To: User <user@example.net>\r\n\
         Subject: {subject}\r\n\
         Message-ID: <{id}@example.org>\r\n\
         MIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=us-ascii\r\n\
         \r\n\
         {body}\r\n",
        id = subject.replace(|c: char| !c.is_ascii_alphanumeric(), ".")
    )
    .into_bytes()
}

/// A mail of two parts, a text and this.
pub fn in_parts(subject: &str, kind: &str, content: &str) -> Vec<u8> {
    let parts = format!(
        "Content-Type: multipart/mixed; boundary=\"b\"\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nSee the second part.\r\n\
         --b\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{content}\r\n--b--\r\n"
    );
    let mail = String::from_utf8(plain(subject, "")).unwrap();
    mail.replace("Content-Type: text/plain; charset=us-ascii\r\n\r\n\r\n", &parts).into_bytes()
}

/// A mail that carries the EICAR test string.
pub fn infected() -> Vec<u8> {
    plain("Your invoice", &eicar())
}

/// A mail that only the laboratory's clamd finds infected.
pub fn infected_for_clamd() -> Vec<u8> {
    plain("A special offer", &marker())
}

/// A mail that readers read differently: two Content-Type headers.
pub fn ambiguous() -> Vec<u8> {
    let mail = String::from_utf8(plain("Which type am I?", "Text for some, nothing for others.")).unwrap();
    let second = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"x\"\r\n";
    mail.replace("MIME-Version: 1.0\r\n", second).into_bytes()
}

/// A mail of about this size with one base64 attachment.
pub fn large(octets: usize) -> Vec<u8> {
    let mut mail = String::from_utf8(plain("Plans", "")).unwrap().replace(
        "text/plain; charset=us-ascii\r\n",
        "application/octet-stream; name=\"plans.bin\"\r\nContent-Transfer-Encoding: base64\r\n",
    );
    mail.truncate(mail.len() - 2);
    let mut state = 88_172_645_463_325_252_u64;
    while mail.len() < octets {
        for _ in 0..76 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let index = usize::try_from((state >> 40) & 63).unwrap();
            mail.push(char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[index]));
        }
        mail.push_str("\r\n");
    }
    mail.into_bytes()
}

/// Every mail of a folder of the corpus, by name.
pub fn corpus(folder: &str) -> Vec<(String, Vec<u8>)> {
    read::mails(&[folder])
}
