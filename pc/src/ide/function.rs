//! The IDE function of a PIIX3 (82371SB data sheet, order 290550, "PCI configuration registers, IDE interface"): two
//! channels with their bus masters.
//!
//! The channels are in legacy mode, always: their ports and interrupts are the board's, so it calls [`Ide`] for them and
//! reads off [`Ide::interrupt`]. A new or reset function is set up as firmware leaves it: ports decoded, bus master on.

use super::bits::{bus_master, config};
use super::busmaster::{BusMaster, MOST_DESCRIPTORS};
use super::cdrom::Lock;
use super::channel::{self, Channel};
use super::drive::Drive;
use super::interface::DmaOutcome;
use super::taskfile::Register;
use crate::saved;
use alloc::boxed::Box;
use alloc::vec::Vec;
use guest_mem::GuestMemory;
use hvm::Width;
use hvm::backend::{Block, Segment};
use hvm::device::{Context, Lifecycle, RestoreError};
use hvm::pci::{Function, Window};
use hvm::pci_config::{Bar, Command, ConfigSpace, Identity, offset};
use serde::{Deserialize, Serialize};

/// Version of the saved state.
const SAVED_VERSION: u16 = 1;
/// The state of all that a channel has.
const KIND: &str = "piix3_ide";

/// One of the two channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelName {
    /// Ports 1F0h to 1F7h and 3F6h, IRQ 14.
    Primary,
    /// Ports 170h to 177h and 376h, IRQ 15.
    Secondary,
}

/// Where a drive is on a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// Device 0, "master".
    First,
    /// Device 1, "slave".
    Second,
}

/// What became of a change of medium.
pub enum Change {
    /// The medium that was in the drive, if any. Requests that it has not answered are forgotten.
    Done(Option<Box<dyn Block>>),
    /// There is no CD-ROM drive at that place; the new medium comes back.
    NoDrive(Option<Box<dyn Block>>),
}

/// A channel and what serves it.
struct Lane {
    channel: Channel,
    master: BusMaster,
    /// The interrupt line went down since the board last looked.
    fell: bool,
}

impl Lane {
    /// Brings the drives' interrupt to the bus master, and notes for the board that it went down.
    #[inline]
    fn see_interrupt(&mut self) {
        if self.channel.take_fall() {
            self.master.see_line(false);
            self.fell = true;
        }
        self.master.see_line(self.channel.interrupt());
    }
}

/// The function.
pub struct Ide {
    config: ConfigSpace,
    lanes: [Lane; 2],
    /// The memory of the transfer being started; kept so that starting one does not allocate.
    segments: Vec<Segment>,
    paused: bool,
}

/// The saved state.
#[derive(Serialize, Deserialize)]
struct Saved {
    config: Vec<u8>,
    lanes: [SavedLane; 2],
}

#[derive(Serialize, Deserialize)]
struct SavedLane {
    channel: channel::Saved,
    master: BusMaster,
}

impl Ide {
    /// The BAR with the bus master registers.
    pub const BUS_MASTER_BAR: usize = 4;

    /// A function with up to four drives: primary first and second, secondary first and second.
    pub fn new(drives: [Option<Drive>; 4]) -> Self {
        let [a, b, c, d] = drives;
        let lanes = [[a, b], [c, d]].map(|drives| Lane {
            channel: Channel::new(drives),
            master: BusMaster::default(),
            fell: false,
        });
        Self {
            config: config_space(),
            lanes,
            segments: Vec::with_capacity(MOST_DESCRIPTORS),
            paused: false,
        }
    }

    /// True while the function decodes the ports of a channel.
    #[inline]
    fn decodes(&self, name: ChannelName) -> bool {
        let timing = config::IDETIM + 2 * name as u8 + 1;
        let enabled = self.config.read(timing, Width::Byte) & u32::from(config::IDETIM_DECODE);
        enabled != 0 && self.config.command().contains(Command::IO)
    }

    /// Reads a register of a channel. One other than data has 8 bits; the upper ones read as ones.
    #[inline]
    pub fn read(
        &mut self,
        name: ChannelName,
        register: Register,
        width: Width,
        context: &mut Context<'_>,
    ) -> u32 {
        let mut bytes = [0xff; 4];
        if register == Register::Data {
            // A byte access takes a whole word off the drive, as on its 16-bit data bus.
            let moved = width.bytes().clamp(2, 4);
            self.data_in(name, &mut bytes[..moved], context);
        } else if self.decodes(name) {
            bytes[0] = self.lanes[name as usize].channel.read(register);
            self.settle(name, context.memory);
        }
        width.cut(u64::from(u32::from_le_bytes(bytes))) as u32
    }

