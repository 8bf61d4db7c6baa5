//! A machine with an IDE function and drivers in miniature.

use super::medium::Medium;
use crate::ide::{ChannelName, Drive, Ide, Register};
use crate::testing::Sent;
use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use guest_mem::{Gpa, GuestMemory};
use hvm::device::Context;
use hvm::pci::Function;
use hvm::{Instant, Width};

/// RAM of the machine.
pub(super) const RAM_BYTES: u64 = 0x8_0000;
/// Where the machine keeps its descriptor tables.
pub(super) const TABLE: u64 = 0x7_0000;
/// Sectors of the disk.
pub(super) const SECTORS: usize = 1000;
/// Blocks of the CD; the image ends in the middle of another.
pub(super) const BLOCKS: usize = 100;

/// Status bits.
pub(super) const BSY: u8 = 0x80;
pub(super) const DRQ: u8 = 0x08;
pub(super) const ERR: u8 = 0x01;
/// Idle, and no error.
pub(super) const READY: u8 = 0x50;

pub(super) const PRIMARY: ChannelName = ChannelName::Primary;
pub(super) const SECONDARY: ChannelName = ChannelName::Secondary;

/// A disk as primary first, a CD-ROM as secondary first.
pub(super) struct Machine {
    pub(super) ide: Ide,
    pub(super) memory: Rc<GuestMemory>,
    pub(super) disk: Medium,
    pub(super) disc: Medium,
    sent: Sent,
    /// The channel that the driver's functions use.
    pub(super) channel: ChannelName,
}

impl Machine {
    /// With the CD-ROM's channel in use and its disc in.
    pub(super) fn with_disc() -> Self {
        let mut machine = Self::new();
        machine.channel = SECONDARY;
        machine
    }

    pub(super) fn new() -> Self {
        let disk = Medium::new(SECTORS * 512);
        let disc = Medium::read_only(BLOCKS * 2048 + 700);
        let drives = [
            Some(Drive::disk(disk.boxed(), "serial-1")),
            None,
            Some(Drive::cdrom(Some(disc.boxed()), "serial-2")),
            None,
        ];
        Self::with_drives(drives, disk, disc)
    }

    pub(super) fn with_drives(drives: [Option<Drive>; 4], disk: Medium, disc: Medium) -> Self {
        std::thread_local! {
            static MEMORY: Rc<GuestMemory> = Rc::new(GuestMemory::anonymous(&[(Gpa(0), RAM_BYTES)]));
        }
        let memory = MEMORY.with(Rc::clone);
        memory.fill(Gpa(0), RAM_BYTES, 0).unwrap();
        Self {
            ide: Ide::new(drives),
            memory,
            disk,
            disc,
            sent: Sent::default(),
            channel: PRIMARY,
        }
    }

