//! Random instructions with operands that mean something: addresses in the arena and at its edges, targets in the page of code, far
//! pointers with selectors that exist.

use crate::arena::{self, LOCALS, PAGE, USER_CODE, USER_DATA, local};
use crate::random::Random;
use crate::{Registers, Start, XSAVE_BYTES};
use hvm::emulate::code::CodeMode;
use hvm::regs::Rflags;
use iced_x86::{Code, Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};

/// How many bytes a generated instruction may have behind prefixes and opcode.
const TAIL: usize = 10;

/// A start with an instruction that may be executed. `only` narrows the choice.
pub fn start(random: &mut Random, mode: CodeMode, only: fn(&Instruction) -> bool) -> Start {
    loop {
        let mut code = bytes(random, mode);
        let Some(instruction) = decode(&code, mode) else {
            continue;
        };
        code.truncate(instruction.len());
        if is_allowed(&instruction)
            && !is_contested(&instruction, &code, mode)
            && only(&instruction)
        {
            return prepare(random, mode, code, &instruction);
        }
    }
}

/// Prefixes, opcode and a random rest.
fn bytes(random: &mut Random, mode: CodeMode) -> Vec<u8> {
    const PREFIXES: [u8; 11] = [
        0x66, 0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x26, 0x2e, 0x36, 0x64, 0x65,
    ];
    if mode == CodeMode::Bits64 && random.one_in(500) {
        // Bases of FS and GS: hardly ever met by chance.
        let rex = 0x40 | random.below(16) as u8;
        return vec![0xf3, rex, 0x0f, 0xae, 0xc0 | random.below(32) as u8];
    }
    let mut code = Vec::new();
    while random.one_in(3) && code.len() < 3 {
        code.push(random.pick(&PREFIXES));
    }
    if mode == CodeMode::Bits64 && random.one_in(2) {
        code.push(0x40 | random.below(16) as u8);
    }
    match random.below(20) {
        0..=10 => {}
        11..=16 => code.push(0x0f),
        17 => code.extend([0x0f, 0x38]),
        18 => code.extend([0x0f, 0x3a]),
        _ if random.one_in(2) => code.extend([0xc5, 0xf8 | random.bits() as u8 & 0x87]),
        _ => code.extend([0xc4, 0xe1 + random.below(3) as u8]),
    }
    for _ in 0..TAIL {
        code.push(random.bits() as u8);
    }
    if random.one_in(4) {
        // A small displacement or immediate.
        let at = code.len() - 1 - random.below(TAIL as u64 - 2) as usize;
        code[at] = random.pick(&[0, 1, 2, 4, 8, 31, 32, 63, 64, 127, 128, 255]);
    }
    code
}

/// Decodes what is an instruction, or would be without a prefix that makes it an invalid one.
pub fn decode(code: &[u8], mode: CodeMode) -> Option<Instruction> {
    let decode = |options| Decoder::new(mode as u32, code, options).decode();
    let valid = decode(DecoderOptions::NONE);
    let found = if valid.is_invalid() {
        decode(DecoderOptions::NO_INVALID_CHECK)
    } else {
        valid
    };
    (!found.is_invalid() && found.len() <= 15).then_some(found)
}

/// What is rare among all encodings: moves of vector registers, bit instructions with VEX, bases of FS and GS.
pub fn is_rare(instruction: &Instruction) -> bool {
    use Mnemonic::*;
    is_vector_move(instruction)
        || matches!(
            instruction.mnemonic(),
            Andn | Bextr
                | Blsi
                | Blsmsk
                | Blsr
                | Bzhi
                | Mulx
                | Pdep
                | Pext
                | Rorx
                | Sarx
                | Shlx
                | Shrx
        )
        || matches!(
            instruction.mnemonic(),
            Adcx | Adox | Rdfsbase | Rdgsbase | Wrfsbase | Wrgsbase
        )
}

