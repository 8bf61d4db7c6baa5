//! Instructions by group and mode, on plain registers and a bus of byte vectors.

mod arithmetic;
mod control;
mod faults;
mod moves;
mod robust;
mod strings;
mod switch;
mod system;

use super::*;
use crate::Width;
use crate::regs::{Cr4, Efer, Gpr, Segment, SegmentName, State};
use guest_mem::GuestMemory;
use std::vec::Vec;

/// Where the tests put their code, their data, their stack, their page tables and their device.
const CODE: u64 = 0x1000;
const DATA: u64 = 0x3000;
const STACK: u64 = 0x8000;
const TABLES: u64 = 0x10000;
const DEVICE: u64 = 0x8000_0000;
const RAM_BYTES: u64 = 0x20000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Read(u64, usize),
    Write(u64, usize, u64),
    In(u16, usize),
    Out(u16, usize, u32),
}

/// RAM and one page of device registers, which are logged.
struct TestBus {
    memory: GuestMemory,
    device: Vec<u8>,
    log: Vec<Access>,
    port_value: u32,
    msr: u64,
    debug: [u64; 8],
    cr8: u64,
    invalidations: Vec<Invalidation>,
    xsave: Option<[u8; XSAVE_HEAD_BYTES]>,
    /// How many locked writes fail before one succeeds.
    contention: usize,
}

impl Bus for TestBus {
    fn memory(&self) -> &GuestMemory {
        &self.memory
    }
    fn physical_bits(&self) -> u8 {
        40
    }
    fn read(&mut self, gpa: Gpa, width: Width) -> u64 {
        let mut bytes = [0; 8];
        if self.memory.read(gpa, &mut bytes[..width.bytes()]).is_ok() {
            return u64::from_le_bytes(bytes);
        }
        self.log.push(Access::Read(gpa.0, width.bytes()));
        let at = gpa.0.wrapping_sub(DEVICE) as usize;
        match self.device.get(at..at.saturating_add(width.bytes())) {
            Some(found) => bytes[..found.len()].copy_from_slice(found),
            None => bytes = [0xff; 8],
        }
        width.cut(u64::from_le_bytes(bytes))
    }
    fn write(&mut self, gpa: Gpa, width: Width, value: u64) {
        assert_eq!(value, width.cut(value), "the emulator cuts what it writes");
        let bytes = &value.to_le_bytes()[..width.bytes()];
        if self.memory.write(gpa, bytes).is_ok() {
            return;
        }
        self.log.push(Access::Write(gpa.0, width.bytes(), value));
        let at = gpa.0.wrapping_sub(DEVICE) as usize;
        if let Some(found) = self.device.get_mut(at..at.saturating_add(width.bytes())) {
            found.copy_from_slice(bytes);
        }
    }
    fn exchange(&mut self, gpa: Gpa, width: Width, current: u64, new: u64) -> bool {
        if self.contention > 0 {
            self.contention -= 1;
            return false;
        }
        compare_exchange(&self.memory, gpa, width, current, new).unwrap_or_else(|| {
            self.write(gpa, width, new);
            true
        })
    }
    fn port_in(&mut self, port: u16, width: Width) -> u32 {
        self.log.push(Access::In(port, width.bytes()));
        self.port_value = self.port_value.wrapping_add(1);
        self.port_value
    }
    fn port_out(&mut self, port: u16, width: Width, value: u32) {
        self.log.push(Access::Out(port, width.bytes(), value));
    }
    fn read_msr(&mut self, msr: u32) -> Result<u64, Exception> {
        if msr == 0xdead {
            return Err(Exception::GENERAL_PROTECTION);
        }
        Ok(self.msr)
    }
    fn write_msr(&mut self, _: u32, value: u64) -> Result<(), Exception> {
        self.msr = value;
        Ok(())
    }
    fn cpuid(&mut self, leaf: u32, subleaf: u32) -> [u32; 4] {
        [leaf, subleaf, 0xffff_ffff, 4]
    }
    fn read_tsc(&mut self) -> u64 {
        0x1234_5678_9abc_def0
    }
    fn cr4_allowed(&self) -> u64 {
        Cr4::all().bits() & !Cr4::LA57.bits()
    }
    fn read_cr8(&mut self) -> u64 {
        self.cr8
    }
    fn write_cr8(&mut self, value: u64) {
        self.cr8 = value;
    }
    fn read_debug(&mut self, index: u8) -> u64 {
        self.debug[usize::from(index)]
    }
    fn write_debug(&mut self, index: u8, value: u64) {
        self.debug[usize::from(index)] = value;
    }
    fn invalidate(&mut self, what: Invalidation) {
        self.invalidations.push(what);
    }
    fn xcr0(&self) -> u64 {
        7
    }
    fn xsave_image(&mut self) -> Option<XsaveImage<'_>> {
        self.xsave.as_mut().map(XsaveImage::new)
    }
}

struct Machine {
    state: State,
    bus: TestBus,
    cache: DecodeCache,
}

