//! Certificates that peers show: whatever they are, facts about them are bounded text, and what is minted in the place of one can
//! be read and has its names.
#![no_main]
use libfuzzer_sys::fuzz_target;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use std::sync::OnceLock;

fn authority() -> &'static tls::Authority {
    static AUTHORITY: OnceLock<tls::Authority> = OnceLock::new();
    AUTHORITY.get_or_init(|| {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("there is entropy");
        let cert = params.self_signed(&key).expect("an authority can be made").pem();
        tls::Authority::new(cert.as_bytes(), key.serialize_pem().as_bytes(), None).expect("it is one")
    })
}

fuzz_target!(|bytes: &[u8]| {
    if let Ok(facts) = tls::Facts::of(bytes) {
        assert_eq!(facts.certificate.fingerprint.len(), 64);
        let _ = facts.days_left(0);
        if let Ok(minted) = authority().mint(bytes) {
            let ours = tls::Facts::of(&minted.chain[0]).expect("what is minted can be read");
            assert!(ours.certificate.names.iter().all(|name| facts.certificate.names.contains(name)));
        }
    }
    let _ = tls::Chain::from_pem(bytes).map(|chain| chain.is_for("mail.example.net"));
});
