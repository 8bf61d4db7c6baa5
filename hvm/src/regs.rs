//! The architectural state of a virtual CPU, in neutral form. Bits and registers carry the manuals' names.
#![allow(missing_docs)] // the flag and register names are the manuals' own; each type says where they are defined

use bitflags::bitflags;
use serde::{Deserialize, Serialize};

/// The page-attribute table after reset (SDM vol. 3A, 12.12.4).
pub const PAT_RESET: u64 = 0x0007_0406_0007_0406;
/// DR6 and DR7 after reset (SDM vol. 3A, table 10-1).
pub const DR6_RESET: u64 = 0xffff_0ff0;
pub const DR7_RESET: u64 = 0x400;
/// DR6.BS: a single step (SDM vol. 3B, 18.2.3).
pub const DR6_BS: u64 = 1 << 14;
/// DR7.GD: accesses to debug registers trap. The CPU clears it when it delivers a debug exception (SDM vol. 3B, 18.2.4); whoever
/// injects one does the same.
pub const DR7_GD: u64 = 1 << 13;

/// General-purpose registers, in instruction-encoding order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum Gpr {
    Rax,
    Rcx,
    Rdx,
    Rbx,
    Rsp,
    Rbp,
    Rsi,
    Rdi,
    R8,
    R9,
    R10,
    R11,
    R12,
    R13,
    R14,
    R15,
}

impl Gpr {
    /// All of them, by encoding.
    pub const ALL: [Self; 16] = [
        Self::Rax,
        Self::Rcx,
        Self::Rdx,
        Self::Rbx,
        Self::Rsp,
        Self::Rbp,
        Self::Rsi,
        Self::Rdi,
        Self::R8,
        Self::R9,
        Self::R10,
        Self::R11,
        Self::R12,
        Self::R13,
        Self::R14,
        Self::R15,
    ];

    /// The register with that encoding (low four bits).
    #[inline]
    pub const fn from_encoding(encoding: u8) -> Self {
        Self::ALL[(encoding & 15) as usize]
    }
}

/// Segment registers with a descriptor cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SegmentName {
    Es,
    Cs,
    Ss,
    Ds,
    Fs,
    Gs,
    Ldtr,
    Tr,
}

impl SegmentName {
    /// All of them, the six that instructions name first, in encoding order.
    pub const ALL: [Self; 8] = [
        Self::Es,
        Self::Cs,
        Self::Ss,
        Self::Ds,
        Self::Fs,
        Self::Gs,
        Self::Ldtr,
        Self::Tr,
    ];
}

bitflags! {
    /// A descriptor's attributes as VT-x keeps them (SDM vol. 3C, 25.4.1): the two attribute bytes of the descriptor
    /// with the limit nibble empty, and bit 16 for "unusable".
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
    pub struct Attributes: u32 {
        /// Type field, four bits.
        const TYPE = 0xf;
        /// Code or data (clear: system).
        const S = 1 << 4;
        /// Descriptor privilege level, two bits.
        const DPL = 3 << 5;
        /// Present.
        const P = 1 << 7;
        /// Available to software.
        const AVL = 1 << 12;
        /// 64-bit code.
        const L = 1 << 13;
        /// Default size 32 bits.
        const DB = 1 << 14;
        /// Limit in pages.
        const G = 1 << 15;
        /// Null selector: not usable.
        const UNUSABLE = 1 << 16;
    }
}

/// A segment register with its hidden part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Visible selector.
    pub selector: u16,
    /// Attributes.
    pub attributes: Attributes,
    /// Limit in bytes, granularity already applied.
    pub limit: u32,
    /// Base.
    pub base: u64,
}

impl Segment {
    /// A segment with the given descriptor attribute bits (see [`Attributes`]).
    pub const fn new(selector: u16, attributes: u32, limit: u32, base: u64) -> Self {
        Self {
            selector,
            attributes: Attributes::from_bits_retain(attributes),
            limit,
            base,
        }
    }

    /// Descriptor privilege level.
    #[inline]
    pub const fn dpl(&self) -> u8 {
        (self.attributes.bits() >> 5 & 3) as u8
    }
}

