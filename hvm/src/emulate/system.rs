//! System instructions: control, debug and model-specific registers, segments, flags.

use super::code::CodeMode;
use super::operand::Part;
use super::tables::Table;
use super::{Bus, Execution, Flow, Invalidation, PROTECTION, Reason, Stop};
use crate::Width;
use crate::event::Exception;
use crate::msr;
use crate::regs::{Attributes, Cr0, Cr4, Efer, Gpr, Registers, Rflags, Segment, SegmentName};
use crate::walk::AccessKind;
use guest_mem::Gva;
use iced_x86::{Mnemonic, Register};

const FS_BASE: u32 = 0xc000_0100;
const GS_BASE: u32 = 0xc000_0101;
const KERNEL_GS_BASE: u32 = 0xc000_0102;
const TSC_AUX: u32 = 0xc000_0103;
/// The bits of CR0 that mean something; the others read as zero.
const CR0_DEFINED: u64 = 0xe005_003f;
/// Changes of these need a new look at all translations (SDM vol. 3A, 4.10.4.1).
const CR0_FLUSHING: Cr0 = Cr0::PE
    .union(Cr0::WP)
    .union(Cr0::NW)
    .union(Cr0::CD)
    .union(Cr0::PG);
const CR4_FLUSHING: Cr4 = Cr4::PSE
    .union(Cr4::PAE)
    .union(Cr4::PGE)
    .union(Cr4::LA57)
    .union(Cr4::PCIDE)
    .union(Cr4::SMEP)
    .union(Cr4::SMAP)
    .union(Cr4::PKE);
/// Changes of these load the page-directory-pointer entries of PAE paging (SDM vol. 3A, 4.4.1).
const CR0_LOADING: Cr0 = Cr0::NW.union(Cr0::CD).union(Cr0::PG);
const CR4_LOADING: Cr4 = Cr4::PSE.union(Cr4::PAE).union(Cr4::PGE).union(Cr4::SMEP);
/// CR3 bit 63 with process contexts: keep the TLB.
const KEEP_TLB: u64 = 1 << 63;
/// DR7.GD: accesses to debug registers trap; DR6.BD says so.
const GENERAL_DETECT: u64 = 1 << 13;
/// Fixed and writable bits of DR6 and DR7 (SDM vol. 3B, 18.2).
const DR6_FIXED: u64 = 0xffff_0ff0;
const DR6_WRITABLE: u64 = 0xe00f;
const DR7_FIXED: u64 = 0x400;
const DR7_WRITABLE: u64 = 0xffff_2bff;

