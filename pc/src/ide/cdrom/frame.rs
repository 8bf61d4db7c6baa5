//! What READ CD takes out of a block: the parts of a mode 1 sector of 2352 bytes (ECMA-130, clause 14; MMC-3, 6.19).

use super::address::to_msf;
use super::bits::BLOCK_BYTES;
use super::sense::Sense;
use serde::{Deserialize, Serialize};

/// Bytes of a whole sector.
const SECTOR_BYTES: usize = 2352;
/// Where its parts start: sync, header, user data, error detection and correction.
const HEADER: usize = 12;
const USER: usize = 16;
const CHECKS: usize = USER + BLOCK_BYTES;
/// Error detection, 8 zeros, then P and Q parity.
const P_PARITY: usize = CHECKS + 12;
const Q_PARITY: usize = P_PARITY + 172;

const SYNC: [u8; HEADER] = [0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 0];
const MODE_1: u8 = 1;

/// Bits of byte 9 of READ CD.
const SELECT_SYNC: u8 = 1 << 7;
const SELECT_HEADER: u8 = 1 << 5;
const SELECT_USER: u8 = 1 << 4;
const SELECT_CHECKS: u8 = 1 << 3;
/// C2 error bits, which only a real pickup has.
const SELECT_ERRORS: u8 = 3 << 1;

/// The part of a sector that the host wants: one piece without gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Frame {
    start: u16,
    end: u16,
}

impl Frame {
    /// The user data alone.
    pub(super) const USER: Self = Self {
        start: USER as u16,
        end: CHECKS as u16,
    };

    /// From byte 9 of READ CD. Subheaders are asked for in vain: mode 1 has none.
    pub(super) fn from_selection(selection: u8) -> Result<Self, Sense> {
        if selection & SELECT_ERRORS != 0 {
            return Err(Sense::INVALID_FIELD);
        }
        let parts = [
            (SELECT_SYNC, 0, HEADER),
            (SELECT_HEADER, HEADER, USER),
            (SELECT_USER, USER, CHECKS),
            (SELECT_CHECKS, CHECKS, SECTOR_BYTES),
        ];
        let mut frame = Self { start: 0, end: 0 };
        for (_, start, end) in parts.into_iter().filter(|part| selection & part.0 != 0) {
            let (start, end) = (start as u16, end as u16);
            if frame.is_empty() {
                frame = Self { start, end };
            } else if frame.end == start {
                frame.end = end;
            } else {
                return Err(Sense::INVALID_FIELD);
            }
        }
        Ok(frame)
    }

    pub(super) fn bytes(self) -> usize {
        usize::from(self.end.saturating_sub(self.start)).min(SECTOR_BYTES)
    }

    pub(super) fn is_empty(self) -> bool {
        self.bytes() == 0
    }

    /// Turns blocks of user data, which are the last bytes of `data`, into frames, which become the first; `block` is
    /// the first one's number. Each frame ends no later than the user data of the next block starts.
    pub(super) fn build(self, data: &mut [u8], block: u32, blocks: usize) {
        let Some(first) = data.len().checked_sub(blocks * BLOCK_BYTES) else {
            return;
        };
        let range = usize::from(self.start)..usize::from(self.start) + self.bytes();
        for index in 0..blocks {
            let from = first + index * BLOCK_BYTES;
            let sector = sector(
                &data[from..from + BLOCK_BYTES],
                block.wrapping_add(index as u32),
            );
            let into = data.get_mut(index * self.bytes()..(index + 1) * self.bytes());
            if let (Some(into), Some(part)) = (into, sector.get(range.clone())) {
                into.copy_from_slice(part);
            }
        }
    }
}

/// The whole sector around a block's user data.
fn sector(user: &[u8], block: u32) -> [u8; SECTOR_BYTES] {
    let mut sector = [0; SECTOR_BYTES];
    sector[..HEADER].copy_from_slice(&SYNC);
    let address = to_msf(block).map(|value| ((value / 10) << 4) | (value % 10));
    sector[HEADER..HEADER + 3].copy_from_slice(&address);
    sector[HEADER + 3] = MODE_1;
    sector[USER..CHECKS].copy_from_slice(user);
    let detection = detection_code(&sector[..CHECKS]);
    sector[CHECKS..CHECKS + 4].copy_from_slice(&detection.to_le_bytes());
    parity(&mut sector, P_PARITY, &P_CODE);
    parity(&mut sector, Q_PARITY, &Q_CODE);
    sector
}

/// The error detection code: a CRC with x^32 + x^31 + x^16 + x^15 + x^4 + x^3 + x + 1, least significant bit first
/// (ECMA-130, 14.3).
fn detection_code(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |crc, &byte| {
        crc >> 8 ^ REMAINDERS[usize::from(crc as u8 ^ byte)]
    })
}

/// What each byte does to the CRC.
const REMAINDERS: [u32; 256] = remainders();

const fn remainders() -> [u32; 256] {
    const POLYNOMIAL: u32 = 0xd801_8001;
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = (crc >> 1) ^ ((crc & 1) * POLYNOMIAL);
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
}

