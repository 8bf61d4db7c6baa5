//! Interrupts that instructions raise: INT n, INT3, INTO (SDM vol. 2A, INT n; vol. 3A, 6.12 and 6.14; vol. 3B, 22.3).

use super::code::CodeMode;
use super::descriptor::{ACCESSED, Descriptor, System};
use super::segment::{Found, GENERAL, NOT_PRESENT};
use super::stack::Stack;
use super::switch::Cause;
use super::transfer::Way;
use super::{Bus, Execution, Flow, PROTECTION, Stop};
use crate::Width;
use crate::event::Exception;
use crate::regs::{Attributes, Cr4, Gpr, Registers, Rflags, Segment, SegmentName};
use guest_mem::Gva;

/// What every delivery clears; interrupt gates clear IF, too.
const CLEARED: Rflags = Rflags::TF
    .union(Rflags::NT)
    .union(Rflags::RF)
    .union(Rflags::VM);

/// Whether the instruction's own privileges decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guard {
    /// INT n: in virtual-8086 mode IOPL, and the gate's DPL.
    Number,
    /// INT3 and INTO: the gate's DPL.
    Gate,
    /// INT1: nothing.
    None,
}

/// A fault that tells an entry of the interrupt table.
fn vector_fault(fault: u8, vector: u8) -> Stop {
    Stop::Fault(Exception::with_code(fault, u32::from(vector) << 3 | 2))
}

