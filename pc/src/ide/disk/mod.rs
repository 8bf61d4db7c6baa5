//! A hard disk (ATA/ATAPI-6) on any [`Block`] back end.
//!
//! It guarantees to the back end that it sees only extents on the medium, and to the host that a command's registers tell
//! where it stopped. Not offered: SMART, security, host protected area, queued commands, power-up in standby.

mod geometry;
mod identify;
mod opcode;
mod span;

use super::bits::{device, error, feature};
use super::interface::{DmaOutcome, DmaRequest, Interface, Phase};
use super::modes::Modes;
use super::taskfile::{Address, Signature};
use super::unit::{Completion, ResetKind, Unit};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use geometry::Geometry;
use guest_mem::GuestMemory;
use hvm::backend::{Block, BlockError, SECTOR_BYTES, Segment, Submitted, Transfer};
use hvm::device::RestoreError;
pub(super) use opcode::is_power_change;
use opcode::{Command, Grouping};
use serde::{Deserialize, Serialize};
use span::{Form, Span};

/// Most sectors in a data block of READ and WRITE MULTIPLE.
const MOST_MULTIPLE: u8 = 16;
/// Bytes of the sector buffer.
pub(super) const BUFFER_BYTES: usize = MOST_MULTIPLE as usize * SECTOR_BYTES as usize;
/// CHECK POWER MODE: active or idle (8.6).
pub(super) const POWER_ACTIVE: u8 = 0xff;

/// Whether a finished write is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Cache {
    /// After a flush.
    WriteBack,
    /// At once: each write is followed by a flush.
    WriteThrough,
}

/// What the host has set up. All of it survives a software reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Settings {
    geometry: Geometry,
    /// Sectors in a data block of the MULTIPLE commands; 0: they are off.
    multiple: u8,
    modes: Modes,
    cache: Cache,
}

impl Settings {
    const POWER_ON: Self = Self {
        geometry: Geometry::DEFAULT,
        multiple: MOST_MULTIPLE,
        modes: Modes::POWER_ON,
        cache: Cache::WriteBack,
    };
}

/// The command under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Work {
    None,
    /// The buffer holds the whole answer.
    Reply,
    Read(Span),
    Write(Span),
    Dma {
        direction: Direction,
        span: Span,
        /// Sectors that the back end is moving.
        moving: u32,
    },
    Flush,
}

/// [`Transfer`], to be saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Direction {
    Read,
    Write,
}

impl From<Direction> for Transfer {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::Read => Self::Read,
            Direction::Write => Self::Write,
        }
    }
}

impl From<Transfer> for Direction {
    fn from(transfer: Transfer) -> Self {
        match transfer {
            Transfer::Read => Self::Read,
            Transfer::Write => Self::Write,
        }
    }
}

/// A hard disk.
pub(super) struct Disk {
    medium: Box<dyn Block>,
    serial: String,
    settings: Settings,
    work: Work,
}

/// The saved state. The medium's contents travel on their own.
#[derive(Serialize, Deserialize)]
pub(super) struct Saved {
    sectors: u64,
    settings: Settings,
    work: Work,
}

impl Disk {
    pub(super) fn new(medium: Box<dyn Block>, serial: &str) -> Self {
        Self {
            medium,
            serial: serial.into(),
            settings: Settings::POWER_ON,
            work: Work::None,
        }
    }

    pub(super) fn save(&self) -> Saved {
        Saved {
            sectors: self.medium.sectors(),
            settings: self.settings,
            work: self.work,
        }
    }

    /// Refuses the state of a disk of another size.
    pub(super) fn check(&self, saved: &Saved) -> Result<(), RestoreError> {
        let sectors = self.medium.sectors();
        if saved.sectors == sectors {
            return Ok(());
        }
        Err(RestoreError(format!(
            "ide: the state was saved with a disk of {} sectors, this one has {sectors}; give it the same image",
            saved.sectors
        )))
    }

    /// Takes back what [`Disk::check`] let pass.
    pub(super) fn restore(&mut self, saved: &Saved) {
        self.settings = saved.settings;
        self.work = saved.work;
    }

