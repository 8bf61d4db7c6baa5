//! From real mode to Rust: the page of code that a started CPU runs first, below 1 MiB, and the tables that it needs on the
//! way. (Intel SDM vol. 3, 9.4 and 9.8.5.)

use crate::cpu::features;
use crate::mem::paging::{self, OutOfFrames};
use crate::mem::{PAGE_BYTES, frames, phys_to_virt};
use boot::PhysRange;
use guest_mem::Hpa;

/// Where in the page the code finds what the boot CPU has put there for it.
const PARAMETERS: usize = 0xf00;

#[repr(C)]
struct Parameters {
    top_table: u32,
    efer: u32,
    stack: u64,
    cpu: u64,
    entry: u64,
    protected_offset: u32,
    protected_selector: u16,
    reserved_0: u16,
    long_offset: u32,
    long_selector: u16,
    gdt_limit: u16,
    gdt_base: u32,
    reserved_1: u32,
    gdt: [u64; 4],
}

const CODE_32: u16 = 0x08;
const DATA: u16 = 0x10;
const CODE_64: u16 = 0x18;
/// Null; flat 32-bit code; flat data; 64-bit code. All present, ring 0, accessed.
const GDT: [u64; 4] = [
    0,
    0x00cf_9b00_0000_ffff,
    0x00cf_9300_0000_ffff,
    0x00af_9b00_0000_ffff,
];

/// EFER: long mode enable, and no-execute enable.
const EFER_LONG_MODE: u32 = 1 << 8;
const EFER_NO_EXECUTE: u32 = 1 << 11;

/// Low pages, and what is in them: the code; tables that map the first 2 MiB one to one beside all that the kernel maps.
pub(super) struct Trampoline {
    pages: PhysRange,
}

const PAGES: u64 = 4;

impl Trampoline {
    /// Lays it out. Fails if memory below 1 MiB is used up.
    pub(super) fn new() -> Result<Self, OutOfFrames> {
        let pages = frames::alloc_low(PAGES * PAGE_BYTES).ok_or(OutOfFrames)?;
        let trampoline = Self { pages };
        let [code, top, upper, middle] =
            [0, 1, 2, 3].map(|page| Hpa(pages.base + page * PAGE_BYTES));
        let present = paging::Bits::PRESENT.bits();
        let large = paging::Bits::LARGE.bits();
        // SAFETY: the pages were just taken, so nobody else has them; RAM is mapped writable. The kernel's top table is
        // only read, and its upper half no longer gets new entries that a starting CPU needs.
        unsafe {
            phys_to_virt(code).write_bytes(0, (PAGES * PAGE_BYTES) as usize);
            let source = code::bytes();
            phys_to_virt(code).copy_from_nonoverlapping(source.as_ptr(), source.len());
            let kernel = phys_to_virt(paging::root()).cast::<u64>();
            let table = phys_to_virt(top).cast::<u64>();
            table
                .add(256)
                .copy_from_nonoverlapping(kernel.add(256), 256);
            table.write(upper.0 | present);
            phys_to_virt(upper).cast::<u64>().write(middle.0 | present);
            phys_to_virt(middle).cast::<u64>().write(present | large);
        }
        Ok(trampoline)
    }

    /// The page number for the start-up interrupt.
    pub(super) fn page(&self) -> u8 {
        (self.pages.base / PAGE_BYTES) as u8
    }

    /// Says where the next CPU goes: to `entry` with `argument` in RDI, on `stack`.
    pub(super) fn aim(&mut self, entry: extern "C" fn(u64) -> !, argument: u64, stack: u64) {
        let page = self.pages.base as u32;
        let no_execute = if features::no_execute() {
            EFER_NO_EXECUTE
        } else {
            0
        };
        let parameters = Parameters {
            top_table: page + PAGE_BYTES as u32,
            efer: EFER_LONG_MODE | no_execute,
            stack,
            cpu: argument,
            entry: entry as usize as u64,
            protected_offset: page + code::protected_offset(),
            protected_selector: CODE_32,
            reserved_0: 0,
            long_offset: page + code::long_offset(),
            long_selector: CODE_64,
            gdt_limit: size_of_val(&GDT) as u16 - 1,
            gdt_base: page + (PARAMETERS + core::mem::offset_of!(Parameters, gdt)) as u32,
            reserved_1: 0,
            gdt: GDT,
        };
        let at = phys_to_virt(Hpa(self.pages.base + PARAMETERS as u64)).cast::<Parameters>();
        // SAFETY: inside our own page, 256-aligned; no CPU runs the trampoline now. Volatile, as another CPU will read it.
        unsafe { at.write_volatile(parameters) };
    }

