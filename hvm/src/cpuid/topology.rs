//! How the guest's CPUs lie: every vCPU is a core with one thread, and all are in one package that shares the last cache.
//! APIC ids count from 0. (SDM vol. 2A, CPUID, leaves 4 and Bh; APM vol. 3, E.3 and E.4.)

use super::Leaf;

/// Leaf 4 EAX, leaf 8000_001Dh EAX: the cache's kind (0: there is none) and its level.
const KIND: u32 = 0x1f;
const LEVEL_SHIFT: u32 = 5;
const LEVEL: u32 = 7;
/// The same: how many threads share it, less one, from bit 14; on Intel's CPUs above it how many cores the package has, less one.
const WITHOUT_COUNTS: u32 = 0x3fff;
const SHARING_SHIFT: u32 = 14;
const CORES_SHIFT: u32 = 26;
/// From this level on a cache is the package's.
const SHARED_LEVEL: u32 = 3;

/// Bits of the APIC id that tell cores of a package apart.
fn core_bits(vcpus: u32) -> u32 {
    vcpus.next_power_of_two().trailing_zeros()
}

/// Leaf Bh: threads, then cores.
pub(super) fn levels(vcpus: u32, subleaf: u32, apic_id: u32) -> Leaf {
    const THREAD: u32 = 1 << 8;
    const CORE: u32 = 2 << 8;
    match subleaf {
        0 => [0, 1, THREAD, apic_id],
        1 => [core_bits(vcpus), vcpus, CORE | 1, apic_id],
        other => [0, 0, other & 0xff, apic_id],
    }
}

/// Leaf 4 of the host, for the guest. Both counts are of APIC ids that are set aside, so powers of two.
pub(super) fn intel_cache(host: Leaf, vcpus: u32) -> Leaf {
    let [eax, ebx, ecx, edx] = host;
    if eax & KIND == 0 {
        return [0; 4];
    }
    let ids = (1 << core_bits(vcpus)) - 1;
    let sharing = if is_shared(eax) { ids } else { 0 };
    let counts = sharing << SHARING_SHIFT | ids << CORES_SHIFT;
    [eax & WITHOUT_COUNTS | counts, ebx, ecx, edx]
}

/// Leaf 8000_001Dh of the host, for the guest.
pub(super) fn amd_cache(host: Leaf, vcpus: u32) -> Leaf {
    let [eax, ebx, ecx, edx] = host;
    if eax & KIND == 0 {
        return [0; 4];
    }
    let sharing = if is_shared(eax) { vcpus - 1 } else { 0 };
    [
        eax & WITHOUT_COUNTS | sharing << SHARING_SHIFT,
        ebx,
        ecx,
        edx,
    ]
}

fn is_shared(eax: u32) -> bool {
    eax >> LEVEL_SHIFT & LEVEL >= SHARED_LEVEL
}

/// Leaf 8000_0008h ECX: the cores less one, and the bits of the APIC id that count them.
pub(super) fn amd_cores(vcpus: u32) -> u32 {
    core_bits(vcpus) << 12 | (vcpus - 1)
}

/// Leaf 8000_001Eh: the APIC id; the core, of one thread; node 0, which is alone.
pub(super) fn amd_identifiers(apic_id: u32) -> Leaf {
    [apic_id, apic_id & 0xff, 0, 0]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cache of a level, as a host of eight threads shows it.
    fn cache(level: u32) -> Leaf {
        [
            7 << CORES_SHIFT | 1 << SHARING_SHIFT | level << LEVEL_SHIFT | 1,
            2,
            3,
            4,
        ]
    }

    #[test]
    fn levels_count_the_vcpus() {
        assert_eq!(levels(6, 0, 5), [0, 1, 0x100, 5]);
        assert_eq!(levels(6, 1, 5), [3, 6, 0x201, 5]);
        assert_eq!(levels(6, 2, 5), [0, 0, 2, 5]);
        assert_eq!(levels(1, 1, 0), [0, 1, 0x201, 0]);
        assert_eq!(levels(64, 1, 63), [6, 64, 0x201, 63]);
    }

    #[test]
    fn the_last_cache_is_the_packages_and_the_others_a_cores() {
        assert_eq!(intel_cache(cache(1), 4), [0x0c00_0021, 2, 3, 4]);
        assert_eq!(intel_cache(cache(3), 4), [0x0c00_c061, 2, 3, 4]);
        assert_eq!(intel_cache(cache(3), 3)[0], 0x0c00_c061, "ids, not cores");
        assert_eq!(intel_cache(cache(3), 64)[0], 63 << 26 | 63 << 14 | 0x61);
        assert_eq!(amd_cache(cache(2), 4)[0], 0x41);
        assert_eq!(amd_cache(cache(3), 3)[0], 0x8061);
        assert_eq!(intel_cache([0xffc0_0000, 1, 1, 1], 4), [0; 4]);
        assert_eq!(amd_cache([0, 1, 1, 1], 4), [0; 4]);
    }

    #[test]
    fn cores_are_counted_in_bits_of_the_apic_id_too() {
        assert_eq!(amd_cores(1), 0);
        assert_eq!(amd_cores(3), 0x2002);
        assert_eq!(amd_cores(64), 0x603f);
        assert_eq!(amd_identifiers(9), [9, 9, 0, 0]);
    }
}