    /// The extent that the task file names, with `per_block` sectors in a data block; `None` if it is not on the medium.
    fn span(&self, interface: &Interface, form: Form, per_block: u32) -> Option<Span> {
        let task = &interface.task;
        let (sector, left) = match (form, task.address()) {
            (Form::Ext, _) => (task.address_48(), task.sectors_48()),
            (Form::Short, Address::Block(block)) => (block, task.sectors()),
            (
                Form::Short,
                Address::Chs {
                    cylinder,
                    head,
                    sector,
                },
            ) => {
                let geometry = self.settings.geometry;
                (geometry.block(cylinder, head, sector)?, task.sectors())
            }
        };
        let end = sector.checked_add(u64::from(left))?;
        (end <= self.medium.sectors()).then_some(Span {
            form,
            sector,
            left,
            per_block,
        })
    }

    /// Runs `start` on the extent that the task file names, or fails the command.
    fn on_span(
        &mut self,
        interface: &mut Interface,
        form: Form,
        per_block: u32,
        start: impl FnOnce(&mut Self, &mut Interface, Span),
    ) {
        match self.span(interface, form, per_block) {
            Some(span) => start(self, interface, span),
            None => interface.fail(error::IDNF),
        }
    }

    fn start_pio(
        &mut self,
        interface: &mut Interface,
        direction: Transfer,
        form: Form,
        grouping: Grouping,
    ) {
        let per_block = match grouping {
            Grouping::Single => 1,
            Grouping::Multiple => u32::from(self.settings.multiple),
        };
        if per_block == 0 {
            return interface.abort();
        }
        self.on_span(
            interface,
            form,
            per_block,
            |disk, interface, span| match direction {
                Transfer::Read => {
                    disk.work = Work::Read(span);
                    interface.phase = Phase::Medium;
                }
                Transfer::Write => {
                    disk.work = Work::Write(span);
                    interface.request(bytes_of(span.block()));
                }
            },
        );
    }

    fn set_features(&mut self, interface: &mut Interface) {
        let task = &interface.task;
        match task.features.current {
            feature::WRITE_CACHE_ON => self.settings.cache = Cache::WriteBack,
            feature::WRITE_CACHE_OFF => {
                self.settings.cache = Cache::WriteThrough;
                // What is in the cache must not stay there (8.46.7).
                return self.flush(interface);
            }
            feature::TRANSFER_MODE => match self.settings.modes.select(task.count.current) {
                Some(modes) => self.settings.modes = modes,
                None => return interface.abort(),
            },
            harmless if feature::HARMLESS.contains(&harmless) => {}
            _ => return interface.abort(),
        }
        interface.complete();
    }

    fn set_multiple(&mut self, interface: &mut Interface) {
        let sectors = interface.task.count.current;
        if sectors > MOST_MULTIPLE || !(sectors == 0 || sectors.is_power_of_two()) {
            return interface.abort();
        }
        self.settings.multiple = sectors;
        interface.complete();
    }

    fn set_geometry(&mut self, interface: &mut Interface) {
        let last_head = interface.task.device & device::HEAD;
        match Geometry::from_registers(last_head, interface.task.count.current) {
            Some(geometry) => {
                self.settings.geometry = geometry;
                interface.complete();
            }
            None => interface.abort(),
        }
    }

    fn native_max(&mut self, interface: &mut Interface, form: Form) {
        let last = self.medium.sectors().saturating_sub(1);
        match form {
            Form::Short => {
                let reached = last.min((1 << 28) - 1);
                interface.task.set_address(Address::Block(reached));
            }
            Form::Ext => interface.task.set_address_48(last),
        }
        interface.complete();
    }

    fn flush(&mut self, interface: &mut Interface) {
        self.work = Work::Flush;
        interface.phase = Phase::Medium;
    }

