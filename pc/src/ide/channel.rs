//! A channel: two drives on a cable (ATA/ATAPI-6, clauses 5 and 9).
//!
//! Both drives take what is written to the task file and to device control; the selected one answers and drives INTRQ.

use super::bits::{command, control, device, status};
use super::drive::{self, Drive};
use super::interface::{DmaOutcome, DmaRequest};
use super::taskfile::{Depth, Register};
use super::unit::ResetKind;
use guest_mem::GuestMemory;
use hvm::backend::Segment;
use hvm::device::RestoreError;
use serde::{Deserialize, Serialize};

/// What the cable reads where no drive is: its lines are pulled so that BSY is clear.
const NOBODY: u8 = 0;

/// The channel.
pub(super) struct Channel {
    drives: [Option<Drive>; 2],
    /// The device register as last written; bit DEV selects.
    device: u8,
    control: u8,
    /// INTRQ fell, and may have risen since.
    fell: bool,
}

/// The saved state.
#[derive(Serialize, Deserialize)]
pub(super) struct Saved {
    drives: [Option<drive::Saved>; 2],
    device: u8,
    control: u8,
}

impl Channel {
    pub(super) fn new(drives: [Option<Drive>; 2]) -> Self {
        Self {
            drives,
            device: 0,
            control: 0,
            fell: false,
        }
    }

    /// The drive at a position (0 or 1).
    pub(super) fn drive_mut(&mut self, position: usize) -> Option<&mut Drive> {
        self.drives.get_mut(position)?.as_mut()
    }

    fn position(&self) -> usize {
        usize::from(self.device & device::DEV != 0)
    }

    fn selected(&self) -> Option<&Drive> {
        self.drives[self.position()].as_ref()
    }

    #[inline]
    fn selected_mut(&mut self) -> Option<&mut Drive> {
        self.drives[self.position()].as_mut()
    }

    fn all_mut(&mut self) -> impl Iterator<Item = &mut Drive> {
        self.drives.iter_mut().flatten()
    }

    /// The cable's RESET-.
    pub(super) fn reset(&mut self) {
        self.control = 0;
        self.reset_drives(ResetKind::Hardware);
    }

    fn reset_drives(&mut self, kind: ResetKind) {
        self.all_mut().for_each(|drive| drive.reset(kind));
        self.select_first();
    }

    /// After a reset or a diagnostic, device 0 is selected (9.12).
    fn select_first(&mut self) {
        self.device = 0;
        self.all_mut()
            .for_each(|drive| drive.write(Register::Device, 0));
    }

    /// The level of INTRQ.
    #[inline]
    pub(super) fn interrupt(&self) -> bool {
        let driven = self.control & (control::NIEN | control::SRST) == 0;
        driven && self.selected().is_some_and(Drive::interrupt)
    }

    /// True once after INTRQ fell by a command, which may have raised it again before it returned: whoever looks for
    /// edges must see the line low in between.
    #[inline]
    pub(super) fn take_fall(&mut self) -> bool {
        core::mem::take(&mut self.fell)
    }

    /// Reads a register other than data.
    pub(super) fn read(&mut self, register: Register) -> u8 {
        let depth = if self.control & control::HOB != 0 {
            Depth::Previous
        } else {
            Depth::Current
        };
        let in_reset = self.control & control::SRST != 0;
        match register {
            Register::Status | Register::Control if in_reset && self.selected().is_some() => {
                status::BSY
            }
            _ => self.read_drive(register, depth),
        }
    }

    fn read_drive(&mut self, register: Register, depth: Depth) -> u8 {
        if let Some(drive) = self.selected_mut() {
            return drive.read(register, depth);
        }
        match &self.drives[0] {
            Some(first) => first.read_for_absent(register, depth),
            None => NOBODY,
        }
    }

