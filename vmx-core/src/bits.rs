//! Register and field constants of VT-x (SDM vol. 3C, chapters 25 to 28; vol. 3D, appendices A and C), by the manual's names.

/// MSR numbers (SDM vol. 4).
pub mod msr {
    #![allow(missing_docs)]
    pub const IA32_FEATURE_CONTROL: u32 = 0x3a;
    pub const IA32_SYSENTER_CS: u32 = 0x174;
    pub const IA32_SYSENTER_ESP: u32 = 0x175;
    pub const IA32_SYSENTER_EIP: u32 = 0x176;
    pub const IA32_PAT: u32 = 0x277;
    pub const IA32_VMX_BASIC: u32 = 0x480;
    pub const IA32_VMX_PINBASED_CTLS: u32 = 0x481;
    pub const IA32_VMX_PROCBASED_CTLS: u32 = 0x482;
    pub const IA32_VMX_EXIT_CTLS: u32 = 0x483;
    pub const IA32_VMX_ENTRY_CTLS: u32 = 0x484;
    pub const IA32_VMX_MISC: u32 = 0x485;
    pub const IA32_VMX_CR0_FIXED0: u32 = 0x486;
    pub const IA32_VMX_CR0_FIXED1: u32 = 0x487;
    pub const IA32_VMX_CR4_FIXED0: u32 = 0x488;
    pub const IA32_VMX_CR4_FIXED1: u32 = 0x489;
    pub const IA32_VMX_PROCBASED_CTLS2: u32 = 0x48b;
    pub const IA32_VMX_EPT_VPID_CAP: u32 = 0x48c;
    /// The "true" capability MSRs are as far behind the plain ones as these.
    pub const IA32_VMX_TRUE_PINBASED_CTLS: u32 = 0x48d;
    pub const IA32_VMX_TRUE_PROCBASED_CTLS: u32 = 0x48e;
    pub const IA32_VMX_TRUE_EXIT_CTLS: u32 = 0x48f;
    pub const IA32_VMX_TRUE_ENTRY_CTLS: u32 = 0x490;
    pub const IA32_EFER: u32 = 0xc000_0080;
    pub const IA32_FS_BASE: u32 = 0xc000_0100;
    pub const IA32_GS_BASE: u32 = 0xc000_0101;
}

/// IA32_FEATURE_CONTROL: nothing can be changed until reset.
pub const FEATURE_CONTROL_LOCK: u64 = 1;
/// IA32_FEATURE_CONTROL: VMXON is allowed inside SMX operation.
pub const FEATURE_CONTROL_VMX_IN_SMX: u64 = 1 << 1;
/// IA32_FEATURE_CONTROL: VMXON is allowed outside SMX operation.
pub const FEATURE_CONTROL_VMX_OUTSIDE_SMX: u64 = 1 << 2;

/// IA32_VMX_BASIC (SDM vol. 3D, A.1).
pub mod basic {
    #![allow(missing_docs)]
    pub const REVISION: u64 = 0x7fff_ffff;
    pub const TRUE_CONTROLS: u64 = 1 << 55;
    /// Exceptions may be injected with or without an error code, whatever their vector.
    pub const ANY_ERROR_CODE: u64 = 1 << 56;
}

/// IA32_VMX_MISC (SDM vol. 3D, A.6).
pub mod misc {
    #![allow(missing_docs)]
    pub const PREEMPTION_TIMER_SHIFT: u64 = 0x1f;
    pub const ACTIVITY_HLT: u64 = 1 << 6;
    pub const ACTIVITY_SHUTDOWN: u64 = 1 << 7;
    pub const ACTIVITY_WAIT_FOR_SIPI: u64 = 1 << 8;
    pub const CR3_TARGETS_SHIFT: u32 = 16;
    pub const CR3_TARGETS_MASK: u64 = 0x1ff;
    /// Software events may be injected with an instruction length of 0.
    pub const ZERO_LENGTH_INJECTION: u64 = 1 << 30;
}

/// Pin-based VM-execution controls (SDM vol. 3C, table 25-5).
pub mod pin {
    #![allow(missing_docs)]
    pub const EXTERNAL_INTERRUPT_EXITING: u32 = 1;
    pub const NMI_EXITING: u32 = 1 << 3;
    pub const VIRTUAL_NMIS: u32 = 1 << 5;
    pub const PREEMPTION_TIMER: u32 = 1 << 6;
    pub const POSTED_INTERRUPTS: u32 = 1 << 7;
}

