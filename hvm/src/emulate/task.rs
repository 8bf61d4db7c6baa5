//! What the CPU reads of the task-state segment: stacks, and the map of redirected interrupts (SDM vol. 3A, 7.2 and 7.7).

use super::code::CodeMode;
use super::segment::{INVALID_TSS, selector_fault};
use super::stack::Stack;
use super::{Bus, Execution, Stop};
use crate::Width;
use crate::regs::{Registers, SegmentName};
use guest_mem::Gva;

/// Where the 32-bit and 64-bit TSS keep the offset of the I/O permission map.
pub(super) const MAP_BASE: u64 = 102;
/// Type of a 16-bit TSS: bit 3 clear.
pub(super) const WIDE_TSS: u32 = 1 << 3;

impl<C: Registers + ?Sized, B: Bus + ?Sized> Execution<'_, C, B> {
    fn read_task(&mut self, offset: u64, width: Width) -> Result<u64, Stop> {
        let task = self.cpu.segment(SegmentName::Tr);
        if offset + width.bytes() as u64 - 1 > u64::from(task.limit) {
            return Err(selector_fault(INVALID_TSS, task.selector));
        }
        self.read_system(Gva(task.base).wrapping_add(offset), width)
    }

    /// The stack of a more privileged level, of a call or an interrupt that leads there.
    pub(super) fn inner_stack(&mut self, cpl: u8) -> Result<Stack, Stop> {
        let level = u64::from(cpl);
        if self.is_long_mode() {
            let pointer = self.read_task(4 + 8 * level, Width::Qword)?;
            return Ok(self.long_stack(pointer, cpl));
        }
        let is_wide = self.cpu.segment(SegmentName::Tr).attributes.bits() & WIDE_TSS != 0;
        let (pointer, selector) = if is_wide {
            (
                self.read_task(4 + 8 * level, Width::Dword)?,
                self.read_task(8 + 8 * level, Width::Word)?,
            )
        } else {
            (
                self.read_task(2 + 4 * level, Width::Word)?,
                self.read_task(4 + 4 * level, Width::Word)?,
            )
        };
        let segment = self.stack_segment(selector as u16, cpl, INVALID_TSS)?;
        let mut stack = Stack::new(segment, CodeMode::Bits32, pointer);
        stack.error_code = u32::from(segment.selector & 0xfffc);
        Ok(stack)
    }

    /// A stack of the interrupt stack table.
    pub(super) fn interrupt_stack(&mut self, index: u64, cpl: u8) -> Result<Stack, Stop> {
        let pointer = self.read_task(0x1c + 8 * index, Width::Qword)?;
        Ok(self.long_stack(pointer, cpl))
    }

    /// In long mode the new SS is null (SDM vol. 3A, 6.14.4).
    fn long_stack(&self, pointer: u64, cpl: u8) -> Stack {
        let segment = Self::no_stack_segment(u16::from(cpl), cpl);
        Stack::new(segment, CodeMode::Bits64, pointer)
    }

    /// Whether the TSS has INT of this vector stay in virtual-8086 mode: its bit, in the 32 bytes below the I/O map, is clear.
    pub(super) fn is_redirected(&mut self, vector: u8) -> Result<bool, Stop> {
        let map = self.read_task(MAP_BASE, Width::Word)?;
        let at = map.wrapping_sub(32).wrapping_add(u64::from(vector / 8));
        let task = self.cpu.segment(SegmentName::Tr);
        if map < 32 || at > u64::from(task.limit) {
            return Err(super::PROTECTION);
        }
        let byte = self.read_task(at, Width::Byte)?;
        Ok(byte >> (vector % 8) & 1 == 0)
    }
}