impl<C: Registers + ?Sized, B: Bus + ?Sized> Execution<'_, C, B> {
    /// Enters the handler of `vector`; the return address is behind the instruction.
    pub(super) fn interrupt(&mut self, vector: u8, guard: Guard) -> Result<Flow, Stop> {
        if self.is_real_mode() {
            let table = self.cpu.idtr();
            let at = u64::from(vector) * 4;
            if at + 3 > u64::from(table.limit) {
                return Err(PROTECTION);
            }
            let flags = self.cpu.rflags();
            self.interrupt_paragraph(Gva(table.base).wrapping_add(at), flags, Rflags::IF)?;
            return Ok(Flow::Entered);
        }
        if self.is_virtual_8086() && guard == Guard::Number {
            let is_own = self.iopl() == 3;
            if self.cpu.cr4() & Cr4::VME.bits() != 0 && self.is_redirected(vector)? {
                let (flags, cleared) = if is_own {
                    (self.cpu.rflags(), Rflags::IF)
                } else {
                    (self.virtual_image(), Rflags::VIF)
                };
                self.interrupt_paragraph(Gva(u64::from(vector) * 4), flags, cleared)?;
                return Ok(Flow::Entered);
            }
            if !is_own {
                return Err(PROTECTION);
            }
        }
        let gate = self.interrupt_gate(vector, guard)?;
        let flags = self.cpu.rflags();
        self.enter_gate(&gate, flags, None)
    }

    /// Enters the handler of an event that no instruction asked for; `flags` and the error code are what it finds on its stack.
    pub(super) fn enter_handler(
        &mut self,
        vector: u8,
        flags: u64,
        error_code: Option<u32>,
    ) -> Result<(), Stop> {
        if self.is_real_mode() {
            return self.interrupt(vector, Guard::None).map(drop);
        }
        let gate = self.interrupt_gate(vector, Guard::None)?;
        self.enter_gate(&gate, flags, error_code).map(drop)
    }

    /// By a table of far pointers, as in real mode.
    fn interrupt_paragraph(&mut self, at: Gva, flags: u64, cleared: Rflags) -> Result<(), Stop> {
        let pointer = self.read_system(at, Width::Dword)?;
        let segment = self.paragraph(SegmentName::Cs, (pointer >> 16) as u16);
        let offset = pointer & 0xffff;
        self.check_target(&segment, offset)?;
        let from = u64::from(self.cpu.segment(SegmentName::Cs).selector);
        let mut stack = self.stack();
        self.push_words(&mut stack, Width::Word, &[flags, from, self.next])?;
        self.set_stack_pointer(&stack);
        let cleared = cleared | Rflags::TF | Rflags::AC | Rflags::RF;
        let kept = self.cpu.rflags() & !cleared.bits();
        self.cpu.set_rflags(kept);
        self.enter_code(segment, offset);
        Ok(())
    }

    /// The gate of a vector, if this code may use it.
    fn interrupt_gate(&mut self, vector: u8, guard: Guard) -> Result<Found, Stop> {
        let table = self.cpu.idtr();
        let bytes = if self.is_long_mode() { 16 } else { 8 };
        let at = u64::from(vector) * bytes;
        if at + bytes - 1 > u64::from(table.limit) {
            return Err(vector_fault(GENERAL, vector));
        }
        let at = Gva(table.base).wrapping_add(at);
        let low = self.read_system(at, Width::Qword)?;
        let high = match bytes {
            16 => self.read_system(at.wrapping_add(8), Width::Qword)?,
            _ => 0,
        };
        let descriptor = Descriptor { low, high };
        let is_gate = descriptor.is_system()
            && match descriptor.system() {
                System::InterruptGate32 | System::TrapGate32 => true,
                System::InterruptGate16 | System::TrapGate16 | System::TaskGate => {
                    !self.is_long_mode()
                }
                _ => false,
            };
        let is_guarded = guard != Guard::None && descriptor.dpl() < self.cpl;
        if !is_gate || is_guarded {
            return Err(vector_fault(GENERAL, vector));
        }
        if !descriptor.is_present() {
            return Err(vector_fault(NOT_PRESENT, vector));
        }
        Ok(Found {
            descriptor,
            selector: descriptor.target(),
            at,
        })
    }

    fn enter_gate(
        &mut self,
        gate: &Found,
        flags: u64,
        error_code: Option<u32>,
    ) -> Result<Flow, Stop> {
        if gate.descriptor.system() == System::TaskGate {
            let task = self.gated_task(gate)?;
            return self.switch_task(&task, Cause::Event(error_code), flags);
        }
        let target = self.gate_target(gate, Way::GateCall)?;
        let level = match target.descriptor.is_conforming() {
            true => self.cpl,
            false => target.descriptor.dpl(),
        };
        let is_inner = level < self.cpl;
        if self.is_virtual_8086() && level != 0 {
            return Err(target.fault(GENERAL));
        }
        let offset = gate.descriptor.offset();
        let segment = self.at_level(&target, level);
        let mut stack = self.handler_stack(gate, level, is_inner)?;
        self.check_target(&segment, offset)?;
        let width = match gate.descriptor.system() {
            System::InterruptGate16 | System::TrapGate16 => Width::Word,
            _ if self.is_long_mode() => Width::Qword,
            _ => Width::Dword,
        };
        let selector = |name| u64::from(self.cpu.segment(name).selector);
        let words = [
            selector(SegmentName::Gs),
            selector(SegmentName::Fs),
            selector(SegmentName::Ds),
            selector(SegmentName::Es),
            selector(SegmentName::Ss),
            self.cpu.gpr(Gpr::Rsp),
            flags,
            selector(SegmentName::Cs),
            self.next,
            u64::from(error_code.unwrap_or(0)),
        ];
        let end = if error_code.is_some() { 10 } else { 9 };
        let first = if self.is_virtual_8086() {
            0
        } else if is_inner || self.is_long_mode() {
            4
        } else {
            6
        };
        self.mark_descriptor(&target, ACCESSED)?;
        let was_virtual = self.is_virtual_8086();
        self.cpl = level;
        self.push_words(&mut stack, width, &words[first..end])?;
        if is_inner {
            self.switch_stack(&stack);
        } else if self.is_long_mode() {
            self.cpu.set_gpr(Gpr::Rsp, stack.pointer);
        } else {
            self.set_stack_pointer(&stack);
        }
        let mut cleared = CLEARED;
        if matches!(
            gate.descriptor.system(),
            System::InterruptGate16 | System::InterruptGate32
        ) {
            cleared |= Rflags::IF;
        }
        let kept = self.cpu.rflags() & !cleared.bits();
        self.cpu.set_rflags(kept);
        if was_virtual {
            self.drop_segments();
        }
        self.enter_code(segment, offset);
        Ok(Flow::Entered)
    }

    /// Where the frame goes: the level's stack, one of the table, or on with the same; aligned in long mode.
    fn handler_stack(&mut self, gate: &Found, level: u8, is_inner: bool) -> Result<Stack, Stop> {
        let listed = gate
            .descriptor
            .stack_table_index()
            .filter(|_| self.is_long_mode());
        let mut stack = match listed {
            Some(index) => self.interrupt_stack(index, level)?,
            None if is_inner => self.inner_stack(level)?,
            None if self.is_long_mode() => {
                let segment = self.cpu.segment(SegmentName::Ss);
                let rsp = self.cpu.gpr(Gpr::Rsp);
                Stack::new(segment, CodeMode::Bits64, rsp)
            }
            None => self.stack(),
        };
        if self.is_long_mode() {
            stack.pointer &= !15;
        }
        Ok(stack)
    }

    /// Handlers of virtual-8086 code start without its data segments.
    fn drop_segments(&mut self) {
        for name in [
            SegmentName::Es,
            SegmentName::Ds,
            SegmentName::Fs,
            SegmentName::Gs,
        ] {
            let null = Segment::new(0, Attributes::UNUSABLE.bits(), 0, 0);
            self.cpu.set_segment(name, null);
        }
    }
}