/// Primary processor-based VM-execution controls (SDM vol. 3C, table 25-6).
pub mod primary {
    #![allow(missing_docs)]
    pub const INTERRUPT_WINDOW_EXITING: u32 = 1 << 2;
    pub const TSC_OFFSETTING: u32 = 1 << 3;
    pub const RDTSC_EXITING: u32 = 1 << 12;
    pub const HLT_EXITING: u32 = 1 << 7;
    pub const INVLPG_EXITING: u32 = 1 << 9;
    pub const MWAIT_EXITING: u32 = 1 << 10;
    pub const RDPMC_EXITING: u32 = 1 << 11;
    pub const CR3_LOAD_EXITING: u32 = 1 << 15;
    pub const CR3_STORE_EXITING: u32 = 1 << 16;
    pub const CR8_LOAD_EXITING: u32 = 1 << 19;
    pub const CR8_STORE_EXITING: u32 = 1 << 20;
    pub const TPR_SHADOW: u32 = 1 << 21;
    pub const NMI_WINDOW_EXITING: u32 = 1 << 22;
    pub const UNCONDITIONAL_IO_EXITING: u32 = 1 << 24;
    pub const IO_BITMAPS: u32 = 1 << 25;
    pub const MONITOR_TRAP: u32 = 1 << 27;
    pub const MSR_BITMAPS: u32 = 1 << 28;
    pub const MONITOR_EXITING: u32 = 1 << 29;
    pub const SECONDARY_CONTROLS: u32 = 1 << 31;
}

/// Secondary processor-based VM-execution controls (SDM vol. 3C, table 25-7).
pub mod secondary {
    #![allow(missing_docs)]
    pub const VIRTUALIZE_APIC_ACCESSES: u32 = 1;
    pub const EPT: u32 = 1 << 1;
    pub const RDTSCP: u32 = 1 << 3;
    pub const VIRTUALIZE_X2APIC: u32 = 1 << 4;
    pub const VPID: u32 = 1 << 5;
    pub const UNRESTRICTED_GUEST: u32 = 1 << 7;
    pub const APIC_REGISTER_VIRTUALIZATION: u32 = 1 << 8;
    pub const VIRTUAL_INTERRUPT_DELIVERY: u32 = 1 << 9;
    pub const PAUSE_LOOP_EXITING: u32 = 1 << 10;
    pub const INVPCID: u32 = 1 << 12;
    pub const PAGE_MODIFICATION_LOG: u32 = 1 << 17;
    pub const XSAVES: u32 = 1 << 20;
    pub const MODE_BASED_EXECUTE: u32 = 1 << 22;
    pub const SUB_PAGE_WRITE_PERMISSIONS: u32 = 1 << 23;
    pub const TSC_SCALING: u32 = 1 << 25;
    pub const USER_WAIT: u32 = 1 << 26;
}

/// VM-exit controls (SDM vol. 3C, table 25-13).
pub mod exit_controls {
    #![allow(missing_docs)]
    pub const SAVE_DEBUG: u32 = 1 << 2;
    pub const HOST_64_BIT: u32 = 1 << 9;
    pub const ACKNOWLEDGE_INTERRUPT: u32 = 1 << 15;
    pub const SAVE_PAT: u32 = 1 << 18;
    pub const LOAD_PAT: u32 = 1 << 19;
    pub const SAVE_EFER: u32 = 1 << 20;
    pub const LOAD_EFER: u32 = 1 << 21;
    pub const SAVE_PREEMPTION_TIMER: u32 = 1 << 22;
}

/// VM-entry controls (SDM vol. 3C, table 25-15).
pub mod entry_controls {
    #![allow(missing_docs)]
    pub const LOAD_DEBUG: u32 = 1 << 2;
    pub const IA32E_GUEST: u32 = 1 << 9;
    pub const ENTRY_TO_SMM: u32 = 1 << 10;
    pub const DEACTIVATE_DUAL_MONITOR: u32 = 1 << 11;
    pub const LOAD_PAT: u32 = 1 << 14;
    pub const LOAD_EFER: u32 = 1 << 15;
    pub const LOAD_BNDCFGS: u32 = 1 << 16;
}

