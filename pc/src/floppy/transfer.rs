//! The execution phase: sectors between a medium and the system, one after the other (Intel 82077AA data sheet, "Data
//! transfer commands").

use super::bits::*;
use super::command::{Action, Id, Transfer};
use super::drive::{Drive, Medium};
use super::{Channel, Floppy, Phase};
use hvm::backend::{BlockError, SECTOR_BYTES, Submitted};
use serde::{Deserialize, Serialize};

pub(super) const SECTOR: usize = SECTOR_BYTES as usize;
/// The DMA channel.
const DMA_CHANNEL: u8 = 2;
/// The size code of sectors of 512 bytes.
const SIZE_512: u8 = 2;
/// Bytes of an address mark, which FORMAT wants for each sector.
const ID_BYTES: usize = 4;

/// Who is to move next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Stage {
    /// The medium takes or gives a sector.
    Medium,
    /// The system does.
    System,
}

/// A transfer under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Execution {
    transfer: Transfer,
    stage: Stage,
    /// Bytes of the buffer that the system took or gave.
    position: u16,
    /// The DMA controller has told that this is all.
    terminal: bool,
    /// A medium was slow to take this sector, and has taken it.
    written: bool,
}

/// How a command fails: status 1 and 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fault(u8, u8);

const NO_MARK: Fault = Fault(ST1_MISSING_MARK, 0);
const NO_SECTOR: Fault = Fault(ST1_NO_DATA, 0);
const DATA_ERROR: Fault = Fault(ST1_DATA_ERROR, ST2_DATA_ERROR);
const PROTECTED: Fault = Fault(ST1_NOT_WRITABLE, 0);
const OVERRUN: Fault = Fault(ST1_OVERRUN, 0);
const END_OF_CYLINDER: Fault = Fault(ST1_END_OF_CYLINDER, 0);

impl From<BlockError> for Fault {
    fn from(error: BlockError) -> Self {
        match error {
            BlockError::ReadOnly => PROTECTED,
            BlockError::OutOfRange | BlockError::BadMemory | BlockError::Medium => DATA_ERROR,
        }
    }
}

/// What became of a step.
enum Step {
    /// Go on.
    Next,
    /// Somebody else has to move: the guest or a back end.
    Wait,
    /// The command is done.
    Done,
}

impl Execution {
    fn new(transfer: Transfer) -> Self {
        Self {
            stage: first_stage(transfer.action),
            transfer,
            position: 0,
            terminal: false,
            written: false,
        }
    }

    /// Bytes that the system gives or takes for each sector.
    fn wanted(&self) -> usize {
        match self.transfer.action {
            Action::Format => ID_BYTES,
            _ => SECTOR,
        }
    }
}

/// What is in that drive.
fn medium_in(drives: &mut [Option<Drive>], drive: u8) -> Option<&mut Medium> {
    drives
        .get_mut(usize::from(drive))?
        .as_mut()?
        .medium
        .as_mut()
}

fn first_stage(action: Action) -> Stage {
    match action {
        Action::Read | Action::ReadDeleted | Action::Verify => Stage::Medium,
        Action::Write | Action::Format => Stage::System,
    }
}

impl Floppy {
    /// Starts a command that moves sectors.
    pub(super) fn start(&mut self, transfer: Transfer, channel: &mut Channel<'_>) {
        self.chip.last_sector = transfer.last_sector;
        if self.chip.options & IMPLIED_SEEK != 0
            && transfer.action != Action::Format
            && let Some(drive) = self.drive(transfer.drive)
        {
            drive.seek(transfer.id.track);
        }
        self.chip.phase = Phase::Execution(Execution::new(transfer));
        let writes = matches!(transfer.action, Action::Write | Action::Format);
        if transfer.counted == Some(0) {
            self.finish(&transfer, Ok(()), 0);
        } else if writes && self.is_protected(transfer.drive) {
            self.finish(&transfer, Err(PROTECTED), 0);
        } else {
            self.run(channel);
        }
    }

