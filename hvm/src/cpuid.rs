//! What the guest sees by CPUID: one table for both vendors, made once from the host's and a policy.
//!
//! The rule is a white list: a feature bit passes only if a guest can use it with nothing from us, or if we emulate what
//! it needs. Hypervisor leaves: Hyper-V's at 4000_0000h if any of it is offered, KVM's at the next base (its clock; and its identity makes
//! Linux use x2APIC without interrupt remapping), our own last. Xen's signature is not offered before its interface is, because guests take the
//! highest base that they know.

mod hypervisor;
mod topology;

pub use hypervisor::Timing;

use crate::hyperv::Enlightenments;
use alloc::vec::Vec;
use hypervisor::{BASE as HYPERVISOR_BASE, Interfaces};

/// The four output registers, EAX to EDX.
pub type Leaf = [u32; 4];

/// The CPUID instruction of this CPU, as a function of EAX and ECX.
pub type Source<'a> = &'a dyn Fn(u32, u32) -> Leaf;

/// Width of physical addresses (leaf 8000_0008h), which a guest's share with the host's.
pub fn physical_bits(cpuid: Source<'_>) -> u8 {
    if cpuid(0x8000_0000, 0)[0] >= 0x8000_0008 {
        (cpuid(0x8000_0008, 0)[0] as u8).clamp(36, 52)
    } else {
        36
    }
}

/// What the table is made for.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// How many vCPUs the guest has.
    pub vcpus: u32,
    /// Whether leaves 15h and 16h are shown.
    pub rates: Rates,
    /// Whether its time-stamp counter always runs, at one rate.
    pub tsc: Tsc,
    /// The rates that KVM's interface tells.
    pub timing: Timing,
    /// What is offered of Hyper-V's interface.
    pub hyperv: Enlightenments,
    /// Whether KVM's interface is shown.
    pub kvm: Kvm,
    /// Whether process-context identifiers are shown.
    pub contexts: Contexts,
}

/// Process-context identifiers, and INVPCID with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contexts {
    /// The guest has what the CPU has.
    Host,
    /// It has none: shadow tables know one context at a time.
    Hidden,
}

/// KVM's interface. Linux, which knows that and Hyper-V's, takes KVM's where it sees both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kvm {
    /// It has its leaves.
    Shown,
    /// It has none.
    Hidden,
}

/// What the guest is told of its time-stamp counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tsc {
    /// It runs at one rate in all states of the CPU (leaf 8000_0007h); timers may go by it (leaf 1), and all vCPUs' KVM clocks are one.
    Invariant,
    /// None of that.
    Unpromised,
}

/// The leaves that tell the TSC's and the CPU's rates (SDM vol. 2A, CPUID, leaves 15h and 16h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rates {
    /// As the host has them.
    Host,
    /// Zero: the guest measures for itself.
    Hidden,
}

/// What changes while the guest runs.
#[derive(Clone, Copy, Debug)]
pub struct Live {
    /// The guest's CR4; OSXSAVE is shown in leaf 1.
    pub cr4: u64,
    /// The APIC id of the asking vCPU.
    pub apic_id: u32,
}

/// The table.
#[derive(Clone, Debug)]
pub struct Map {
    basic: Vec<Leaf>,
    extended: Vec<Leaf>,
    interfaces: Interfaces,
    vendor: Vendor,
    structured: [Leaf; 2],
    policy: Policy,
    /// Intel answers a leaf past the last with the last basic leaf (SDM vol. 2A, CPUID); AMD with zeros.
    past_last: Leaf,
}

const EXTENDED_BASE: u32 = 0x8000_0000;
const BASIC_LEAVES: u32 = 0x17;
/// A bit for each basic leaf that is more than a table entry: 1, 4, 7, Bh, Dh. There are fewer than 32 ([`BASIC_LEAVES`]).
const NOT_CONSTANT: u32 = 1 << 1 | 1 << 4 | 1 << 7 | 1 << 0xb | 1 << 0xd;
const EXTENDED_LEAVES: u32 = 0x22;
const CR4_OSXSAVE: u64 = 1 << 18;
/// Extended leaves that are more than a table entry, with the feature bit of leaf 8000_0001h ECX that shows them on AMD's CPUs.
const CACHES: u32 = 0x8000_001d;
const IDENTIFIERS: u32 = 0x8000_001e;
const TOPOLOGY_EXTENSIONS: u32 = 1 << 22;
/// Leaf 8000_0001h ECX, AMD: HTT in leaf 1 means cores.
const CMP_LEGACY: u32 = 1 << 1;

