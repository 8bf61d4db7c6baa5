//! XCR0: which values XSETBV takes (SDM vol. 1, 13.3; vol. 2, XSETBV).

const X87: u64 = 1;
const SSE: u64 = 1 << 1;
const AVX: u64 = 1 << 2;
const MPX: u64 = 3 << 3;
const AVX_512: u64 = 7 << 5;
const AMX: u64 = 3 << 17;

/// True if XSETBV takes `value` where CPUID leaf 0Dh offers `offered`. Otherwise it raises #GP(0).
pub const fn is_valid(value: u64, offered: u64) -> bool {
    value & !offered == 0
        && value & X87 != 0
        && (value & AVX == 0 || value & SSE != 0)
        && whole_set(value, MPX)
        && whole_set(value, AVX_512)
        && (value & AVX_512 == 0 || value & AVX != 0)
        && whole_set(value, AMX)
}

/// All of `set`, or nothing of it.
const fn whole_set(value: u64, set: u64) -> bool {
    value & set == 0 || value & set == set
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_come_with_what_they_stand_on() {
        const ALL: u64 = 0xff;
        for good in [1, 3, 7, 0x1f, 0xe7, 0xff] {
            assert!(is_valid(good, ALL), "{good:#x}");
        }
        for bad in [0, 2, 5, 0xf, 0x27, 0xe3, 0x100] {
            assert!(!is_valid(bad, ALL), "{bad:#x}");
        }
        assert!(!is_valid(7, 3));
        assert!(is_valid(0x6_0003, 0x6_0003) && !is_valid(0x2_0003, 0x6_0003));
    }
}