/// A product code's vectors over the bytes from the header on (ECMA-130, annex A). Vectors come in pairs, one of the even
/// and one of the odd bytes; from one symbol of a vector to the next it is `step` bytes, around the end.
struct Code {
    vectors: usize,
    symbols: usize,
    /// From one pair of vectors to the next.
    stride: usize,
    step: usize,
}

const P_CODE: Code = Code {
    vectors: 86,
    symbols: 24,
    stride: 2,
    step: 86,
};
const Q_CODE: Code = Code {
    vectors: 52,
    symbols: 43,
    stride: 86,
    step: 88,
};

/// Fills in a code's two parity symbols a vector, from byte `at` on: the remainder of the vector by (x + 1)(x + a) over
/// GF(2^8).
fn parity(sector: &mut [u8; SECTOR_BYTES], at: usize, code: &Code) {
    let size = code.vectors * code.symbols;
    for vector in 0..code.vectors {
        let mut index = vector / 2 * code.stride + vector % 2;
        let (mut weighted, mut plain) = (0_u8, 0_u8);
        for _ in 0..code.symbols {
            let symbol = sector[HEADER + index];
            weighted = times_a(weighted ^ symbol);
            plain ^= symbol;
            index = (index + code.step) % size;
        }
        // Parity p and q make p + q = plain and a p + q = a weighted, so p = (a weighted + plain) / (a + 1).
        let first = over_a_plus_1(times_a(weighted) ^ plain);
        sector[at + vector] = first;
        sector[at + vector + code.vectors] = first ^ plain;
    }
}

/// Multiplies by the primitive element of x^8 + x^4 + x^3 + x^2 + 1.
fn times_a(value: u8) -> u8 {
    value << 1 ^ if value & 0x80 != 0 { 0x1d } else { 0 }
}

/// Divides by a + 1, by multiplication with its inverse.
fn over_a_plus_1(value: u8) -> u8 {
    // (a + 1) * 244 = 1 in this field.
    const INVERSE: u8 = 244;
    (0..8).rev().fold(0, |product, bit| {
        times_a(product) ^ if INVERSE >> bit & 1 != 0 { value } else { 0 }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Evaluates a vector, parity symbols at its end, at `a^power`, by Horner's rule.
    fn syndrome(symbols: impl Iterator<Item = u8>, power: usize) -> u8 {
        symbols.fold(0, |sum, symbol| {
            (0..power).fold(sum, |sum, _| times_a(sum)) ^ symbol
        })
    }

    #[test]
    fn a_sector_checks_out() {
        let user: [u8; BLOCK_BYTES] = core::array::from_fn(|at| (at * 7 + at / 251) as u8);
        let sector = sector(&user, 16);
        assert_eq!(sector[12..16], [0x00, 0x02, 0x16, 1]);
        assert_eq!(sector[USER..CHECKS], user);
        assert_eq!(detection_code(&sector[..CHECKS + 4]), 0);
        for (code, at) in [(&P_CODE, P_PARITY), (&Q_CODE, Q_PARITY)] {
            for vector in 0..code.vectors {
                let start = vector / 2 * code.stride + vector % 2;
                let size = code.vectors * code.symbols;
                let data = (0..code.symbols)
                    .map(|symbol| sector[HEADER + (start + symbol * code.step) % size]);
                let parity = [sector[at + vector], sector[at + vector + code.vectors]];
                let all = data.chain(parity);
                assert_eq!(syndrome(all.clone(), 0), 0, "vector {vector}");
                assert_eq!(syndrome(all, 1), 0, "vector {vector}");
            }
        }
    }

    #[test]
    fn parts_have_no_gaps() {
        let whole = Frame::from_selection(0xf8).unwrap();
        assert_eq!(whole.bytes(), SECTOR_BYTES);
        assert_eq!(Frame::from_selection(0x10), Ok(Frame::USER));
        assert_eq!(Frame::from_selection(0x20).unwrap().bytes(), 4);
        assert!(Frame::from_selection(0).unwrap().is_empty());
        assert_eq!(Frame::from_selection(0x90), Err(Sense::INVALID_FIELD));
        assert_eq!(Frame::from_selection(0x12), Err(Sense::INVALID_FIELD));
    }

    #[test]
    fn frames_are_built_in_place() {
        let whole = Frame::from_selection(0xf8).unwrap();
        let mut data = alloc::vec![0; 3 * SECTOR_BYTES];
        let first = data.len() - 3 * BLOCK_BYTES;
        for (at, byte) in data[first..].iter_mut().enumerate() {
            *byte = (at / BLOCK_BYTES) as u8 + 1;
        }
        whole.build(&mut data, 0, 3);
        for (index, sector) in data.chunks_exact(SECTOR_BYTES).enumerate() {
            assert_eq!(
                sector,
                super::sector(&[index as u8 + 1; BLOCK_BYTES], index as u32)
            );
        }
    }
}