/// GDTR or IDTR.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableRegister {
    /// Linear base.
    pub base: u64,
    /// Limit in bytes.
    pub limit: u16,
}

bitflags! {
    /// RFLAGS (SDM vol. 1, 3.4.3).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Rflags: u64 {
        const CF = 1;
        const FIXED = 1 << 1;
        const PF = 1 << 2;
        const AF = 1 << 4;
        const ZF = 1 << 6;
        const SF = 1 << 7;
        const TF = 1 << 8;
        const IF = 1 << 9;
        const DF = 1 << 10;
        const OF = 1 << 11;
        const IOPL = 3 << 12;
        const NT = 1 << 14;
        const RF = 1 << 16;
        const VM = 1 << 17;
        const AC = 1 << 18;
        const VIF = 1 << 19;
        const VIP = 1 << 20;
        const ID = 1 << 21;
    }
}

bitflags! {
    /// CR0 (SDM vol. 3A, 2.5).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Cr0: u64 {
        const PE = 1;
        const MP = 1 << 1;
        const EM = 1 << 2;
        const TS = 1 << 3;
        const ET = 1 << 4;
        const NE = 1 << 5;
        const WP = 1 << 16;
        const AM = 1 << 18;
        const NW = 1 << 29;
        const CD = 1 << 30;
        const PG = 1 << 31;
    }
}

bitflags! {
    /// CR4 (SDM vol. 3A, 2.5).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Cr4: u64 {
        const VME = 1;
        const PVI = 1 << 1;
        const TSD = 1 << 2;
        const DE = 1 << 3;
        const PSE = 1 << 4;
        const PAE = 1 << 5;
        const MCE = 1 << 6;
        const PGE = 1 << 7;
        const PCE = 1 << 8;
        const OSFXSR = 1 << 9;
        const OSXMMEXCPT = 1 << 10;
        const UMIP = 1 << 11;
        const LA57 = 1 << 12;
        const VMXE = 1 << 13;
        const SMXE = 1 << 14;
        const FSGSBASE = 1 << 16;
        const PCIDE = 1 << 17;
        const OSXSAVE = 1 << 18;
        const SMEP = 1 << 20;
        const SMAP = 1 << 21;
        const PKE = 1 << 22;
    }
}

bitflags! {
    /// EFER (APM vol. 2, 3.1.7).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Efer: u64 {
        const SCE = 1;
        const LME = 1 << 8;
        const LMA = 1 << 10;
        const NXE = 1 << 11;
        const SVME = 1 << 12;
        const LMSLE = 1 << 13;
        const FFXSR = 1 << 14;
    }
}

/// Read and write access to a virtual CPU's registers. Implemented by the vendor crates on their control blocks and by
/// [`State`] on plain memory.
pub trait Registers {
    fn gpr(&self, register: Gpr) -> u64;
    fn set_gpr(&mut self, register: Gpr, value: u64);
    fn rip(&self) -> u64;
    fn set_rip(&mut self, value: u64);
    fn rflags(&self) -> u64;
    fn set_rflags(&mut self, value: u64);
    fn segment(&self, name: SegmentName) -> Segment;
    fn set_segment(&mut self, name: SegmentName, segment: Segment);
    fn gdtr(&self) -> TableRegister;
    fn set_gdtr(&mut self, table: TableRegister);
    fn idtr(&self) -> TableRegister;
    fn set_idtr(&mut self, table: TableRegister);
    fn cr0(&self) -> u64;
    fn set_cr0(&mut self, value: u64);
    fn cr2(&self) -> u64;
    fn set_cr2(&mut self, value: u64);
    fn cr3(&self) -> u64;
    fn set_cr3(&mut self, value: u64);
    fn cr4(&self) -> u64;
    fn set_cr4(&mut self, value: u64);
    /// EFER as the guest sees it (without SVME).
    fn efer(&self) -> u64;
    fn set_efer(&mut self, value: u64);
    /// Current privilege level.
    fn cpl(&self) -> u8;
}