    fn is_protected(&mut self, drive: u8) -> bool {
        self.drive(drive)
            .and_then(|drive| drive.medium.as_ref())
            .is_some_and(|medium| medium.block.read_only())
    }

    /// Gives the controller a turn: a back end may have finished.
    pub fn poll(&mut self, channel: &mut Channel<'_>) {
        if self.paused {
            return;
        }
        let mut answer = None;
        for drive in self.drives.iter_mut().flatten() {
            let Some(medium) = &mut drive.medium else {
                continue;
            };
            while let Some((token, result)) = medium.block.completed() {
                if self.asked == Some(token) {
                    answer = Some(result);
                }
            }
        }
        if let Some(result) = answer {
            self.asked = None;
            self.answered(result);
        }
        self.run(channel);
    }

    /// The back end has answered the request that it was slow with.
    fn answered(&mut self, result: Result<(), BlockError>) {
        let Phase::Execution(execution) = &mut self.chip.phase else {
            return;
        };
        match result {
            Ok(()) => execution.written = true,
            Err(error) => {
                let transfer = execution.transfer;
                self.finish(&transfer, Err(error.into()), 0);
            }
        }
    }

    /// Moves sectors until the command is done or somebody else has to move. Each sector is found on the medium first, so
    /// there are at most two tracks of them.
    fn run(&mut self, channel: &mut Channel<'_>) {
        if self.asked.is_some() {
            return;
        }
        while let Phase::Execution(mut execution) = self.chip.phase {
            let step = match execution.stage {
                Stage::Medium => self.medium_step(&mut execution),
                Stage::System => self.system_step(&mut execution, channel),
            };
            match step {
                Ok(Step::Next) => self.chip.phase = Phase::Execution(execution),
                Ok(Step::Wait) => {
                    self.chip.phase = Phase::Execution(execution);
                    return;
                }
                Ok(Step::Done) => return,
                Err(fault) => return self.finish(&execution.transfer, Err(fault), 0),
            }
        }
    }

    /// The place of the sector under way on the medium.
    fn locate(&mut self, transfer: &Transfer) -> Result<u64, Fault> {
        let rate = self.chip.rate;
        let drive = self.drive(transfer.drive).ok_or(NO_MARK)?;
        let track = drive.track;
        let geometry = drive.medium.as_ref().ok_or(NO_MARK)?.geometry;
        let Transfer { head, id, .. } = *transfer;
        let formatted = geometry.rate == rate
            && transfer.mfm
            && head < geometry.heads
            && track < geometry.tracks;
        if !formatted {
            return Err(NO_MARK);
        }
        if id.track != track {
            let bad = if id.track == 0xff {
                ST2_BAD_CYLINDER
            } else {
                0
            };
            return Err(Fault(ST1_NO_DATA, ST2_WRONG_CYLINDER | bad));
        }
        if id.head != head || id.size != SIZE_512 || !(1..=geometry.sectors).contains(&id.sector) {
            return Err(NO_SECTOR);
        }
        let side = u64::from(track) * u64::from(geometry.heads) + u64::from(head);
        Ok(side * u64::from(geometry.sectors) + u64::from(id.sector) - 1)
    }

    /// A sector between buffer and medium.
    fn medium_step(&mut self, execution: &mut Execution) -> Result<Step, Fault> {
        let sector = self.locate(&execution.transfer)?;
        let token = self.next_token;
        let transfer = execution.transfer;
        let reads = first_stage(transfer.action) == Stage::Medium;
        let medium = medium_in(&mut self.drives, transfer.drive).ok_or(NO_MARK)?;
        let buffer = &mut self.chip.buffer;
        if sector >= medium.block.sectors() {
            return Err(DATA_ERROR);
        }
        // It has that capacity.
        let _ = buffer.resize(SECTOR, 0);
        let submitted = if reads {
            medium.block.read(sector, buffer, token)
        } else if execution.written {
            Submitted::Done(Ok(()))
        } else {
            medium.block.write(sector, buffer, token)
        };
        match submitted {
            Submitted::Pending => {
                self.next_token = token.wrapping_add(1);
                self.asked = Some(token);
                return Ok(Step::Wait);
            }
            Submitted::Done(result) => result?,
        }
        execution.written = false;
        if !reads || transfer.action == Action::Verify {
            return Ok(self.sector_done(execution));
        }
        if transfer.action == Action::ReadDeleted && transfer.skip {
            // Not the kind that is looked for.
            return Ok(self.sector_done(execution));
        }
        execution.stage = Stage::System;
        execution.position = 0;
        Ok(Step::Next)
    }

