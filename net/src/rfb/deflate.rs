//! A small compressor for zlib streams (RFC 1950, RFC 1951), whose output can be read after each piece.
//!
//! Each piece is one block of fixed codes, then an empty stored block ("sync flush"). Matches are looked for in the piece alone, by a table of
//! the last place of every three bytes; so a stream has no state but its beginning, and 8 KiB of table serve all streams. Pieces are tiles
//! that ZRLE has made short already: what a larger compressor would gain on them is little.

use alloc::boxed::Box;
use alloc::vec::Vec;

/// The table's entries, a power of two.
const ENTRIES: usize = 1 << 12;
/// The longest piece: places are kept in 16 bits.
pub const MAX_PIECE: usize = 1 << 15;
/// Lengths of a match (RFC 1951, 3.2.5).
const SHORTEST: usize = 3;
const LONGEST: usize = 258;
/// CMF and FLG of a stream with a window of 32 KiB (RFC 1950, 2.2).
const HEADER: [u8; 2] = [0x78, 0x01];
/// BTYPE of a block with fixed codes, above BFINAL.
const FIXED: u32 = 1 << 1;

/// Base lengths and extra bits of the length codes 257 to 285 (RFC 1951, 3.2.5).
const LENGTHS: [(u16, u8); 29] = [
    (3, 0),
    (4, 0),
    (5, 0),
    (6, 0),
    (7, 0),
    (8, 0),
    (9, 0),
    (10, 0),
    (11, 1),
    (13, 1),
    (15, 1),
    (17, 1),
    (19, 2),
    (23, 2),
    (27, 2),
    (31, 2),
    (35, 3),
    (43, 3),
    (51, 3),
    (59, 3),
    (67, 4),
    (83, 4),
    (99, 4),
    (115, 4),
    (131, 5),
    (163, 5),
    (195, 5),
    (227, 5),
    (258, 0),
];
/// The same of the distance codes.
const DISTANCES: [(u16, u8); 30] = [
    (1, 0),
    (2, 0),
    (3, 0),
    (4, 0),
    (5, 1),
    (7, 1),
    (9, 2),
    (13, 2),
    (17, 3),
    (25, 3),
    (33, 4),
    (49, 4),
    (65, 5),
    (97, 5),
    (129, 6),
    (193, 6),
    (257, 7),
    (385, 7),
    (513, 8),
    (769, 8),
    (1025, 9),
    (1537, 9),
    (2049, 10),
    (3073, 10),
    (4097, 11),
    (6145, 11),
    (8193, 12),
    (12289, 12),
    (16385, 13),
    (24577, 13),
];

/// What compressing needs: the place behind the last occurrence of three bytes, by their hash.
pub struct Table(Box<[u16; ENTRIES]>);

impl Table {
    /// A table for any number of streams.
    pub fn new() -> Self {
        Self(Box::new([0; ENTRIES]))
    }
}

impl Default for Table {
    fn default() -> Self {
        Self::new()
    }
}

/// A stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stream {
    /// Its header is still to come.
    #[default]
    New,
    /// It goes on.
    Begun,
}

/// Bits, the least significant first.
struct Bits<'a> {
    out: &'a mut Vec<u8>,
    held: u64,
    count: u32,
}