/// IA32_VMX_EPT_VPID_CAP (SDM vol. 3D, A.10).
pub mod ept_vpid {
    #![allow(missing_docs)]
    pub const EXECUTE_ONLY: u64 = 1;
    pub const FOUR_LEVELS: u64 = 1 << 6;
    pub const FIVE_LEVELS: u64 = 1 << 7;
    pub const UNCACHEABLE: u64 = 1 << 8;
    pub const WRITE_BACK: u64 = 1 << 14;
    pub const LARGE_PAGES: u64 = 1 << 16;
    pub const HUGE_PAGES: u64 = 1 << 17;
    pub const INVEPT: u64 = 1 << 20;
    pub const DIRTY_BITS: u64 = 1 << 21;
    pub const SHADOW_STACKS: u64 = 1 << 23;
    pub const INVEPT_SINGLE_CONTEXT: u64 = 1 << 25;
    pub const INVEPT_ALL_CONTEXTS: u64 = 1 << 26;
    pub const INVVPID: u64 = 1 << 32;
    pub const INVVPID_SINGLE_CONTEXT: u64 = 1 << 41;
    pub const INVVPID_ALL_CONTEXTS: u64 = 1 << 42;
}

/// The extended-page-table pointer (SDM vol. 3C, table 25-9).
pub mod eptp {
    #![allow(missing_docs)]
    pub const MEMORY_TYPE: u64 = 7;
    pub const UNCACHEABLE: u64 = 0;
    pub const WRITE_BACK: u64 = 6;
    pub const LEVELS: u64 = 7 << 3;
    pub const FOUR_LEVELS: u64 = 3 << 3;
    pub const FIVE_LEVELS: u64 = 4 << 3;
    pub const DIRTY_BITS: u64 = 1 << 6;
    pub const SHADOW_STACKS: u64 = 1 << 7;
    pub const RESERVED: u64 = 0xf00;
}

/// Interruptibility state (SDM vol. 3C, table 25-3).
pub mod interruptibility {
    #![allow(missing_docs)]
    pub const STI: u64 = 1;
    pub const MOV_SS: u64 = 1 << 1;
    pub const SMI: u64 = 1 << 2;
    pub const NMI: u64 = 1 << 3;
    pub const ENCLAVE: u64 = 1 << 4;
    pub const RESERVED: u64 = !0x1f;
}

/// Activity states (SDM vol. 3C, 25.4.2).
pub mod activity {
    #![allow(missing_docs)]
    pub const ACTIVE: u64 = 0;
    pub const HLT: u64 = 1;
    pub const SHUTDOWN: u64 = 2;
    pub const WAIT_FOR_SIPI: u64 = 3;
}

/// Pending debug exceptions (SDM vol. 3C, table 25-4).
pub mod pending_debug {
    #![allow(missing_docs)]
    pub const ENABLED_BREAKPOINT: u64 = 1 << 12;
    pub const SINGLE_STEP: u64 = 1 << 14;
    pub const RTM: u64 = 1 << 16;
    /// All but the breakpoints 0 to 3, the bus lock of newer CPUs (bit 11) and the three above.
    pub const RESERVED: u64 = !0x1_580f;
}

/// IA32_DEBUGCTL (SDM vol. 3B, 18.4.1).
pub mod debugctl {
    #![allow(missing_docs)]
    pub const BRANCH_STEP: u64 = 1 << 1;
    /// All but bits 2:0 and 15:6, of which some CPUs have fewer.
    pub const RESERVED: u64 = !0xffc7;
}

/// Interruption information: of VM entries, VM exits and IDT vectoring (SDM vol. 3C, tables 25-17, 25-19, 25-20).
pub mod interruption {
    #![allow(missing_docs)]
    use hvm::interruption as shared;

    pub const VECTOR: u64 = shared::VECTOR as u64;
    pub const TYPE_SHIFT: u32 = shared::TYPE_SHIFT;
    pub const TYPE_MASK: u64 = shared::TYPE_MASK as u64;
    pub const TYPE_EXTERNAL: u64 = shared::TYPE_INTERRUPT as u64;
    pub const TYPE_NMI: u64 = shared::TYPE_NMI as u64;
    pub const TYPE_HARDWARE_EXCEPTION: u64 = shared::TYPE_EXCEPTION as u64;
    pub const TYPE_SOFTWARE_INTERRUPT: u64 = shared::TYPE_SOFTWARE as u64;
    pub const TYPE_PRIVILEGED_SOFTWARE_EXCEPTION: u64 = 5;
    pub const TYPE_SOFTWARE_EXCEPTION: u64 = 6;
    pub const TYPE_OTHER: u64 = 7;
    pub const ERROR_VALID: u64 = shared::ERROR_VALID as u64;
    /// Exits only: the fault came from an IRET that had already ended the blocking of NMIs.
    pub const NMI_UNBLOCKED_BY_IRET: u64 = 1 << 12;
    /// Entries only.
    pub const RESERVED: u64 = 0x7fff_f000;
    pub const VALID: u64 = shared::VALID as u64;
}

