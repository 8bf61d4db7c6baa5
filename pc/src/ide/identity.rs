//! The 256 words with which a device describes itself (ATA/ATAPI-6, 8.15 and 8.16), as far as disks and CD-ROMs agree.

use super::modes::Modes;

/// Words of an identity.
const WORDS: usize = 256;
/// Its bytes.
pub(super) const BYTES: usize = 2 * WORDS;
/// Standards that are followed: ATA/ATAPI-4, 5 and 6.
const MAJOR_VERSIONS: u16 = 0b111 << 4;
/// LBA and DMA, and IORDY.
const CAPABILITIES: u16 = 1 << 11 | 1 << 9 | 1 << 8;
/// PIO mode 2, for software from before word 64.
const OLD_PIO_MODE: u16 = 2 << 8;
/// PIO modes 3 and 4.
const PIO_MODES: u16 = 3;
/// The cycle time of PIO mode 4 and multiword DMA mode 2.
const CYCLE_NS: u16 = 120;
/// Words 64 to 70 and 88 are valid.
const VALID: u16 = 1 << 2 | 1 << 1;
/// Hardware reset: an 80-conductor cable, device number by jumper, diagnostic passed.
const RESET_RESULT: u16 = 1 << 14 | 1 << 13 | 1 << 3 | 1 << 1 | 1;
/// Words 83, 84 and 87 carry this to show that they mean something.
pub(super) const MEANINGFUL: u16 = 1 << 14;
/// The integrity word's low byte.
const INTEGRITY: u8 = 0xa5;

/// The words under construction.
pub(super) struct Identity([u16; WORDS]);

impl Identity {
    /// A device of ours with that model name, serial number and transfer modes.
    pub(super) fn new(model: &str, serial: &str, modes: Modes) -> Self {
        let mut identity = Self([0; WORDS]);
        identity.set_text(10, 10, serial);
        identity.set_text(23, 4, env!("CARGO_PKG_VERSION"));
        identity.set_text(27, 20, model);
        identity.set(49, CAPABILITIES);
        identity.set(51, OLD_PIO_MODE);
        identity.set(53, VALID);
        identity.set(63, modes.multiword_word());
        identity.set(64, PIO_MODES);
        for word in 65..=68 {
            identity.set(word, CYCLE_NS);
        }
        identity.set(80, MAJOR_VERSIONS);
        identity.set(88, modes.ultra_word());
        identity.set(93, RESET_RESULT);
        identity
    }

    /// Sets a word; words past the end do not exist.
    pub(super) fn set(&mut self, word: usize, value: u16) {
        if let Some(into) = self.0.get_mut(word) {
            *into = value;
        }
    }

    /// Sets the words from `word` on to `value`, lowest first.
    pub(super) fn set_wide(&mut self, word: usize, words: usize, value: u64) {
        for at in 0..words.min(4) {
            self.set(word + at, (value >> (16 * at)) as u16);
        }
    }

    /// Sets a text, padded with spaces; the first character of a pair is in the upper byte (8.15.8).
    pub(super) fn set_text(&mut self, word: usize, words: usize, text: &str) {
        let mut characters = text
            .bytes()
            .filter(|byte| byte.is_ascii_graphic() || *byte == b' ')
            .chain(core::iter::repeat(b' '));
        let mut next = || characters.next().unwrap_or(b' ');
        for at in 0..words {
            self.set(word + at, u16::from_be_bytes([next(), next()]));
        }
    }

    /// As the host reads it, with the integrity word (8.15.61): all bytes sum up to 0.
    pub(super) fn into_bytes(self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        for (into, word) in bytes.chunks_exact_mut(2).zip(self.0) {
            into.copy_from_slice(&word.to_le_bytes());
        }
        bytes[BYTES - 2] = INTEGRITY;
        let sum = bytes.iter().fold(0_u8, |sum, &byte| sum.wrapping_add(byte));
        bytes[BYTES - 1] = sum.wrapping_neg();
        bytes
    }
}