    /// A sector between buffer and system.
    fn system_step(
        &mut self,
        execution: &mut Execution,
        channel: &mut Channel<'_>,
    ) -> Result<Step, Fault> {
        let reads = first_stage(execution.transfer.action) == Stage::Medium;
        if self.chip.timings[1] & NON_DMA != 0 {
            let wanted = execution.wanted();
            if usize::from(execution.position) >= wanted {
                return self.system_done(execution);
            }
            if !reads {
                let _ = self.chip.buffer.resize(wanted, 0);
            }
            self.chip.interrupt = true;
            return Ok(Step::Wait);
        }
        if self.chip.output & DOR_GATE == 0 {
            return Err(OVERRUN);
        }
        let buffer = &mut self.chip.buffer;
        let moved = if reads {
            channel.dma.to_memory(DMA_CHANNEL, buffer, channel.memory)
        } else {
            let _ = buffer.resize(execution.wanted(), 0);
            channel.dma.from_memory(DMA_CHANNEL, buffer, channel.memory)
        };
        let wanted = buffer.len();
        if moved.bytes < wanted {
            if !moved.terminal {
                return Err(OVERRUN);
            }
            if !reads && let Some(rest) = buffer.get_mut(moved.bytes..) {
                rest.fill(0);
            }
        }
        execution.terminal = moved.terminal;
        self.system_done(execution)
    }

    /// The system has moved all of a sector's bytes.
    fn system_done(&mut self, execution: &mut Execution) -> Result<Step, Fault> {
        execution.position = 0;
        match execution.transfer.action {
            Action::Format => {
                let Some(&[track, head, sector, size]) = self.chip.buffer.as_array() else {
                    return Err(OVERRUN);
                };
                // A mark that an image cannot keep is one that would not be found.
                execution.transfer.id = Id {
                    track,
                    head,
                    sector,
                    size,
                };
                let filler = execution.transfer.filler;
                self.chip.buffer.clear();
                let _ = self.chip.buffer.resize(SECTOR, filler);
                execution.stage = Stage::Medium;
            }
            Action::Write => execution.stage = Stage::Medium,
            Action::ReadDeleted => {
                // The data of a sector of the other kind, and then no more (data sheet, table of deleted data).
                advance(&mut execution.transfer);
                self.finish(&execution.transfer, Ok(()), ST2_CONTROL_MARK);
                return Ok(Step::Done);
            }
            Action::Read | Action::Verify => return Ok(self.sector_done(execution)),
        }
        Ok(Step::Next)
    }

    /// A sector is through: on to the next, or to the end.
    fn sector_done(&mut self, execution: &mut Execution) -> Step {
        let transfer = &mut execution.transfer;
        let more = match transfer.action {
            Action::Format => true,
            _ => advance(transfer),
        };
        if let Some(left) = &mut transfer.counted {
            *left = left.saturating_sub(1);
        }
        // FORMAT counts its sectors, whatever the DMA controller says.
        let ended = execution.terminal && transfer.action != Action::Format;
        let result = if ended || transfer.counted == Some(0) {
            Ok(())
        } else if more {
            execution.stage = first_stage(transfer.action);
            return Step::Next;
        } else if transfer.action == Action::Verify {
            Ok(())
        } else {
            Err(END_OF_CYLINDER)
        };
        let transfer = *transfer;
        self.finish(&transfer, result, 0);
        Step::Done
    }