fn is_vector_move(instruction: &Instruction) -> bool {
    let name = format!("{:?}", instruction.mnemonic());
    let is_move = ["Mov", "Vmov", "Lddqu", "Vlddqu"]
        .iter()
        .any(|start| name.starts_with(start));
    let is_vector = |index| {
        let register: Register = instruction.op_register(index);
        register.is_mm() || register.is_vector_register()
    };
    is_move && (0..instruction.op_count()).any(is_vector)
}

/// Leaves out what would reach the kernel, what tells something that only this computer knows, and what different CPUs do differently.
fn is_allowed(instruction: &Instruction) -> bool {
    use Mnemonic::*;
    let mnemonic = instruction.mnemonic();
    let is_refused = matches!(
        mnemonic,
        // System calls and hypercalls.
        Syscall | Sysenter | Sysret | Sysretq | Sysexit | Sysexitq | Vmcall | Vmmcall | Vmgexit
            // Events that the model's empty interrupt table does not have.
            | Int1 | Int3 | Into
            // What this computer alone knows.
            | Cpuid | Rdtsc | Rdtscp | Rdpmc | Rdrand | Rdseed | Rdpid | Xgetbv | Xtest | Xbegin | Xabort | Xend
            // The kernel executes these for programs, in its own way.
            | Sgdt | Sidt | Smsw | Sldt | Str
            // Not in every CPU, or by another name.
            | Ud0 | Ud1 | Clzero | Monitor | Mwait | Monitorx | Mwaitx | Umonitor | Umwait | Tpause | Invlpgb | Tlbsync
            | Xstore | Xcryptecb | Xcryptcbc | Xcryptctr | Xcryptcfb | Xcryptofb | Xsha1 | Xsha256 | Montmul
            | Rdpkru | Wrpkru | Enclu | Encls | Enclv | Getsec | Pconfig | Serialize | Movdiri | Movdir64b | Enqcmd | Enqcmds
    );
    let is_known_interrupt =
        mnemonic == Int && matches!(instruction.immediate8(), 1 | 3 | 4 | 0x80);
    !is_refused && !is_known_interrupt && is_offered(mnemonic)
}

/// What CPUs do differently, whatever the manuals say.
fn is_contested(instruction: &Instruction, code: &[u8], mode: CodeMode) -> bool {
    use Mnemonic::*;
    let prefixes = &code[..instruction.len() - 1];
    let mnemonic = instruction.mnemonic();
    let is_branch = matches!(
        instruction.op_kind(0),
        OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64
    ) || matches!(mnemonic, Jmp | Call | Ret);
    // Near branches in 64-bit mode have 16-bit operands on AMD's CPUs.
    let has_size = mode == CodeMode::Bits64 && is_branch && prefixes.contains(&0x66);
    // A repeat prefix makes LOOPE of LOOPNE, and the other way round.
    let is_turned = matches!(mnemonic, Loope | Loopne)
        && (prefixes.contains(&0xf2) || prefixes.contains(&0xf3));
    // REX.B makes an XCHG of a PAUSE.
    let is_exchange = mnemonic == Pause && prefixes.iter().any(|byte| byte & 0xf1 == 0x41);
    // LOCK makes CR8 of CR0.
    let is_control = instruction.op0_register().is_cr() || instruction.op1_register().is_cr();
    let is_locked = is_control && prefixes.contains(&0xf0);
    // The source of this one has 32 bits.
    let is_wide = instruction.code() == Code::Movsxd_r16_rm16;
    // Far pointers with offsets of 64 bits are Intel's.
    let is_far = matches!(
        instruction.code(),
        Code::Jmp_m1664
            | Code::Call_m1664
            | Code::Lss_r64_m1664
            | Code::Lfs_r64_m1664
            | Code::Lgs_r64_m1664
    );
    has_size || is_turned || is_exchange || is_locked || is_wide || is_far
}