/// All of it as plain data: tests, reports and saved state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    pub gprs: [u64; 16],
    pub rip: u64,
    pub rflags: u64,
    pub segments: [Segment; 8],
    pub gdtr: TableRegister,
    pub idtr: TableRegister,
    pub cr0: u64,
    pub cr2: u64,
    pub cr3: u64,
    pub cr4: u64,
    pub efer: u64,
}

impl State {
    /// The state after power-up or INIT (SDM vol. 3A, table 10-1).
    pub fn reset() -> Self {
        const DATA: u32 = 0x93;
        let data = Segment::new(0, DATA, 0xffff, 0);
        let mut segments = [data; 8];
        segments[SegmentName::Cs as usize] = Segment::new(0xf000, 0x9b, 0xffff, 0xffff_0000);
        segments[SegmentName::Ldtr as usize] = Segment::new(0, 0x82, 0xffff, 0);
        segments[SegmentName::Tr as usize] = Segment::new(0, 0x8b, 0xffff, 0);
        Self {
            gprs: [0; 16],
            rip: 0xfff0,
            rflags: 2,
            segments,
            gdtr: TableRegister {
                base: 0,
                limit: 0xffff,
            },
            idtr: TableRegister {
                base: 0,
                limit: 0xffff,
            },
            cr0: 0x6000_0010,
            cr2: 0,
            cr3: 0,
            cr4: 0,
            efer: 0,
        }
    }

    /// Copies everything out of a live virtual CPU.
    pub fn capture(from: &impl Registers) -> Self {
        Self {
            gprs: Gpr::ALL.map(|register| from.gpr(register)),
            rip: from.rip(),
            rflags: from.rflags(),
            segments: SegmentName::ALL.map(|name| from.segment(name)),
            gdtr: from.gdtr(),
            idtr: from.idtr(),
            cr0: from.cr0(),
            cr2: from.cr2(),
            cr3: from.cr3(),
            cr4: from.cr4(),
            efer: from.efer(),
        }
    }

    /// Copies everything into a live virtual CPU.
    pub fn apply(&self, to: &mut impl Registers) {
        for (register, value) in Gpr::ALL.into_iter().zip(self.gprs) {
            to.set_gpr(register, value);
        }
        to.set_efer(self.efer);
        to.set_cr4(self.cr4);
        to.set_cr3(self.cr3);
        to.set_cr2(self.cr2);
        to.set_cr0(self.cr0);
        for (name, segment) in SegmentName::ALL.into_iter().zip(self.segments) {
            to.set_segment(name, segment);
        }
        to.set_gdtr(self.gdtr);
        to.set_idtr(self.idtr);
        to.set_rip(self.rip);
        to.set_rflags(self.rflags);
    }
}

macro_rules! plain {
    ($($get:ident $set:ident $field:ident: $kind:ty;)*) => {$(
        fn $get(&self) -> $kind {
            self.$field
        }
        fn $set(&mut self, value: $kind) {
            self.$field = value;
        }
    )*};
}

impl Registers for State {
    fn gpr(&self, register: Gpr) -> u64 {
        self.gprs[register as usize]
    }
    fn set_gpr(&mut self, register: Gpr, value: u64) {
        self.gprs[register as usize] = value;
    }
    fn segment(&self, name: SegmentName) -> Segment {
        self.segments[name as usize]
    }
    fn set_segment(&mut self, name: SegmentName, segment: Segment) {
        self.segments[name as usize] = segment;
    }
    plain! {
        rip set_rip rip: u64;
        rflags set_rflags rflags: u64;
        gdtr set_gdtr gdtr: TableRegister;
        idtr set_idtr idtr: TableRegister;
        cr0 set_cr0 cr0: u64;
        cr2 set_cr2 cr2: u64;
        cr3 set_cr3 cr3: u64;
        cr4 set_cr4 cr4: u64;
        efer set_efer efer: u64;
    }
    fn cpl(&self) -> u8 {
        if self.cr0 & Cr0::PE.bits() == 0 {
            0
        } else if self.rflags & Rflags::VM.bits() != 0 {
            3
        } else {
            self.segments[SegmentName::Ss as usize].dpl()
        }
    }
}