    /// Writes a register other than data.
    pub(super) fn write(&mut self, register: Register, value: u8) {
        match register {
            Register::Control => return self.write_control(value),
            // In reset, nothing else is listened to.
            _ if self.control & control::SRST != 0 => return,
            _ => {}
        }
        // Any write to the command block ends HOB (7.8.2).
        self.control &= !control::HOB;
        if register == Register::Status {
            return self.command(value);
        }
        if self.selected().is_some_and(Drive::is_engaged) {
            return;
        }
        if register == Register::Device {
            self.device = value;
        }
        self.all_mut()
            .for_each(|drive| drive.write(register, value));
    }

    /// A command that is taken ends the interrupt before it (9.6).
    fn command(&mut self, opcode: u8) {
        let engaged = self.selected().is_some_and(Drive::is_engaged);
        self.fell |= !engaged && self.interrupt();
        if opcode == command::EXECUTE_DEVICE_DIAGNOSTIC && !engaged {
            self.all_mut().for_each(Drive::diagnose);
            self.select_first();
        } else if let Some(drive) = self.selected_mut() {
            drive.command(opcode);
        }
    }

    fn write_control(&mut self, value: u8) {
        let before = self.control;
        self.control = value & (control::HOB | control::SRST | control::NIEN);
        if value & !before & control::SRST != 0 {
            self.reset_drives(ResetKind::Software);
        }
    }

    /// Reads from the data register; returns how many bytes there were.
    #[inline]
    pub(super) fn data_in(&mut self, into: &mut [u8]) -> usize {
        self.selected_mut().map_or(0, |drive| drive.data_in(into))
    }

    /// Writes to the data register; returns how many bytes were taken.
    #[inline]
    pub(super) fn data_out(&mut self, from: &[u8]) -> usize {
        self.selected_mut().map_or(0, |drive| drive.data_out(from))
    }

    /// Lets the drives do what they can do by themselves.
    #[inline]
    pub(super) fn work(&mut self) {
        self.all_mut().for_each(Drive::work);
    }

    /// What the selected drive wants of the bus master.
    #[inline]
    pub(super) fn dma_request(&mut self) -> Option<DmaRequest> {
        self.selected_mut()?.dma_request()
    }

    /// Moves data for it.
    pub(super) fn dma(
        &mut self,
        segments: &[Segment],
        bytes: u64,
        memory: &GuestMemory,
    ) -> DmaOutcome {
        self.selected_mut().map_or(DmaOutcome::Moved(0), |drive| {
            drive.dma(segments, bytes, memory)
        })
    }

    /// Takes finished requests from the back ends. At most one drive has a DMA transfer.
    pub(super) fn land(&mut self) -> Option<DmaOutcome> {
        self.all_mut()
            .fold(None, |outcome, drive| drive.land().or(outcome))
    }

    pub(super) fn save(&self) -> Saved {
        Saved {
            drives: [0, 1].map(|position| self.drives[position].as_ref().map(Drive::save)),
            device: self.device,
            control: self.control,
        }
    }

    /// Refuses the state of a channel with other drives.
    pub(super) fn check(&self, saved: &Saved) -> Result<(), RestoreError> {
        for (position, (drive, saved)) in self.drives.iter().zip(&saved.drives).enumerate() {
            match (drive, saved) {
                (Some(drive), Some(saved)) => drive.check(saved)?,
                (None, None) => {}
                (found, _) => {
                    let (here, there) = if found.is_some() {
                        ("here", "saved")
                    } else {
                        ("saved", "here")
                    };
                    return Err(RestoreError(alloc::format!(
                        "ide: drive {position} is {here}, but not {there}; give this guest the same drives"
                    )));
                }
            }
        }
        Ok(())
    }

    /// Takes back what [`Channel::check`] let pass.
    pub(super) fn restore(&mut self, saved: &Saved) {
        self.device = saved.device;
        self.control = saved.control;
        for (drive, saved) in self.drives.iter_mut().zip(&saved.drives) {
            if let (Some(drive), Some(saved)) = (drive, saved) {
                drive.restore(saved);
            }
        }
    }
}