    /// Gives the pages back, once no CPU can be on its way through them.
    pub(super) fn free(self) {
        frames::free_low(self.pages);
    }
}

#[cfg(target_os = "none")]
mod code {
    use super::{DATA, PARAMETERS, Parameters};
    use core::arch::global_asm;
    use core::mem::offset_of;

    // It knows its place from CS; data is reached through DS = CS, then through EBX = 16 * CS.
    global_asm!(
        ".pushsection .rodata.trampoline, \"a\"",
        "trampoline_start:",
        ".code16",
        "cli",
        "cld",
        "mov ax, cs",
        "mov ds, ax",
        "xor ebx, ebx",
        "mov bx, ax",
        "shl ebx, 4",
        "lgdtd [{gdt}]",
        "mov eax, cr0",
        "or al, 1",
        "mov cr0, eax",
        "jmp fword ptr [{protected}]",
        ".code32",
        "trampoline_protected:",
        "mov ax, {data}",
        "mov ds, ax",
        "mov es, ax",
        "mov ss, ax",
        "mov eax, cr4",
        "or eax, 0x20", // PAE
        "mov cr4, eax",
        "mov eax, [ebx + {top_table}]",
        "mov cr3, eax",
        "mov ecx, 0xc0000080", // EFER
        "rdmsr",
        "or eax, [ebx + {efer}]",
        "wrmsr",
        "mov eax, cr0",
        "or eax, 0x80010000", // paging, write protection
        "mov cr0, eax",
        "jmp fword ptr [ebx + {long}]",
        ".code64",
        "trampoline_long:",
        "mov ebx, ebx",
        "mov rsp, [rbx + {stack}]",
        "mov rdi, [rbx + {cpu}]",
        "mov rax, [rbx + {entry}]",
        "xor ebp, ebp",
        "call rax",
        "ud2",
        "trampoline_end:",
        ".popsection",
        data = const DATA,
        gdt = const PARAMETERS + offset_of!(Parameters, gdt_limit),
        protected = const PARAMETERS + offset_of!(Parameters, protected_offset),
        long = const PARAMETERS + offset_of!(Parameters, long_offset),
        top_table = const PARAMETERS + offset_of!(Parameters, top_table),
        efer = const PARAMETERS + offset_of!(Parameters, efer),
        stack = const PARAMETERS + offset_of!(Parameters, stack),
        cpu = const PARAMETERS + offset_of!(Parameters, cpu),
        entry = const PARAMETERS + offset_of!(Parameters, entry),
    );

    unsafe extern "C" {
        static trampoline_start: u8;
        static trampoline_protected: u8;
        static trampoline_long: u8;
        static trampoline_end: u8;
    }

    fn offset(symbol: *const u8) -> usize {
        symbol.addr() - (&raw const trampoline_start).addr()
    }

    pub fn bytes() -> &'static [u8] {
        // SAFETY: the two symbols bound the code above, which is constant.
        unsafe {
            core::slice::from_raw_parts(
                &raw const trampoline_start,
                offset(&raw const trampoline_end),
            )
        }
    }

    pub fn protected_offset() -> u32 {
        offset(&raw const trampoline_protected) as u32
    }

    pub fn long_offset() -> u32 {
        offset(&raw const trampoline_long) as u32
    }
}

#[cfg(not(target_os = "none"))]
mod code {
    /// A hosted program starts no CPUs.
    pub fn bytes() -> &'static [u8] {
        &[]
    }

    pub fn protected_offset() -> u32 {
        0
    }

    pub fn long_offset() -> u32 {
        0
    }
}