impl Bits<'_> {
    fn put(&mut self, bits: u32, count: u32) {
        self.held |= u64::from(bits) << self.count;
        self.count += count;
        while self.count >= 8 {
            self.out.push(self.held as u8);
            self.held >>= 8;
            self.count -= 8;
        }
    }

    /// Codes have their most significant bit first.
    fn put_code(&mut self, code: u32, count: u32) {
        self.put(code.reverse_bits() >> (32 - count), count);
    }

    fn align(&mut self) {
        if self.count > 0 {
            self.put(0, 8 - self.count);
        }
    }

    /// A literal or a length code (RFC 1951, 3.2.6).
    fn put_symbol(&mut self, symbol: u32) {
        match symbol {
            0..144 => self.put_code(0x30 + symbol, 8),
            144..256 => self.put_code(0x190 + symbol - 144, 9),
            256..280 => self.put_code(symbol - 256, 7),
            _ => self.put_code(0xc0 + symbol - 280, 8),
        }
    }

    fn put_match(&mut self, length: usize, distance: usize) {
        let code = LENGTHS.partition_point(|(base, _)| usize::from(*base) <= length) - 1;
        let (base, extra) = LENGTHS[code];
        self.put_symbol(257 + code as u32);
        self.put((length - usize::from(base)) as u32, extra.into());
        let code = DISTANCES.partition_point(|(base, _)| usize::from(*base) <= distance) - 1;
        let (base, extra) = DISTANCES[code];
        self.put_code(code as u32, 5);
        self.put((distance - usize::from(base)) as u32, extra.into());
    }
}

impl Stream {
    /// Appends a piece of at most [`MAX_PIECE`] bytes to the stream in `out`. It takes at most nine eighths of its length and ten bytes.
    pub fn compress(&mut self, piece: &[u8], table: &mut Table, out: &mut Vec<u8>) {
        let piece = &piece[..piece.len().min(MAX_PIECE)];
        if *self == Self::New {
            *self = Self::Begun;
            out.extend_from_slice(&HEADER);
        }
        table.0.fill(0);
        let mut bits = Bits {
            out,
            held: 0,
            count: 0,
        };
        bits.put(FIXED, 3);
        let mut at = 0;
        while at < piece.len() {
            let found = find(piece, at, table);
            match found {
                Some((length, distance)) => {
                    bits.put_match(length, distance);
                    at += length;
                }
                None => {
                    bits.put_symbol(piece[at].into());
                    at += 1;
                }
            }
        }
        // The block's end, and an empty stored block: its bytes are whole.
        bits.put_symbol(256);
        bits.put(0, 3);
        bits.align();
        bits.out.extend_from_slice(&[0, 0, 0xff, 0xff]);
    }
}

/// An earlier occurrence of what is at `at`: its length, and how far back it is. Notes this one.
fn find(piece: &[u8], at: usize, table: &mut Table) -> Option<(usize, usize)> {
    let &[one, two, three] = piece.get(at..)?.first_chunk()?;
    let key = u32::from_le_bytes([one, two, three, 0]);
    let hash = key.wrapping_mul(0x9e37_79b1) >> (32 - ENTRIES.trailing_zeros());
    let behind = core::mem::replace(&mut table.0[hash as usize], at as u16 + 1);
    let before = usize::from(behind).checked_sub(1)?;
    let most = LONGEST.min(piece.len() - at);
    let length = piece[at..at + most]
        .iter()
        .zip(&piece[before..])
        .take_while(|(here, there)| here == there)
        .count();
    (length >= SHORTEST).then_some((length, at - before))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rfb::check::Inflate;
    use proptest::prelude::*;

    #[test]
    fn a_run_is_short() {
        let (mut table, mut out) = (Table::new(), Vec::new());
        let mut stream = Stream::default();
        stream.compress(&[7; 4000], &mut table, &mut out);
        assert!(out.len() < 60, "{}", out.len());
        let mut inflate = Inflate::default();
        assert_eq!(inflate.piece(&out), [7; 4000]);
    }

    proptest! {
        #[test]
        fn pieces_come_back(
            pieces in prop::collection::vec(prop::collection::vec(prop_oneof![0_u8..4, any::<u8>()], 0..700), 1..5),
        ) {
            let (mut table, mut stream, mut inflate) = (Table::new(), Stream::default(), Inflate::default());
            for piece in pieces {
                let mut out = Vec::new();
                stream.compress(&piece, &mut table, &mut out);
                prop_assert!(out.len() <= piece.len() * 9 / 8 + 12);
                prop_assert_eq!(inflate.piece(&out), piece);
            }
        }
    }
}
