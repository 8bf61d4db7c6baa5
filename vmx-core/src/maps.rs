//! The bitmaps that say which MSRs and ports exit (SDM vol. 3C, 25.6.4 and 25.6.9).

use hvm::vcpu::MsrAccess;

/// Reads of 0…1FFFh, reads of C000_0000h…C000_1FFFh, then writes likewise: 1 KiB each, a bit an MSR.
pub const MSR_BITMAP_BYTES: usize = 0x1000;
/// Bitmaps A and B, one after the other: a bit a port.
pub const IO_BITMAPS_BYTES: usize = 0x2000;
const WRITES: usize = 0x800;

/// Byte and bit of an MSR's read permission in the map; `None` for those that always exit.
const fn read_bit(msr: u32) -> Option<(usize, u8)> {
    let index = match msr {
        0..=0x1fff => msr,
        0xc000_0000..=0xc000_1fff => msr - 0xc000_0000 + 0x2000,
        _ => return None,
    };
    Some(((index / 8) as usize, 1 << (index % 8)))
}

/// Which accesses to an MSR are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// RDMSR.
    Read,
    /// WRMSR.
    Write,
}

/// Sets an MSR's bits in the map; false if the map does not cover it.
pub fn set_msr(map: &mut [u8; MSR_BITMAP_BYTES], msr: u32, access: MsrAccess) -> bool {
    set_direction(map, msr, Direction::Read, access)
        && set_direction(map, msr, Direction::Write, access)
}

/// Sets one of them.
pub fn set_direction(
    map: &mut [u8; MSR_BITMAP_BYTES],
    msr: u32,
    direction: Direction,
    access: MsrAccess,
) -> bool {
    let Some((read, bit)) = read_bit(msr) else {
        return access == MsrAccess::Intercept;
    };
    let at = match direction {
        Direction::Read => read,
        Direction::Write => read + WRITES,
    };
    match access {
        MsrAccess::PassThrough => map[at] &= !bit,
        MsrAccess::Intercept => map[at] |= bit,
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_lie_where_the_manual_puts_them() {
        assert_eq!(read_bit(0x10), Some((2, 1)));
        assert_eq!(read_bit(0xc000_0080), Some((0x410, 1)));
        assert_eq!(read_bit(0xc000_1fff), Some((0x7ff, 0x80)));
        assert_eq!(read_bit(0xc001_0015), None);
    }

    #[test]
    fn only_the_named_msr_changes() {
        let mut map = [0xff; MSR_BITMAP_BYTES];
        assert!(set_msr(&mut map, 0xc000_0101, MsrAccess::PassThrough));
        assert_eq!((map[0x420], map[0xc20]), (0xfd, 0xfd));
        let others = |(at, &byte): (usize, &u8)| at == 0x420 || at == 0xc20 || byte == 0xff;
        assert!(map.iter().enumerate().all(others));
        assert!(!set_msr(&mut map, 0x4000_0000, MsrAccess::PassThrough));
        assert!(set_msr(&mut map, 0xc000_0101, MsrAccess::Intercept));
        assert!(map.iter().all(|&byte| byte == 0xff));
    }
}