    /// A data block went to the host or to the medium; none is left of `span`.
    fn end(&mut self, interface: &mut Interface, span: Span, direction: Transfer) {
        self.show(interface, span, span.sector.saturating_sub(1));
        interface.task.count = Default::default();
        match (direction, self.settings.cache) {
            (Transfer::Write, Cache::WriteThrough) => self.flush(interface),
            _ => {
                self.work = Work::None;
                interface.complete();
            }
        }
    }

    /// Shows a sector in the address registers as the command gave its own.
    fn show(&self, interface: &mut Interface, span: Span, sector: u64) {
        match (span.form, interface.task.address()) {
            (Form::Ext, _) => interface.task.set_address_48(sector),
            (Form::Short, Address::Block(_)) => {
                interface.task.set_address(Address::Block(sector));
            }
            (Form::Short, Address::Chs { .. }) => {
                let address = self.settings.geometry.address(sector);
                interface.task.set_address(address);
            }
        }
    }

    /// The medium failed the command.
    fn fail(&mut self, interface: &mut Interface, why: BlockError) {
        if let Work::Read(span) | Work::Write(span) | Work::Dma { span, .. } = self.work {
            self.show(interface, span, span.sector);
        }
        let reads = matches!(
            self.work,
            Work::Read(_)
                | Work::Dma {
                    direction: Direction::Read,
                    ..
                }
        );
        self.work = Work::None;
        match why {
            BlockError::OutOfRange => interface.fail(error::IDNF),
            BlockError::ReadOnly => interface.abort(),
            BlockError::Medium | BlockError::BadMemory if reads => interface.fail(error::UNC),
            BlockError::Medium | BlockError::BadMemory => interface.fail_as_broken(),
        }
    }

    /// The block that the host filled is on the medium.
    fn written(&mut self, interface: &mut Interface, mut span: Span) {
        span.advance(span.block());
        if span.left == 0 {
            return self.end(interface, span, Transfer::Write);
        }
        self.work = Work::Write(span);
        interface.request(bytes_of(span.block()));
        interface.interrupt = true;
    }

    /// The back end moved what it was given.
    fn moved(&mut self, interface: &mut Interface) -> DmaOutcome {
        let Work::Dma {
            direction,
            mut span,
            moving,
        } = self.work
        else {
            return DmaOutcome::Moved(0);
        };
        span.advance(moving);
        if span.left == 0 {
            self.end(interface, span, direction.into());
        } else {
            self.work = Work::Dma {
                direction,
                span,
                moving: 0,
            };
        }
        DmaOutcome::Moved(u64::from(moving) * SECTOR_BYTES)
    }

    /// What a DMA request came to.
    fn dma_result(
        &mut self,
        interface: &mut Interface,
        result: Result<(), BlockError>,
    ) -> DmaOutcome {
        match result {
            Ok(()) => self.moved(interface),
            Err(BlockError::BadMemory) => DmaOutcome::Fault,
            Err(why) => {
                self.fail(interface, why);
                DmaOutcome::Moved(0)
            }
        }
    }

    /// What a request in the medium's phase came to.
    fn result(&mut self, interface: &mut Interface, result: Result<(), BlockError>) {
        match (self.work, result) {
            (_, Err(why)) => self.fail(interface, why),
            (Work::Read(span), Ok(())) => {
                interface.offer(bytes_of(span.block()));
            }
            (Work::Write(span), Ok(())) => self.written(interface, span),
            (_, Ok(())) => {
                self.work = Work::None;
                interface.complete();
            }
        }
    }
}

fn bytes_of(sectors: u32) -> usize {
    sectors as usize * SECTOR_BYTES as usize
}

impl Unit for Disk {
    fn signature(&self) -> Signature {
        Signature::Ata
    }

    fn reset(&mut self, kind: ResetKind) {
        self.work = Work::None;
        if kind == ResetKind::Hardware {
            self.settings = Settings::POWER_ON;
        }
    }

