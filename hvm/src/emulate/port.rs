//! Port instructions and who may use which port.

use super::operand::Part;
use super::task::{MAP_BASE, WIDE_TSS};
use super::{Bus, Execution, Flow, PROTECTION, Stop};
use crate::Width;
use crate::regs::{Attributes, Gpr, Registers, Rflags, SegmentName};
use guest_mem::Gva;

impl<C: Registers + ?Sized, B: Bus + ?Sized> Execution<'_, C, B> {
    /// IN.
    pub(super) fn port_in(&mut self) -> Result<Flow, Stop> {
        let accumulator = self.register(0)?;
        let port = self.value(1, Width::Word)? as u16;
        self.check_port(port, accumulator.width)?;
        let value = self.bus.port_in(port, accumulator.width);
        self.write_part(accumulator, u64::from(value));
        Ok(Flow::Next)
    }

    /// OUT.
    pub(super) fn port_out(&mut self) -> Result<Flow, Stop> {
        let Part { width, .. } = self.register(1)?;
        let port = self.value(0, Width::Word)? as u16;
        self.check_port(port, width)?;
        let value = width.cut(self.cpu.gpr(Gpr::Rax));
        self.bus.port_out(port, width, value as u32);
        Ok(Flow::Next)
    }

    /// #GP(0) unless IOPL or the TSS's map lets this code use the port (SDM vol. 1, 19.5).
    pub(super) fn check_port(&mut self, port: u16, width: Width) -> Result<(), Stop> {
        let iopl = (self.cpu.rflags() & Rflags::IOPL.bits()) >> 12;
        if self.is_real_mode() || u64::from(self.cpl) <= iopl && !self.is_virtual_8086() {
            return Ok(());
        }
        let task = self.cpu.segment(SegmentName::Tr);
        let usable = task.attributes.contains(Attributes::P)
            && !task.attributes.contains(Attributes::UNUSABLE)
            && task.attributes.bits() & WIDE_TSS != 0;
        if !usable || u64::from(task.limit) < MAP_BASE + 1 {
            return Err(PROTECTION);
        }
        let base = Gva(task.base);
        let map = self.read_system(base.wrapping_add(MAP_BASE), Width::Word)?;
        // Always two bytes: the ports of one access may lie in both (SDM vol. 1, 19.5.2).
        let offset = map + u64::from(port / 8);
        if offset + 1 > u64::from(task.limit) {
            return Err(PROTECTION);
        }
        let bits = self.read_system(base.wrapping_add(offset), Width::Word)?;
        let wanted = (1 << width.bytes()) - 1;
        if bits >> (port % 8) & wanted != 0 {
            return Err(PROTECTION);
        }
        Ok(())
    }
}
