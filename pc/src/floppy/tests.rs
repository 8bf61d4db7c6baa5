//! From the 82077AA data sheet, and as BIOSes and drivers use the controller.

use super::*;
use crate::testing::twins;
use alloc::vec;
use guest_mem::Gpa;
use hvm::backend::{BlockError, Segment, Submitted, Transfer};
use proptest::prelude::*;
use std::sync::{Arc, Mutex};

const BUFFER: u64 = 0x2000;

/// A diskette whose sectors start with their numbers, on a table where tests can see it.
#[derive(Clone)]
struct Diskette(Arc<Mutex<Table>>);

struct Table {
    bytes: Vec<u8>,
    read_only: bool,
    /// Requests are answered only later.
    slow: bool,
    ready: Option<u64>,
    completed: Vec<u64>,
}

impl Diskette {
    fn new(sectors: u16) -> Self {
        let mut bytes = vec![0; usize::from(sectors) * 512];
        for (sector, bytes) in (0_u16..).zip(bytes.chunks_exact_mut(512)) {
            bytes[..2].copy_from_slice(&sector.to_le_bytes());
        }
        Self(Arc::new(Mutex::new(Table {
            bytes,
            read_only: false,
            slow: false,
            ready: None,
            completed: Vec::new(),
        })))
    }

    fn with<R>(&self, body: impl FnOnce(&mut Table) -> R) -> R {
        body(&mut self.0.lock().unwrap())
    }

    fn move_sector(&self, sector: u64, token: u64, body: impl FnOnce(&mut [u8])) -> Submitted {
        self.with(|table| {
            let start = sector as usize * 512;
            let Some(bytes) = table.bytes.get_mut(start..start + 512) else {
                return Submitted::Done(Err(BlockError::OutOfRange));
            };
            if table.slow && table.ready.take() != Some(sector) {
                table.ready = Some(sector);
                table.completed.push(token);
                return Submitted::Pending;
            }
            body(bytes);
            Submitted::Done(Ok(()))
        })
    }
}

impl Block for Diskette {
    fn sectors(&self) -> u64 {
        self.with(|table| table.bytes.len() as u64 / 512)
    }
    fn read_only(&self) -> bool {
        self.with(|table| table.read_only)
    }
    fn transfer(
        &mut self,
        _direction: Transfer,
        _sector: u64,
        _segments: &[Segment],
        _memory: &GuestMemory,
        _token: u64,
    ) -> Submitted {
        Submitted::Done(Err(BlockError::Medium))
    }
    fn read(&mut self, sector: u64, into: &mut [u8], token: u64) -> Submitted {
        self.move_sector(sector, token, |bytes| into.copy_from_slice(bytes))
    }
    fn write(&mut self, sector: u64, from: &[u8], token: u64) -> Submitted {
        let slow = self.with(|table| table.slow);
        if slow {
            self.with(|table| {
                let start = sector as usize * 512;
                table.bytes[start..start + 512].copy_from_slice(from);
                table.completed.push(token);
            });
            return Submitted::Pending;
        }
        self.move_sector(sector, token, |bytes| bytes.copy_from_slice(from))
    }
    fn flush(&mut self, _token: u64) -> Submitted {
        Submitted::Done(Ok(()))
    }
    fn completed(&mut self) -> Option<(u64, Result<(), BlockError>)> {
        self.with(|table| table.completed.pop())
            .map(|token| (token, Ok(())))
    }
}

struct Machine {
    floppy: Floppy,
    dma: Dma,
    memory: GuestMemory,
    diskette: Diskette,
}

impl Machine {
    /// A machine with a diskette of that many sectors in its first drive.
    fn new(sectors: u16) -> Self {
        let diskette = Diskette::new(sectors);
        let mut floppy = Floppy::new();
        floppy.insert(Place::A, Box::new(diskette.clone()));
        Self {
            floppy,
            dma: Dma::new(),
            memory: GuestMemory::anonymous(&[(Gpa(0), 0x2_0000)]),
            diskette,
        }
    }

