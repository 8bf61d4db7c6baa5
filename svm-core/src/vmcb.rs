//! The virtual machine control block (APM vol. 2, appendix B), bit for bit.

use core::mem::{offset_of, size_of};

/// A segment register in the state-save area.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Segment {
    /// Selector.
    pub selector: u16,
    /// Attributes, packed: descriptor bits 47:40 in 7:0 and 55:52 in 11:8.
    pub attributes: u16,
    /// Limit in bytes, expanded.
    pub limit: u32,
    /// Base.
    pub base: u64,
}

/// The control area, offsets 000h–3FFh.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct Control {
    pub cr_reads: u16,
    pub cr_writes: u16,
    pub dr_reads: u16,
    pub dr_writes: u16,
    pub exceptions: u32,
    pub intercept1: u32,
    pub intercept2: u32,
    pub intercept3: u32,
    _reserved0: [u8; 0x24],
    pub pause_filter_threshold: u16,
    pub pause_filter_count: u16,
    pub iopm_base: u64,
    pub msrpm_base: u64,
    pub tsc_offset: u64,
    pub asid: u32,
    pub tlb_control: u8,
    _reserved1: [u8; 3],
    pub vintr: u64,
    pub interrupt_shadow: u64,
    pub exit_code: u64,
    pub exit_info1: u64,
    pub exit_info2: u64,
    pub exit_int_info: u64,
    pub nested_control: u64,
    pub avic_apic_bar: u64,
    pub ghcb: u64,
    pub event_injection: u64,
    pub nested_cr3: u64,
    pub lbr_control: u64,
    pub clean: u32,
    _reserved2: u32,
    pub next_rip: u64,
    pub fetched: u8,
    pub instruction_bytes: [u8; 15],
    _reserved3: [u8; 0x400 - 0xe0],
}

/// The state-save area, offsets 400h–FFFh.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct Save {
    pub es: Segment,
    pub cs: Segment,
    pub ss: Segment,
    pub ds: Segment,
    pub fs: Segment,
    pub gs: Segment,
    pub gdtr: Segment,
    pub ldtr: Segment,
    pub idtr: Segment,
    pub tr: Segment,
    _reserved0: [u8; 0x2b],
    pub cpl: u8,
    _reserved1: u32,
    pub efer: u64,
    _reserved2: [u8; 0x70],
    pub cr4: u64,
    pub cr3: u64,
    pub cr0: u64,
    pub dr7: u64,
    pub dr6: u64,
    pub rflags: u64,
    pub rip: u64,
    _reserved3: [u8; 0x58],
    pub rsp: u64,
    _reserved4: [u8; 0x18],
    pub rax: u64,
    pub star: u64,
    pub lstar: u64,
    pub cstar: u64,
    pub sfmask: u64,
    pub kernel_gs_base: u64,
    pub sysenter_cs: u64,
    pub sysenter_esp: u64,
    pub sysenter_eip: u64,
    pub cr2: u64,
    _reserved5: [u8; 0x20],
    pub g_pat: u64,
    pub debug_control: u64,
    pub branch_from: u64,
    pub branch_to: u64,
    pub exception_from: u64,
    pub exception_to: u64,
    _reserved6: [u8; 0xc00 - 0x298],
}

/// One page: control area, then state-save area.
#[repr(C, align(4096))]
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct Vmcb {
    pub control: Control,
    pub save: Save,
}

const _: () = {
    assert!(size_of::<Vmcb>() == 4096 && size_of::<Control>() == 0x400);
    assert!(
        offset_of!(Control, pause_filter_threshold) == 0x3c
            && offset_of!(Control, iopm_base) == 0x40
    );
    assert!(offset_of!(Control, asid) == 0x58 && offset_of!(Control, vintr) == 0x60);
    assert!(offset_of!(Control, exit_code) == 0x70 && offset_of!(Control, nested_control) == 0x90);
    assert!(
        offset_of!(Control, event_injection) == 0xa8 && offset_of!(Control, nested_cr3) == 0xb0
    );
    assert!(offset_of!(Control, clean) == 0xc0 && offset_of!(Control, next_rip) == 0xc8);
    assert!(offset_of!(Control, fetched) == 0xd0 && offset_of!(Control, instruction_bytes) == 0xd1);
    assert!(
        offset_of!(Save, cpl) == 0xcb
            && offset_of!(Save, efer) == 0xd0
            && offset_of!(Save, cr4) == 0x148
    );
    assert!(
        offset_of!(Save, rip) == 0x178
            && offset_of!(Save, rsp) == 0x1d8
            && offset_of!(Save, rax) == 0x1f8
    );
    assert!(offset_of!(Save, cr2) == 0x240 && offset_of!(Save, g_pat) == 0x268);
    assert!(offset_of!(Save, exception_to) == 0x290);
};

/// Packs neutral attributes into the VMCB's twelve bits.
pub const fn pack(attributes: u32) -> u16 {
    (attributes & 0xff | attributes >> 4 & 0xf00) as u16
}

/// The reverse of [`pack`]. A segment that is not present is unusable to software.
pub const fn unpack(attributes: u16) -> u32 {
    let wide = attributes as u32;
    wide & 0xff | (wide & 0xf00) << 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_round_trip() {
        assert_eq!(pack(0xa09b), 0xa9b);
        assert_eq!(unpack(pack(0xc093)), 0xc093);
    }
}