impl<C: Registers + ?Sized, B: Bus + ?Sized> Execution<'_, C, B> {
    /// What remains when an instruction is neither a move nor arithmetic.
    pub(super) fn system(&mut self) -> Result<Flow, Stop> {
        match self.instruction.mnemonic() {
            Mnemonic::Cpuid => self.cpuid(),
            Mnemonic::Rdmsr => self.read_msr(),
            Mnemonic::Wrmsr => self.write_msr(),
            Mnemonic::Rdtsc => self.read_tsc(),
            Mnemonic::Rdtscp => self.read_tsc_and_aux(),
            Mnemonic::Hlt => self.privileged().map(|()| Flow::Halt),
            // The guest's caches are coherent with everything that the guest can reach.
            Mnemonic::Invd | Mnemonic::Wbinvd | Mnemonic::Wbnoinvd => {
                self.privileged().map(|()| Flow::Next)
            }
            Mnemonic::Invlpg => self.invalidate_page(),
            Mnemonic::Clts => self.clear_task_switched(),
            Mnemonic::Lmsw => self.load_status_word(),
            Mnemonic::Smsw => self.store_status_word(),
            Mnemonic::Lgdt => self.load_table(Table::Global),
            Mnemonic::Lidt => self.load_table(Table::Interrupt),
            Mnemonic::Sgdt => self.store_table(Table::Global),
            Mnemonic::Sidt => self.store_table(Table::Interrupt),
            Mnemonic::Lldt => self.load_local_table(),
            Mnemonic::Ltr => self.load_task(),
            Mnemonic::Sldt => self.store_selector(SegmentName::Ldtr),
            Mnemonic::Str => self.store_selector(SegmentName::Tr),
            Mnemonic::Lar => self.load_rights(),
            Mnemonic::Lsl => self.load_limit(),
            Mnemonic::Verr => self.verify_read(),
            Mnemonic::Verw => self.verify_write(),
            Mnemonic::Arpl => self.adjust_privilege(),
            Mnemonic::Rdfsbase | Mnemonic::Rdgsbase | Mnemonic::Wrfsbase | Mnemonic::Wrgsbase => {
                self.move_base()
            }
            // Performance counters do not exist; neither does MONITOR.
            Mnemonic::Rdpmc => Err(PROTECTION),
            Mnemonic::Monitor | Mnemonic::Mwait | Mnemonic::Rsm => {
                Err(Exception::INVALID_OPCODE.into())
            }
            Mnemonic::Lfence | Mnemonic::Mfence | Mnemonic::Sfence => Ok(Flow::Next),
            Mnemonic::Prefetchnta
            | Mnemonic::Prefetcht0
            | Mnemonic::Prefetcht1
            | Mnemonic::Prefetcht2
            | Mnemonic::Prefetchw
            | Mnemonic::Endbr32
            | Mnemonic::Endbr64 => Ok(Flow::Next),
            Mnemonic::Clflush | Mnemonic::Clflushopt | Mnemonic::Clwb => self.flush_line(),
            Mnemonic::Swapgs => self.swap_base(),
            Mnemonic::Xgetbv => self.read_extended_control(),
            Mnemonic::Cli => self.set_interrupt_flag(Rflags::empty()),
            Mnemonic::Sti => self.set_interrupt_flag(Rflags::IF),
            Mnemonic::Cld => self.set_flag(Rflags::DF, Rflags::empty()),
            Mnemonic::Std => self.set_flag(Rflags::DF, Rflags::DF),
            Mnemonic::Clc => self.set_flag(Rflags::CF, Rflags::empty()),
            Mnemonic::Stc => self.set_flag(Rflags::CF, Rflags::CF),
            Mnemonic::Cmc => self.complement_carry(),
            _ => Err(Stop::Unsupported(Reason::Instruction)),
        }
    }

    fn set_dword(&mut self, register: Gpr, value: u64) {
        self.write_part(Part::low(register, Width::Dword), value);
    }

    fn cpuid(&mut self) -> Result<Flow, Stop> {
        let leaf = self.cpu.gpr(Gpr::Rax) as u32;
        let subleaf = self.cpu.gpr(Gpr::Rcx) as u32;
        let values = self.bus.cpuid(leaf, subleaf);
        for (register, value) in [Gpr::Rax, Gpr::Rbx, Gpr::Rcx, Gpr::Rdx]
            .into_iter()
            .zip(values)
        {
            self.set_dword(register, u64::from(value));
        }
        Ok(Flow::Next)
    }

    fn read_msr(&mut self) -> Result<Flow, Stop> {
        self.privileged()?;
        let value = match self.cpu.gpr(Gpr::Rcx) as u32 {
            msr::EFER => self.cpu.efer(),
            FS_BASE => self.cpu.segment(SegmentName::Fs).base,
            GS_BASE => self.cpu.segment(SegmentName::Gs).base,
            other => self.bus.read_msr(other)?,
        };
        self.set_dword(Gpr::Rax, value);
        self.set_dword(Gpr::Rdx, value >> 32);
        Ok(Flow::Next)
    }

    fn write_msr(&mut self) -> Result<Flow, Stop> {
        self.privileged()?;
        let value = self.cpu.gpr(Gpr::Rdx) << 32 | self.cpu.gpr(Gpr::Rax) & 0xffff_ffff;
        match self.cpu.gpr(Gpr::Rcx) as u32 {
            msr::EFER => {
                let checked = msr::checked_efer(self.cpu.efer(), value, self.cpu.cr0());
                self.cpu.set_efer(checked.map_err(|_| PROTECTION)?);
                self.bus.invalidate(Invalidation::All);
            }
            FS_BASE => self.set_base(SegmentName::Fs, value)?,
            GS_BASE => self.set_base(SegmentName::Gs, value)?,
            other => self.bus.write_msr(other, value)?,
        }
        Ok(Flow::Next)
    }

    fn set_base(&mut self, name: SegmentName, base: u64) -> Result<(), Stop> {
        if !self.paging().is_canonical(base) {
            return Err(PROTECTION);
        }
        let segment = self.cpu.segment(name);
        self.cpu.set_segment(name, Segment { base, ..segment });
        Ok(())
    }

    fn read_tsc(&mut self) -> Result<Flow, Stop> {
        if self.cpl != 0 && self.cpu.cr4() & Cr4::TSD.bits() != 0 {
            return Err(PROTECTION);
        }
        let ticks = self.bus.read_tsc();
        self.set_dword(Gpr::Rax, ticks);
        self.set_dword(Gpr::Rdx, ticks >> 32);
        Ok(Flow::Next)
    }

    fn read_tsc_and_aux(&mut self) -> Result<Flow, Stop> {
        let aux = self.bus.read_msr(TSC_AUX)?;
        self.read_tsc()?;
        self.set_dword(Gpr::Rcx, aux);
        Ok(Flow::Next)
    }

    /// INVLPG checks no segment limit, and forgets nothing at addresses that cannot be translated.
    fn invalidate_page(&mut self) -> Result<Flow, Stop> {
        self.privileged()?;
        let at = self.effective_address();
        let base = match (self.mode, at.segment) {
            (CodeMode::Bits64, SegmentName::Fs | SegmentName::Gs) => {
                self.cpu.segment(at.segment).base
            }
            (CodeMode::Bits64, _) => 0,
            _ => self.cpu.segment(at.segment).base,
        };
        let gva = self.paging().wrap(Gva(base).wrapping_add(at.offset));
        if self.paging().is_canonical(gva.0) {
            self.bus.invalidate(Invalidation::Page(gva));
        }
        Ok(Flow::Next)
    }

    /// CLFLUSH and its kin: the guest's caches are coherent, but the address must be one that can be read.
    fn flush_line(&mut self) -> Result<Flow, Stop> {
        let at = self.effective_address();
        let gva = self.linear(at, 1, AccessKind::Read)?;
        self.translate(gva, AccessKind::Read)?;
        Ok(Flow::Next)
    }

    /// XGETBV of XCR0, the one that there is.
    fn read_extended_control(&mut self) -> Result<Flow, Stop> {
        if self.cpu.cr4() & Cr4::OSXSAVE.bits() == 0 {
            return Err(Exception::INVALID_OPCODE.into());
        }
        if self.cpu.gpr(Gpr::Rcx) as u32 != 0 {
            return Err(PROTECTION);
        }
        let value = self.bus.xcr0();
        self.set_dword(Gpr::Rax, value);
        self.set_dword(Gpr::Rdx, value >> 32);
        Ok(Flow::Next)
    }

    /// SWAPGS.
    fn swap_base(&mut self) -> Result<Flow, Stop> {
        if self.mode != CodeMode::Bits64 {
            return Err(Exception::INVALID_OPCODE.into());
        }
        self.privileged()?;
        let mut segment = self.cpu.segment(SegmentName::Gs);
        let (Ok(other), Ok(())) = (
            self.bus.read_msr(KERNEL_GS_BASE),
            self.bus.write_msr(KERNEL_GS_BASE, segment.base),
        ) else {
            return Err(Stop::Unsupported(Reason::Instruction));
        };
        segment.base = other;
        self.cpu.set_segment(SegmentName::Gs, segment);
        Ok(Flow::Next)
    }

    /// The index of a control or debug register operand.
    fn register_index(&self, operand: u32, first: Register) -> u8 {
        (self.instruction.op_register(operand) as usize).wrapping_sub(first as usize) as u8
    }

    /// MOV from CRn.
    pub(super) fn mov_from_control(&mut self) -> Result<Flow, Stop> {
        self.privileged()?;
        let value = match self.register_index(1, Register::CR0) {
            0 => self.cpu.cr0(),
            2 => self.cpu.cr2(),
            3 => self.cpu.cr3(),
            4 => self.cpu.cr4(),
            8 => self.bus.read_cr8(),
            _ => return Err(Exception::INVALID_OPCODE.into()),
        };
        let to = self.register(0)?;
        self.write_part(to, value);
        Ok(Flow::Next)
    }

    /// MOV to CRn.
    pub(super) fn mov_to_control(&mut self) -> Result<Flow, Stop> {
        self.privileged()?;
        let from = self.register(1)?;
        let value = self.read_part(from);
        match self.register_index(0, Register::CR0) {
            0 => self.set_cr0(value)?,
            2 => self.cpu.set_cr2(value),
            3 => self.set_cr3(value)?,
            4 => self.set_cr4(value)?,
            8 if value > 15 => return Err(PROTECTION),
            8 => self.bus.write_cr8(value),
            _ => return Err(Exception::INVALID_OPCODE.into()),
        }
        Ok(Flow::Next)
    }

    /// SDM vol. 3A, 2.5 and 10.8.5; PG and LME together make LMA.
    fn set_cr0(&mut self, value: u64) -> Result<(), Stop> {
        let old = Cr0::from_bits_retain(self.cpu.cr0());
        let new = Cr0::from_bits_retain(value & CR0_DEFINED) | Cr0::ET;
        let cr4 = Cr4::from_bits_retain(self.cpu.cr4());
        let efer = Efer::from_bits_retain(self.cpu.efer());
        let contradicts = value >> 32 != 0
            || new.contains(Cr0::PG) && !new.contains(Cr0::PE)
            || new.contains(Cr0::NW) && !new.contains(Cr0::CD);
        let starts = new.contains(Cr0::PG) && !old.contains(Cr0::PG);
        let ends = old.contains(Cr0::PG) && !new.contains(Cr0::PG);
        let is_long_code = self
            .cpu
            .segment(SegmentName::Cs)
            .attributes
            .contains(Attributes::L);
        let bad_start =
            starts && efer.contains(Efer::LME) && (!cr4.contains(Cr4::PAE) || is_long_code);
        let bad_end = ends && (self.mode == CodeMode::Bits64 || cr4.contains(Cr4::PCIDE));
        if contradicts || bad_start || bad_end {
            return Err(PROTECTION);
        }
        if starts && efer.contains(Efer::LME) {
            self.cpu.set_efer((efer | Efer::LMA).bits());
        } else if ends {
            self.cpu.set_efer((efer - Efer::LMA).bits());
        }
        self.cpu.set_cr0(new.bits());
        if (old ^ new).intersects(CR0_LOADING) && !self.takes_pointers() {
            self.cpu.set_cr0(old.bits());
            self.cpu.set_efer(efer.bits());
            return Err(PROTECTION);
        }
        if (old ^ new).intersects(CR0_FLUSHING) {
            self.bus.invalidate(Invalidation::All);
        }
        Ok(())
    }

    fn set_cr3(&mut self, value: u64) -> Result<(), Stop> {
        let has_contexts = self.cpu.cr4() & Cr4::PCIDE.bits() != 0;
        let kept = if has_contexts { value & KEEP_TLB } else { 0 };
        let base = value & !kept;
        if base >> (self.bus.physical_bits() & 63) != 0 {
            return Err(PROTECTION);
        }
        let old = self.cpu.cr3();
        self.cpu.set_cr3(base);
        if !self.takes_pointers() {
            self.cpu.set_cr3(old);
            return Err(PROTECTION);
        }
        if kept == 0 {
            self.bus.invalidate(Invalidation::AddressSpace);
        }
        Ok(())
    }

    fn set_cr4(&mut self, value: u64) -> Result<(), Stop> {
        let old = Cr4::from_bits_retain(self.cpu.cr4());
        let new = Cr4::from_bits_retain(value);
        let is_long = self.cpu.efer() & Efer::LMA.bits() != 0;
        let bad_long = is_long && (!new.contains(Cr4::PAE) || (old ^ new).contains(Cr4::LA57));
        let starts_contexts = new.contains(Cr4::PCIDE) && !old.contains(Cr4::PCIDE);
        let bad_contexts = starts_contexts && (!is_long || self.cpu.cr3() & 0xfff != 0);
        if value & !self.bus.cr4_allowed() != 0 || bad_long || bad_contexts {
            return Err(PROTECTION);
        }
        self.cpu.set_cr4(value);
        if (old ^ new).intersects(CR4_LOADING) && !self.takes_pointers() {
            self.cpu.set_cr4(old.bits());
            return Err(PROTECTION);
        }
        if (old ^ new).intersects(CR4_FLUSHING) {
            self.bus.invalidate(Invalidation::All);
        }
        Ok(())
    }

    fn takes_pointers(&self) -> bool {
        self.paging().takes_pointers(self.bus.memory())
    }

    fn clear_task_switched(&mut self) -> Result<Flow, Stop> {
        self.privileged()?;
        self.cpu.set_cr0(self.cpu.cr0() & !Cr0::TS.bits());
        Ok(Flow::Next)
    }

    /// LMSW can set PE but not clear it.
    fn load_status_word(&mut self) -> Result<Flow, Stop> {
        self.privileged()?;
        let value = self.value(0, Width::Word)? & 0xf;
        let old = self.cpu.cr0();
        let kept = old & !0xf | old & Cr0::PE.bits();
        self.set_cr0(kept | value)?;
        Ok(Flow::Next)
    }

    fn store_status_word(&mut self) -> Result<Flow, Stop> {
        self.check_user_mode_instruction_prevention()?;
        let width = self.width(0)?;
        let place = self.place(0, width, AccessKind::Write)?;
        let value = self.cpu.cr0();
        self.set(&place, width, value);
        Ok(Flow::Next)
    }

    /// The debug register that an operand means; #UD and #DB as SDM vol. 3B, 18.2 says.
    fn debug_register(&mut self, operand: u32) -> Result<u8, Stop> {
        let index = match self.register_index(operand, Register::DR0) {
            index @ (4 | 5) if self.cpu.cr4() & Cr4::DE.bits() == 0 => index + 2,
            index @ (0..=3 | 6 | 7) => index,
            _ => return Err(Exception::INVALID_OPCODE.into()),
        };
        self.privileged()?;
        let control = self.bus.read_debug(7);
        if control & GENERAL_DETECT != 0 {
            let status = self.bus.read_debug(6);
            self.bus.write_debug(6, status | GENERAL_DETECT);
            self.bus.write_debug(7, control & !GENERAL_DETECT);
            return Err(Exception::plain(1).into());
        }
        Ok(index)
    }

    /// MOV from DRn.
    pub(super) fn mov_from_debug(&mut self) -> Result<Flow, Stop> {
        let index = self.debug_register(1)?;
        let to = self.register(0)?;
        let value = self.bus.read_debug(index);
        self.write_part(to, value);
        Ok(Flow::Next)
    }

    /// MOV to DRn.
    pub(super) fn mov_to_debug(&mut self) -> Result<Flow, Stop> {
        let index = self.debug_register(0)?;
        let from = self.register(1)?;
        let value = self.read_part(from);
        if index >= 6 && value >> 32 != 0 {
            return Err(PROTECTION);
        }
        let value = match index {
            6 => DR6_FIXED | value & DR6_WRITABLE,
            7 => DR7_FIXED | value & DR7_WRITABLE,
            _ => value,
        };
        self.bus.write_debug(index, value);
        Ok(Flow::Next)
    }
}