    fn command(&mut self, interface: &mut Interface, opcode: u8) {
        self.work = Work::None;
        match Command::parse(opcode) {
            Command::Pio(direction, form, grouping) => {
                self.start_pio(interface, direction, form, grouping);
            }
            Command::Dma(direction, form) => {
                self.on_span(interface, form, 0, |disk, interface, span| {
                    disk.work = Work::Dma {
                        direction: direction.into(),
                        span,
                        moving: 0,
                    };
                    interface.phase = Phase::Dma;
                });
            }
            Command::Verify(form) => {
                self.on_span(interface, form, 0, |disk, interface, mut span| {
                    span.advance(span.left);
                    disk.end(interface, span, Transfer::Read);
                });
            }
            Command::NativeMax(form) => self.native_max(interface, form),
            Command::Flush => self.flush(interface),
            Command::Identify => {
                self.work = Work::Reply;
                interface.buffer.load_from(&identify::identify(self));
                interface.offer(usize::MAX);
            }
            Command::SetFeatures => self.set_features(interface),
            Command::SetMultiple => self.set_multiple(interface),
            Command::SetGeometry => self.set_geometry(interface),
            Command::CheckPower => {
                interface.task.count.current = POWER_ACTIVE;
                interface.complete();
            }
            Command::Nothing => interface.complete(),
            Command::Unknown => interface.abort(),
        }
    }

    /// After the last block there is no interrupt: the host has what it wanted (9.7).
    fn drained(&mut self, interface: &mut Interface) {
        let Work::Read(mut span) = self.work else {
            self.work = Work::None;
            interface.phase = Phase::Idle;
            return;
        };
        span.advance(span.block());
        if span.left == 0 {
            let pending = interface.interrupt;
            self.end(interface, span, Transfer::Read);
            interface.interrupt = pending;
        } else {
            self.work = Work::Read(span);
            interface.phase = Phase::Medium;
        }
    }

    fn filled(&mut self, interface: &mut Interface) {
        interface.phase = Phase::Medium;
    }

    fn work(&mut self, interface: &mut Interface) {
        let token = interface.flight.token();
        let submitted = match self.work {
            Work::Read(span) => {
                let into = interface.buffer.load(bytes_of(span.block()));
                self.medium.read(span.sector, into, token)
            }
            Work::Write(span) => {
                let from = interface.buffer.contents();
                self.medium.write(span.sector, from, token)
            }
            Work::Flush => self.medium.flush(token),
            Work::None | Work::Reply | Work::Dma { .. } => Submitted::Done(Ok(())),
        };
        match submitted {
            Submitted::Done(result) => self.result(interface, result),
            Submitted::Pending => interface.flight.depart(),
        }
    }

    fn dma_request(&self, _: &Interface) -> DmaRequest {
        let (direction, left) = match self.work {
            Work::Dma {
                direction, span, ..
            } => (direction, span.left),
            _ => (Direction::Read, 0),
        };
        DmaRequest {
            direction: direction.into(),
            bytes: u64::from(left) * SECTOR_BYTES,
            granule: SECTOR_BYTES,
        }
    }

    fn dma(
        &mut self,
        interface: &mut Interface,
        segments: &[Segment],
        bytes: u64,
        memory: &GuestMemory,
    ) -> DmaOutcome {
        let Work::Dma {
            direction,
            span,
            moving,
        } = &mut self.work
        else {
            return DmaOutcome::Moved(0);
        };
        *moving = ((bytes / SECTOR_BYTES) as u32).min(span.left);
        let (direction, sector) = (Transfer::from(*direction), span.sector);
        let token = interface.flight.token();
        match self
            .medium
            .transfer(direction, sector, segments, memory, token)
        {
            Submitted::Done(result) => self.dma_result(interface, result),
            Submitted::Pending => {
                interface.flight.depart();
                DmaOutcome::Pending
            }
        }
    }

    fn completed(&mut self) -> Option<Completion> {
        self.medium.completed()
    }

    /// Data of a read comes with the same call again, which [`Unit::work`] makes next.
    fn landed(
        &mut self,
        interface: &mut Interface,
        result: Result<(), BlockError>,
    ) -> Option<DmaOutcome> {
        match self.work {
            Work::Dma { .. } => return Some(self.dma_result(interface, result)),
            Work::Read(_) if result.is_ok() => {}
            _ => self.result(interface, result),
        }
        None
    }
}
