//! Registers of the local APIC (Intel SDM vol. 3, 11.4) and of the I/O APIC (82093AA data sheet, 3.0).

/// Byte offset of a local APIC register in its page. Its x2APIC MSR is 800h + offset / 16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Register {
    /// The CPU's id; in bits 24-31 outside x2APIC mode.
    Id = 0x020,
    /// Version.
    Version = 0x030,
    /// Task priority.
    TaskPriority = 0x080,
    /// End of interrupt.
    EndOfInterrupt = 0x0b0,
    /// Spurious vector, and the enable bit.
    Spurious = 0x0f0,
    /// Errors.
    ErrorStatus = 0x280,
    /// Interrupt command, low half.
    CommandLow = 0x300,
    /// Interrupt command, high half: the destination in bits 24-31. Not in x2APIC mode.
    CommandHigh = 0x310,
    /// Timer entry.
    LvtTimer = 0x320,
    /// Thermal entry.
    LvtThermal = 0x330,
    /// Performance-counter entry.
    LvtPerformance = 0x340,
    /// LINT0 entry.
    LvtLint0 = 0x350,
    /// LINT1 entry.
    LvtLint1 = 0x360,
    /// Error entry.
    LvtError = 0x370,
    /// Timer start value.
    InitialCount = 0x380,
    /// Timer's current value.
    CurrentCount = 0x390,
    /// Timer divider.
    DivideConfiguration = 0x3e0,
}

/// First x2APIC MSR.
pub const X2APIC_MSR_BASE: u32 = 0x800;
/// IA32_APIC_BASE: the local APIC is on.
pub const BASE_ENABLE: u64 = 1 << 11;
/// IA32_APIC_BASE: it is in x2APIC mode.
pub const BASE_X2APIC: u64 = 1 << 10;
/// IA32_APIC_BASE: address of its page.
pub const BASE_ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// Spurious register: software enable.
pub const SPURIOUS_ENABLE: u32 = 1 << 8;
/// Local vector table entry: off.
pub const LVT_MASKED: u32 = 1 << 16;
/// Local vector table entry: as NMI.
pub const LVT_NMI: u32 = 0b100 << 8;
/// Timer entry: fire when the TSC reaches IA32_TSC_DEADLINE.
pub const LVT_TSC_DEADLINE: u32 = 0b10 << 17;
/// Divider: by 1.
pub const DIVIDE_BY_1: u32 = 0b1011;
/// Highest entry number: bits 16-23 of the version.
pub const VERSION_MAX_LVT_SHIFT: u32 = 16;

/// Command: delivery mode fixed, asserted.
pub const COMMAND_FIXED: u32 = 1 << 14;
/// Command: NMI.
pub const COMMAND_NMI: u32 = 0b100 << 8 | 1 << 14;
/// Command: INIT, asserted.
pub const COMMAND_INIT: u32 = 0b101 << 8 | 1 << 14;
/// Command: start-up; the low byte is the page number.
pub const COMMAND_STARTUP: u32 = 0b110 << 8 | 1 << 14;
/// Command: not yet sent. Outside x2APIC mode only.
pub const COMMAND_PENDING: u32 = 1 << 12;
/// Command: everyone but this CPU.
pub const COMMAND_ALL_BUT_SELF: u32 = 0b11 << 18;

/// I/O APIC: offset of the register selector.
pub const IO_SELECT: usize = 0x00;
/// I/O APIC: offset of the data window.
pub const IO_WINDOW: usize = 0x10;
/// I/O APIC: version register; bits 16-23 are the highest input.
pub const IO_VERSION: u32 = 1;
/// I/O APIC: low half of input 0's entry; the high half and the next inputs follow.
pub const IO_REDIRECTION: u32 = 0x10;
/// Redirection entry: off.
pub const REDIRECTION_MASKED: u32 = 1 << 16;
/// Redirection entry: level-triggered.
pub const REDIRECTION_LEVEL: u32 = 1 << 15;
/// Redirection entry: active low.
pub const REDIRECTION_ACTIVE_LOW: u32 = 1 << 13;