    fn read(&mut self, register: u16) -> u8 {
        let mut channel = Channel {
            dma: &mut self.dma,
            memory: &self.memory,
        };
        self.floppy.read(register, &mut channel).unwrap()
    }

    fn write(&mut self, register: u16, value: u8) {
        let mut channel = Channel {
            dma: &mut self.dma,
            memory: &self.memory,
        };
        assert!(self.floppy.write(register, value, &mut channel));
    }

    fn poll(&mut self) {
        let mut channel = Channel {
            dma: &mut self.dma,
            memory: &self.memory,
        };
        self.floppy.poll(&mut channel);
    }

    /// Sends a command as the data sheet's flow chart has it.
    fn send(&mut self, command: &[u8]) {
        for &byte in command {
            assert_eq!(
                self.read(STATUS) & (MSR_READY | MSR_TO_SYSTEM),
                MSR_READY,
                "{command:x?}"
            );
            self.write(FIFO, byte);
        }
    }

    /// Takes all result bytes.
    fn results(&mut self) -> Vec<u8> {
        let mut results = vec![];
        while self.read(STATUS) & (MSR_READY | MSR_TO_SYSTEM | MSR_NON_DMA)
            == MSR_READY | MSR_TO_SYSTEM
        {
            results.push(self.read(FIFO));
        }
        results
    }

    fn command(&mut self, command: &[u8]) -> Vec<u8> {
        self.send(command);
        self.results()
    }

    /// Programs channel 2: mode 46h writes memory, 4Ah reads it.
    fn dma(&mut self, mode: u8, bytes: u16) {
        let count = (bytes - 1).to_le_bytes();
        for (register, value) in [
            (0xa, 6),
            (0xc, 0),
            (0xb, mode),
            (4, BUFFER as u8),
            (4, (BUFFER >> 8) as u8),
            (5, count[0]),
            (5, count[1]),
            (0xa, 2),
        ] {
            self.dma.write_bytes(register, value);
        }
        self.dma.write_page(1, 0);
    }

    fn number_at(&self, sector: u64) -> u16 {
        self.memory.load(Gpa(BUFFER + sector * 512)).unwrap()
    }

    fn seek(&mut self, track: u8) {
        self.send(&[SEEK, 0, track]);
        assert!(self.floppy.interrupt());
        assert_eq!(self.command(&[SENSE_INTERRUPT]), [0x20, track]);
        assert!(!self.floppy.interrupt());
    }
}

#[test]
fn reset_recalibrate_and_read_as_a_bios_does() {
    let mut machine = Machine::new(2880);
    machine.write(DIGITAL_OUTPUT, 0);
    assert!(!machine.floppy.interrupt());
    assert_eq!(machine.read(STATUS), 0);
    machine.write(DIGITAL_OUTPUT, 0x1c);
    assert!(machine.floppy.interrupt());
    for drive in 0..4 {
        assert_eq!(machine.command(&[SENSE_INTERRUPT]), [0xc0 | drive, 0]);
    }
    assert_eq!(machine.command(&[SENSE_INTERRUPT]), [0x80]);
    machine.write(DIGITAL_INPUT, 0);
    machine.send(&[SPECIFY, 0xaf, 0x02]);
    machine.send(&[RECALIBRATE, 0]);
    assert_eq!(machine.command(&[SENSE_INTERRUPT]), [0x20, 0]);
    machine.seek(2);
    machine.dma(0x46, 3 * 512);
    machine.send(&[0xe6, 4, 2, 1, 5, 2, 18, 0x1b, 0xff]);
    assert!(machine.floppy.interrupt());
    assert_eq!(machine.read(STATUS), 0xd0);
    assert_eq!(machine.results(), [4, 0, 0, 2, 1, 8, 2]);
    assert!(!machine.floppy.interrupt());
    assert_eq!(machine.read(STATUS), 0x80);
    let first = (2 * 2 + 1) * 18 + 4;
    for sector in 0..3 {
        assert_eq!(machine.number_at(sector), first + sector as u16);
    }
}

