//! Which controls a CPU allows (SDM vol. 3C, 25.6 to 25.8; vol. 3D, appendix A).

/// The CPU's VMX capability MSRs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Msrs {
    /// IA32_VMX_BASIC.
    pub basic: u64,
    /// Pin-based controls, by the true MSR where there is one: the low half must be set, the high half may be.
    pub pin: u64,
    /// Primary processor-based controls, likewise.
    pub primary: u64,
    /// Secondary ones; 0 where there are none.
    pub secondary: u64,
    /// VM-exit controls, as the pin-based ones.
    pub exit: u64,
    /// VM-entry controls, likewise.
    pub entry: u64,
    /// IA32_VMX_MISC.
    pub misc: u64,
    /// IA32_VMX_CR0_FIXED0 (bits that must be set) and _FIXED1 (bits that may be).
    pub cr0_fixed: (u64, u64),
    /// The same for CR4.
    pub cr4_fixed: (u64, u64),
    /// IA32_VMX_EPT_VPID_CAP; 0 where there is neither EPT nor VPID.
    pub ept_vpid: u64,
    /// Width of physical addresses.
    pub physical_bits: u8,
}
