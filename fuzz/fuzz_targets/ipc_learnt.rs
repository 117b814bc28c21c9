//! Whatever a captured worker says that it learnt of a client, which lookup holds the rules against.
#![no_main]
use ipc::wire::{decode, encode};
use ipc::worker_lookup::Learnt;
use libfuzzer_sys::fuzz_target;
use policy::conditions::CertificateMatch;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(learnt) = decode::<Learnt>(bytes, 0) {
        let again = encode(&learnt).expect("a decoded message encodes");
        assert_eq!(decode::<Learnt>(&again, 0).expect("an encoded message decodes"), learnt);
        let wanted = CertificateMatch {
            subject: Some("*,ou=staff,*".to_owned()),
            issuer: Some("cn=*".to_owned()),
            san: Some("*.example.net".to_owned()),
            fingerprint: None,
        };
        let _ = learnt.certificate.is_some_and(|certificate| wanted.matches(&certificate));
    }
});