/// Exit qualifications (SDM vol. 3C, 28.2.1).
pub mod qualification {
    #![allow(missing_docs)]
    /// Debug exceptions: the bits that go to DR6.
    pub const DEBUG_DR6: u64 = 0x6_f00f;
    /// I/O instructions: size less one.
    pub const IO_SIZE: u64 = 7;
    pub const IO_IN: u64 = 1 << 3;
    pub const IO_STRING: u64 = 1 << 4;
    pub const IO_PORT_SHIFT: u32 = 16;
    /// EPT violations.
    pub const EPT_WRITE: u64 = 1 << 1;
    pub const EPT_FETCH: u64 = 1 << 2;
    pub const EPT_LINEAR_VALID: u64 = 1 << 7;
    /// Clear if the access was part of a page walk.
    pub const EPT_TRANSLATED: u64 = 1 << 8;
    /// EPT violations and a full modification log (28.2.3).
    pub const EPT_NMI_UNBLOCKED_BY_IRET: u64 = 1 << 12;
    /// APIC accesses and APIC writes: the offset in the page.
    pub const APIC_OFFSET: u64 = 0xfff;
    /// APIC accesses: the kind.
    pub const APIC_ACCESS_SHIFT: u32 = 12;
    pub const APIC_ACCESS_MASK: u64 = 0xf;
    pub const APIC_ACCESS_WRITE: u64 = 1;
    pub const APIC_ACCESS_FETCH: u64 = 2;
}

/// Basic exit reasons (SDM vol. 3D, appendix C).
pub mod reason {
    #![allow(missing_docs)]
    pub const EXCEPTION_OR_NMI: u64 = 0;
    pub const EXTERNAL_INTERRUPT: u64 = 1;
    pub const TRIPLE_FAULT: u64 = 2;
    pub const INIT: u64 = 3;
    pub const SIPI: u64 = 4;
    pub const INTERRUPT_WINDOW: u64 = 7;
    pub const NMI_WINDOW: u64 = 8;
    pub const CPUID: u64 = 10;
    pub const GETSEC: u64 = 11;
    pub const HLT: u64 = 12;
    pub const INVD: u64 = 13;
    pub const TASK_SWITCH: u64 = 9;
    pub const INVLPG: u64 = 14;
    pub const RDPMC: u64 = 15;
    pub const RDTSC: u64 = 16;
    pub const VMCALL: u64 = 18;
    pub const VMCLEAR: u64 = 19;
    pub const VMXON: u64 = 27;
    pub const CONTROL_REGISTER: u64 = 28;
    pub const IO: u64 = 30;
    pub const RDMSR: u64 = 31;
    pub const WRMSR: u64 = 32;
    pub const INVALID_GUEST_STATE: u64 = 33;
    pub const MSR_LOADING: u64 = 34;
    pub const MWAIT: u64 = 36;
    pub const MONITOR: u64 = 39;
    pub const PAUSE: u64 = 40;
    pub const MACHINE_CHECK: u64 = 41;
    pub const TPR_BELOW_THRESHOLD: u64 = 43;
    pub const APIC_ACCESS: u64 = 44;
    pub const VIRTUALIZED_EOI: u64 = 45;
    pub const EPT_VIOLATION: u64 = 48;
    pub const EPT_MISCONFIGURATION: u64 = 49;
    pub const INVEPT: u64 = 50;
    pub const RDTSCP: u64 = 51;
    pub const PREEMPTION_TIMER: u64 = 52;
    pub const INVVPID: u64 = 53;
    pub const WBINVD: u64 = 54;
    pub const XSETBV: u64 = 55;
    pub const APIC_WRITE: u64 = 56;
    pub const VMFUNC: u64 = 59;
    pub const MODIFICATION_LOG_FULL: u64 = 62;
    /// Bit 31: the entry failed.
    pub const ENTRY_FAILURE: u64 = 1 << 31;
    pub const BASIC: u64 = 0xffff;
}
