//! The contract of a virtual CPU, implemented by `svm-core` and `vmx-core`.

use crate::event::{Event, Shadow, Window};
use crate::exit::Exit;
use crate::regs::Registers;
use crate::tsc::Scale;
use crate::virtual_apic::{ApicMode, Delivery, Served};
use guest_mem::{Gpa, Hpa};

/// How accesses to a model-specific register are treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MsrAccess {
    /// Reads and writes go to the CPU.
    PassThrough,
    /// Both exit.
    Intercept,
}

/// What the CPU walks where it has no nested paging.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShadowRoot {
    /// Four levels from this table on, for a guest in long mode.
    Long(Hpa),
    /// Two levels behind the four pointers here, below 4 GiB, for any other guest.
    Pae(Hpa),
}

/// Who gets HLT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hlt {
    /// The vCPU owns its CPU: the guest's HLT halts it, and an interrupt for the host ends that.
    Native,
    /// The CPU has other work while the guest waits.
    Intercepted,
}

/// Who answers RDTSC and RDTSCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TscAccess {
    /// The CPU, with its counter, scaled, and the offset.
    Native,
    /// Whoever runs the vCPU: both exit.
    Intercepted,
}

/// Whether the CPU lists pages whose dirty bits it sets in the nested page tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModificationLog {
    /// It does, and exits when there is no room left.
    On,
    /// It does not.
    Off,
}

/// Whether a guest that spins, executing PAUSE again and again in a short loop, exits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PauseFilter {
    /// It does, as [`crate::exit::Instruction::Pause`]: another vCPU waits for the CPU, and may be the one that the loop waits for.
    On,
    /// It does not.
    Off,
}

/// For how many cycles in a row a guest spins before it exits: longer than a lock is held by one that runs, and a small part of the
/// time that a vCPU gets at once.
pub const SPIN_CYCLES: u32 = 32_768;
/// Two PAUSEs that are further apart belong to no loop. PAUSE alone takes up to 140 cycles.
pub const SPIN_GAP_CYCLES: u16 = 256;

/// Exceptions that exit always: #DB and #AC because a guest could make their delivery loop for ever, out of reach of any
/// interrupt (APM vol. 2, 15.12.2 and 15.12.17), #MC because the machine is the host's, and #UD because a guest's hypercall may
/// be the other vendor's instruction, which this CPU does not have.
pub const INTERCEPTED_EXCEPTIONS: u32 = 1 << 1 | 1 << 6 | 1 << 17 | 1 << 18;

/// A virtual CPU on the physical CPU that calls it. All methods but [`Vcpu::run`] only read and write its control block.
pub trait Vcpu: Registers {
    /// Keeps host interrupts and NMIs out of hypervisor code. To be called once before a series of [`Vcpu::run`];
    /// what arrives meanwhile ends guest code with an exit.
    fn hold_host_interrupts(&mut self);

    /// Lets host interrupts and NMIs in again: pending ones are handled before this returns. The host's interrupt flag
    /// is set afterwards.
    fn admit_host_interrupts(&mut self);

    /// Runs guest code until something has to be done. Host interrupts are held.
    fn run(&mut self) -> Exit;

    /// True if the CPU can run the guest in the mode that it is in, and with the segments that it has. Asked where the emulator has
    /// run it; [`Exit::Emulate`] says that it has to.
    fn executes(&self) -> bool {
        true
    }

    /// Where the next instruction starts, where the CPU tells (next-RIP save, VM-exit instruction length). Otherwise
    /// the bytes at RIP must be looked at.
    fn next_rip(&self) -> Option<u64>;

    /// The bytes at RIP, where the CPU tells them with a nested page fault (decode assists) and tells all that an
    /// instruction can have.
    fn fetched_bytes(&self) -> Option<&[u8; 15]>;

    /// The event whose delivery this exit cut short, if any. To be asked once after every exit.
    fn interrupted_event(&mut self) -> Option<Event>;

    /// The interrupt shadow now.
    fn shadow(&self) -> Shadow;

    /// Sets it; the emulator ends it with the instruction that it completes.
    fn set_shadow(&mut self, shadow: Shadow);

    /// Has `event` delivered at the next entry.
    fn inject(&mut self, event: Event);

    /// True if the CPU tells that no NMI handler runs in the guest. It may not know; then [`Exit::NmiWindow`] tells.
    fn nmis_open(&self) -> bool;

    /// An NMI was delivered by the emulator: no other is to enter before the handler's end. For CPUs that keep account of that.
    fn block_nmis(&mut self) {}

    /// The emulator executed the IRET that ends it.
    fn open_nmis(&mut self) {}

    /// Asks for an exit at `window`, or for none.
    fn set_window(&mut self, window: Option<Window>);

    /// The guest's task-priority register, as CR8 shows it (bits 7:4 of the TPR).
    fn cr8(&self) -> u8;