    pub(super) fn with<R>(&mut self, body: impl FnOnce(&mut Ide, &mut Context<'_>) -> R) -> R {
        body(
            &mut self.ide,
            &mut Context {
                memory: &self.memory,
                now: Instant::ZERO,
                signals: &mut self.sent,
            },
        )
    }

    pub(super) fn poll(&mut self) {
        self.with(|ide, context| ide.poll(context));
    }

    pub(super) fn read(&mut self, register: Register) -> u8 {
        let channel = self.channel;
        self.with(|ide, context| ide.read(channel, register, Width::Byte, context)) as u8
    }

    pub(super) fn write(&mut self, register: Register, value: u8) {
        let channel = self.channel;
        self.with(|ide, context| {
            ide.write(channel, register, Width::Byte, u32::from(value), context);
        });
    }

    pub(super) fn read_word(&mut self) -> u16 {
        let channel = self.channel;
        self.with(|ide, context| ide.read(channel, Register::Data, Width::Word, context)) as u16
    }

    pub(super) fn write_word(&mut self, value: u16) {
        let channel = self.channel;
        self.with(|ide, context| {
            ide.write(
                channel,
                Register::Data,
                Width::Word,
                u32::from(value),
                context,
            );
        });
    }

    /// Reads data as REP INS does.
    pub(super) fn read_data(&mut self, bytes: usize) -> Vec<u8> {
        let channel = self.channel;
        let mut into = vec![0; bytes];
        self.with(|ide, context| ide.data_in(channel, &mut into, context));
        into
    }

    pub(super) fn write_data(&mut self, from: &[u8]) {
        let channel = self.channel;
        self.with(|ide, context| ide.data_out(channel, from, context));
    }

    /// The status, and with that the interrupt's end.
    pub(super) fn status(&mut self) -> u8 {
        self.read(Register::Status)
    }

    /// The interrupt line, which is taken down by reading the status.
    pub(super) fn take_interrupt(&mut self) -> bool {
        let level = self.ide.interrupt(self.channel);
        self.status();
        level
    }

    pub(super) fn error(&mut self) -> u8 {
        self.read(Register::Error)
    }

    pub(super) fn command(&mut self, opcode: u8) {
        self.write(Register::Status, opcode);
    }

    /// Describes a 28-bit extent.
    pub(super) fn set_extent(&mut self, block: u32, sectors: u8) {
        let [low, mid, high, head] = block.to_le_bytes();
        self.write(Register::Device, 0xe0 | head);
        self.write(Register::Count, sectors);
        self.write(Register::Low, low);
        self.write(Register::Mid, mid);
        self.write(Register::High, high);
    }

    /// Describes a 48-bit extent.
    pub(super) fn set_extent_48(&mut self, block: u64, sectors: u16) {
        let [a, b, c, d, e, f, ..] = block.to_le_bytes();
        let [count, more] = sectors.to_le_bytes();
        self.write(Register::Device, 0xe0);
        for (register, previous, current) in [
            (Register::Count, more, count),
            (Register::Low, d, a),
            (Register::Mid, e, b),
            (Register::High, f, c),
        ] {
            self.write(register, previous);
            self.write(register, current);
        }
    }

    /// Where the address registers point.
    pub(super) fn address(&mut self) -> u32 {
        let registers = [Register::Low, Register::Mid, Register::High].map(|it| self.read(it));
        let [low, mid, high] = registers;
        u32::from_le_bytes([low, mid, high, self.read(Register::Device) & 0xf])
    }

    /// Reads a bus master register of the channel in use.
    pub(super) fn master_read(&mut self, offset: u64) -> u8 {
        let offset = 8 * self.channel as u64 + offset;
        self.with(|ide, context| ide.bar_read(4, offset, Width::Byte, context)) as u8
    }

    pub(super) fn master_write(&mut self, offset: u64, width: Width, value: u32) {
        let offset = 8 * self.channel as u64 + offset;
        self.with(|ide, context| ide.bar_write(4, offset, width, u64::from(value), context));
    }

    /// Writes a descriptor table of `(address, bytes)` and points the bus master to it.
    pub(super) fn set_table(&mut self, pieces: &[(u32, u32)]) {
        for (index, &(address, bytes)) in pieces.iter().enumerate() {
            let last = index + 1 == pieces.len();
            let flags = if last { 1_u64 << 63 } else { 0 };
            let descriptor = u64::from(address) | u64::from(bytes & 0xffff) << 32 | flags;
            let at = Gpa(TABLE + 8 * index as u64);
            self.memory.store(at, &descriptor).unwrap();
        }
        self.master_write(4, Width::Dword, TABLE as u32);
    }

    /// Starts the bus master, and clears what it noted before.
    pub(super) fn start_to_memory(&mut self) {
        self.master_write(2, Width::Byte, 6);
        self.master_write(0, Width::Byte, 9);
    }

    pub(super) fn start_from_memory(&mut self) {
        self.master_write(2, Width::Byte, 6);
        self.master_write(0, Width::Byte, 1);
    }

    pub(super) fn stop(&mut self) {
        self.master_write(0, Width::Byte, 0);
    }

    pub(super) fn memory(&self, gpa: u64, bytes: usize) -> Vec<u8> {
        let mut into = vec![0; bytes];
        self.memory.read(Gpa(gpa), &mut into).unwrap();
        into
    }

    /// Sends a packet that will answer in data blocks of at most `limit` bytes.
    pub(super) fn packet(&mut self, limit: u16, packet: &[u8]) {
        let [low, high] = limit.to_le_bytes();
        self.write(Register::Device, 0xa0);
        self.write(Register::Error, 0);
        self.write(Register::Mid, low);
        self.write(Register::High, high);
        self.send_packet(packet);
    }

    /// Sends a packet whose data goes by DMA.
    pub(super) fn packet_by_dma(&mut self, packet: &[u8]) {
        self.write(Register::Device, 0xa0);
        self.write(Register::Error, 1);
        self.send_packet(packet);
    }

    fn send_packet(&mut self, packet: &[u8]) {
        self.command(0xa0);
        assert_eq!(self.status() & (BSY | DRQ), DRQ);
        assert_eq!(self.read(Register::Count) & 3, 1, "command to the drive");
        let mut bytes = [0; 12];
        bytes[..packet.len()].copy_from_slice(packet);
        self.write_data(&bytes);
    }

    /// Takes the data blocks of a packet command until there are no more.
    pub(super) fn take_blocks(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        while self.status() & DRQ != 0 {
            assert_eq!(self.read(Register::Count) & 3, 2, "data to the host");
            let bytes = self.byte_count();
            all.extend(self.read_data(usize::from(bytes)));
        }
        assert_eq!(self.read(Register::Count) & 3, 3, "status");
        all
    }

    pub(super) fn byte_count(&mut self) -> u16 {
        let [low, high] = [Register::Mid, Register::High].map(|it| self.read(it));
        u16::from_le_bytes([low, high])
    }

    /// Sends a packet and takes its answer; on failure, sense key, code and qualifier.
    pub(super) fn ask(&mut self, packet: &[u8]) -> Result<Vec<u8>, [u8; 3]> {
        self.packet(0xfffe, packet);
        let data = self.take_blocks();
        if self.status() & ERR == 0 {
            return Ok(data);
        }
        let key = self.error() >> 4;
        let sense = self.sense();
        assert_eq!(sense[0], key);
        Err(sense)
    }

    /// REQUEST SENSE: key, code and qualifier.
    pub(super) fn sense(&mut self) -> [u8; 3] {
        self.packet(0xfffe, &[3, 0, 0, 0, 18]);
        let sense = self.take_blocks();
        [sense[2], sense[12], sense[13]]
    }

    /// TEST UNIT READY until it has told all that it has to tell.
    pub(super) fn calm(&mut self) {
        for _ in 0..3 {
            let _ = self.ask(&[0]);
        }
    }
}
