//! The emulator's side: a vCPU in long mode at CPL 3, with the arena mapped as the kernel maps it for the process.

use crate::arena::{self, GLOBAL_LIMIT, GLOBALS, LOCALS, PAGE, PAGES, Rights};
use crate::{Ending, Outcome, Registers, Start, XSAVE_BYTES};
use guest_mem::{Gpa, GuestMemory};
use hvm::Width;
use hvm::emulate::code::CodeMode;
use hvm::emulate::{
    self, Bus, DecodeCache, Hint, Invalidation, Step, Trap, Unsupported, XsaveImage,
};
use hvm::event::Exception;
use hvm::regs::{Attributes, Cr0, Cr4, Efer, Segment, SegmentName, State, TableRegister};

/// Guest-physical places: page tables, descriptor tables, and the arena.
const TABLES: u64 = 0x1000;
const DESCRIPTORS: u64 = 0x6000;
const LOCAL_TABLE: u64 = 0x400;
const ARENA: u64 = 0x8000;
const RAM_BYTES: u64 = 0x10000;
/// Linear: a page of the kernel's half.
const DESCRIPTORS_LINEAR: u64 = 0xffff_8000_0000_0000;

/// How often an instruction may be stepped: the chunks of a string.
const STEPS: usize = 1000;

struct ProcessBus {
    memory: GuestMemory,
    xsave: Box<[u8; XSAVE_BYTES]>,
}

impl Bus for ProcessBus {
    fn memory(&self) -> &GuestMemory {
        &self.memory
    }
    fn physical_bits(&self) -> u8 {
        40
    }
    fn read(&mut self, gpa: Gpa, width: Width) -> u64 {
        let mut bytes = [0; 8];
        self.memory
            .read(gpa, &mut bytes[..width.bytes()])
            .expect("tables map RAM alone");
        u64::from_le_bytes(bytes)
    }
    fn write(&mut self, gpa: Gpa, width: Width, value: u64) {
        self.memory
            .write(gpa, &value.to_le_bytes()[..width.bytes()])
            .expect("tables map RAM alone");
    }
    fn exchange(&mut self, gpa: Gpa, width: Width, current: u64, new: u64) -> bool {
        emulate::compare_exchange(&self.memory, gpa, width, current, new)
            .expect("tables map RAM alone")
    }
    fn port_in(&mut self, _: u16, _: Width) -> u32 {
        panic!("no port is allowed")
    }
    fn port_out(&mut self, _: u16, _: Width, _: u32) {
        panic!("no port is allowed")
    }
    fn read_msr(&mut self, _: u32) -> Result<u64, Exception> {
        Err(Exception::GENERAL_PROTECTION)
    }
    fn write_msr(&mut self, _: u32, _: u64) -> Result<(), Exception> {
        Err(Exception::GENERAL_PROTECTION)
    }
    fn cpuid(&mut self, _: u32, _: u32) -> [u32; 4] {
        [0; 4]
    }
    fn read_tsc(&mut self) -> u64 {
        0
    }
    fn cr4_allowed(&self) -> u64 {
        0
    }
    fn read_cr8(&mut self) -> u64 {
        0
    }
    fn write_cr8(&mut self, _: u64) {}
    fn read_debug(&mut self, _: u8) -> u64 {
        0
    }
    fn write_debug(&mut self, _: u8, _: u64) {}
    fn invalidate(&mut self, _: Invalidation) {}
    fn xcr0(&self) -> u64 {
        7
    }
    fn xsave_image(&mut self) -> Option<XsaveImage<'_>> {
        Some(XsaveImage::new(&mut self.xsave))
    }
}

/// A vCPU that executes one instruction after another, each from a start of its own.
pub struct Model {
    bus: ProcessBus,
    cache: DecodeCache,
}

impl Default for Model {
    fn default() -> Self {
        Self::new()
    }
}

impl Model {
    /// With tables that allow user code what the process has.
    pub fn new() -> Self {
        let memory = GuestMemory::anonymous(&[(Gpa(0), RAM_BYTES)]);
        let store = |at: u64, value: u64| memory.store(Gpa(at), &value).expect("it is RAM");
        let pages = TABLES + 0x3000;
        store(TABLES, (TABLES + 0x1000) | 0x27);
        store(TABLES + 0x1000, (TABLES + 0x2000) | 0x27);
        store(TABLES + 0x2000 + (arena::BASE >> 21) * 8, pages | 0x27);
        for page in 0..PAGES {
            let at = ARENA + page * PAGE;
            let entry = match arena::rights(page) {
                Rights::Hole => 0,
                Rights::Code => at | 0x25,
                Rights::Data => at | 0x67 | 1 << 63,
                Rights::ReadOnly => at | 0x25 | 1 << 63,
            };
            store(pages + page * 8, entry);
        }
        // The kernel's half: one large page over all of it.
        store(TABLES + 256 * 8, (TABLES + 0x4000) | 0x23);
        store(TABLES + 0x4000, 0x1e3);
        for (index, raw) in GLOBALS.into_iter().enumerate() {
            store(DESCRIPTORS + index as u64 * 8, raw);
        }
        for (index, entry) in LOCALS.iter().enumerate() {
            store(DESCRIPTORS + LOCAL_TABLE + index as u64 * 8, entry.raw());
        }
        Self {
            bus: ProcessBus {
                memory,
                xsave: Box::new([0; XSAVE_BYTES]),
            },
            cache: DecodeCache::new(),
        }
    }