    /// Goes into the result phase.
    fn finish(&mut self, transfer: &Transfer, result: Result<(), Fault>, status_2: u8) {
        let (interrupt_code, Fault(st1, st2)) = match result {
            Ok(()) => (0, Fault(0, status_2)),
            Err(fault) => (ST0_ABNORMAL, fault),
        };
        let seek_end = if self.chip.options & IMPLIED_SEEK != 0 {
            ST0_SEEK_END
        } else {
            0
        };
        let st0 = interrupt_code | seek_end | transfer.head << 2 | transfer.drive;
        let Id {
            track,
            head,
            sector,
            size,
        } = transfer.id;
        self.asked = None;
        self.chip
            .result(&[st0, st1, st2, track, head, sector, size]);
        self.chip.interrupt = true;
    }

    /// READ ID: the next address mark that passes.
    pub(super) fn read_id(&mut self, drive: u8, head: u8, mfm: bool) {
        let passing = self.drive(drive).and_then(|state| {
            let geometry = state.medium.as_ref()?.geometry;
            state.passing = state.passing % geometry.sectors + 1;
            Some((state.track, state.passing))
        });
        let (track, sector) = passing.unwrap_or((0, 1));
        let transfer = Transfer {
            action: Action::Verify,
            drive,
            head,
            multi_track: false,
            skip: false,
            mfm,
            id: Id {
                track,
                head,
                sector,
                size: SIZE_512,
            },
            last_sector: 0,
            counted: None,
            filler: 0,
        };
        let found = self.locate(&transfer).map(drop);
        self.finish(&transfer, found, 0);
    }

    /// Main status in the execution phase.
    pub(super) fn execution_status(&self, execution: &Execution) -> u8 {
        if self.chip.timings[1] & NON_DMA == 0 {
            return 0;
        }
        match (execution.stage, first_stage(execution.transfer.action)) {
            (Stage::Medium, _) => MSR_NON_DMA,
            (Stage::System, Stage::Medium) => MSR_NON_DMA | MSR_READY | MSR_TO_SYSTEM,
            (Stage::System, Stage::System) => MSR_NON_DMA | MSR_READY,
        }
    }

    /// The guest takes a byte without DMA.
    pub(super) fn read_data(&mut self, channel: &mut Channel<'_>) -> u8 {
        let Phase::Execution(execution) = &mut self.chip.phase else {
            return 0xff;
        };
        let reads = first_stage(execution.transfer.action) == Stage::Medium;
        if execution.stage != Stage::System || !reads {
            return 0xff;
        }
        let byte = self.chip.buffer.get(usize::from(execution.position));
        let byte = byte.copied().unwrap_or(0xff);
        self.byte_moved(channel);
        byte
    }

    /// The guest gives a byte without DMA.
    pub(super) fn write_data(&mut self, value: u8, channel: &mut Channel<'_>) {
        let Phase::Execution(execution) = &mut self.chip.phase else {
            return;
        };
        let writes = first_stage(execution.transfer.action) == Stage::System;
        if execution.stage != Stage::System || !writes {
            return;
        }
        if let Some(byte) = self.chip.buffer.get_mut(usize::from(execution.position)) {
            *byte = value;
        }
        self.byte_moved(channel);
    }

    /// One more byte went through the FIFO; after the last, the sector goes on.
    fn byte_moved(&mut self, channel: &mut Channel<'_>) {
        let Phase::Execution(execution) = &mut self.chip.phase else {
            return;
        };
        execution.position = execution.position.saturating_add(1);
        if usize::from(execution.position) >= execution.wanted() {
            self.lower_interrupt();
            self.run(channel);
        }
    }
}

/// Goes to the next sector as the result bytes tell it (data sheet, "Result phase table"). False at the end of the cylinder.
fn advance(transfer: &mut Transfer) -> bool {
    let Transfer {
        id,
        head,
        multi_track,
        ..
    } = transfer;
    if id.sector != transfer.last_sector {
        id.sector = id.sector.wrapping_add(1);
        return true;
    }
    id.sector = 1;
    if *multi_track {
        id.head ^= 1;
        if *head == 0 {
            *head = 1;
            return true;
        }
    }
    id.track = id.track.wrapping_add(1);
    false
}
