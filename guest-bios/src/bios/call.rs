//! One BIOS call in progress: the caller's registers, and memory as the caller sees it.
//!
//! [`Call`] guarantees that a call that meets a page fault leaves the registers as they were, so that the guest can
//! page in and run the trapping instruction again: changes of registers are collected, and reach the CPU in
//! [`Call::finish`] alone. Addresses go through the caller's segments and page tables.

use super::machine::Machine;
use guest_mem::{Gpa, Gva, PAGE_BYTES};
use hvm::Width;
use hvm::regs::{Attributes, Cr0, Gpr, Registers, Rflags, SegmentName};
use hvm::walk::{self, Access, AccessKind, PageFault, Paging, Privilege};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// What a service gives back; the error is a page fault of the caller's.
pub type Served<T = ()> = Result<T, PageFault>;

/// Where the CPU goes on after the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resume {
    /// So many bytes from the trap's RIP.
    Near(i16),
    /// At a real-mode address.
    Far { segment: u16, offset: u16 },
}

/// Where the caller's flags are, which carry part of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FlagsAt {
    /// On the stack, above the return address: the stub ends with IRET.
    Stack,
    /// In the register: the stub goes on with them.
    Register,
}

/// One call.
pub(super) struct Call<'a> {
    cpu: &'a mut dyn Registers,
    pub machine: &'a mut dyn Machine,
    paging: Paging,
    privilege: Privilege,
    gprs: [u64; 16],
    flags_at: FlagsAt,
    set: Rflags,
    clear: Rflags,
    resume: Resume,
}

macro_rules! words {
    ($($get:ident $set:ident $gpr:ident;)*) => {$(
        pub fn $get(&self) -> u16 {
            self.gprs[Gpr::$gpr as usize] as u16
        }
        pub fn $set(&mut self, value: u16) {
            let register = &mut self.gprs[Gpr::$gpr as usize];
            *register = *register & !0xffff | u64::from(value);
        }
    )*};
}

macro_rules! bytes {
    ($($low:ident $set_low:ident $high:ident $set_high:ident $gpr:ident;)*) => {$(
        pub fn $low(&self) -> u8 {
            self.gprs[Gpr::$gpr as usize] as u8
        }
        pub fn $set_low(&mut self, value: u8) {
            let register = &mut self.gprs[Gpr::$gpr as usize];
            *register = *register & !0xff | u64::from(value);
        }
        pub fn $high(&self) -> u8 {
            (self.gprs[Gpr::$gpr as usize] >> 8) as u8
        }
        pub fn $set_high(&mut self, value: u8) {
            let register = &mut self.gprs[Gpr::$gpr as usize];
            *register = *register & !0xff00 | u64::from(value) << 8;
        }
    )*};
}

impl<'a> Call<'a> {
    pub fn new(
        cpu: &'a mut dyn Registers,
        machine: &'a mut dyn Machine,
        flags_at: FlagsAt,
    ) -> Self {
        Self {
            paging: Paging::of(&*cpu, machine.physical_bits()),
            privilege: Privilege::of_cpl(cpu.cpl()),
            gprs: Gpr::ALL.map(|register| cpu.gpr(register)),
            cpu,
            machine,
            flags_at,
            set: Rflags::empty(),
            clear: Rflags::empty(),
            resume: Resume::Near(0),
        }
    }

    /// Hands the answer to the CPU, all of it or nothing.
    pub fn finish(mut self) -> Served {
        self.finish_flags()?;
        for (register, value) in Gpr::ALL.into_iter().zip(self.gprs) {
            self.cpu.set_gpr(register, value);
        }
        match self.resume {
            Resume::Near(distance) => {
                let rip = self.cpu.rip().wrapping_add_signed(distance.into());
                self.cpu.set_rip(rip);
            }
            Resume::Far { segment, offset } => {
                self.set_segment(SegmentName::Cs, segment);
                self.cpu.set_rip(offset.into());
            }
        }
        Ok(())
    }

    fn finish_flags(&mut self) -> Served {
        if (self.set | self.clear).is_empty() {
            return Ok(());
        }
        let (set, clear) = (self.set.bits(), self.clear.bits());
        let changed = |old: u64| old & !clear | set;
        match self.flags_at {
            FlagsAt::Register => {
                let flags = changed(self.cpu.rflags());
                self.cpu.set_rflags(flags);
            }
            FlagsAt::Stack => {
                // Where the stack was on entry, whatever the service did to it since.
                let at = self.stack(4);
                let old: u16 = self.load(at)?;
                let flags = changed(old.into()) as u16;
                if flags != old {
                    self.store(at, &flags)?;
                }
            }
        }
        Ok(())
    }

