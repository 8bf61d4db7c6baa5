//! Registers (TLFS, appendix C), and what their bits mean.

/// Who the guest is; 0: nobody has said.
pub const GUEST_OS_ID: u32 = 0x4000_0000;
/// Where the hypercall page is.
pub const HYPERCALL: u32 = 0x4000_0001;
/// The number of the virtual processor.
pub const VP_INDEX: u32 = 0x4000_0002;
/// Reference time.
pub const TIME_REF_COUNT: u32 = 0x4000_0020;
/// Where the page is that tells reference time.
pub const REFERENCE_TSC: u32 = 0x4000_0021;
/// Rate of the time-stamp counter, in Hz.
pub const TSC_FREQUENCY: u32 = 0x4000_0022;
/// Rate of the local APIC's timer, in Hz.
pub const APIC_FREQUENCY: u32 = 0x4000_0023;
/// The local APIC's end-of-interrupt register.
pub const EOI: u32 = 0x4000_0070;
/// Its command register.
pub const ICR: u32 = 0x4000_0071;
/// Its task priority register.
pub const TPR: u32 = 0x4000_0072;
/// Where the assist page is.
pub const VP_ASSIST_PAGE: u32 = 0x4000_0073;
/// The guest knows that its counter is invariant.
pub const TSC_INVARIANT_CONTROL: u32 = 0x4000_0118;

/// True if the register is the local APIC's.
pub const fn is_apic(register: u32) -> bool {
    matches!(register, EOI | ICR | TPR)
}

/// Bit 0 of the registers that name a page: it is there.
pub const ENABLE: u64 = 1;
/// Bit 1 of [`HYPERCALL`]: it cannot be changed any more.
pub const LOCKED: u64 = 1 << 1;
/// The guest-physical address in those registers.
pub const PAGE: u64 = !0xfff;

/// A hypercall's answer: there is no such call (TLFS, appendix B).
pub const INVALID_HYPERCALL_CODE: u64 = 2;

/// A page of VMCALL and RET, and the same with AMD-V's instruction.
pub const VMCALL_RET: [u8; 4] = [0x0f, 0x01, 0xc1, 0xc3];
/// See [`VMCALL_RET`].
pub const VMMCALL_RET: [u8; 4] = [0x0f, 0x01, 0xd9, 0xc3];