#[test]
fn both_sides_in_one_command() {
    let mut machine = Machine::new(2880);
    machine.dma(0x46, 36 * 512);
    assert_eq!(
        machine.command(&[0xe6, 0, 0, 0, 1, 2, 18, 0x1b, 0xff]),
        [4, 0, 0, 1, 0, 1, 2],
        "terminal count comes with the last sector of the cylinder"
    );
    assert_eq!(machine.number_at(35), 35);
    machine.dma(0x46, 36 * 512 + 1);
    assert_eq!(
        machine.command(&[0xe6, 0, 0, 0, 1, 2, 18, 0x1b, 0xff]),
        [0x44, ST1_END_OF_CYLINDER, 0, 1, 0, 1, 2]
    );
}

#[test]
fn writes_reach_the_medium() {
    let mut machine = Machine::new(1440);
    machine.write(DIGITAL_INPUT, 2);
    machine.seek(79);
    machine.memory.fill(Gpa(BUFFER), 1024, 0x5a).unwrap();
    machine.dma(0x4a, 1024);
    assert_eq!(
        machine.command(&[0xc5, 4, 79, 1, 8, 2, 9, 0x2a, 0xff]),
        [4, 0, 0, 80, 0, 1, 2]
    );
    machine.diskette.with(|table| {
        assert!(table.bytes[1438 * 512..].iter().all(|&byte| byte == 0x5a));
        assert_eq!(table.bytes[1437 * 512 + 2], 0);
    });
    // Half a sector: the rest is filled with zeros.
    machine.dma(0x4a, 256);
    machine.command(&[0x45, 4, 79, 1, 8, 2, 9, 0x2a, 0xff]);
    machine
        .diskette
        .with(|table| assert_eq!(table.bytes[1438 * 512 + 255..][..2], [0x5a, 0]));
    machine.diskette.with(|table| table.read_only = true);
    assert_eq!(
        machine.command(&[0x45, 4, 79, 1, 8, 2, 9, 0x2a, 0xff])[..3],
        [0x44, ST1_NOT_WRITABLE, 0]
    );
    assert_eq!(machine.command(&[SENSE_DRIVE, 4]), [0x6c]);
}

#[test]
fn what_cannot_be_read_says_why() {
    let mut machine = Machine::new(2880);
    let read = |machine: &mut Machine, id: [u8; 4], select: u8| {
        machine.dma(0x46, 512);
        let [track, head, sector, size] = id;
        machine.command(&[0x46, select, track, head, sector, size, 18, 0x1b, 0xff])[..3].to_vec()
    };
    assert_eq!(read(&mut machine, [0, 0, 19, 2], 0), [0x40, ST1_NO_DATA, 0]);
    assert_eq!(read(&mut machine, [0, 0, 0, 2], 0), [0x40, ST1_NO_DATA, 0]);
    assert_eq!(read(&mut machine, [0, 0, 1, 3], 0), [0x40, ST1_NO_DATA, 0]);
    assert_eq!(read(&mut machine, [0, 1, 1, 2], 0), [0x40, ST1_NO_DATA, 0]);
    assert_eq!(
        read(&mut machine, [1, 0, 1, 2], 0),
        [0x40, ST1_NO_DATA, ST2_WRONG_CYLINDER]
    );
    assert_eq!(
        read(&mut machine, [0, 0, 1, 2], 1),
        [0x41, ST1_MISSING_MARK, 0]
    );
    machine.write(DIGITAL_INPUT, 2);
    assert_eq!(
        read(&mut machine, [0, 0, 1, 2], 0),
        [0x40, ST1_MISSING_MARK, 0],
        "wrong data rate"
    );
    machine.write(DIGITAL_INPUT, 0);
    machine.dma.write_bytes(0xa, 6);
    assert_eq!(
        machine.command(&[0x46, 0, 0, 0, 1, 2, 18, 0x1b, 0xff])[..2],
        [0x40, ST1_OVERRUN]
    );
    machine.floppy.eject(Place::A);
    assert_eq!(
        read(&mut machine, [0, 0, 1, 2], 0),
        [0x40, ST1_MISSING_MARK, 0]
    );
    // An image that is shorter than its format.
    machine
        .floppy
        .insert(Place::A, Box::new(Diskette::new(100)));
    assert_eq!(read(&mut machine, [0, 0, 1, 2], 0), [0, 0, 0]);
    machine.seek(2);
    assert_eq!(read(&mut machine, [2, 1, 10, 2], 4), [4, 0, 0]);
    assert_eq!(
        read(&mut machine, [2, 1, 11, 2], 4),
        [0x44, ST1_DATA_ERROR, ST2_DATA_ERROR]
    );
}