    words! {
        ax set_ax Rax;
        bx set_bx Rbx;
        cx set_cx Rcx;
        dx set_dx Rdx;
        di set_di Rdi;
        bp set_bp Rbp;
    }

    bytes! {
        al set_al ah set_ah Rax;
        bl set_bl bh set_bh Rbx;
        cl set_cl ch set_ch Rcx;
        dl set_dl dh set_dh Rdx;
    }

    pub fn si(&self) -> u16 {
        self.gprs[Gpr::Rsi as usize] as u16
    }

    pub fn sp(&self) -> u16 {
        self.gprs[Gpr::Rsp as usize] as u16
    }

    /// Where the trap is: behind its OUT.
    pub fn ip(&self) -> u16 {
        self.cpu.rip() as u16
    }

    /// Puts a word on the caller's 16-bit stack.
    pub fn push(&mut self, value: u16) -> Served {
        let sp = self.sp().wrapping_sub(2);
        let at = self.linear(SegmentName::Ss, sp.into());
        self.store(at, &value)?;
        self.set_sp(sp);
        Ok(())
    }

    pub fn set_sp(&mut self, value: u16) {
        let register = &mut self.gprs[Gpr::Rsp as usize];
        *register = *register & !0xffff | u64::from(value);
    }

    /// A 32-bit register.
    pub fn dword(&self, register: Gpr) -> u32 {
        self.gprs[register as usize] as u32
    }

    /// Sets it.
    pub fn set_dword(&mut self, register: Gpr, value: u32) {
        self.gprs[register as usize] = value.into();
    }

    /// Zeroes all general registers.
    pub fn clear_registers(&mut self) {
        self.gprs = [0; 16];
    }

    /// True if the caller runs 32-bit code.
    pub fn is_32_bit(&self) -> bool {
        let attributes = self.cpu.segment(SegmentName::Cs).attributes;
        attributes.contains(Attributes::DB)
    }

    /// The CPU's flags register, not the caller's flags on the stack.
    pub fn flags(&self) -> Rflags {
        Rflags::from_bits_retain(self.cpu.rflags())
    }

    /// A segment register's selector.
    pub fn selector(&self, name: SegmentName) -> u16 {
        self.cpu.segment(name).selector
    }

    /// Loads a segment register as real mode and virtual-8086 mode do. This one takes effect at once: for services that
    /// can no longer fault.
    pub fn set_segment(&mut self, name: SegmentName, selector: u16) {
        let mut segment = self.cpu.segment(name);
        segment.selector = selector;
        segment.base = u64::from(selector) << 4;
        self.cpu.set_segment(name, segment);
    }

    /// CF clear: success.
    pub fn succeed(&mut self) {
        self.set_flags(Rflags::empty(), Rflags::CF);
    }

    /// CF set: failure.
    pub fn fail(&mut self) {
        self.set_flags(Rflags::CF, Rflags::empty());
    }

    /// Changes the caller's flags.
    pub fn set_flags(&mut self, set: Rflags, clear: Rflags) {
        self.set = self.set.difference(clear) | set;
        self.clear = self.clear.difference(set) | clear;
    }

    /// Where the CPU goes on.
    pub fn resume(&mut self, resume: Resume) {
        self.resume = resume;
    }

    /// The linear address of an offset in a segment.
    pub fn linear(&self, segment: SegmentName, offset: u32) -> Gva {
        let base = self.cpu.segment(segment).base;
        self.paging.wrap(Gva(base).wrapping_add(offset.into()))
    }