/// False for what this CPU does not have.
fn is_offered(mnemonic: Mnemonic) -> bool {
    use Mnemonic::*;
    match mnemonic {
        Movbe => is_x86_feature_detected!("movbe"),
        Popcnt => is_x86_feature_detected!("popcnt"),
        Lzcnt => is_x86_feature_detected!("lzcnt"),
        Crc32 => is_x86_feature_detected!("sse4.2"),
        Adcx | Adox => is_x86_feature_detected!("adx"),
        Tzcnt | Andn | Bextr | Blsi | Blsmsk | Blsr => is_x86_feature_detected!("bmi1"),
        Bzhi | Mulx | Pdep | Pext | Rorx | Sarx | Shlx | Shrx => is_x86_feature_detected!("bmi2"),
        _ if format!("{mnemonic:?}").starts_with('V') => is_x86_feature_detected!("avx2"),
        Cmpxchg16b => is_x86_feature_detected!("cmpxchg16b"),
        _ => true,
    }
}

/// Values that arithmetic is interested in.
fn number(random: &mut Random) -> u64 {
    const EDGES: [u64; 12] = [
        0,
        1,
        2,
        0x7f,
        0x80,
        0xff,
        0x7fff,
        0x8000,
        0x7fff_ffff,
        0x8000_0000,
        i64::MAX as u64,
        1 << 63,
    ];
    match random.below(6) {
        0 => random.pick(&EDGES),
        1 => random.pick(&EDGES).wrapping_neg(),
        2 => random.below(64),
        3 => random.bits() >> random.below(64),
        _ => random.bits(),
    }
}

/// An offset in the arena, often at an edge.
fn place(random: &mut Random) -> u64 {
    let end = arena::READ_ONLY + PAGE;
    match random.below(16) {
        0..=8 => arena::DATA + random.below(2 * PAGE),
        9..=10 => (arena::DATA + random.below(2 * PAGE)) & !15,
        11 => arena::DATA.wrapping_sub(8) + random.below(16),
        12 => arena::DATA + PAGE - 20 + random.below(24),
        13 => arena::READ_ONLY - 20 + random.below(40),
        14 => end - 36 + random.below(40),
        _ => arena::CODE + random.below(PAGE),
    }
}

/// The linear base of a segment.
fn base(start: &Registers, segment: usize) -> u64 {
    let selector = start.selectors[segment];
    match (selector & 4 != 0, segment) {
        (true, _) => u64::from(LOCALS[usize::from(selector >> 3)].base),
        (false, 4 | 5) => start.bases[segment - 4],
        _ => 0,
    }
}

/// Offsets of code that leads to a breakpoint, in the current segment or another.
fn target(random: &mut Random, code_base: u64) -> u64 {
    let offset = arena::CODE + random.below(PAGE);
    match random.below(12) {
        0 => number(random),
        1 => arena::BASE + offset,
        2 => place(random) + arena::BASE - code_base,
        _ => arena::BASE.wrapping_sub(code_base).wrapping_add(offset),
    }
}

/// Selectors that exist, and some that do not.
fn selector(random: &mut Random) -> u16 {
    match random.below(8) {
        0 => random.below(4) as u16,
        // The last one of the global table tells the CPU's number.
        1 => (random.below(15) as u16) << 3 | random.below(4) as u16,
        2 => random.pick(&[0x80, 0x87, 0xfff8]),
        3 => random.pick(&[0x23, 0x2b, 0x33, 0x10, 0x18]),
        // At another requested privilege level.
        4 => local(random.below(16) as u16) & !3 | random.below(4) as u16,
        _ => local(random.below(16) as u16),
    }
}

fn segments(random: &mut Random, mode: CodeMode) -> [u16; 6] {
    const DATA: [u16; 7] = [4, 4, 6, 7, 8, 5, 3];
    let mut data = || {
        if random.one_in(12) {
            0
        } else {
            local(random.pick(&DATA))
        }
    };
    match mode {
        CodeMode::Bits64 => [0, USER_CODE, USER_DATA, 0, 0, 0],
        CodeMode::Bits32 => {
            let [es, ds, fs, gs] = [(); 4].map(|()| data());
            let flat = [local(4), local(1), local(4), local(4), fs, gs];
            let other = [es, local(3), local(random.pick(&[4, 6, 8])), ds, fs, gs];
            if random.one_in(2) { flat } else { other }
        }
        CodeMode::Bits16 => {
            let [es, ds, fs, gs] = [(); 4].map(|()| data());
            let wide = |random: &mut Random| local(random.pick(&[5, 5, 14, 9]));
            let (code, stack) = (random.pick(&[2, 2, 15]), random.pick(&[5, 14, 9, 4]));
            if random.one_in(3) {
                [es, local(code), local(stack), ds, fs, gs]
            } else {
                let [a, b] = [(); 2].map(|()| wide(random));
                [a, local(code), local(5), b, fs, gs]
            }
        }
    }
}