    /// Writes a register of a channel; one other than data takes the lowest 8 bits.
    #[inline]
    pub fn write(
        &mut self,
        name: ChannelName,
        register: Register,
        width: Width,
        value: u32,
        context: &mut Context<'_>,
    ) {
        let bytes = value.to_le_bytes();
        if register == Register::Data {
            let moved = width.bytes().clamp(2, 4);
            self.data_out(name, &bytes[..moved], context);
        } else if self.decodes(name) {
            let lane = &mut self.lanes[name as usize];
            lane.channel.write(register, bytes[0]);
            self.settle(name, context.memory);
        }
    }

    /// Reads the data register again and again, as REP INS does, until `into` is full. Where the drive has no more to
    /// give, zeros.
    #[inline]
    pub fn data_in(&mut self, name: ChannelName, into: &mut [u8], context: &mut Context<'_>) {
        if !self.decodes(name) {
            return into.fill(0xff);
        }
        let mut rest = into;
        while !rest.is_empty() {
            let taken = self.lanes[name as usize].channel.data_in(rest);
            self.settle(name, context.memory);
            if taken == 0 {
                return rest.fill(0);
            }
            rest = &mut rest[taken..];
        }
    }

    /// Writes the data register again and again, as REP OUTS does. What the drive does not want is lost.
    #[inline]
    pub fn data_out(&mut self, name: ChannelName, from: &[u8], context: &mut Context<'_>) {
        if !self.decodes(name) {
            return;
        }
        let mut rest = from;
        while !rest.is_empty() {
            let taken = self.lanes[name as usize].channel.data_out(rest);
            self.settle(name, context.memory);
            if taken == 0 {
                return;
            }
            rest = &rest[taken..];
        }
    }

    /// The level of a channel's interrupt, IRQ 14 or 15.
    #[inline]
    pub fn interrupt(&self, name: ChannelName) -> bool {
        self.lanes[name as usize].channel.interrupt()
    }

    /// True once if a channel's interrupt went down, and possibly up again, since the last call. An edge-triggered
    /// controller must be shown the line low before it is shown [`Ide::interrupt`].
    #[inline]
    pub fn take_fall(&mut self, name: ChannelName) -> bool {
        core::mem::take(&mut self.lanes[name as usize].fell)
    }

    /// Puts another medium into a CD-ROM drive, or takes it out; a tray that is open or locked does not matter.
    pub fn change_medium(
        &mut self,
        name: ChannelName,
        position: Position,
        medium: Option<Box<dyn Block>>,
    ) -> Change {
        let channel = &mut self.lanes[name as usize].channel;
        let drive = channel.drive_mut(position as usize);
        match drive.and_then(Drive::as_cdrom) {
            Some((cdrom, interface)) => Change::Done(cdrom.change(medium, interface)),
            None => Change::NoDrive(medium),
        }
    }

    /// Presses the eject button of a CD-ROM drive: the tray moves, or, if the guest has locked it, the guest is asked.
    pub fn press_eject(&mut self, name: ChannelName, position: Position) {
        let channel = &mut self.lanes[name as usize].channel;
        let drive = channel.drive_mut(position as usize);
        if let Some((cdrom, interface)) = drive.and_then(Drive::as_cdrom) {
            cdrom.press_eject(interface);
        }
    }

    /// Whether the guest lets go of the medium in a CD-ROM drive; `None` if there is no such drive.
    pub fn lock(&mut self, name: ChannelName, position: Position) -> Option<Lock> {
        let channel = &mut self.lanes[name as usize].channel;
        let drive = channel.drive_mut(position as usize);
        drive
            .and_then(Drive::as_cdrom)
            .map(|(cdrom, _)| cdrom.lock())
    }

    /// Takes a channel as far as it comes without the guest.
    #[inline]
    fn settle(&mut self, name: ChannelName, memory: &GuestMemory) {
        if self.paused {
            return;
        }
        let lane = &mut self.lanes[name as usize];
        lane.channel.work();
        if lane.channel.dma_request().is_some() {
            self.move_data(name, memory);
        }
        self.lanes[name as usize].see_interrupt();
    }

    /// Runs the bus master until the drive or the table has enough. Each turn moves something or is the last.
    #[inline(never)]
    fn move_data(&mut self, name: ChannelName, memory: &GuestMemory) {
        let allowed = self.config.command().contains(Command::BUS_MASTER);
        let Lane {
            channel, master, ..
        } = &mut self.lanes[name as usize];
        while let Some(request) = channel.dma_request() {
            if !allowed || !master.serves(&request) {
                return;
            }
            let Ok(piece) = master.walk(&request, &mut self.segments, memory) else {
                return master.fail();
            };
            if piece.bytes == 0 {
                return master.run_out();
            }
            match channel.dma(&self.segments, piece.bytes, memory) {
                DmaOutcome::Moved(bytes) => master.moved(bytes),
                DmaOutcome::Pending => return,
                DmaOutcome::Fault => return master.fail(),
            }
            channel.work();
        }
    }

