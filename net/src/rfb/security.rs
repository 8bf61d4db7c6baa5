//! VNC's authentication (RFC 6143, 7.2.2): a challenge, encrypted with the password by DES.
//!
//! It keeps a password from being read on the way, and nothing else: what follows is in the clear, and eight bytes can be guessed from a
//! recorded answer.

use crate::server::login::same;
use des::Des;
use des::cipher::{BlockEncrypt, KeyInit};

/// Bytes of a challenge and of its answer.
pub const CHALLENGE_BYTES: usize = 16;
/// Bytes of a password that count.
const PASSWORD_BYTES: usize = 8;

/// Whether `answer` is the challenge's under this password.
pub fn is_right(password: &[u8], challenge: &[u8; CHALLENGE_BYTES], answer: &[u8]) -> bool {
    same(&encrypt(password, challenge), answer)
}

/// The right answer.
pub fn encrypt(password: &[u8], challenge: &[u8; CHALLENGE_BYTES]) -> [u8; CHALLENGE_BYTES] {
    let mut key = [0; PASSWORD_BYTES];
    for (place, byte) in key.iter_mut().zip(password) {
        // As the first implementation had it (RFC 6143, 7.2.2, errata).
        *place = byte.reverse_bits();
    }
    let des = Des::new(&key.into());
    let mut answer = *challenge;
    for block in answer.chunks_exact_mut(PASSWORD_BYTES) {
        des.encrypt_block(block.into());
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed by another implementation (OpenSSL: `des-ecb`, the key's bytes reversed).
    #[test]
    fn a_known_answer() {
        let challenge: [u8; CHALLENGE_BYTES] = core::array::from_fn(|at| at as u8);
        let answer = encrypt(b"geheim", &challenge);
        assert_eq!(answer, EXPECTED);
        assert!(is_right(b"geheim", &challenge, &EXPECTED));
        assert!(!is_right(b"geheim!", &challenge, &EXPECTED));
        assert!(!is_right(b"geheim", &challenge, &EXPECTED[..8]));
        assert!(is_right(
            b"longer than eight",
            &challenge,
            &encrypt(b"longer t", &challenge)
        ));
    }

    const EXPECTED: [u8; CHALLENGE_BYTES] = [
        0x23, 0x24, 0x3a, 0xde, 0xd5, 0x18, 0xd4, 0x6f, 0x05, 0x3d, 0x8e, 0x61, 0xa2, 0xd8, 0xa1,
        0x21,
    ];
}