#[test]
fn the_disk_change_line_goes_down_with_a_step() {
    let mut machine = Machine::new(2880);
    assert_eq!(machine.read(DIGITAL_INPUT), 0x80);
    machine.send(&[RECALIBRATE, 0]);
    machine.results();
    assert_eq!(machine.read(DIGITAL_INPUT), 0x80, "no step, no change");
    machine.command(&[SENSE_INTERRUPT]);
    machine.seek(1);
    assert_eq!(machine.read(DIGITAL_INPUT), 0);
    machine.floppy.eject(Place::A);
    machine.seek(0);
    assert_eq!(machine.read(DIGITAL_INPUT), 0x80, "nothing in it");
    machine.write(DIGITAL_OUTPUT, 0x1d);
    assert_eq!(machine.read(DIGITAL_INPUT), 0, "no such drive");
    machine.send(&[RECALIBRATE, 1]);
    assert_eq!(machine.command(&[SENSE_INTERRUPT]), [0x71, 0]);
}

#[test]
fn bytes_without_dma() {
    let mut machine = Machine::new(2880);
    machine.send(&[SPECIFY, 0xaf, 0x03]);
    machine.send(&[0x46, 0, 0, 0, 17, 2, 18, 0x1b, 0xff]);
    let mut bytes = vec![];
    while machine.read(STATUS) & MSR_NON_DMA != 0 {
        assert_eq!(machine.read(STATUS), 0xf0);
        assert!(machine.floppy.interrupt());
        bytes.push(machine.read(FIFO));
        assert_eq!(machine.floppy.take_fall(), bytes.len() % 512 == 0);
    }
    assert_eq!(bytes.len(), 1024);
    assert_eq!((bytes[0], bytes[512]), (16, 17));
    assert!(machine.floppy.interrupt());
    assert_eq!(
        machine.results(),
        [0x40, ST1_END_OF_CYLINDER, 0, 1, 0, 1, 2],
        "nothing gives terminal count"
    );
    machine.send(&[0x45, 0, 0, 0, 18, 2, 18, 0x1b, 0xff]);
    while machine.read(STATUS) & MSR_NON_DMA != 0 {
        machine.write(FIFO, 0x77);
    }
    assert_eq!(machine.results()[1], ST1_END_OF_CYLINDER);
    machine
        .diskette
        .with(|table| assert_eq!(table.bytes[17 * 512..][..512], [0x77; 512]));
}

#[test]
fn format_then_read_id() {
    let mut machine = Machine::new(720);
    machine.write(DIGITAL_INPUT, 1);
    machine.seek(1);
    for sector in 0..9 {
        let id = [1, 1, sector + 1, 2];
        machine
            .memory
            .write(Gpa(BUFFER + 4 * u64::from(sector)), &id)
            .unwrap();
    }
    machine.dma(0x4a, 36);
    let results = machine.command(&[0x4d, 4, 2, 9, 0x50, 0xf6]);
    assert_eq!(results[..3], [4, 0, 0]);
    machine.diskette.with(|table| {
        let track = &table.bytes[27 * 512..36 * 512];
        assert!(track.iter().all(|&byte| byte == 0xf6));
        assert_eq!(table.bytes[26 * 512], 26);
    });
    assert_eq!(machine.command(&[0x4a, 4]), [4, 0, 0, 1, 1, 1, 2]);
    assert_eq!(machine.command(&[0x4a, 4])[5], 2);
    assert_eq!(machine.command(&[0x0a, 4])[..2], [0x44, ST1_MISSING_MARK]);
}