impl Machine {
    fn new(state: State) -> Self {
        Self {
            state: State { rip: CODE, ..state },
            bus: TestBus {
                memory: GuestMemory::anonymous(&[(Gpa(0), RAM_BYTES)]),
                device: (0..=255).cycle().take(4096).collect(),
                log: Vec::new(),
                port_value: 0,
                msr: 0x1_0000_0002,
                debug: [0; 8],
                cr8: 0,
                invalidations: Vec::new(),
                xsave: None,
                contention: 0,
            },
            cache: DecodeCache::new(),
        }
    }

    /// Real mode with ES based at the device.
    fn bits16() -> Self {
        let mut state = State::reset();
        state.segments[SegmentName::Cs as usize].base = 0;
        state.segments[SegmentName::Es as usize].base = DEVICE;
        state.gprs[Gpr::Rsp as usize] = STACK;
        Self::new(state)
    }

    /// Flat, unpaged, at CPL 0.
    fn bits32() -> Self {
        let mut state = State {
            cr0: 0x11,
            ..State::reset()
        };
        flatten(&mut state, 0xc09b, 0xc093);
        state.gprs[Gpr::Rsp as usize] = STACK;
        Self::new(state)
    }

    /// Long mode at CPL 0; tables map the first 2 MiB one to one, in 4 KiB pages that user code may use, and the
    /// device in a large page at its own address.
    fn bits64() -> Self {
        let mut state = State {
            cr0: 0x8001_0011,
            cr3: TABLES,
            cr4: (Cr4::PAE | Cr4::OSFXSR).bits(),
            efer: (Efer::LME | Efer::LMA | Efer::NXE).bits(),
            ..State::reset()
        };
        flatten(&mut state, 0xa09b, 0xc093);
        state.gprs[Gpr::Rsp as usize] = STACK;
        let machine = Self::new(state);
        let entries = [
            (TABLES, TABLES + 0x1007),
            (TABLES + 0x1000, TABLES + 0x2007),
            (TABLES + 0x1010, TABLES + 0x3007),
            (TABLES + 0x2000, TABLES + 0x4007),
            (TABLES + 0x3000, DEVICE | 0x87),
        ];
        for (at, entry) in entries {
            machine.bus.memory.store(Gpa(at), &entry).unwrap();
        }
        for page in 0..RAM_BYTES / 4096 {
            let at = Gpa(TABLES + 0x4000 + page * 8);
            machine.bus.memory.store(at, &(page << 12 | 7)).unwrap();
        }
        machine
    }

    /// The same at CPL 3.
    fn user64() -> Self {
        let mut machine = Self::bits64();
        flatten(&mut machine.state, 0xa0fb, 0xc0f3);
        machine
    }

    fn with(mut self, register: Gpr, value: u64) -> Self {
        self.state.gprs[register as usize] = value;
        self
    }

    fn gpr(&self, register: Gpr) -> u64 {
        self.state.gprs[register as usize]
    }

    fn put(&self, gpa: u64, bytes: &[u8]) {
        self.bus.memory.write(Gpa(gpa), bytes).unwrap();
    }

    fn ram<const N: usize>(&self, gpa: u64) -> [u8; N] {
        let mut bytes = [0; N];
        self.bus.memory.read(Gpa(gpa), &mut bytes).unwrap();
        bytes
    }

    /// Puts the instruction at RIP and steps.
    fn step(&mut self, bytes: &[u8]) -> Result<Step, Unsupported> {
        self.put(self.state.rip, bytes);
        self.again()
    }

    fn again(&mut self) -> Result<Step, Unsupported> {
        step(
            &mut self.state,
            &mut self.bus,
            &mut self.cache,
            Hint::None,
            None,
        )
    }

    /// Steps an instruction that must complete, and that reaches to the end of `bytes`.
    fn run(&mut self, bytes: &[u8]) {
        let next = self.state.rip + bytes.len() as u64;
        assert_eq!(self.step(bytes), Ok(PLAIN));
        assert_eq!(self.state.rip, next);
    }

    /// Steps an instruction that must fault and change nothing.
    fn fault(&mut self, bytes: &[u8]) -> Exception {
        let before = self.state.clone();
        match self.step(bytes) {
            Ok(Step::Fault(exception)) => {
                assert_eq!(self.state, before);
                exception
            }
            other => panic!("no fault but {other:?}"),
        }
    }

    fn flags(&self) -> Rflags {
        Rflags::from_bits_retain(self.state.rflags)
    }
}

fn flatten(state: &mut State, code: u32, data: u32) {
    for name in [
        SegmentName::Es,
        SegmentName::Ss,
        SegmentName::Ds,
        SegmentName::Fs,
        SegmentName::Gs,
    ] {
        state.segments[name as usize] = Segment::new(16, data, u32::MAX, 0);
    }
    state.segments[SegmentName::Cs as usize] = Segment::new(8, code, u32::MAX, 0);
}

/// A completed step with nothing owed.
const PLAIN: Step = Step::Done(Completion {
    shadow: Shadow::None,
    trap: Trap::None,
    nmis: Nmis::AsBefore,
});