    /// Executes the instruction of `start`; `None` if it does not end soon.
    pub fn run(&mut self, start: &Start) -> Result<Option<Outcome>, Unsupported> {
        let mut state = state(start);
        *self.bus.xsave = *start.registers.vectors;
        let arena = Gpa(ARENA + arena::CODE);
        self.bus
            .memory
            .write(arena, &start.memory[..])
            .expect("it is RAM");
        let Some(mut ending) = self.execute(&mut state)? else {
            return Ok(None);
        };
        if ending == Ending::Next && !self.is_at_breakpoint(&state) {
            // It has jumped to where no code is; what the CPU says of that is part of the result.
            match self.execute(&mut state)? {
                Some(fault @ Ending::Fault { .. }) => ending = fault,
                _ => return Ok(None),
            }
        }
        let mut memory = Box::new([0; size_of::<arena::Memory>()]);
        self.bus
            .memory
            .read(arena, &mut memory[..])
            .expect("it is RAM");
        let registers = Registers {
            gprs: state.gprs,
            rip: state.rip,
            rflags: state.rflags,
            selectors: SEGMENTS.map(|name| state.segments[name as usize].selector),
            bases: [
                state.segments[SegmentName::Fs as usize].base,
                state.segments[SegmentName::Gs as usize].base,
            ],
            vectors: self.bus.xsave.clone(),
        };
        Ok(Some(Outcome {
            ending,
            registers,
            memory,
        }))
    }

    fn execute(&mut self, state: &mut State) -> Result<Option<Ending>, Unsupported> {
        for _ in 0..STEPS {
            let step = emulate::step(state, &mut self.bus, &mut self.cache, Hint::None, None)?;
            return Ok(Some(match step {
                Step::Again => continue,
                Step::Done(completion) | Step::Halt(completion) => match completion.trap {
                    Trap::None => Ending::Next,
                    Trap::SingleStep => Ending::Stepped,
                },
                Step::Fault(exception) => Ending::Fault {
                    vector: exception.vector,
                    error_code: exception.error_code.unwrap_or(0),
                    address: exception.cr2,
                },
            }));
        }
        Ok(None)
    }

    /// Whether RIP is at one of the breakpoints that fill the page of code.
    fn is_at_breakpoint(&self, state: &State) -> bool {
        let code = &state.segments[SegmentName::Cs as usize];
        let is_long = code.attributes.contains(Attributes::L);
        let (linear, limit) = if is_long {
            (state.rip, u64::MAX)
        } else {
            ((code.base + state.rip) & 0xffff_ffff, u64::from(code.limit))
        };
        let offset = linear.wrapping_sub(arena::BASE);
        (arena::CODE..arena::CODE + PAGE).contains(&offset)
            && state.rip <= limit
            && self.bus.memory.load::<u8>(Gpa(ARENA + offset)) == Ok(0xcc)
    }
}

/// Those with a selector in [`Registers`].
const SEGMENTS: [SegmentName; 6] = [
    SegmentName::Es,
    SegmentName::Cs,
    SegmentName::Ss,
    SegmentName::Ds,
    SegmentName::Fs,
    SegmentName::Gs,
];

/// The segment that a selector of the two tables loads.
fn segment(selector: u16) -> Segment {
    let index = usize::from(selector >> 3);
    match (selector & 4 != 0, selector & 0xfffc) {
        (_, 0) => Segment::new(selector, Attributes::UNUSABLE.bits(), 0, 0),
        (true, _) => LOCALS[index].segment(selector),
        (false, _) => {
            let attributes = (GLOBALS[index] >> 40) as u32 & 0xf0ff;
            Segment::new(selector, attributes, u32::MAX, 0)
        }
    }
}

fn state(start: &Start) -> State {
    let registers = &start.registers;
    let mut segments = [Segment::default(); 8];
    for (name, selector) in SEGMENTS.into_iter().zip(registers.selectors) {
        segments[name as usize] = segment(selector);
    }
    if start.mode == CodeMode::Bits64 {
        segments[SegmentName::Fs as usize].base = registers.bases[0];
        segments[SegmentName::Gs as usize].base = registers.bases[1];
    }
    segments[SegmentName::Ldtr as usize] = Segment::new(
        0x50,
        0x82,
        (LOCALS.len() * 8 - 1) as u32,
        DESCRIPTORS_LINEAR + DESCRIPTORS + LOCAL_TABLE,
    );
    // Without a map of ports: no port is allowed.
    segments[SegmentName::Tr as usize] = Segment::new(0x40, 0x8b, 0x5f, DESCRIPTORS_LINEAR);
    State {
        gprs: registers.gprs,
        rip: registers.rip,
        rflags: registers.rflags,
        segments,
        gdtr: TableRegister {
            base: DESCRIPTORS_LINEAR + DESCRIPTORS,
            limit: GLOBAL_LIMIT,
        },
        idtr: TableRegister {
            base: DESCRIPTORS_LINEAR,
            limit: 0xfff,
        },
        cr0: (Cr0::PE | Cr0::MP | Cr0::ET | Cr0::NE | Cr0::WP | Cr0::AM | Cr0::PG).bits(),
        cr2: 0,
        cr3: TABLES,
        cr4: (Cr4::PAE | Cr4::OSFXSR | Cr4::OSXMMEXCPT | Cr4::FSGSBASE | Cr4::OSXSAVE | Cr4::UMIP)
            .bits(),
        efer: (Efer::SCE | Efer::LME | Efer::LMA | Efer::NXE).bits(),
    }
}