#[test]
fn the_enhanced_commands() {
    let mut machine = Machine::new(2880);
    assert_eq!(machine.command(&[VERSION]), [0x90]);
    assert_eq!(machine.command(&[0x18]), [0x80], "no part id");
    machine.send(&[SPECIFY, 0xdf, 0x02]);
    machine.send(&[CONFIGURE, 0, 0x57, 0]);
    machine.send(&[PERPENDICULAR, 0x84]);
    assert_eq!(machine.command(&[LOCK | LOCK_ON]), [0x10]);
    assert_eq!(
        machine.command(&[DUMP_REGISTERS]),
        [0, 0, 0, 0, 0xdf, 2, 0, 0x84, 0x57, 0]
    );
    machine.write(STATUS, DSR_RESET);
    assert!(machine.floppy.interrupt());
    assert_eq!(machine.command(&[DUMP_REGISTERS])[8], 0x07);
    assert_eq!(machine.command(&[LOCK]), [0]);
    machine.write(STATUS, DSR_RESET);
    assert_eq!(machine.command(&[DUMP_REGISTERS])[8], FIFO_OFF);
    machine.send(&[CONFIGURE, 0, IMPLIED_SEEK, 0]);
    machine.dma(0x46, 512);
    assert_eq!(
        machine.command(&[0x46, 0, 30, 0, 1, 2, 18, 0x1b, 0xff]),
        [0x20, 0, 0, 30, 0, 2, 2]
    );
    assert_eq!(machine.number_at(0), 30 * 36);
    machine.send(&[SEEK | RELATIVE | INWARDS, 0, 5]);
    machine.send(&[SEEK | RELATIVE, 0, 7]);
    machine.send(&[SENSE_INTERRUPT]);
    assert_eq!(machine.results()[1], 28);
}

#[test]
fn verify_deleted_and_track_reads() {
    let mut machine = Machine::new(2880);
    assert_eq!(
        machine.command(&[0x56, 0, 0, 0, 1, 2, 18, 0x1b, 0xff])[..3],
        [0, 0, 0]
    );
    assert_eq!(
        machine.command(&[0x56, 0x80, 0, 0, 3, 2, 18, 0x1b, 2]),
        [0, 0, 0, 0, 0, 5, 2]
    );
    machine.dma(0x46, 1024);
    assert_eq!(
        machine.command(&[0x4c, 0, 0, 0, 3, 2, 18, 0x1b, 0xff]),
        [0, 0, ST2_CONTROL_MARK, 0, 0, 4, 2]
    );
    assert_eq!(machine.number_at(0), 2);
    machine.dma(0x46, 1024);
    assert_eq!(
        machine.command(&[0x42, 0, 0, 0, 9, 2, 18, 0x1b, 0xff])[..3],
        [0, 0, 0]
    );
    assert_eq!(machine.number_at(1), 1);
}

