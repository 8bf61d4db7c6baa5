//! Local APIC register numbers and bits (SDM vol. 3A, table 11-1 and 11.12.1.2).
//!
//! A register's number is its xAPIC offset divided by 16, which is also its x2APIC MSR less 800h.

pub(super) const ID: u16 = 0x02;
pub(super) const VERSION: u16 = 0x03;
pub(super) const TPR: u16 = 0x08;
pub(super) const APR: u16 = 0x09;
pub(super) const PPR: u16 = 0x0a;
pub(super) const EOI: u16 = 0x0b;
pub(super) const RRD: u16 = 0x0c;
pub(super) const LDR: u16 = 0x0d;
pub(super) const DFR: u16 = 0x0e;
pub(super) const SPURIOUS: u16 = 0x0f;
pub(super) const ISR: u16 = 0x10;
pub(super) const ISR_LAST: u16 = 0x17;
pub(super) const TMR: u16 = 0x18;
pub(super) const TMR_LAST: u16 = 0x1f;
pub(super) const IRR: u16 = 0x20;
pub(super) const IRR_LAST: u16 = 0x27;
pub(super) const ESR: u16 = 0x28;
pub(super) const ICR_LOW: u16 = 0x30;
pub(super) const ICR_HIGH: u16 = 0x31;
pub(super) const LVT_TIMER: u16 = 0x32;
pub(super) const LVT_ERROR: u16 = 0x37;
pub(super) const INITIAL_COUNT: u16 = 0x38;
pub(super) const CURRENT_COUNT: u16 = 0x39;
pub(super) const DIVIDE: u16 = 0x3e;
pub(super) const SELF_IPI: u16 = 0x3f;

/// An integrated APIC (14h) whose last LVT entry is number 5; no EOI-broadcast suppression.
pub(super) const VERSION_VALUE: u32 = 0x0005_0014;

/// Indices into the local vector table, in register order from [`LVT_TIMER`] on.
pub(super) mod lvt {
    pub(in super::super) const TIMER: usize = 0;
    pub(in super::super) const LINT0: usize = 3;
    pub(in super::super) const LINT1: usize = 4;
    pub(in super::super) const ERROR: usize = 5;
    pub(in super::super) const COUNT: usize = 6;
    /// Writable bits of each entry (figure 11-8).
    pub(in super::super) const WRITABLE: [u32; COUNT] =
        [0x7_00ff, 0x1_07ff, 0x1_07ff, 0x1_a7ff, 0x1_a7ff, 0x1_00ff];
}

/// Any LVT entry: no interrupt.
pub(super) const LVT_MASKED: u32 = 1 << 16;
/// LVT entry: delivery mode field.
pub(super) const LVT_DELIVERY: u32 = 7 << 8;
/// LVT entry: delivery mode ExtINT.
pub(super) const LVT_EXTINT: u32 = 7 << 8;
/// LVT entry: delivery mode NMI.
pub(super) const LVT_NMI: u32 = 4 << 8;
/// LVT timer: mode field.
pub(super) const LVT_TIMER_MODE: u32 = 3 << 17;
/// LVT timer: periodic.
pub(super) const LVT_TIMER_PERIODIC: u32 = 1 << 17;
/// LVT timer: TSC deadline.
pub(super) const LVT_TIMER_DEADLINE: u32 = 2 << 17;

/// Spurious-vector register: vector, enable, focus checking (stored, without effect).
pub(super) const SPURIOUS_WRITABLE: u32 = 0x3ff;
/// Spurious-vector register: software enable.
pub(super) const SPURIOUS_ENABLE: u32 = 1 << 8;
/// Spurious-vector register after reset (11.9).
pub(super) const SPURIOUS_RESET: u32 = 0xff;

/// DFR: the bits that are always set, under the model field.
pub(super) const DFR_ONES: u32 = 0x0fff_ffff;
/// DFR: the model field; all ones is flat, all zeros is cluster (11.6.2.2).
pub(super) const DFR_MODEL: u32 = 0xf000_0000;

/// Error status register (11.5.3).
pub(super) const ERROR_SEND_VECTOR: u8 = 1 << 5;
pub(super) const ERROR_RECEIVE_VECTOR: u8 = 1 << 6;
pub(super) const ERROR_REGISTER: u8 = 1 << 7;

/// Interrupt command register, low half (11.6.1). Delivery status reads as idle.
pub(super) const ICR_WRITABLE: u32 = 0x000c_cfff;
/// High half in xAPIC mode: the destination.
pub(super) const ICR_HIGH_WRITABLE: u32 = 0xff00_0000;
pub(super) const ICR_LOGICAL: u32 = 1 << 11;
pub(super) const ICR_ASSERT: u32 = 1 << 14;
pub(super) const ICR_LEVEL: u32 = 1 << 15;

/// Divide configuration register: bits 0, 1 and 3 (11.5.4).
pub(super) const DIVIDE_WRITABLE: u32 = 0xb;

/// IA32_APIC_BASE (11.4.4, 11.12.1).
pub(super) const BASE_BSP: u64 = 1 << 8;
pub(super) const BASE_X2APIC: u64 = 1 << 10;
pub(super) const BASE_ENABLE: u64 = 1 << 11;
pub(super) const BASE_ADDRESS: u64 = 0x000f_ffff_ffff_f000;
/// Where the registers are after reset.
pub(super) const BASE_RESET_ADDRESS: u64 = 0xfee0_0000;