/// Leaf 1 ECX: SSE3, PCLMULQDQ, SSSE3, FMA, CMPXCHG16B, PCID, SSE4.1, SSE4.2, MOVBE, POPCNT, AES, XSAVE, AVX, F16C, RDRAND.
const LEAF_1_ECX: u32 = 1
    | 1 << 1
    | 1 << 9
    | 1 << 12
    | 1 << 13
    | 1 << 17
    | 1 << 19
    | 1 << 20
    | 1 << 22
    | 1 << 23
    | 1 << 25
    | 1 << 26
    | 1 << 28
    | 1 << 29
    | 1 << 30;
/// Leaf 1 ECX, leaf 7 EBX: process-context identifiers and the instruction that goes with them.
const PCID: u32 = 1 << 17;
const INVPCID: u32 = 1 << 10;
/// Leaf 1 ECX, ours: x2APIC, hypervisor present.
const LEAF_1_ECX_OURS: u32 = 1 << 21 | 1 << 31;
/// Leaf 1 ECX, ours: the TSC-deadline timer, for guests that may go by their counter.
const TSC_DEADLINE: u32 = 1 << 24;
/// Leaf 1 ECX.OSXSAVE.
const OSXSAVE: u32 = 1 << 27;
/// Leaf 1 EDX: all up to PSE-36, CLFLUSH, MMX, FXSR, SSE, SSE2, self-snoop.
const LEAF_1_EDX: u32 = 0x0f8b_fbff;
/// Leaf 1 EDX, ours: the local APIC.
const LEAF_1_EDX_OURS: u32 = 1 << 9;
const HTT: u32 = 1 << 28;
/// Leaf 7 EBX: FSGSBASE, BMI1, AVX2, SMEP, BMI2, ERMS, INVPCID, AVX-512 family, RDSEED, ADX, SMAP, CLFLUSHOPT, CLWB, SHA.
const LEAF_7_EBX: u32 = 1
    | 1 << 3
    | 1 << 5
    | 1 << 7
    | 1 << 8
    | 1 << 9
    | 1 << 10
    | 1 << 16
    | 1 << 17
    | 1 << 18
    | 1 << 19
    | 1 << 20
    | 1 << 21
    | 1 << 23
    | 1 << 24
    | 1 << 28
    | 1 << 29
    | 1 << 30
    | 1 << 31;
/// Leaf 7 EBX, ours: IA32_TSC_ADJUST.
const LEAF_7_EBX_OURS: u32 = 1 << 1;
/// Leaf 7 ECX: AVX512_VBMI, UMIP, VBMI2, GFNI, VAES, VPCLMULQDQ, VNNI, BITALG, VPOPCNTDQ, RDPID.
const LEAF_7_ECX: u32 =
    1 << 1 | 1 << 2 | 1 << 6 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12 | 1 << 14 | 1 << 22;
/// Leaf 7 EDX: fast short REP MOV, MD_CLEAR, speculation control (IBRS/IBPB, STIBP, SSBD), whose MSRs are the guest's.
const LEAF_7_EDX: u32 = 1 << 4 | 1 << 10 | 1 << 26 | 1 << 27 | 1 << 31;
/// Leaf Dh, subleaf 1 EAX: XSAVEOPT, XSAVEC, XGETBV with ECX = 1. XSAVES needs IA32_XSS, which is not offered.
const LEAF_D_1_EAX: u32 = 7;
/// Leaf 8000_0001h ECX: LAHF, CR8 by LOCK, ABM, SSE4A, misaligned SSE, PREFETCH, XOP, FMA4, TBM.
const EXTENDED_1_ECX: u32 =
    1 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 11 | 1 << 16 | 1 << 21;
