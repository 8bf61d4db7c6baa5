//! The MSR permission map and the I/O permission map (APM vol. 2, 15.10.1 and 15.11).

use hvm::vcpu::MsrAccess;

/// Bytes in the MSR permission map: two pages.
pub const MSRPM_BYTES: usize = 0x2000;
/// Bytes in the I/O permission map: 64 Ki ports and one page for accesses that run past the last.
pub const IOPM_BYTES: usize = 0x3000;

/// Where an MSR's two bits are: byte offset and shift. `None`: the map does not cover it and it always exits.
pub const fn msr_bits(msr: u32) -> Option<(usize, u32)> {
    let index = match msr {
        0..=0x1fff => msr,
        0xc000_0000..=0xc000_1fff => msr - 0xc000_0000 + 0x2000,
        0xc001_0000..=0xc001_1fff => msr - 0xc001_0000 + 0x4000,
        _ => return None,
    };
    Some(((index / 4) as usize, index % 4 * 2))
}

/// Sets an MSR's bits in the map; false if the map does not cover it.
pub fn set_msr(map: &mut [u8; MSRPM_BYTES], msr: u32, access: MsrAccess) -> bool {
    let Some((byte, shift)) = msr_bits(msr) else {
        return access == MsrAccess::Intercept;
    };
    match access {
        MsrAccess::PassThrough => map[byte] &= !(3 << shift),
        MsrAccess::Intercept => map[byte] |= 3 << shift,
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_lie_where_the_manual_puts_them() {
        assert_eq!(msr_bits(0x10), Some((4, 0)));
        assert_eq!(msr_bits(0xc000_0080), Some((0x820, 0)));
        assert_eq!(msr_bits(0xc001_0015), Some((0x1005, 2)));
        assert_eq!(msr_bits(0x4000_0000), None);
    }

    #[test]
    fn only_the_named_msr_changes() {
        let mut map = [0xff; MSRPM_BYTES];
        assert!(set_msr(&mut map, 0xc000_0100, MsrAccess::PassThrough));
        assert_eq!(map[0x840], 0xfc);
        assert!(
            map.iter()
                .enumerate()
                .all(|(at, &byte)| at == 0x840 || byte == 0xff)
        );
        assert!(!set_msr(&mut map, 0x4000_0000, MsrAccess::PassThrough));
    }
}
