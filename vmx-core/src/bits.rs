//! Register constants of VT-x (SDM vol. 3C, chapter 24; vol. 3D, appendix A), by the manual's names.

/// MSR numbers (SDM vol. 4).
pub mod msr {
    #![allow(missing_docs)]
    pub const IA32_FEATURE_CONTROL: u32 = 0x3a;
    pub const IA32_VMX_PINBASED_CTLS: u32 = 0x481;
    pub const IA32_VMX_PROCBASED_CTLS: u32 = 0x482;
    pub const IA32_VMX_PROCBASED_CTLS2: u32 = 0x48b;
    pub const IA32_VMX_EPT_VPID_CAP: u32 = 0x48c;
}

/// IA32_FEATURE_CONTROL: nothing can be changed until reset.
pub const FEATURE_CONTROL_LOCK: u64 = 1;
/// IA32_FEATURE_CONTROL: VMXON is allowed inside SMX operation.
pub const FEATURE_CONTROL_VMX_IN_SMX: u64 = 1 << 1;
/// IA32_FEATURE_CONTROL: VMXON is allowed outside SMX operation.
pub const FEATURE_CONTROL_VMX_OUTSIDE_SMX: u64 = 1 << 2;

/// Pin-based VM-execution controls (SDM vol. 3C, table 25-5).
pub mod pin {
    #![allow(missing_docs)]
    pub const VIRTUAL_NMIS: u32 = 1 << 5;
    pub const PREEMPTION_TIMER: u32 = 1 << 6;
    pub const POSTED_INTERRUPTS: u32 = 1 << 7;
}

/// Primary processor-based VM-execution controls (SDM vol. 3C, table 25-6).
pub mod primary {
    #![allow(missing_docs)]
    pub const SECONDARY_CONTROLS: u32 = 1 << 31;
}

/// Secondary processor-based VM-execution controls (SDM vol. 3C, table 25-7).
pub mod secondary {
    #![allow(missing_docs)]
    pub const EPT: u32 = 1 << 1;
    pub const VPID: u32 = 1 << 5;
    pub const UNRESTRICTED_GUEST: u32 = 1 << 7;
    pub const APIC_REGISTER_VIRTUALIZATION: u32 = 1 << 8;
    pub const VIRTUAL_INTERRUPT_DELIVERY: u32 = 1 << 9;
    pub const PAUSE_LOOP_EXITING: u32 = 1 << 10;
    pub const TSC_SCALING: u32 = 1 << 25;
}

/// IA32_VMX_EPT_VPID_CAP (SDM vol. 3D, A.10).
pub mod ept_vpid {
    #![allow(missing_docs)]
    pub const HUGE_PAGES: u64 = 1 << 17;
    pub const DIRTY_BITS: u64 = 1 << 21;
    pub const INVVPID_SINGLE_CONTEXT: u64 = 1 << 41;
}
