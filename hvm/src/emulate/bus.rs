//! What an instruction reaches beyond the registers: the emulator's view of the rest of the machine.

use super::XsaveImage;
use crate::Width;
use crate::event::Exception;
use crate::pci::WindowCopy;
use guest_mem::{Gpa, GuestMemory, Gva};

/// What the TLB must forget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalidation {
    /// The page with this address, in the current address space and global.
    Page(Gva),
    /// All but global pages of the current address space.
    AddressSpace,
    /// Everything, and the paging mode may have changed.
    All,
}

/// The rest of the machine. Accesses never fail: what nobody answers reads as all ones, and writes to it are lost.
pub trait Bus {
    /// Guest RAM, for code and page tables.
    fn memory(&self) -> &GuestMemory;

    /// MAXPHYADDR as the guest's CPUID tells it.
    fn physical_bits(&self) -> u8;

    /// Reads RAM or a device. The access lies in one page and need not be aligned.
    fn read(&mut self, gpa: Gpa, width: Width) -> u64;

    /// Writes RAM or a device; bits of `value` above `width` are zero.
    fn write(&mut self, gpa: Gpa, width: Width, value: u64);

    /// The write of a locked instruction that has read `current`: for RAM, stores `new` only if memory still holds
    /// `current`, and otherwise returns false; [`super::compare_exchange`] does that. For a device, writes `new`.
    fn exchange(&mut self, gpa: Gpa, width: Width, current: u64, new: u64) -> bool;

    /// IN.
    fn port_in(&mut self, port: u16, width: Width) -> u32;

    /// OUT.
    fn port_out(&mut self, port: u16, width: Width, value: u32);

    /// Reads bytes of one page in ascending order, in one go. False, and nothing done, where it takes an access for each
    /// element.
    fn read_bytes(&mut self, _gpa: Gpa, _into: &mut [u8]) -> bool {
        false
    }

    /// Writes them, same rules.
    fn write_bytes(&mut self, _gpa: Gpa, _from: &[u8]) -> bool {
        false
    }

    /// Moves elements within one device, ascending; `from` and `to` are guest-physical, in one page each. Same rules.
    fn copy(&mut self, _copy: WindowCopy) -> bool {
        false
    }

    /// IN of elements of `width` until `into`, a whole number of them, is full. Same rules.
    fn port_in_bytes(&mut self, _port: u16, _width: Width, _into: &mut [u8]) -> bool {
        false
    }

    /// OUT of such elements, same rules.
    fn port_out_bytes(&mut self, _port: u16, _width: Width, _from: &[u8]) -> bool {
        false
    }

    /// RDMSR at CPL 0.
    fn read_msr(&mut self, msr: u32) -> Result<u64, Exception>;

    /// WRMSR at CPL 0.
    fn write_msr(&mut self, msr: u32, value: u64) -> Result<(), Exception>;

    /// CPUID: EAX, EBX, ECX, EDX.
    fn cpuid(&mut self, leaf: u32, subleaf: u32) -> [u32; 4];

    /// The guest's time-stamp counter.
    fn read_tsc(&mut self) -> u64;

    /// The bits of CR4 that the guest's CPUID lets it set.
    fn cr4_allowed(&self) -> u64;

    /// CR8.
    fn read_cr8(&mut self) -> u64;

    /// CR8; `value` has four bits.
    fn write_cr8(&mut self, value: u64);

    /// DR0 to DR3, DR6, DR7.
    fn read_debug(&mut self, index: u8) -> u64;

    /// DR0 to DR3, DR6, DR7, after the architectural checks.
    fn write_debug(&mut self, index: u8, value: u64);

    /// Makes the TLB, and what shadows the guest's page tables, forget. Called after the registers have changed.
    fn invalidate(&mut self, what: Invalidation);

    /// XCR0: which of its registers the guest has enabled.
    fn xcr0(&self) -> u64;

    /// The vCPU's XSAVE image, current until the guest is entered again, with changes taken over then. `None` if the
    /// vector registers cannot be shown.
    fn xsave_image(&mut self) -> Option<XsaveImage<'_>>;
}
