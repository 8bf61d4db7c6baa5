//! What boot programs look for, in conventional memory: "!PXE" and "PXENV+" (PXE 2.1, 3.1), the code that they name, and buffers.
//!
//! The code is a stub that traps, called as an interrupt would be, so that it may wait, and from protected mode too: it loads no
//! selector.

use super::super::super::Service;
use super::super::super::call::{Call, Served};
use super::super::{DATA, DATA_BYTES, DATA_SEGMENT};
use crate::rom;
use crate::sum;
use alloc::vec::Vec;
use guest_mem::Gva;

/// Offset of "!PXE".
pub const PXE: u16 = 0x00;
/// Offset of "PXENV+".
pub const PXENV: u16 = 0x60;
/// The entry of "!PXE", and its stub.
const PXE_ENTRY: u16 = 0x90;
/// The entry of "PXENV+", and its stub.
const PXENV_ENTRY: u16 = 0xb0;
/// The first of the three kept packets.
pub const PACKETS: u16 = 0x100;
/// From one to the next.
pub const PACKET_ROOM: u16 = 0x600;
/// The frame that came last.
pub const FRAME: u16 = PACKETS + 3 * PACKET_ROOM;

/// Entry and stub: PUSHF; PUSH CS; CALL stub; RETF.
const ENTRY_BYTES: u16 = 8;
/// The caller's operation and parameters lie above the stub's frame and the far call's.
pub const ARGUMENTS: u16 = 6 + 4;

const STACK_BYTES: u16 = 0x800;

/// The linear address of an offset.
pub const fn at(offset: u16) -> Gva {
    Gva(DATA.0 + offset as u64)
}

/// Puts everything there.
pub fn install(call: &mut Call<'_>) -> Served {
    call.write(at(0), &[0; DATA_BYTES as usize])?;
    call.write(at(PXE), &pxe())?;
    call.write(at(PXENV), &pxenv())?;
    for (entry, service) in [(PXE_ENTRY, Service::Pxe), (PXENV_ENTRY, Service::Pxenv)] {
        let mut code = [0; (ENTRY_BYTES + rom::STUB_BYTES) as usize];
        let near = ENTRY_BYTES - 5;
        code[..6].copy_from_slice(&[0x9c, 0x0e, 0xe8, near as u8, 0, 0xcb]);
        code[ENTRY_BYTES as usize..].copy_from_slice(&rom::stub_bytes(service));
        call.write(at(entry), &code)?;
    }
    Ok(())
}

/// Takes the signatures away.
pub fn remove(call: &mut Call<'_>) -> Served {
    call.write(at(PXE), &[0; 4])?;
    call.write(at(PXENV), &[0; 6])
}

fn words(into: &mut Vec<u8>, words: &[u16]) {
    into.extend(words.iter().flat_map(|word| word.to_le_bytes()));
}

fn pxe() -> Vec<u8> {
    const BYTES: u8 = 0x58;
    const SEGMENTS: u8 = 7;
    const NO_ROM: [u16; 4] = [0; 4];
    let mut bytes = b"!PXE".to_vec();
    bytes.extend([BYTES, 0, 0, 0]);
    words(&mut bytes, &NO_ROM);
    let entry = [PXE_ENTRY, DATA_SEGMENT];
    words(&mut bytes, &entry);
    words(&mut bytes, &entry);
    // No callout, seven segments, no selectors yet.
    words(&mut bytes, &[0, 0]);
    bytes.extend([0, SEGMENTS]);
    words(&mut bytes, &[0]);
    let address = DATA.0 as u32;
    let own = [
        DATA_SEGMENT,
        address as u16,
        (address >> 16) as u16,
        DATA_BYTES,
    ];
    // The caller's stack is used.
    let stack = [0, 0, 0, STACK_BYTES];
    words(&mut bytes, &stack);
    for _ in 1..SEGMENTS {
        words(&mut bytes, &own);
    }
    sum::balance(&mut bytes, 5);
    bytes
}

fn pxenv() -> Vec<u8> {
    const BYTES: u8 = 0x2c;
    const VERSION: u16 = 0x0201;
    let mut bytes = b"PXENV+".to_vec();
    words(&mut bytes, &[VERSION]);
    bytes.extend([BYTES, 0]);
    words(&mut bytes, &[PXENV_ENTRY, DATA_SEGMENT]);
    // No entry of its own from protected mode, and no stack.
    words(&mut bytes, &[0, 0, 0, 0, STACK_BYTES]);
    for _ in 0..4 {
        words(&mut bytes, &[DATA_SEGMENT, DATA_BYTES]);
    }
    words(&mut bytes, &[PXE, DATA_SEGMENT]);
    sum::balance(&mut bytes, 9);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_structures_have_their_sizes_and_sums() {
        let sum = |bytes: &[u8]| bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        let (pxe, pxenv) = (pxe(), pxenv());
        assert_eq!((pxe.len(), pxenv.len()), (0x58, 0x2c));
        assert_eq!((sum(&pxe), sum(&pxenv)), (0, 0));
        assert_eq!(pxe[0x10..0x14], [0x90, 0, 0xc0, 0x9d]);
        assert_eq!(pxenv[0x28..], [0, 0, 0xc0, 0x9d]);
    }
}