fn flags(random: &mut Random) -> u64 {
    const STATUS: u64 = 0x8d5;
    let mut rflags = 0x202 | random.bits() & STATUS;
    for (flag, times) in [(Rflags::DF, 3), (Rflags::AC, 5), (Rflags::TF, 12)] {
        if random.one_in(times) {
            rflags |= flag.bits();
        }
    }
    rflags
}

fn vectors(random: &mut Random) -> Box<[u8; XSAVE_BYTES]> {
    let mut image = Box::new([0; XSAVE_BYTES]);
    // The control word is the process's own, as it was started with.
    image[..2].copy_from_slice(&0x37f_u16.to_le_bytes());
    for chunk in image[160..416].chunks_exact_mut(8) {
        chunk.copy_from_slice(&random.bits().to_le_bytes());
    }
    for chunk in image[576..].chunks_exact_mut(8) {
        chunk.copy_from_slice(&random.bits().to_le_bytes());
    }
    // x87 registers hold what MMX instructions leave there, in any order; the top of the stack is anywhere.
    for register in image[32..160].chunks_exact_mut(16) {
        register[..8].copy_from_slice(&random.bits().to_le_bytes());
        register[8..10].fill(0xff);
    }
    image[3] = (random.below(8) << 3) as u8;
    image[4] = random.pick(&[0, 0xff]);
    image[512] = 7;
    image
}

/// Fills in all the rest.
fn prepare(random: &mut Random, mode: CodeMode, code: Vec<u8>, instruction: &Instruction) -> Start {
    let mut registers = Registers {
        gprs: [(); 16].map(|()| number(random)),
        rip: 0,
        rflags: flags(random),
        selectors: segments(random, mode),
        bases: [0; 2],
        vectors: vectors(random),
    };
    if mode == CodeMode::Bits64 {
        registers.bases = [(); 2].map(|()| {
            if random.one_in(3) {
                0
            } else {
                arena::BASE + place(random)
            }
        });
    } else {
        registers.gprs = registers.gprs.map(|value| value & 0xffff_ffff);
        registers.gprs[8..].fill(0);
    }
    let mut memory = Box::new([0; size_of::<arena::Memory>()]);
    // Breakpoints.
    memory[..PAGE as usize].fill(0xcc);
    for chunk in memory[arena::index(arena::DATA)..].chunks_exact_mut(8) {
        chunk.copy_from_slice(&random.bits().to_le_bytes());
    }
    // Sometimes across the page's or the segment's end.
    let is_whole = {
        let mut decoder = Decoder::new(mode as u32, &code, DecoderOptions::NONE);
        !decoder.decode().is_invalid()
    };
    // Whether a fetch fault or an invalid opcode comes first is the CPU's own business.
    let at = match random.below(if is_whole { 8 } else { 1 }) + u64::from(!is_whole) * 2 {
        0 => arena::CODE + PAGE - 1 - random.below(16),
        1 => arena::CODE + 0x800 - 1 - random.below(16),
        _ => arena::CODE + 0x100 + random.below(0x600),
    };
    let mut start = Start {
        mode,
        registers,
        memory,
        code,
    };
    let code_base = base(&start.registers, 1);
    start.registers.rip = arena::BASE.wrapping_sub(code_base).wrapping_add(at);
    point(random, &mut start, instruction);
    let room = (PAGE - (at - arena::CODE)) as usize;
    let fits = start.code.len().min(room);
    start.memory[arena::index(at)..][..fits].copy_from_slice(&start.code[..fits]);
    start
}

