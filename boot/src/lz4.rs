//! Unpacking LZ4 blocks (the LZ4 block format, version of 2022-07-31), which the kernel's segments are in.
//!
//! A block is a series of sequences: bytes to take over as they are, then a piece of what was unpacked before. The crates that do this
//! want a heap, which there is not before the kernel runs.

/// The block is damaged, or is not one of as many bytes as were expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damaged;

/// The shortest piece that is worth a reference.
const MIN_MATCH: usize = 4;

/// Unpacks `block`, which must fill `into` exactly.
pub fn unpack(block: &[u8], into: &mut [u8]) -> Result<(), Damaged> {
    let mut input = Input(block);
    let mut at = 0_usize;
    loop {
        let token = input.byte()?;
        let literals = input.take_length(token >> 4)?;
        take_over(into, at, &mut input, literals)?;
        at += literals;
        if input.0.is_empty() {
            return if at == into.len() {
                Ok(())
            } else {
                Err(Damaged)
            };
        }
        let distance = usize::from(u16::from_le_bytes([input.byte()?, input.byte()?]));
        let length = input.take_length(token & 15)? + MIN_MATCH;
        repeat(into, at, distance, length)?;
        at += length;
    }
}

/// Bytes that are copied at once, needed or not, where there is room for them: most pieces are shorter.
const STEP: usize = 16;

/// Copies `count` bytes of the input to `at`.
#[inline]
fn take_over(
    into: &mut [u8],
    at: usize,
    input: &mut Input<'_>,
    count: usize,
) -> Result<(), Damaged> {
    if count <= STEP
        && let Some(step) = input.0.first_chunk::<STEP>()
        && let Some(target) = into.get_mut(at..).and_then(<[u8]>::first_chunk_mut::<STEP>)
    {
        *target = *step;
        input.0 = &input.0[count..];
        return Ok(());
    }
    let target = at..at.checked_add(count).ok_or(Damaged)?;
    into.get_mut(target)
        .ok_or(Damaged)?
        .copy_from_slice(input.bytes(count)?);
    Ok(())
}

/// Copies `length` bytes from `distance` before `at` to `at`; they may overlap, and then repeat themselves.
#[inline]
fn repeat(into: &mut [u8], at: usize, distance: usize, length: usize) -> Result<(), Damaged> {
    let from = at.checked_sub(distance).ok_or(Damaged)?;
    let end = at.checked_add(length).ok_or(Damaged)?;
    if distance == 0 || end > into.len() {
        return Err(Damaged);
    }
    if distance >= STEP
        && length <= STEP
        && let (before, target) = into.split_at_mut(at)
        && let Some(step) = before[from..].first_chunk::<STEP>()
        && let Some(target) = target.first_chunk_mut::<STEP>()
    {
        *target = *step;
        return Ok(());
    }
    let mut at = at;
    while at < end {
        // What is there already can be taken over at once, and doubles what is there.
        let count = (at - from).min(end - at);
        into.copy_within(from..from + count, at);
        at += count;
    }
    Ok(())
}

/// What is left of a block.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    #[inline]
    fn byte(&mut self) -> Result<u8, Damaged> {
        let (&first, rest) = self.0.split_first().ok_or(Damaged)?;
        self.0 = rest;
        Ok(first)
    }

    fn bytes(&mut self, count: usize) -> Result<&'a [u8], Damaged> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Damaged)?;
        self.0 = rest;
        Ok(taken)
    }

    /// A length that starts in four bits of a token and goes on in bytes, as long as they are full.
    #[inline]
    fn take_length(&mut self, start: u8) -> Result<usize, Damaged> {
        let mut length = usize::from(start);
        if start == 15 {
            loop {
                let more = self.byte()?;
                length = length.checked_add(more.into()).ok_or(Damaged)?;
                if more != 255 {
                    break;
                }
            }
        }
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    fn unpacked(block: &[u8], bytes: usize) -> Result<Vec<u8>, Damaged> {
        let mut into = vec![0; bytes];
        unpack(block, &mut into).map(|()| into)
    }

    #[test]
    fn literals_and_pieces_that_overlap() {
        assert_eq!(unpacked(&[0x30, b'a', b'b', b'c'], 3).unwrap(), b"abc");
        let block = [0x22, b'a', b'b', 2, 0, 0x10, b'!'];
        assert_eq!(unpacked(&block, 9).unwrap(), b"abababab!");
    }

    #[test]
    fn damage_is_told() {
        for (block, bytes) in [
            (&[][..], 0),
            (&[0x30, b'a'], 3),
            (&[0x30, b'a', b'b', b'c'], 4),
            (&[0x30, b'a', b'b', b'c'], 2),
            (&[0x10, b'a', 0, 0, 0], 9),
            (&[0x10, b'a', 2, 0, 0], 9),
            (&[0xf0, 255, 255], 9),
        ] {
            assert_eq!(unpacked(block, bytes), Err(Damaged), "{block:x?}");
        }
    }

    proptest! {
        #[test]
        fn what_was_packed_comes_out(pieces in prop::collection::vec((any::<u8>(), 1_usize..600), 0..20)) {
            let bytes: Vec<u8> = pieces
                .iter()
                .flat_map(|&(byte, count)| (0..count).map(move |at| byte.wrapping_add((at % 7) as u8)))
                .collect();
            let block = lz4_flex::block::compress(&bytes);
            prop_assert_eq!(unpacked(&block, bytes.len()), Ok(bytes));
        }

        #[test]
        fn no_block_is_too_strange(block in prop::collection::vec(any::<u8>(), 0..200), bytes in 0_usize..300) {
            let _ = unpacked(&block, bytes);
        }
    }
}
