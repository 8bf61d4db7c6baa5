//! The last quarter of the first MiB: which of RAM and ROM is read there, and where writes go (Intel 82441FX data sheet, order
//! 290549, "PAM[6:0]").

use super::bits::PAM_REGISTERS;
use guest_mem::{Attributes, Gpa, GuestMemory, Reads, Writes};

/// Attribute bits of a segment, the same in either half of a register.
const READ_ENABLE: u8 = 1;
const WRITE_ENABLE: u8 = 2;

/// The start of the segments, and their length but for the last.
const SEGMENTS: u64 = 0xc_0000;
const SEGMENT_BYTES: u64 = 0x4000;
/// The last one: 64 KiB, whose bits are in the upper half of the first register.
const BIOS_SEGMENT: (u64, u64) = (0xf_0000, 0x1_0000);

/// How a board's shadow RAM is after reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShadowRam {
    /// As the chip leaves it: ROM everywhere, for firmware that sets it up itself.
    Closed,
    /// RAM like any other, for a guest without firmware, or with one that lies there already.
    Open,
}

impl ShadowRam {
    /// The registers.
    pub(super) const fn registers(self) -> [u8; PAM_REGISTERS] {
        let bits = match self {
            Self::Closed => 0,
            Self::Open => 0x33,
        };
        let mut registers = [bits; PAM_REGISTERS];
        registers[0] = bits & 0xf0;
        registers
    }
}

/// The segments, in ascending order: where, and how long.
pub fn segments() -> impl Iterator<Item = (Gpa, u64)> {
    let small = (SEGMENTS..BIOS_SEGMENT.0).step_by(SEGMENT_BYTES as usize);
    small
        .map(|base| (Gpa(base), SEGMENT_BYTES))
        .chain([(Gpa(BIOS_SEGMENT.0), BIOS_SEGMENT.1)])
}

/// Has memory follow the registers.
pub(super) fn apply(registers: [u8; PAM_REGISTERS], memory: &GuestMemory) {
    let [bios, rest @ ..] = registers;
    let halves = rest.iter().flat_map(|bits| [bits & 0xf, bits >> 4]);
    for ((gpa, bytes), bits) in segments().zip(halves.chain([bios >> 4])) {
        memory.switch(gpa, bytes, attributes(bits));
    }
}

fn attributes(bits: u8) -> Attributes {
    let reads = if bits & READ_ENABLE == 0 {
        Reads::Rom
    } else {
        Reads::Ram
    };
    let writes = if bits & WRITE_ENABLE == 0 {
        Writes::Lost
    } else {
        Writes::Ram
    };
    Attributes { reads, writes }
}