/// Makes the operands' addresses point somewhere.
fn point(random: &mut Random, start: &mut Start, instruction: &Instruction) {
    use Mnemonic::*;
    let code_base = base(&start.registers, 1);
    // The stack, mostly aligned.
    let mut stack = place(random);
    if !random.one_in(4) {
        stack &= !7;
    }
    set_pointer(start, 4, 2, stack);
    set_pointer(start, 5, 2, stack + random.below(64));
    // Strings, loops and jumps through registers.
    for (register, segment) in [(6, 3), (7, 0)] {
        let at = place(random);
        set_pointer(start, register, segment, at);
    }
    if instruction.has_rep_prefix()
        || instruction.has_repne_prefix()
        || matches!(instruction.mnemonic(), Loop | Loope | Loopne)
    {
        start.registers.gprs[1] = random.below(24) + if random.one_in(40) { 0x1_0000 } else { 0 };
    }
    if instruction.mnemonic() == Enter && !random.one_in(4) {
        let end = start.code.len();
        start.code[end - 2] &= 3;
    }
    let mut operand = stack;
    if let Some(at) = operand_place(random, start, instruction) {
        operand = at;
    }
    let is_branch = matches!(
        instruction.mnemonic(),
        Jmp | Call | Ret | Retf | Iret | Iretd | Iretq
    );
    if is_branch && instruction.op0_register().is_gpr() {
        let index = instruction.op0_register().full_register() as usize - Register::RAX as usize;
        start.registers.gprs[index] = target(random, code_base);
    }
    let near = matches!(
        instruction.op_kind(0),
        OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64
    );
    if near && !random.one_in(6) {
        patch_near(random, start, instruction);
    }
    if matches!(
        instruction.op0_kind(),
        OpKind::FarBranch16 | OpKind::FarBranch32
    ) && !random.one_in(6)
    {
        let offset = target(random, code_base);
        let selector = selector(random);
        let bytes = if instruction.op0_kind() == OpKind::FarBranch16 {
            2
        } else {
            4
        };
        let end = start.code.len();
        start.code[end - 2..].copy_from_slice(&selector.to_le_bytes());
        start.code[end - 2 - bytes..end - 2].copy_from_slice(&offset.to_le_bytes()[..bytes]);
    }
    plant(random, start, instruction, operand, stack);
}

/// Has a register point at an offset of the arena, through a segment.
fn set_pointer(start: &mut Start, register: usize, segment: usize, offset: u64) {
    let value = arena::BASE
        .wrapping_add(offset)
        .wrapping_sub(base(&start.registers, segment));
    start.registers.gprs[register] = if start.mode == CodeMode::Bits64 {
        value
    } else {
        value & 0xffff_ffff
    };
}

/// Chooses the base register or displacement of a memory operand so that it lies somewhere; returns where.
fn operand_place(random: &mut Random, start: &mut Start, instruction: &Instruction) -> Option<u64> {
    let has_memory =
        (0..instruction.op_count()).any(|index| instruction.op_kind(index) == OpKind::Memory);
    if !has_memory || random.one_in(16) {
        return None;
    }
    let segment = match instruction.memory_segment() {
        Register::ES => 0,
        Register::CS => 1,
        Register::SS => 2,
        Register::FS => 4,
        Register::GS => 5,
        _ => 3,
    };
    let wanted = place(random);
    let value = arena::BASE
        .wrapping_add(wanted)
        .wrapping_sub(base(&start.registers, segment));
    let general = |register: Register| {
        register
            .is_gpr()
            .then(|| register.full_register() as usize - Register::RAX as usize)
    };
    let index = general(instruction.memory_index());
    let mut rest = instruction.memory_displacement64();
    if let Some(index) = index {
        let scaled =
            start.registers.gprs[index].wrapping_mul(u64::from(instruction.memory_index_scale()));
        rest = rest.wrapping_add(scaled);
    }
    if let Some(base) = general(instruction.memory_base()) {
        if Some(base) == index {
            return None;
        }
        let mut found = value.wrapping_sub(rest);
        let size = instruction.memory_base().size();
        if size < 8 {
            found &= (1 << (8 * size)) - 1;
        }
        if start.mode != CodeMode::Bits64 {
            found &= 0xffff_ffff;
        }
        start.registers.gprs[base] = found;
        return Some(wanted);
    }
    if index.is_some() {
        return None;
    }
    let offsets = Decoder::new(
        start.mode as u32,
        &start.code,
        DecoderOptions::NO_INVALID_CHECK,
    );
    let mut decoder = offsets;
    let again = decoder.decode();
    let constants = decoder.get_constant_offsets(&again);
    let displacement = match instruction.memory_base() {
        Register::RIP | Register::EIP => value
            .wrapping_sub(start.registers.rip)
            .wrapping_sub(instruction.len() as u64),
        _ => value,
    };
    let (at, size) = (
        constants.displacement_offset(),
        constants.displacement_size(),
    );
    start.code[at..at + size].copy_from_slice(&displacement.to_le_bytes()[..size]);
    Some(wanted)
}

