//! Any registers and any memory: steps and deliveries end, none panics, and what faults has changed nothing.
#![no_main]

use guest_mem::{Gpa, GuestMemory};
use hvm::Width;
use hvm::emulate::{
    self, Bus, DecodeCache, Hint, Invalidation, Step, XSAVE_HEAD_BYTES, XsaveImage,
};
use hvm::event::{Event, Exception};
use hvm::regs::{Gpr, Rflags, Segment, SegmentName, State, TableRegister};
use libfuzzer_sys::fuzz_target;

const RAM_BYTES: u64 = 0x10000;
/// Steps from one input.
const STEPS: usize = 64;

struct FuzzBus {
    memory: GuestMemory,
    xsave: [u8; XSAVE_HEAD_BYTES],
    /// What devices answer, rotated at each read.
    answer: u64,
    debug: [u64; 8],
}

impl FuzzBus {
    fn next(&mut self) -> u64 {
        self.answer = self.answer.rotate_left(7) ^ 0x9e37;
        self.answer
    }
}

impl Bus for FuzzBus {
    fn memory(&self) -> &GuestMemory {
        &self.memory
    }
    fn physical_bits(&self) -> u8 {
        40
    }
    fn read(&mut self, gpa: Gpa, width: Width) -> u64 {
        let mut bytes = [0; 8];
        match self.memory.read(gpa, &mut bytes[..width.bytes()]) {
            Ok(()) => u64::from_le_bytes(bytes),
            Err(_) => width.cut(self.next()),
        }
    }
    fn write(&mut self, gpa: Gpa, width: Width, value: u64) {
        assert_eq!(value, width.cut(value));
        let _ = self
            .memory
            .write(gpa, &value.to_le_bytes()[..width.bytes()]);
    }
    fn exchange(&mut self, gpa: Gpa, width: Width, current: u64, new: u64) -> bool {
        emulate::compare_exchange(&self.memory, gpa, width, current, new).unwrap_or(true)
    }
    fn port_in(&mut self, _: u16, _: Width) -> u32 {
        self.next() as u32
    }
    fn port_out(&mut self, _: u16, _: Width, _: u32) {}
    fn read_msr(&mut self, msr: u32) -> Result<u64, Exception> {
        if msr & 1 == 0 {
            return Err(Exception::GENERAL_PROTECTION);
        }
        Ok(self.next())
    }
    fn write_msr(&mut self, msr: u32, _: u64) -> Result<(), Exception> {
        self.read_msr(msr).map(drop)
    }
    fn cpuid(&mut self, leaf: u32, subleaf: u32) -> [u32; 4] {
        [leaf, subleaf, !leaf, !subleaf]
    }
    fn read_tsc(&mut self) -> u64 {
        self.next()
    }
    fn cr4_allowed(&self) -> u64 {
        0x0037_07ff
    }
    fn read_cr8(&mut self) -> u64 {
        0
    }
    fn write_cr8(&mut self, _: u64) {}
    fn read_debug(&mut self, index: u8) -> u64 {
        self.debug[usize::from(index)]
    }
    fn write_debug(&mut self, index: u8, value: u64) {
        self.debug[usize::from(index)] = value;
    }
    fn invalidate(&mut self, _: Invalidation) {}
    fn xcr0(&self) -> u64 {
        7
    }
    fn xsave_image(&mut self) -> Option<XsaveImage<'_>> {
        Some(XsaveImage::new(&mut self.xsave))
    }
}

/// Numbers from the front of the input; zeros when it is used up.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn number(&mut self) -> u64 {
        let taken = self.0.len().min(8);
        let (front, rest) = self.0.split_at(taken);
        self.0 = rest;
        let mut bytes = [0; 8];
        bytes[..taken].copy_from_slice(front);
        u64::from_le_bytes(bytes)
    }

    fn state(&mut self) -> State {
        let mut state = State::reset();
        state.gprs = state.gprs.map(|_| self.number());
        state.rip = self.number() & 0xffff;
        state.rflags = self.number() & 0x3f_7fd7 | 2;
        for name in SegmentName::ALL {
            let shape = self.number();
            state.segments[name as usize] = Segment::new(
                shape as u16,
                (shape >> 16) as u32 & 0x1_f0ff,
                (shape >> 40) as u32,
                self.number() & 0xffff,
            );
        }
        state.gdtr = TableRegister {
            base: self.number() & 0xffff,
            limit: self.number() as u16,
        };
        state.idtr = TableRegister {
            base: self.number() & 0xffff,
            limit: self.number() as u16,
        };
        state.cr0 = self.number();
        state.cr3 = self.number() & 0xffff;
        state.cr4 = self.number();
        state.efer = self.number() & 0xd01;
        state
    }
}

