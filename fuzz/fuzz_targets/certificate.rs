//! Certificates that peers show: whatever they are, facts about them are bounded text.
#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(facts) = tls::Facts::of(bytes) {
        assert_eq!(facts.certificate.fingerprint.len(), 64);
        let _ = facts.days_left(0);
    }
    let _ = tls::Chain::from_pem(bytes).map(|chain| chain.is_for("mail.example.net"));
});
