//! Arbitrary register traffic, packets and descriptor tables: every access ends, a saved function equals the one that it
//! was saved from, and a reset one works.
#![no_main]

use guest_mem::{Gpa, GuestMemory};
use hvm::apic::ApicMessage;
use hvm::device::{Context, Lifecycle, PowerEvent, Signals};
use hvm::pci::Function;
use hvm::{Instant, Width};
use libfuzzer_sys::fuzz_target;
use pc::ide::{ChannelName, Drive, Ide, Register};
use std::sync::Mutex;
use virtio_pv::ram::{Access, RamDisk};

const RAM_BYTES: u64 = 0x2_0000;
/// Where descriptor tables go.
const TABLE: u64 = 0x1_0000;
const SECTORS: usize = 64;

/// Kept between runs, since RAM is leaked and runs are many.
static SPARE: Mutex<Option<GuestMemory>> = Mutex::new(None);

const WIDTHS: [Width; 4] = [Width::Byte, Width::Word, Width::Dword, Width::Qword];

/// IDE has no messages of its own.
struct Silence;

impl Signals for Silence {
    fn interrupt(&mut self, _: ApicMessage) {}
    fn end_of_interrupt(&mut self, _: u8) {}
    fn power(&mut self, _: PowerEvent) {}
}

fn function() -> Ide {
    let medium = |access| Box::new(RamDisk::new(vec![0x5a; SECTORS * 512], access));
    Ide::new([
        Some(Drive::disk(medium(Access::ReadWrite), "disk")),
        Some(Drive::cdrom(Some(medium(Access::ReadOnly)), "disc")),
        Some(Drive::cdrom(None, "empty")),
        None,
    ])
}

/// One step is 8 bytes: what, where, and a value.
fn step(ide: &mut Ide, step: &[u8], data: &[u8], context: &mut Context<'_>) {
    let register = Register::ALL[usize::from(step[1] & 15) % Register::ALL.len()];
    let width = WIDTHS[usize::from(step[1] >> 4 & 3)];
    let name = if step[1] & 0x80 == 0 {
        ChannelName::Primary
    } else {
        ChannelName::Secondary
    };
    let value = u32::from_le_bytes([step[4], step[5], step[6], step[7]]);
    let offset = u64::from(step[2] & 15);
    match step[0] % 12 {
        0..=2 => ide.write(name, register, width, value, context),
        3 => drop(ide.read(name, register, width, context)),
        4 => ide.write(name, Register::Status, Width::Byte, value, context),
        5 => {
            // A packet, straight from the input.
            ide.write(name, Register::Status, Width::Byte, 0xa0, context);
            ide.data_out(name, &data[..data.len().min(12)], context);
        }
        6 => ide.data_in(name, &mut vec![0; value as usize % 0x4000], context),
        7 => ide.data_out(name, &data[..data.len().min(0x1000)], context),
        8 => ide.bar_write(4, offset, width, u64::from(value), context),
        9 => drop(ide.bar_read(4, offset, width, context)),
        10 => {
            let at = TABLE + u64::from(step[2]) * 8;
            let descriptor = u64::from(value) | u64::from(step[3]) << 40;
            context.memory.store(Gpa(at), &descriptor).unwrap();
            ide.bar_write(4, offset & 8 | 4, Width::Dword, TABLE, context);
        }
        _ => ide.config_write(step[2] & !3, Width::Dword, value, context),
    }
}

fuzz_target!(|data: &[u8]| {
    let spare = SPARE.lock().unwrap().take();
    let memory = spare.unwrap_or_else(|| GuestMemory::anonymous(&[(Gpa(0), RAM_BYTES)]));
    memory.fill(Gpa(0), RAM_BYTES, 0).unwrap();
    let mut silence = Silence;
    let mut context = Context {
        memory: &memory,
        now: Instant::ZERO,
        signals: &mut silence,
    };
    let mut ide = function();
    for (index, bytes) in data.chunks_exact(8).take(500).enumerate() {
        step(&mut ide, bytes, &data[index * 8 + 8..], &mut context);
    }
    let saved = ide.save();
    let mut twin = function();
    twin.restore(&saved).expect("the drives are alike");
    assert_eq!(twin.save(), saved);
    // The input as a saved state: taken or refused, never harmful.
    if twin.restore(data).is_ok() {
        twin.poll(&mut context);
    }
    ide.reset();
    for (register, value) in [
        (Register::Device, 0xe0),
        (Register::Count, 1),
        (Register::Low, SECTORS as u32 - 1),
        (Register::Mid, 0),
        (Register::High, 0),
        (Register::Status, 0x40),
    ] {
        ide.write(ChannelName::Primary, register, Width::Byte, value, &mut context);
    }
    let status = ide.read(ChannelName::Primary, Register::Status, Width::Byte, &mut context);
    assert_eq!(status, 0x50);
    *SPARE.lock().unwrap() = Some(memory);
});