/// Leaf 8000_0001h EDX: as leaf 1, with SYSCALL, NX, MMXEXT, FFXSR, 1 GiB pages, RDTSCP, long mode, 3DNow!.
const EXTENDED_1_EDX: u32 = 0x0183_fbff
    | 1 << 11
    | 1 << 20
    | 1 << 22
    | 1 << 25
    | 1 << 26
    | 1 << 27
    | 1 << 29
    | 1 << 30
    | 1 << 31;
/// Leaf 8000_0007h EDX: invariant TSC.
const INVARIANT_TSC: u32 = 1 << 8;
/// Leaf 8000_0008h EBX: CLZERO, XSAVE error pointers, WBNOINVD, IBPB, IBRS, STIBP, SSBD.
const EXTENDED_8_EBX: u32 = 1 | 1 << 2 | 1 << 9 | 1 << 12 | 1 << 14 | 1 << 15 | 1 << 24;
/// Leaf 8000_0021h EAX: LFENCE serializes, null selectors clear the base.
const EXTENDED_21_EAX: u32 = 1 << 2 | 1 << 6;
/// Leaf 6 EAX: the APIC timer runs in every idle state.
const ARAT: u32 = 1 << 2;

impl Map {
    /// Makes the table.
    pub fn new(host: Source<'_>, policy: Policy) -> Self {
        let last_basic = host(0, 0)[0].clamp(1, BASIC_LEAVES - 1);
        let last_extended =
            host(EXTENDED_BASE, 0)[0].clamp(EXTENDED_BASE + 8, EXTENDED_BASE + EXTENDED_LEAVES - 1);
        let basic: Vec<Leaf> = (0..=last_basic)
            .map(|leaf| basic(host, policy, leaf, last_basic))
            .collect();
        let vendor = Vendor::of(host);
        let extended = (EXTENDED_BASE..=last_extended)
            .map(|leaf| extended(host, vendor, policy, leaf, last_extended))
            .collect();
        let [_, ebx, ecx, edx] = host(7, 0);
        let [eax_1, ..] = host(7, 1);
        let seven = last_basic >= 7;
        let hidden = match policy.contexts {
            Contexts::Host => 0,
            Contexts::Hidden => INVPCID,
        };
        Self {
            past_last: match vendor {
                Vendor::Intel => *basic.last().unwrap_or(&[0; 4]),
                Vendor::Amd => [0; 4],
            },
            vendor,
            basic,
            extended,
            interfaces: Interfaces::new(policy),
            structured: if seven {
                [
                    [
                        1,
                        ebx & LEAF_7_EBX & !hidden | LEAF_7_EBX_OURS,
                        ecx & LEAF_7_ECX,
                        edx & LEAF_7_EDX,
                    ],
                    [eax_1 & (1 << 4 | 1 << 5), 0, 0, 0],
                ]
            } else {
                [[0; 4]; 2]
            },
            policy,
        }
    }

    /// The answer to those leaves that depend on nothing else: the most frequent ones, and without a copy.
    #[inline]
    pub fn constant(&self, leaf: u32) -> Option<&Leaf> {
        let answer = self.basic.get(leaf as usize)?;
        (NOT_CONSTANT >> leaf & 1 == 0).then_some(answer)
    }

    /// The answer to one CPUID.
    pub fn query(&self, host: Source<'_>, leaf: u32, subleaf: u32, live: Live) -> Leaf {
        match self.basic.get(leaf as usize) {
            Some(answer) if NOT_CONSTANT >> leaf & 1 == 0 => *answer,
            Some(_) => self.basic_query(host, leaf, subleaf, live),
            None => match leaf {
                CACHES | IDENTIFIERS => self.shared(host, leaf, subleaf, live),
                _ => self.high_query(leaf),
            },
        }
    }

    /// Basic leaves whose answer depends on more than the leaf.
    fn basic_query(&self, host: Source<'_>, leaf: u32, subleaf: u32, live: Live) -> Leaf {
        match leaf {
            1 => {
                let [eax, ebx, ecx, edx] = self.basic[1];
                let osxsave = if live.cr4 & CR4_OSXSAVE != 0 {
                    OSXSAVE
                } else {
                    0
                };
                [eax, ebx | live.apic_id << 24, ecx | osxsave, edx]
            }
            7 => *self.structured.get(subleaf as usize).unwrap_or(&[0; 4]),
            _ => self.by_subleaf(host, leaf, subleaf, live),
        }
    }