    /// Takes finished requests of a channel from its back ends.
    fn land(&mut self, name: ChannelName) {
        let Lane {
            channel, master, ..
        } = &mut self.lanes[name as usize];
        match channel.land() {
            Some(DmaOutcome::Moved(bytes)) => master.moved(bytes),
            Some(DmaOutcome::Fault) => master.fail(),
            Some(DmaOutcome::Pending) | None => {}
        }
    }

    fn check(&self, saved: &Saved) -> Result<(), RestoreError> {
        for (lane, saved) in self.lanes.iter().zip(&saved.lanes) {
            lane.channel.check(&saved.channel)?;
        }
        Ok(())
    }
}

fn config_space() -> ConfigSpace {
    let mut config = ConfigSpace::new(Identity {
        vendor: 0x8086,
        device: 0x7010,
        revision: 0,
        // Legacy mode on both channels, and a bus master.
        class: 0x01_01_80,
        subsystem_vendor: 0,
        subsystem: 0,
    });
    let command = Command::IO | Command::BUS_MASTER;
    config.set(offset::COMMAND, &command.bits().to_le_bytes());
    config.open(offset::COMMAND, &command.bits().to_le_bytes());
    // Fast back-to-back, medium DEVSEL# timing.
    config.set(offset::STATUS, &[0x80, 0x02]);
    config.open(offset::CACHE_LINE, &[0, 0xf0]);
    config.open(offset::INTERRUPT_LINE, &[0]);
    config.add_bar(Ide::BUS_MASTER_BAR, Bar::Port { bytes: 16 });
    config.set(
        config::IDETIM,
        &[0, config::IDETIM_DECODE, 0, config::IDETIM_DECODE],
    );
    config.open(config::IDETIM, &[0xff, 0xf3, 0xff, 0xf3]);
    config.open(config::SIDETIM, &[0xff]);
    config
}

/// Both channels.
const CHANNELS: [ChannelName; 2] = [ChannelName::Primary, ChannelName::Secondary];

impl Function for Ide {
    fn config_read(&self, offset: u8, width: Width) -> u32 {
        self.config.read(offset, width)
    }

    fn config_write(&mut self, offset: u8, width: Width, value: u32, context: &mut Context<'_>) {
        self.config.write(offset, width, value);
        // The write may have let the function master the bus.
        for name in CHANNELS {
            self.settle(name, context.memory);
        }
    }

    fn window(&self, index: usize) -> Option<Window> {
        self.config.window(index)
    }

    fn bar_read(&mut self, _: usize, offset: u64, width: Width, _: &mut Context<'_>) -> u64 {
        let mut bytes = [0; 8];
        for (into, step) in bytes[..width.bytes()].iter_mut().zip(0..) {
            let at = offset.wrapping_add(step);
            let lane = self.lanes.get((at / bus_master::PORTS) as usize);
            *into = lane.map_or(0xff, |lane| lane.master.read(at % bus_master::PORTS));
        }
        u64::from_le_bytes(bytes)
    }

    fn bar_write(
        &mut self,
        _: usize,
        offset: u64,
        width: Width,
        value: u64,
        context: &mut Context<'_>,
    ) {
        for (byte, step) in value.to_le_bytes()[..width.bytes()].iter().zip(0..) {
            let at = offset.wrapping_add(step);
            if let Some(lane) = self.lanes.get_mut((at / bus_master::PORTS) as usize) {
                lane.master.write(at % bus_master::PORTS, *byte);
            }
        }
        for name in CHANNELS {
            self.settle(name, context.memory);
        }
    }

    /// In legacy mode the function has no pin; see [`Ide::interrupt`].
    fn interrupt_line(&self) -> bool {
        false
    }

    fn poll(&mut self, context: &mut Context<'_>) {
        if self.paused {
            return;
        }
        for name in CHANNELS {
            self.land(name);
            self.settle(name, context.memory);
        }
    }
}

impl Lifecycle for Ide {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn reset(&mut self) {
        self.config.reset();
        for lane in &mut self.lanes {
            lane.channel.reset();
            lane.master = BusMaster::default();
        }
    }

    fn pause(&mut self) {
        self.paused = true;
    }

    fn resume(&mut self) {
        self.paused = false;
    }

    fn save(&self) -> Vec<u8> {
        let lane = |index: usize| SavedLane {
            channel: self.lanes[index].channel.save(),
            master: self.lanes[index].master,
        };
        let state = Saved {
            config: self.config.save(),
            lanes: [lane(0), lane(1)],
        };
        saved::write(SAVED_VERSION, &state)
    }

    /// What was under way is done again with the next [`Function::poll`].
    fn restore(&mut self, saved: &[u8]) -> Result<(), RestoreError> {
        let saved: Saved = saved::read(KIND, SAVED_VERSION, saved)?;
        self.check(&saved)?;
        self.config.restore(&saved.config)?;
        for (lane, saved) in self.lanes.iter_mut().zip(&saved.lanes) {
            lane.channel.restore(&saved.channel);
            lane.master = saved.master;
        }
        Ok(())
    }
}
