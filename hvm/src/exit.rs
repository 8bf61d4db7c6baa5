//! Why a virtual CPU stopped running guest code, in neutral form.
//!
//! What a handler needs to complete an exit is in the exit itself or in the vCPU's registers; vendor codes end in the
//! vendor crates and appear here only in [`Exit::EntryFailed`] and [`Exit::Unexpected`], for reports.

use crate::Width;
use guest_mem::{Gpa, Gva};

/// Which way a port access goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IoDirection {
    /// IN, INS.
    In,
    /// OUT, OUTS.
    Out,
}

/// One element or a string?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IoKind {
    /// IN or OUT between the port and AL, AX or EAX. The address of the next instruction is known.
    Register {
        /// RIP after the instruction.
        next_rip: u64,
    },
    /// INS or OUTS, with or without REP; the emulator runs it.
    String,
}

/// A port access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IoExit {
    /// The port.
    pub port: u16,
    /// How many bytes.
    pub width: Width,
    /// Which way.
    pub direction: IoDirection,
    /// Element or string.
    pub kind: IoKind,
}

/// What the guest tried at a guest-physical address that nested paging does not map so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Data read.
    Read,
    /// Data write.
    Write,
    /// Instruction fetch.
    Fetch,
}

/// Instructions whose exit says no more than which instruction it was. Those that are not completed by their length alone come last, so
/// that one comparison tells them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instruction {
    /// CPUID.
    Cpuid,
    /// HLT.
    Hlt,
    /// RDMSR.
    Rdmsr,
    /// WRMSR.
    Wrmsr,
    /// VMCALL or VMMCALL.
    Hypercall,
    /// RDPMC.
    Rdpmc,
    /// XSETBV.
    Xsetbv,
    /// INVD.
    Invd,
    /// WBINVD or WBNOINVD.
    Wbinvd,
    /// PAUSE.
    Pause,
    /// RDTSC.
    Rdtsc,
    /// RDTSCP.
    Rdtscp,
    /// MONITOR.
    Monitor,
    /// MWAIT.
    Mwait,
    /// A virtualization instruction that we do not offer to guests (VMRUN, VMXON, SKINIT, …): #UD.
    Virtualization,
}

/// Why the guest stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// An instruction that is completed by name.
    Instruction(Instruction),
    /// A port access.
    Io(IoExit),
    /// Nested paging refused an access.
    NestedFault {
        /// Where; byte-exact for data accesses.
        gpa: Gpa,
        /// What.
        access: Access,
        /// True if the access was the CPU's own walk of the guest's page tables.
        table_walk: bool,
    },
    /// The guest wrote the register at this offset of the virtual-APIC page, and the CPU leaves it to software what
    /// comes of that (SDM vol. 3C, 30.4.3.3). The instruction is completed.
    ApicWrite {
        /// Where the value now is.
        offset: u16,
    },
    /// The CPU ended an interrupt of the local APIC whose EOI was asked for (SDM vol. 3C, 30.1.4). The instruction is
    /// completed.
    EndOfInterrupt {
        /// Its vector.
        vector: u8,
    },
    /// A MOV to or from a control register that is intercepted; the emulator runs it.
    ControlRegister,
    /// An intercepted exception, not delivered.
    Exception {
        /// Which.
        vector: u8,
        /// Its error code, 0 where it has none.
        error_code: u32,
    },
    /// A page fault, where the CPU walks shadow tables; not delivered.
    PageFault {
        /// Where.
        address: Gva,
        /// What the CPU would have pushed.
        error_code: u32,
    },
    /// A hardware task switch, by the instruction at RIP, or by the event that this exit cut short; nothing of it is done yet. The emulator
    /// executes or delivers that.
    TaskSwitch,
    /// INVLPG, where the CPU walks shadow tables; the emulator runs it.
    InvalidatePage,
    /// The registers that decide on paging were written since the vCPU was told its shadow tables. Nothing was executed.
    PagingChanged,
    /// The CPU cannot run the guest in the mode that it is in: [`crate::emulate::run`] has to, until
    /// [`crate::vcpu::Vcpu::executes`]. Nothing was executed.
    Emulate,
    /// A host interrupt is pending; the kernel lets it in.
    HostInterrupt,
    /// A host NMI is pending.
    HostNmi,
    /// The guest can now take an interrupt ([`crate::event::Window::Interrupt`] was asked for).
    InterruptWindow,
    /// The guest is about to leave its NMI handler ([`crate::event::Window::Nmi`] was asked for).
    NmiWindow,
    /// The time that [`crate::vcpu::Vcpu::set_deadline`] was told has come.
    Deadline,
    /// The list that [`crate::vcpu::Vcpu::set_modification_log`] turned on is full.
    ModificationLogFull,
    /// INIT arrived from outside.
    Init,
    /// The guest's CPU shut down: a fault while delivering a double fault.
    TripleFault,
    /// The CPU refused the guest's state.
    EntryFailed {
        /// The vendor's code.
        code: u64,
        /// What the state checker found, by name and manual section.
        reason: &'static str,
    },
    /// An exit that was never asked for.
    Unexpected {
        /// The vendor's code.
        code: u64,
        /// Its two words of detail.
        info: [u64; 2],
    },
}
