//! Register and field constants of AMD-V (APM vol. 2, chapter 15 and appendices B and C), by the manual's names.

/// MSR numbers (APM vol. 2, appendix A).
pub mod msr {
    /// VM control: bit 4 SVMDIS, bit 3 LOCK.
    pub const VM_CR: u32 = 0xc001_0114;
    /// Physical address of the host save area.
    pub const VM_HSAVE_PA: u32 = 0xc001_0117;
    /// The guest's TSC rate relative to the host's: 8 bits, point, 32 bits.
    pub const TSC_RATIO: u32 = 0xc000_0104;
    /// Extended feature enable.
    pub const EFER: u32 = 0xc000_0080;
}

/// EFER.SVME.
pub const EFER_SVME: u64 = 1 << 12;

/// Intercept word at VMCB 00Ch.
pub mod intercept1 {
    #![allow(missing_docs)]
    pub const INTR: u32 = 1;
    pub const NMI: u32 = 1 << 1;
    pub const SMI: u32 = 1 << 2;
    pub const INIT: u32 = 1 << 3;
    pub const VINTR: u32 = 1 << 4;
    pub const RDTSC: u32 = 1 << 14;
    pub const RDPMC: u32 = 1 << 15;
    pub const CPUID: u32 = 1 << 18;
    pub const IRET: u32 = 1 << 20;
    pub const INVD: u32 = 1 << 22;
    pub const PAUSE: u32 = 1 << 23;
    pub const HLT: u32 = 1 << 24;
    pub const INVLPG: u32 = 1 << 25;
    pub const INVLPGA: u32 = 1 << 26;
    pub const IOIO_PROT: u32 = 1 << 27;
    pub const MSR_PROT: u32 = 1 << 28;
    pub const TASK_SWITCH: u32 = 1 << 29;
    pub const FERR_FREEZE: u32 = 1 << 30;
    pub const SHUTDOWN: u32 = 1 << 31;
}

/// Intercept word at VMCB 010h.
pub mod intercept2 {
    #![allow(missing_docs)]
    pub const VMRUN: u32 = 1;
    pub const VMMCALL: u32 = 1 << 1;
    pub const VMLOAD: u32 = 1 << 2;
    pub const VMSAVE: u32 = 1 << 3;
    pub const STGI: u32 = 1 << 4;
    pub const CLGI: u32 = 1 << 5;
    pub const SKINIT: u32 = 1 << 6;
    pub const RDTSCP: u32 = 1 << 7;
    pub const ICEBP: u32 = 1 << 8;
    pub const WBINVD: u32 = 1 << 9;
    pub const MONITOR: u32 = 1 << 10;
    pub const MWAIT: u32 = 1 << 11;
    pub const XSETBV: u32 = 1 << 13;
}

/// Virtual-interrupt word at VMCB 060h.
pub mod vintr {
    #![allow(missing_docs)]
    pub const V_TPR: u64 = 0xf;
    pub const V_IRQ: u64 = 1 << 8;
    pub const V_IGN_TPR: u64 = 1 << 20;
    pub const V_INTR_MASKING: u64 = 1 << 24;
    pub const V_VECTOR_SHIFT: u32 = 32;
}

/// TLB control byte at VMCB 05Ch.
pub mod tlb {
    #![allow(missing_docs)]
    pub const NOTHING: u8 = 0;
    pub const FLUSH_ALL: u8 = 1;
    pub const FLUSH_ASID: u8 = 3;
}

/// VMCB clean bits at 0C0h (APM vol. 2, 15.15.3).
pub mod clean {
    #![allow(missing_docs)]
    pub const INTERCEPTS: u32 = 1;
    pub const IOPM: u32 = 1 << 1;
    pub const ASID: u32 = 1 << 2;
    pub const TPR: u32 = 1 << 3;
    pub const NP: u32 = 1 << 4;
    pub const CRX: u32 = 1 << 5;
    pub const DRX: u32 = 1 << 6;
    pub const DT: u32 = 1 << 7;
    pub const SEG: u32 = 1 << 8;
    pub const CR2: u32 = 1 << 9;
    pub const LBR: u32 = 1 << 10;
    pub const AVIC: u32 = 1 << 11;
    /// All that are defined up to here.
    pub const ALL: u32 = 0xfff;
}

/// EVENTINJ and EXITINTINFO beyond [`hvm::interruption`] (APM vol. 2, 15.20 and 15.7.2).
pub mod event {
    #![allow(missing_docs)]
    pub const ERROR_SHIFT: u32 = 32;
}

/// IOIO EXITINFO1 (APM vol. 2, 15.10.2).
pub mod ioio {
    #![allow(missing_docs)]
    pub const IN: u64 = 1;
    pub const STRING: u64 = 1 << 2;
    pub const SIZE8: u64 = 1 << 4;
    pub const SIZE16: u64 = 1 << 5;
    pub const SIZE32: u64 = 1 << 6;
    pub const PORT_SHIFT: u32 = 16;
}

/// Nested-page-fault EXITINFO1 (APM vol. 2, 15.25.6).
pub mod npf {
    #![allow(missing_docs)]
    pub const WRITE: u64 = 1 << 1;
    pub const FETCH: u64 = 1 << 4;
    pub const TABLE_WALK: u64 = 1 << 33;
}

/// Exit codes (APM vol. 2, appendix C).
pub mod exit {
    #![allow(missing_docs)]
    pub const CR_READ: u64 = 0x00;
    pub const CR_LAST: u64 = 0x1f;
    pub const EXCEPTION: u64 = 0x40;
    pub const EXCEPTION_LAST: u64 = 0x5f;
    pub const PAGE_FAULT: u64 = 0x4e;
    pub const INTR: u64 = 0x60;
    pub const NMI: u64 = 0x61;
    pub const SMI: u64 = 0x62;
    pub const INIT: u64 = 0x63;
    pub const VINTR: u64 = 0x64;
    pub const RDTSC: u64 = 0x6e;
    pub const RDPMC: u64 = 0x6f;
    pub const CPUID: u64 = 0x72;
    pub const IRET: u64 = 0x74;
    pub const INVD: u64 = 0x76;
    pub const PAUSE: u64 = 0x77;
    pub const HLT: u64 = 0x78;
    pub const INVLPG: u64 = 0x79;
    pub const INVLPGA: u64 = 0x7a;
    pub const IOIO: u64 = 0x7b;
    pub const MSR: u64 = 0x7c;
    pub const TASK_SWITCH: u64 = 0x7d;
    pub const SHUTDOWN: u64 = 0x7f;
    pub const VMRUN: u64 = 0x80;
    pub const VMMCALL: u64 = 0x81;
    pub const VMLOAD: u64 = 0x82;
    pub const SKINIT: u64 = 0x86;
    pub const RDTSCP: u64 = 0x87;
    pub const ICEBP: u64 = 0x88;
    pub const WBINVD: u64 = 0x89;
    pub const MONITOR: u64 = 0x8a;
    pub const MWAIT: u64 = 0x8b;
    pub const MWAIT_ARMED: u64 = 0x8c;
    pub const XSETBV: u64 = 0x8d;
    pub const NPF: u64 = 0x400;
    /// -1: VMRUN found the state illegal. QEMU's emulation leaves the upper half clear.
    pub const INVALID: u64 = u64::MAX;
    pub const INVALID_32: u64 = 0xffff_ffff;
}