#[test]
fn a_slow_medium_makes_the_command_wait() {
    let mut machine = Machine::new(2880);
    machine.diskette.with(|table| table.slow = true);
    machine.dma(0x46, 1024);
    machine.send(&[0x46, 0, 0, 0, 3, 2, 18, 0x1b, 0xff]);
    assert_eq!(machine.read(STATUS), MSR_BUSY);
    machine.poll();
    assert!(!machine.floppy.interrupt());
    machine.poll();
    assert!(machine.floppy.interrupt());
    assert_eq!(machine.results()[..3], [0, 0, 0]);
    assert_eq!((machine.number_at(0), machine.number_at(1)), (2, 3));
    machine.dma(0x4a, 512);
    machine.send(&[0x45, 0, 0, 0, 9, 2, 18, 0x1b, 0xff]);
    machine.floppy.pause();
    machine.poll();
    assert!(!machine.floppy.interrupt());
    machine.floppy.resume();
    machine.poll();
    assert_eq!(machine.results()[..3], [0, 0, 0]);
    machine
        .diskette
        .with(|table| assert_eq!(table.bytes[8 * 512], 2));
    // A medium that goes away meanwhile.
    machine.dma(0x46, 512);
    machine.send(&[0x46, 0, 0, 0, 3, 2, 18, 0x1b, 0xff]);
    machine.floppy.eject(Place::A);
    machine.poll();
    assert_eq!(machine.results()[..2], [0x40, ST1_MISSING_MARK]);
}

#[test]
fn a_request_under_way_is_made_again_after_restore() {
    let mut machine = Machine::new(2880);
    machine.diskette.with(|table| table.slow = true);
    machine.dma(0x46, 512);
    machine.send(&[0x46, 0, 0, 0, 3, 2, 18, 0x1b, 0xff]);
    let saved = machine.floppy.save();
    let mut other = Machine::new(2880);
    other.dma(0x46, 512);
    other.floppy.restore(&saved).unwrap();
    other.poll();
    assert_eq!(other.results()[..3], [0, 0, 0]);
    assert_eq!(other.number_at(0), 2);
}

type Operation = (u8, u16, u8);

fn operation() -> impl Strategy<Value = Operation> {
    let value = prop_oneof![
        any::<u8>(),
        prop::sample::select(
            [
                0x46_u8, 0xe6, 0x45, 0x4d, 0x4a, 7, 8, 0xf, 3, 0x13, 0x94, 0x56, 0, 1, 2, 18, 4
            ]
            .as_slice()
        ),
    ];
    let register =
        prop_oneof![3 => Just(FIFO), 1 => prop::sample::select([2_u16, 3, 4, 7].as_slice())];
    (0_u8..8, register, value)
}

struct Whole {
    machine: Machine,
}

impl Whole {
    fn new() -> Self {
        let mut machine = Machine::new(2880);
        machine.dma(0x56, 512);
        Self { machine }
    }
}

impl Lifecycle for Whole {
    fn kind(&self) -> &'static str {
        self.machine.floppy.kind()
    }
    fn reset(&mut self) {
        self.machine.floppy.reset();
    }
    fn save(&self) -> Vec<u8> {
        self.machine.floppy.save()
    }
    fn restore(&mut self, saved: &[u8]) -> Result<(), RestoreError> {
        self.machine.floppy.restore(saved)
    }
}

fn step(whole: &mut Whole, &(what, register, value): &Operation) -> (u8, bool) {
    let machine = &mut whole.machine;
    let read = match what {
        0..5 => {
            machine.write(register, value);
            0
        }
        5 | 6 => machine.read(register),
        _ => {
            machine.poll();
            0
        }
    };
    (read, machine.floppy.interrupt())
}

proptest! {
    // Each case has RAM of its own, which stays.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_trace_is_harmless_and_state_round_trips(
        operations in prop::collection::vec(operation(), 0..300),
        cut in 0_usize..300,
    ) {
        twins(Whole::new, &operations, cut, step);
    }
}

#[test]
fn perpendicular_drives_are_overwritten_on_demand_and_outlast_a_reset() {
    let mut machine = Machine::new(2880);
    let told = |machine: &mut Machine| machine.command(&[DUMP_REGISTERS])[7];
    machine.send(&[PERPENDICULAR, 0x80 | 0x14 | 0x03]);
    assert_eq!(told(&mut machine), 0x17);
    machine.send(&[PERPENDICULAR, 0x28]);
    assert_eq!(told(&mut machine), 0x14, "gap and write gate alone");
    machine.send(&[PERPENDICULAR, 0x02]);
    machine.write(STATUS, DSR_RESET);
    assert_eq!(told(&mut machine), 0x14);
}