    /// The hypervisor's and the extended leaves, and those past the last basic one.
    fn high_query(&self, leaf: u32) -> Leaf {
        let known = if leaf < HYPERVISOR_BASE {
            None
        } else if leaf < EXTENDED_BASE {
            self.interfaces.get(leaf)
        } else {
            self.extended.get((leaf - EXTENDED_BASE) as usize)
        };
        *known.unwrap_or(&self.past_last)
    }

    /// AMD's leaves on caches and identifiers, which only CPUs with topology extensions have.
    #[cold]
    fn shared(&self, host: Source<'_>, leaf: u32, subleaf: u32, live: Live) -> Leaf {
        let [.., features, _] = self.high_query(EXTENDED_BASE + 1);
        let known = leaf - EXTENDED_BASE < self.extended.len() as u32;
        match leaf {
            _ if !known || features & TOPOLOGY_EXTENSIONS == 0 => self.high_query(leaf),
            CACHES => topology::amd_cache(host(CACHES, subleaf), self.policy.vcpus),
            _ => topology::amd_identifiers(live.apic_id),
        }
    }

    #[cold]
    fn by_subleaf(&self, host: Source<'_>, leaf: u32, subleaf: u32, live: Live) -> Leaf {
        match leaf {
            4 if self.vendor == Vendor::Amd => [0; 4],
            4 => topology::intel_cache(host(4, subleaf), self.policy.vcpus),
            0xb => topology::levels(self.policy.vcpus, subleaf, live.apic_id),
            // Sizes follow the live XCR0, which is the guest's own, so the CPU itself answers.
            _ => {
                if self.basic[1][2] & 1 << 26 == 0 {
                    return [0; 4];
                }
                let answer = host(0xd, subleaf);
                if subleaf == 1 {
                    [answer[0] & LEAF_D_1_EAX, answer[1], 0, 0]
                } else {
                    answer
                }
            }
        }
    }
}

fn basic(host: Source<'_>, policy: Policy, leaf: u32, last: u32) -> Leaf {
    let [eax, ebx, ecx, edx] = host(leaf, 0);
    match leaf {
        0 => [last, ebx, ecx, edx],
        1 => {
            let threads = if policy.vcpus > 1 { HTT } else { 0 };
            let hidden = match policy.contexts {
                Contexts::Host => 0,
                Contexts::Hidden => PCID,
            };
            let deadline = match policy.tsc {
                Tsc::Invariant => TSC_DEADLINE,
                Tsc::Unpromised => 0,
            };
            [
                eax,
                ebx & 0xff00 | policy.vcpus.min(255) << 16,
                ecx & LEAF_1_ECX & !hidden | LEAF_1_ECX_OURS | deadline,
                edx & LEAF_1_EDX | LEAF_1_EDX_OURS | threads,
            ]
        }
        2 => [eax, ebx, ecx, edx],
        0x15 | 0x16 if policy.rates == Rates::Host => [eax, ebx, ecx, edx],
        6 => [ARAT, 0, 0, 0],
        _ => [0; 4],
    }
}

fn extended(host: Source<'_>, vendor: Vendor, policy: Policy, leaf: u32, last: u32) -> Leaf {
    let [eax, ebx, ecx, edx] = host(leaf, 0);
    match leaf - EXTENDED_BASE {
        0 => [last, ebx, ecx, edx],
        1 => {
            let ours = match vendor {
                Vendor::Intel => 0,
                Vendor::Amd if policy.vcpus > 1 => ecx & TOPOLOGY_EXTENSIONS | CMP_LEGACY,
                Vendor::Amd => ecx & TOPOLOGY_EXTENSIONS,
            };
            [eax, ebx, ecx & EXTENDED_1_ECX | ours, edx & EXTENDED_1_EDX]
        }
        2..=6 => [eax, ebx, ecx, edx],
        7 => match policy.tsc {
            Tsc::Invariant => [0, 0, 0, INVARIANT_TSC],
            Tsc::Unpromised => [0; 4],
        },
        8 => {
            let cores = match vendor {
                Vendor::Intel => 0,
                Vendor::Amd => topology::amd_cores(policy.vcpus),
            };
            [eax, ebx & EXTENDED_8_EBX, cores, 0]
        }
        0x19 | 0x1a => [eax, ebx, ecx, edx],
        0x21 => [eax & EXTENDED_21_EAX, 0, 0, 0],
        _ => [0; 4],
    }
}

