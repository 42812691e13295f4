//! Reading never panics; forwarding keeps what it does not name; the cookie opens one dialog only.

use proptest::prelude::*;
use sip::*;

proptest! {
    #[test]
    fn reading_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        if let Ok(message) = Message::parse(&bytes) {
            std::hint::black_box(Core::read(&message).is_ok());
        }
    }

    #[test]
    fn reading_text_like_sip_never_panics(text in "(INVITE|SIP/2.0|ACK) [ -~\r\n\t]{0,300}") {
        if let Ok(message) = Message::parse(text.as_bytes()) {
            std::hint::black_box(Core::read(&message).is_ok());
        }
    }

    #[test]
    fn a_uri_never_panics(text in "(sip|sips|tel|x):[ -~]{0,80}") {
        let uri = Uri::parse(text.as_bytes());
        std::hint::black_box(uri.map(|uri| uri.dialled_user()));
    }
}
