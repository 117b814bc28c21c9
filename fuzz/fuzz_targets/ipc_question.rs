//! Whatever a captured worker asks the keyholder, and whatever it wants signed.
#![no_main]
use ipc::wire::{decode, encode};
use ipc::worker_keyholder::{Asked, Question};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(question) = decode::<Asked>(bytes, 0) {
        let again = encode(&question).expect("a decoded message encodes");
        assert_eq!(decode::<Asked>(&again, 0).expect("an encoded message decodes"), question);
        if let Question::Sign { message, .. } = &question.question {
            // A message is of one side or of none: what signs for clients is no oracle for servers.
            assert!(!(tls::is_server_signature(message) && tls::is_client_signature(message)));
        }
    }
});
