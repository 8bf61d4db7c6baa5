//! A machine of RAM and a serial line, without any device, for programs that the emulator runs alone from their first instruction on.

use guest_mem::{Gpa, GuestMemory};
use hvm::Width;
use hvm::emulate::{self, Bus, DecodeCache, Invalidation, Pause, XSAVE_HEAD_BYTES, XsaveImage};
use hvm::event::{Exception, Shadow};
use hvm::regs::{Cr4, SegmentName, State};
use std::collections::BTreeMap;

const RAM_BYTES: u64 = 16 << 20;
/// The Linux/x86 boot protocol: how many sectors the setup part has, where it is loaded, and where the rest is.
const SETUP_SECTORS: usize = 0x1f1;
const SETUP_BASE: u16 = 0x9000;
const KERNEL: u64 = 0x10_0000;
/// COM1: data, and the line status with room for a byte.
const DATA: u16 = 0x3f8;
const LINE_STATUS: u16 = 0x3fd;
const ROOM: u32 = 0x60;
/// Programs that take longer do not end.
const STEPS: u32 = 20_000_000;
/// The CR4 bits of an EPYC that may be set.
const CR4_ALLOWED: Cr4 = Cr4::all()
    .difference(Cr4::LA57)
    .difference(Cr4::VMXE)
    .difference(Cr4::SMXE)
    .difference(Cr4::PCIDE)
    .difference(Cr4::PKE);

struct PcBus {
    memory: GuestMemory,
    text: Vec<u8>,
    msrs: BTreeMap<u32, u64>,
    debug: [u64; 8],
    priority: u64,
    xsave: Box<[u8; XSAVE_HEAD_BYTES]>,
}

impl Bus for PcBus {
    fn memory(&self) -> &GuestMemory {
        &self.memory
    }
    fn physical_bits(&self) -> u8 {
        40
    }
    fn read(&mut self, gpa: Gpa, width: Width) -> u64 {
        let mut bytes = [0xff; 8];
        // What nobody answers reads as all ones.
        let _ = self.memory.read(gpa, &mut bytes[..width.bytes()]);
        width.cut(u64::from_le_bytes(bytes))
    }
    fn write(&mut self, gpa: Gpa, width: Width, value: u64) {
        let bytes = value.to_le_bytes();
        let _ = self.memory.write(gpa, &bytes[..width.bytes()]);
    }
    fn exchange(&mut self, gpa: Gpa, width: Width, current: u64, new: u64) -> bool {
        emulate::compare_exchange(&self.memory, gpa, width, current, new).unwrap_or(true)
    }
    fn port_in(&mut self, port: u16, width: Width) -> u32 {
        match port {
            LINE_STATUS => ROOM,
            _ => width.mask() as u32,
        }
    }
    fn port_out(&mut self, port: u16, _: Width, value: u32) {
        if port == DATA {
            self.text.push(value as u8);
        }
    }
    fn read_msr(&mut self, msr: u32) -> Result<u64, Exception> {
        Ok(self.msrs.get(&msr).copied().unwrap_or(0))
    }
    fn write_msr(&mut self, msr: u32, value: u64) -> Result<(), Exception> {
        self.msrs.insert(msr, value);
        Ok(())
    }
    fn cpuid(&mut self, _: u32, _: u32) -> [u32; 4] {
        [0; 4]
    }
    fn read_tsc(&mut self) -> u64 {
        0
    }
    fn cr4_allowed(&self) -> u64 {
        CR4_ALLOWED.bits()
    }
    fn read_cr8(&mut self) -> u64 {
        self.priority
    }
    fn write_cr8(&mut self, value: u64) {
        self.priority = value;
    }
    fn read_debug(&mut self, index: u8) -> u64 {
        self.debug[usize::from(index & 7)]
    }
    fn write_debug(&mut self, index: u8, value: u64) {
        self.debug[usize::from(index & 7)] = value;
    }
    fn invalidate(&mut self, _: Invalidation) {}
    fn xcr0(&self) -> u64 {
        7
    }
    fn xsave_image(&mut self) -> Option<XsaveImage<'_>> {
        Some(XsaveImage::new(&mut self.xsave))
    }
}

/// Runs a program that follows the Linux/x86 boot protocol through its 16-bit entry, until it halts. Returns what it says on COM1; an
/// error is why it does not come to its end, with what it has said so far.
pub fn run(image: &[u8]) -> Result<String, String> {
    let memory = GuestMemory::anonymous(&[(Gpa(0), RAM_BYTES)]);
    let sectors = image.get(SETUP_SECTORS).copied().unwrap_or(0);
    let setup_bytes = (usize::from(sectors) + 1) * 512;
    let (setup, kernel) = image
        .split_at_checked(setup_bytes)
        .ok_or("the image is shorter than its setup part")?;
    let base = u64::from(SETUP_BASE) << 4;
    for (at, bytes) in [(base, setup), (KERNEL, kernel)] {
        memory
            .write(Gpa(at), bytes)
            .map_err(|_| "the image does not fit into 16 MiB")?;
    }
    let mut state = State::reset();
    for name in [
        SegmentName::Es,
        SegmentName::Ss,
        SegmentName::Ds,
        SegmentName::Fs,
        SegmentName::Gs,
        SegmentName::Cs,
    ] {
        let segment = &mut state.segments[name as usize];
        let paragraphs = if name == SegmentName::Cs { 0x20 } else { 0 };
        segment.selector = SETUP_BASE + paragraphs;
        segment.base = u64::from(segment.selector) << 4;
    }
    state.rip = 0;
    state.gprs[4] = 0xe000;
    let mut bus = PcBus {
        memory,
        text: Vec::new(),
        msrs: BTreeMap::new(),
        debug: [0, 0, 0, 0, 0, 0, 0xffff_0ff0, 0x400],
        priority: 0,
        xsave: Box::new([0; XSAVE_HEAD_BYTES]),
    };
    let mut cache = DecodeCache::new();
    let run = emulate::run(
        &mut state,
        &mut bus,
        &mut cache,
        STEPS,
        Shadow::None,
        |_, _, _| false,
    );
    let text = String::from_utf8_lossy(&bus.text).into_owned();
    match run.map(|run| run.pause) {
        Ok(Pause::Halted) => Ok(text),
        Ok(other) => Err(format!("{other:?} at {:#x}, after {text}", state.rip)),
        Err(report) => Err(format!("{report}, after {text}")),
    }
}