/// Whose rules the leaves follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Vendor {
    Intel,
    Amd,
}

impl Vendor {
    pub(crate) fn of(host: Source<'_>) -> Self {
        if host(0, 0)[1] == u32::from_le_bytes(*b"Genu") {
            Self::Intel
        } else {
            Self::Amd
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIVE: Live = Live { cr4: 0, apic_id: 0 };

    /// A CPU that claims everything.
    fn everything(leaf: u32, subleaf: u32) -> Leaf {
        match (leaf, subleaf) {
            (0, _) => [0x20, u32::from_le_bytes(*b"Auth"), 1, 2],
            (0x8000_0000, _) => [0x8000_0030, 0, 0, 0],
            _ => [u32::MAX; 4],
        }
    }

    fn policy(vcpus: u32, tsc: Tsc) -> Policy {
        Policy {
            vcpus,
            rates: Rates::Host,
            tsc,
            timing: Timing {
                tsc_khz: 2_400_000,
                apic_khz: 1_000_000,
            },
            hyperv: Enlightenments::empty(),
            kvm: Kvm::Shown,
            contexts: Contexts::Host,
        }
    }

    fn map(vcpus: u32) -> Map {
        Map::new(&everything, policy(vcpus, Tsc::Invariant))
    }

    #[test]
    fn virtualization_and_monitor_are_hidden() {
        let map = map(1);
        let [_, _, ecx, edx] = map.query(&everything, 1, 0, LIVE);
        assert_eq!(ecx & (1 << 3 | 1 << 5 | 1 << 15), 0);
        assert_eq!(ecx & LEAF_1_ECX_OURS, LEAF_1_ECX_OURS);
        assert_eq!(edx & HTT, 0);
        assert_eq!(map.query(&everything, 0x8000_0001, 0, LIVE)[2] & 1 << 2, 0);
        assert_eq!(map.query(&everything, 0x8000_000a, 0, LIVE), [0; 4]);
    }

    #[test]
    fn osxsave_follows_cr4() {
        let map = map(1);
        assert_eq!(map.query(&everything, 1, 0, LIVE)[2] & OSXSAVE, 0);
        let live = Live {
            cr4: CR4_OSXSAVE,
            apic_id: 3,
        };
        assert_ne!(map.query(&everything, 1, 0, live)[2] & OSXSAVE, 0);
        assert_eq!(map.query(&everything, 1, 0, live)[1] >> 24, 3);
    }

    #[test]
    fn the_hypervisor_is_found_by_signature() {
        let map = map(1);
        assert_eq!(
            map.query(&everything, 0x4000_0000, 0, LIVE)[1],
            u32::from_le_bytes(*b"KVMK")
        );
        assert_eq!(
            map.query(&everything, 0x4000_0001, 0, LIVE),
            [0x0100_0049, 0, 0, 0]
        );
        assert_eq!(
            map.query(&everything, 0x4000_0010, 0, LIVE),
            [2_400_000, 1_000_000, 0, 0]
        );
        assert_eq!(map.query(&everything, 0x4000_0011, 0, LIVE), [0; 4]);
        assert_eq!(
            map.query(&everything, 0x4000_0100, 0, LIVE)[1],
            u32::from_le_bytes(*b"Mono")
        );
    }

    #[test]
    fn hyper_v_comes_first_and_kvm_may_be_hidden() {
        let signatures = |hyperv, kvm| {
            let policy = Policy {
                hyperv,
                kvm,
                ..policy(1, Tsc::Invariant)
            };
            let map = Map::new(&everything, policy);
            [0, 0x100, 0x200]
                .map(|at| map.query(&everything, 0x4000_0000 + at, 0, LIVE)[1].to_le_bytes())
        };
        let part = Enlightenments::BASE;
        assert_eq!(signatures(part, Kvm::Shown), [*b"Micr", *b"KVMK", *b"Mono"]);
        assert_eq!(signatures(part, Kvm::Hidden), [*b"Micr", *b"Mono", [0; 4]]);
        let none = Enlightenments::empty();
        assert_eq!(signatures(none, Kvm::Hidden), [*b"Mono", [0; 4], [0; 4]]);
        let policy = Policy {
            hyperv: Enlightenments::all(),
            ..policy(1, Tsc::Invariant)
        };
        let ask = |leaf| Map::new(&everything, policy).query(&everything, leaf, 0, LIVE);
        assert_eq!(ask(0x4000_0000)[0], 0x4000_0006);
        assert_eq!(ask(0x4000_0001)[0], u32::from_le_bytes(*b"Hv#1"));
        assert_eq!(ask(0x4000_0100)[0], 0x4000_0110);
        assert_eq!(ask(0x4000_0110), [2_400_000, 1_000_000, 0, 0]);
    }

    #[test]
    fn an_invariant_counter_is_promised_only_if_it_is_one() {
        let seen =
            |tsc| Map::new(&everything, policy(1, tsc)).query(&everything, 0x8000_0007, 0, LIVE);
        assert_eq!(seen(Tsc::Invariant), [0, 0, 0, 1 << 8]);
        assert_eq!(seen(Tsc::Unpromised), [0; 4]);
        let others = |tsc| {
            let map = Map::new(&everything, policy(1, tsc));
            let deadline = map.query(&everything, 1, 0, LIVE)[2] & TSC_DEADLINE;
            (
                deadline != 0,
                map.query(&everything, 0x4000_0001, 0, LIVE)[0],
            )
        };
        assert_eq!(others(Tsc::Invariant), (true, 0x0100_0049));
        assert_eq!(others(Tsc::Unpromised), (false, 0x49));
    }

    #[test]
    fn topology_counts_the_vcpus() {
        let map = map(4);
        assert_eq!(map.query(&everything, 0xb, 1, LIVE), [2, 4, 0x201, 0]);
        assert_eq!(map.query(&everything, 1, 0, LIVE)[1] >> 16 & 0xff, 4);
        assert_ne!(map.query(&everything, 1, 0, LIVE)[3] & HTT, 0);
    }

    #[test]
    fn each_vendor_has_its_own_leaves_on_topology() {
        let live = Live { cr4: 0, apic_id: 3 };
        let intel = |leaf, subleaf| match leaf {
            0 => [0x20, u32::from_le_bytes(*b"Genu"), 1, 2],
            _ => everything(leaf, subleaf),
        };
        let plain = |leaf, subleaf| match leaf {
            0x8000_0001 => [0; 4],
            _ => everything(leaf, subleaf),
        };
        let ask = |host: Source<'_>, leaf| {
            Map::new(host, policy(4, Tsc::Invariant)).query(host, leaf, 3, live)
        };
        assert_eq!(ask(&everything, 4), [0; 4]);
        assert_eq!(ask(&everything, 0x8000_0008)[2], 0x2003);
        assert_eq!(ask(&everything, 0x8000_0001)[2] & CMP_LEGACY, CMP_LEGACY);
        assert_eq!(ask(&everything, 0x8000_001d)[0], 3 << 14 | 0x3fff);
        assert_eq!(ask(&everything, 0x8000_001e), [3, 3, 0, 0]);
        assert_eq!(ask(&plain, 0x8000_001d), [0; 4]);
        assert_eq!(ask(&plain, 0x8000_001e), [0; 4]);
        assert_eq!(ask(&intel, 4)[0], 3 << 26 | 3 << 14 | 0x3fff);
        assert_eq!(ask(&intel, 0x8000_0008)[2], 0);
        assert_eq!(ask(&intel, 0x8000_0001)[2] & CMP_LEGACY, 0);
    }

    proptest! {
        #[test]
        fn any_leaf_has_an_answer(leaf: u32, subleaf: u32, vcpus in 1_u32..65, cr4: u64) {
            let _ = map(vcpus).query(&everything, leaf, subleaf, Live { cr4, apic_id: 1 });
        }
    }
}