/// Registers with which code runs, by which the input chooses; `None` leaves it the registers of its own.
#[derive(Clone, Copy)]
struct Preset {
    cr0: u64,
    cr4: u64,
    efer: u64,
    code: u32,
    data: u32,
    limit: u32,
}

const PRESETS: [Option<Preset>; 6] = [
    None,
    // Real mode, and with segments of 4 GiB.
    Some(Preset {
        cr0: 0x10,
        cr4: 0,
        efer: 0,
        code: 0x9b,
        data: 0x93,
        limit: 0xffff,
    }),
    Some(Preset {
        cr0: 0x10,
        cr4: 0x600,
        efer: 0,
        code: 0x9b,
        data: 0x93,
        limit: u32::MAX,
    }),
    // Protected mode, of 16 and of 32 bits.
    Some(Preset {
        cr0: 0x11,
        cr4: 0x600,
        efer: 0,
        code: 0x9b,
        data: 0x93,
        limit: 0xffff,
    }),
    Some(Preset {
        cr0: 0x11,
        cr4: 0x600,
        efer: 0,
        code: 0xc09b,
        data: 0xc093,
        limit: u32::MAX,
    }),
    // 64-bit mode, by the tables of `map`.
    Some(Preset {
        cr0: 0x8001_0011,
        cr4: 0x620,
        efer: 0xd01,
        code: 0xa09b,
        data: 0xc093,
        limit: u32::MAX,
    }),
];
const TABLES: u64 = 0xc000;

impl Preset {
    fn apply(self, state: &mut State) {
        (state.cr0, state.cr4, state.efer) = (self.cr0, self.cr4, self.efer);
        state.cr3 = TABLES;
        for name in SegmentName::ALL {
            let attributes = match name {
                SegmentName::Cs => self.code,
                SegmentName::Ldtr => 0x82,
                SegmentName::Tr => 0x8b,
                _ => self.data,
            };
            let segment = &mut state.segments[name as usize];
            *segment = Segment::new(segment.selector & !3, attributes, self.limit, 0);
        }
        let (rsp, flags) = (&mut state.gprs[Gpr::Rsp as usize], &mut state.rflags);
        *rsp &= 0xfff8;
        *flags &= !Rflags::VM.bits();
    }
}

/// The first 2 MiB, to themselves.
fn map(memory: &GuestMemory) {
    for (table, entry) in [
        (0, TABLES + 0x1007),
        (0x1000, TABLES + 0x2007),
        (0x2000, 0x87),
    ] {
        memory
            .store::<u64>(Gpa(TABLES + table), &entry)
            .expect("it is RAM");
    }
}

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input(bytes);
    let preset = PRESETS[input.number() as usize % PRESETS.len()];
    let mut state = input.state();
    if let Some(preset) = preset {
        preset.apply(&mut state);
    }
    let mut bus = FuzzBus {
        memory: GuestMemory::anonymous(&[(Gpa(0), RAM_BYTES)]),
        xsave: [0; XSAVE_HEAD_BYTES],
        answer: input.number(),
        debug: [0; 8],
    };
    // The rest is memory, again and again.
    let rest = if input.0.is_empty() { &[0x90] } else { input.0 };
    let memory: Vec<_> = rest
        .iter()
        .copied()
        .cycle()
        .take(RAM_BYTES as usize)
        .collect();
    bus.memory.write(Gpa(0), &memory).expect("it is RAM");
    if preset.is_some() {
        map(&bus.memory);
    }
    let mut cache = DecodeCache::new();
    for _ in 0..STEPS {
        let before = state.clone();
        match emulate::step(&mut state, &mut bus, &mut cache, Hint::None, None) {
            Ok(Step::Fault(exception)) => {
                assert_eq!(state, before);
                let event = Event::Exception(exception);
                if emulate::deliver(&mut state, &mut bus, event).is_err() {
                    return;
                }
            }
            Ok(_) => {}
            Err(_) => {
                assert_eq!(state, before);
                return;
            }
        }
    }
});