    /// Sets it.
    fn set_cr8(&mut self, priority: u8);

    /// Tells the CPU how the guest reaches its local APIC, so that it serves what it can. To be said before an entry whenever it
    /// may have changed; costs little if it has not. Returns true if it has, and with it perhaps the two things below. A CPU
    /// without such help, as by default, stays with software.
    #[inline]
    fn set_apic_mode(&mut self, _mode: ApicMode) -> bool {
        false
    }

    /// The page that nested paging must map for the guest, readable and writable, and where; and there only. The CPU turns
    /// accesses to it into what they do to the local APIC. `None` if there is to be none.
    fn apic_access_page(&self) -> Option<(Gpa, Hpa)> {
        None
    }

    /// What of the local APIC the CPU serves now. Nothing, by default.
    #[inline]
    fn served_apic(&self) -> Served {
        Served::Nothing
    }

    /// Tells the CPU what to deliver from the page of [`Served::All`], whose contents agree with it.
    #[inline]
    fn set_delivery(&mut self, _delivery: Delivery) {}

    /// DR7. (DR0 to DR3 stay in the CPU.)
    fn dr7(&self) -> u64;

    /// Sets it.
    fn set_dr7(&mut self, value: u64);

    /// DR6.
    fn dr6(&self) -> u64;

    /// Sets it.
    fn set_dr6(&mut self, value: u64);

    /// Has the guest left with [`Exit::Deadline`] when the host's TSC reaches a value, from now on or no longer; returns false
    /// if the CPU has no such timer.
    fn set_deadline(&mut self, _host_tsc: Option<u64>) -> bool {
        false
    }

    /// Tells the four page-directory-pointer entries that a guest with PAE paging loads when CR3, CR0 or CR4 is written, where
    /// the CPU keeps them with its registers and the write was emulated (SDM vol. 3A, 4.4.1). Others read them as they walk.
    fn set_pdptes(&mut self, _entries: [u64; 4]) {}

    /// Has the guest's TSC run at this ratio to the host's, from now on and across resets; returns false if the CPU cannot.
    fn set_tsc_scale(&mut self, scale: Scale) -> bool {
        scale == Scale::ONE
    }

    /// Who answers when the guest reads its TSC, from now on and across resets.
    fn set_tsc_access(&mut self, access: TscAccess);

    /// What is added to the host's TSC, scaled, for the guest's.
    fn set_tsc_offset(&mut self, ticks: u64);

    /// The page that nested paging must map, and where, for guests that have no paging on CPUs that have to have some. `None` if there
    /// is to be none.
    fn identity_page(&self) -> Option<(Gpa, Hpa)> {
        None
    }

    /// The root of the nested page tables.
    fn set_nested_root(&mut self, root: Hpa);

    /// What the CPU walks in place of the guest's tables, until [`Exit::PagingChanged`] asks for it anew. Only for vCPUs that were made
    /// without nested paging.
    fn set_shadow_root(&mut self, root: ShadowRoot);

    /// True if the registers that decide on paging were written since, so that the next [`Vcpu::run`] would only say so.
    fn needs_shadow_root(&self) -> bool;

    /// Drops what the TLB holds of the guest, before the next entry.
    fn flush_tlb(&mut self);

    /// Has the CPU list the pages whose nested dirty bits it sets from now on, or no longer; returns false if it has no such list. A
    /// guest's reset leaves it as it is.
    fn set_modification_log(&mut self, _state: ModificationLog) -> bool {
        false
    }

    /// Takes the list: calls `to` with each page on it, and makes room. Due at [`Exit::ModificationLogFull`], and before the list is
    /// judged to be complete.
    fn drain_modified(&mut self, _to: &mut dyn FnMut(Gpa)) {}

    /// The CPU has run, or will run, another vCPU: takes out what it holds of this one beside [`Vcpu::run`]. Then no method may be
    /// called until [`Vcpu::arrive`].
    fn depart(&mut self);

    /// The CPU is this vCPU's again: nothing that it remembers of guests is relied on. Due before anything else if another vCPU was there.
    fn arrive(&mut self);

    /// Has the guest exit when it spins, or no longer; returns false if the CPU cannot tell a loop of PAUSE from a single one. A guest's
    /// reset leaves it as it is.
    fn set_pause_filter(&mut self, _state: PauseFilter) -> bool {
        false
    }

    /// How accesses to an MSR are treated; returns false if the CPU cannot pass it through.
    fn set_msr_access(&mut self, msr: u32, access: MsrAccess) -> bool;

    /// Puts everything in the control block but the registers of [`crate::regs::State`], which the caller sets next, to its
    /// reset values, with what was asked of it (windows, shadow, TSC offset, CR8). The nested root, MSR accesses and the APIC's
    /// mode stay, and what the CPU holds outside the control block (x87, SSE, XCR0, DR0 to DR3) is the caller's.
    fn reset(&mut self);
}
