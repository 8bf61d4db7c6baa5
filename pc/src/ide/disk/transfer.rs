//! Commands that move sectors: from the registers' extent to the last sector, or to the one that failed.

use super::Disk;
use super::identify::LBA_28_SECTORS;
use super::opcode::Grouping;
use super::settings::Cache;
use super::span::{Form, Span};
use crate::ide::bits::error;
use crate::ide::interface::{DmaOutcome, Interface, Phase};
use crate::ide::taskfile::Address;
use hvm::backend::{BlockError, SECTOR_BYTES, Transfer};
use serde::{Deserialize, Serialize};

/// The command under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Work {
    None,
    /// The buffer holds the whole answer.
    Reply,
    Read(Span),
    Write(Span),
    Dma {
        direction: Transfer,
        span: Span,
        /// Sectors that the back end is moving.
        moving: u32,
    },
    Flush,
}

pub(super) fn bytes_of(sectors: u32) -> usize {
    sectors as usize * SECTOR_BYTES as usize
}

impl Disk {
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

    pub(super) fn start_pio(
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

    pub(super) fn start_dma(&mut self, interface: &mut Interface, direction: Transfer, form: Form) {
        self.on_span(interface, form, 0, |disk, interface, span| {
            disk.work = Work::Dma {
                direction,
                span,
                moving: 0,
            };
            interface.phase = Phase::Dma;
        });
    }

    /// What is on the medium can be read: that is all there is to verify without moving it.
    pub(super) fn verify(&mut self, interface: &mut Interface, form: Form) {
        self.on_span(interface, form, 0, |disk, interface, mut span| {
            span.advance(span.left);
            disk.end(interface, span, Transfer::Read);
        });
    }

    pub(super) fn native_max(&mut self, interface: &mut Interface, form: Form) {
        let last = self.medium.sectors().saturating_sub(1);
        match form {
            Form::Short => {
                let reached = last.min(LBA_28_SECTORS - 1);
                interface.task.set_address(Address::Block(reached));
            }
            Form::Ext => interface.task.set_address_48(last),
        }
        interface.complete();
    }

    pub(super) fn flush(&mut self, interface: &mut Interface) {
        self.work = Work::Flush;
        interface.phase = Phase::Medium;
    }

    /// A data block went to the host or to the medium; none is left of `span`.
    pub(super) fn end(&mut self, interface: &mut Interface, span: Span, direction: Transfer) {
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
                    direction: Transfer::Read,
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
            self.end(interface, span, direction);
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
    pub(super) fn dma_result(
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
    pub(super) fn result(&mut self, interface: &mut Interface, result: Result<(), BlockError>) {
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