    /// The linear address of a far pointer of the caller's, in any mode; `None` for a selector without a segment. What the
    /// segment allows is not asked.
    pub fn far(&mut self, selector: u16, offset: u16) -> Served<Option<Gva>> {
        const RPL_AND_TABLE: u16 = 7;
        const LOCAL_TABLE: u16 = 4;
        let protected = Cr0::from_bits_retain(self.cpu.cr0()).contains(Cr0::PE);
        if !protected || self.flags().contains(Rflags::VM) {
            let linear = (u64::from(selector) << 4).wrapping_add(offset.into());
            return Ok(Some(self.wrap(Gva(linear))));
        }
        let (base, limit) = match selector & LOCAL_TABLE {
            0 => (self.cpu.gdtr().base, u32::from(self.cpu.gdtr().limit)),
            _ => {
                let table = self.cpu.segment(SegmentName::Ldtr);
                (table.base, table.limit)
            }
        };
        let index = selector & !RPL_AND_TABLE;
        if selector & !3 == 0 || u32::from(index | RPL_AND_TABLE) > limit {
            return Ok(None);
        }
        let at = self.wrap(Gva(base).wrapping_add(index.into()));
        let [_, _, low_0, low_1, low_2, _, _, high]: [u8; 8] = self.load(at)?;
        let base = u32::from_le_bytes([low_0, low_1, low_2, high]);
        let linear = u64::from(base).wrapping_add(offset.into());
        Ok(Some(self.wrap(Gva(linear))))
    }

    /// The linear address of what lies so many bytes above the top of the stack as it was on entry, a stack of either size.
    pub fn stack(&self, above: u16) -> Gva {
        let attributes = self.cpu.segment(SegmentName::Ss).attributes;
        let mask = match attributes.contains(Attributes::DB) {
            true => u32::MAX,
            false => 0xffff,
        };
        let top = self.cpu.gpr(Gpr::Rsp) as u32;
        self.linear(SegmentName::Ss, top.wrapping_add(above.into()) & mask)
    }

    /// A linear address as the CPU's adder leaves it.
    pub fn wrap(&self, linear: Gva) -> Gva {
        self.paging.wrap(linear)
    }

    /// Reads a value at a linear address.
    pub fn load<T: FromBytes + IntoBytes>(&mut self, at: Gva) -> Served<T> {
        let mut value = T::new_zeroed();
        self.read(at, value.as_mut_bytes())?;
        Ok(value)
    }

    /// Writes one.
    pub fn store<T: IntoBytes + Immutable>(&mut self, at: Gva, value: &T) -> Served {
        self.write(at, value.as_bytes())
    }

    /// Reads bytes at a linear address.
    pub fn read(&mut self, at: Gva, into: &mut [u8]) -> Served {
        let mut rest = into;
        let mut at = at;
        while !rest.is_empty() {
            let (gpa, room) = self.translate(at, AccessKind::Read)?;
            let length = room.min(rest.len() as u64);
            let (now, later) = rest.split_at_mut(length as usize);
            self.read_physical(gpa, now);
            at = self.paging.wrap(at.wrapping_add(length));
            rest = later;
        }
        Ok(())
    }

    /// Writes bytes at a linear address.
    pub fn write(&mut self, at: Gva, from: &[u8]) -> Served {
        let mut rest = from;
        let mut at = at;
        while !rest.is_empty() {
            let (gpa, room) = self.translate(at, AccessKind::Write)?;
            let length = room.min(rest.len() as u64);
            let (now, later) = rest.split_at(length as usize);
            self.write_physical(gpa, now);
            at = self.paging.wrap(at.wrapping_add(length));
            rest = later;
        }
        Ok(())
    }

    /// Reads guest-physical memory.
    pub fn read_physical(&mut self, at: Gpa, into: &mut [u8]) {
        if self.machine.memory().read(at, into).is_err() {
            self.machine.read_device(at, into);
        }
    }

    /// Writes guest-physical memory.
    pub fn write_physical(&mut self, at: Gpa, from: &[u8]) {
        if self.machine.memory().write(at, from).is_err() {
            self.machine.write_device(at, from);
        }
    }

    /// The guest-physical address, and how many bytes follow it in its page.
    pub fn translate(&self, at: Gva, kind: AccessKind) -> Served<(Gpa, u64)> {
        let access = Access {
            kind,
            privilege: self.privilege,
        };
        let found = walk::translate(&self.paging, self.machine.memory(), at, access)?;
        Ok((found.gpa, PAGE_BYTES - at.page_offset()))
    }

    /// Reads a byte-wide port.
    pub fn inb(&mut self, port: u16) -> u8 {
        self.machine.port_in(port, Width::Byte) as u8
    }

    /// Writes a byte-wide port.
    pub fn outb(&mut self, port: u16, value: u8) {
        self.machine.port_out(port, Width::Byte, value.into());
    }
}
