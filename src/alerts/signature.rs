//! The signature by which a receiver knows that a request comes from here.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// `sha256=` and, in hexadecimal digits, the HMAC-SHA256 (RFC 2104) of `timestamp`, a full stop and `body`.
///
/// The time, in seconds since the epoch, is signed too, so that a receiver can refuse a request that was recorded earlier.
#[must_use]
pub fn signature(secret: &str, timestamp: i64, body: &[u8]) -> String {
    let mut message = timestamp.to_string().into_bytes();
    message.push(b'.');
    message.extend_from_slice(body);
    format!(
        "sha256={}",
        hex::encode(hmac_sha256(secret.as_bytes(), &message))
    )
}

fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_that_of_rfc_4231() {
        // Test cases 1 and 2.
        for (key, message, expected) in [
            (
                &[0x0b; 20][..],
                &b"Hi There"[..],
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            ),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
        ] {
            assert_eq!(hex::encode(hmac_sha256(key, message)), expected);
        }
    }

    #[test]
    fn time_and_body_are_signed() {
        let signed = signature("key", 1_424_806_552, b"{}");
        let expected = hex::encode(hmac_sha256(b"key", b"1424806552.{}"));
        assert_eq!(signed, format!("sha256={expected}"));
        assert_ne!(signed, signature("key", 1_424_806_553, b"{}"));
        assert_ne!(signed, signature("key", 1_424_806_552, b"{ }"));
        assert_ne!(signed, signature("other", 1_424_806_552, b"{}"));
    }
}