/// A relative target in the page of code.
fn patch_near(random: &mut Random, start: &mut Start, instruction: &Instruction) {
    let mut decoder = Decoder::new(
        start.mode as u32,
        &start.code,
        DecoderOptions::NO_INVALID_CHECK,
    );
    let again = decoder.decode();
    let constants = decoder.get_constant_offsets(&again);
    if constants.immediate_size() < 2 {
        return;
    }
    let code_base = base(&start.registers, 1);
    let distance = target(random, code_base)
        .wrapping_sub(start.registers.rip)
        .wrapping_sub(instruction.len() as u64);
    let (at, size) = (constants.immediate_offset(), constants.immediate_size());
    start.code[at..at + size].copy_from_slice(&distance.to_le_bytes()[..size]);
}

/// Puts targets, selectors and flags where the instruction will look for them.
fn plant(
    random: &mut Random,
    start: &mut Start,
    instruction: &Instruction,
    operand: u64,
    stack: u64,
) {
    use Mnemonic::*;
    let code_base = base(&start.registers, 1);
    let words = |random: &mut Random, first: u64| {
        [
            first,
            u64::from(selector(random)),
            random.bits() & 0x25_4fd5 | 2,
            place(random) + arena::BASE,
            u64::from(selector(random)),
        ]
    };
    let width = match instruction.mnemonic() {
        Iretq => 8,
        Iretd => 4,
        Iret => 2,
        _ => random.pick(&[2, 4, 8]),
    };
    let (at, values) = match instruction.mnemonic() {
        Jmp | Call | Lds | Les | Lfs | Lgs | Lss => {
            let first = target(random, code_base);
            (operand, words(random, first))
        }
        Ret | Retf | Iret | Iretd | Iretq => {
            let first = target(random, code_base);
            (stack, words(random, first))
        }
        Pop => (stack, [(); 5].map(|()| u64::from(selector(random)))),
        Popf | Popfd | Popfq => (stack, [random.bits() & 0x25_ffff; 5]),
        Mov | Verr | Verw | Lar | Lsl | Lldt | Ltr | Arpl if random.one_in(2) => {
            let general = (0..instruction.op_count())
                .map(|index| instruction.op_register(index))
                .filter(|register| register.is_gpr());
            for register in general {
                let index = register.full_register() as usize - Register::RAX as usize;
                start.registers.gprs[index] = u64::from(selector(random));
            }
            (operand, [(); 5].map(|()| u64::from(selector(random))))
        }
        Bound => (
            operand,
            [random.bits() & 0xff, random.bits() & 0xffff, 0, 0, 0],
        ),
        _ => return,
    };
    let mut at = at;
    for (index, value) in values.into_iter().enumerate() {
        if random.one_in(24) {
            return;
        }
        let data = arena::DATA..arena::READ_ONLY + PAGE - 8;
        if !data.contains(&at) {
            return;
        }
        let bytes = if index == 4 && width == 2 {
            2
        } else {
            width as usize
        };
        start.memory[arena::index(at)..][..bytes].copy_from_slice(&value.to_le_bytes()[..bytes]);
        at += width;
    }
}
