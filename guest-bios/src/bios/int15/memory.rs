//! How much memory there is, and moving blocks of it above 1 MiB.

use super::super::Bios;
use super::super::call::{Call, Served};
use super::UNSUPPORTED;
use crate::memory::{Range, RangeKind};
use crate::platform::HIGH_MEMORY;
use guest_mem::Gpa;
use hvm::regs::{Gpr, SegmentName};
use zerocopy::byteorder::little_endian::{U32, U64};
use zerocopy::{Immutable, IntoBytes};

const KIB: u64 = 1024;
const MIB16: u64 = 16 << 20;

/// Bytes of RAM from 1 MiB on without a hole.
fn extended_bytes(map: &[Range]) -> u64 {
    map.iter()
        .find(|range| range.base == HIGH_MEMORY && range.kind == RangeKind::Ram)
        .map_or(0, |range| range.bytes)
}

/// Function 88h: KiB from 1 MiB on in AX, at most 63 MiB, because old software computes in words.
pub fn extended_kib(bios: &Bios, call: &mut Call<'_>) {
    const MOST: u64 = 63 * 1024;
    call.set_ax((extended_bytes(&bios.memory_map) / KIB).min(MOST) as u16);
    call.succeed();
}

/// Function 8Ah: the same in DX:AX, without that limit.
pub fn all_extended_kib(bios: &Bios, call: &mut Call<'_>) {
    let kib = extended_bytes(&bios.memory_map) / KIB;
    call.set_ax(kib as u16);
    call.set_dx((kib >> 16) as u16);
    call.succeed();
}

/// Functions E801h, E820h, E881h.
pub fn serve(bios: &mut Bios, call: &mut Call<'_>) -> Served {
    match call.al() {
        0x01 | 0x81 => {
            in_two_pieces(bios, call);
            Ok(())
        }
        0x20 => next_range(bios, call),
        _ => {
            bios.log_missing(call, 0x15);
            call.set_ah(UNSUPPORTED);
            call.fail();
            Ok(())
        }
    }
}

/// AX and CX: KiB between 1 and 16 MiB; BX and DX: 64 KiB blocks above.
fn in_two_pieces(bios: &Bios, call: &mut Call<'_>) {
    let bytes = extended_bytes(&bios.memory_map);
    let below = bytes.min(MIB16 - HIGH_MEMORY.0);
    let (kib, blocks) = ((below / KIB) as u16, ((bytes - below) >> 16) as u16);
    if call.al() == 0x81 {
        call.set_dword(Gpr::Rax, kib.into());
        call.set_dword(Gpr::Rcx, kib.into());
        call.set_dword(Gpr::Rbx, blocks.into());
        call.set_dword(Gpr::Rdx, blocks.into());
    } else {
        call.set_ax(kib);
        call.set_cx(kib);
        call.set_bx(blocks);
        call.set_dx(blocks);
    }
    call.succeed();
}

/// An address range descriptor (ACPI 6.5, table 15.2).
#[derive(Clone, Copy, IntoBytes, Immutable)]
#[repr(C, packed)]
struct Descriptor {
    base: U64,
    bytes: U64,
    kind: U32,
}

/// Function E820h: range EBX of the map to ES:DI; EBX becomes the next one's number, 0 after the last.
fn next_range(bios: &Bios, call: &mut Call<'_>) -> Served {
    const SIGNATURE: u32 = u32::from_be_bytes(*b"SMAP");
    const DESCRIPTOR_BYTES: u32 = size_of::<Descriptor>() as u32;
    let number = call.dword(Gpr::Rbx);
    let asked = call.dword(Gpr::Rdx) == SIGNATURE && call.dword(Gpr::Rcx) >= DESCRIPTOR_BYTES;
    let range = bios.memory_map.get(number as usize).filter(|_| asked);
    let Some(range) = range else {
        call.set_ah(UNSUPPORTED);
        call.fail();
        return Ok(());
    };
    let descriptor = Descriptor {
        base: range.base.0.into(),
        bytes: range.bytes.into(),
        kind: (range.kind as u32).into(),
    };
    call.store(call.linear(SegmentName::Es, call.di().into()), &descriptor)?;
    let next = number + 1;
    let last = next as usize >= bios.memory_map.len();
    call.set_dword(Gpr::Rax, SIGNATURE);
    call.set_dword(Gpr::Rbx, if last { 0 } else { next });
    call.set_dword(Gpr::Rcx, DESCRIPTOR_BYTES);
    call.succeed();
    Ok(())
}

/// Function 87h: CX words between the two segments that the table at ES:SI describes. Its addresses are physical: the
/// caller is in real mode, and a memory manager serves this function itself.
pub fn move_block(call: &mut Call<'_>) -> Served {
    const SOURCE: u64 = 0x10;
    const DESTINATION: u64 = 0x18;
    const MOST_WORDS: u16 = 0x8000;
    const TOO_MANY: u8 = 2;
    const CHUNK: usize = 2048;
    let words = call.cx();
    if words > MOST_WORDS {
        call.set_ah(TOO_MANY);
        call.fail();
        return Ok(());
    }
    let table = call.linear(SegmentName::Es, call.si().into());
    let mut from = base(call.load(table.wrapping_add(SOURCE))?);
    let mut to = base(call.load(table.wrapping_add(DESTINATION))?);
    let mut left = usize::from(words) * 2;
    let mut chunk = [0; CHUNK];
    while left > 0 {
        let now = &mut chunk[..left.min(CHUNK)];
        call.read_physical(from, now);
        call.write_physical(to, now);
        from = from.wrapping_add(now.len() as u64);
        to = to.wrapping_add(now.len() as u64);
        left -= now.len();
    }
    call.set_ah(0);
    call.succeed();
    Ok(())
}

/// The base of a segment descriptor (SDM vol. 3A, figure 3-8).
fn base(descriptor: [u8; 8]) -> Gpa {
    let [_, _, low, middle, high, _, _, highest] = descriptor;
    Gpa(u32::from_le_bytes([low, middle, high, highest]).into())
}
