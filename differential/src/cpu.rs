//! The CPU's side: the process enters generated code by returning from one signal, and gets back by the next.
//!
//! The kernel's signal frame holds everything that is wanted: registers, selectors of code and stack, XSAVE image, and for the fault its
//! vector, error code and address. FS and GS, their bases, DS and ES are not in it and are set and read in the handler, which therefore
//! uses no thread-local storage.
//!
//! Soundness: the handlers run on the calling thread alone, on a stack of their own; what they share with [`Cpu::run`] is static, and a
//! [`Cpu`] exists once at a time. That generated code does not touch the process is the generator's promise, and not checked: this
//! is code for tests.

use crate::arena::{self, LOCALS, PAGE, Rights};
use crate::{Ending, Outcome, Registers, Start, XSAVE_BYTES};
use core::arch::asm;
use core::ptr;
use hvm::emulate::code::CodeMode;
use libc::{c_int, c_void, siginfo_t, ucontext_t};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Signals that end generated code.
const ENDINGS: [c_int; 6] = [
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGILL,
    libc::SIGFPE,
    libc::SIGTRAP,
    libc::SIGALRM,
];
/// Starts it.
const START: c_int = libc::SIGUSR1;
const STACK_BYTES: usize = 64 << 10;
/// Where the last user descriptor lies: the trap of a breakpoint, and of a single step.
const DEBUG: u64 = 1;
const BREAKPOINT: u64 = 3;
const PAGE_FAULT: u64 = 14;
/// CPUID.7:EBX bit 0, as the kernel tells programs (AT_HWCAP2): RDFSBASE and its kin may be used.
const HWCAP2_FSGSBASE: u64 = 1 << 1;
/// How long an instruction may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// Software-reserved bytes of a signal frame's FXSAVE image (Linux's struct _fpx_sw_bytes): magic, size.
const FRAME_MAGIC: usize = 464;
const MAGIC: u32 = 0x4650_5853;
const XSTATE_BV: usize = 512;
/// The parts of the image that are compared.
const X87_SSE_AVX: u8 = 7;

/// In glibc's order of a frame's registers, by encoding.
const GPRS: [c_int; 16] = [
    libc::REG_RAX,
    libc::REG_RCX,
    libc::REG_RDX,
    libc::REG_RBX,
    libc::REG_RSP,
    libc::REG_RBP,
    libc::REG_RSI,
    libc::REG_RDI,
    libc::REG_R8,
    libc::REG_R9,
    libc::REG_R10,
    libc::REG_R11,
    libc::REG_R12,
    libc::REG_R13,
    libc::REG_R14,
    libc::REG_R15,
];

/// What handlers and [`Cpu::run`] share.
struct Shared {
    enters: Option<Registers>,
    leaves: Option<(Registers, Stop)>,
    /// The process's own registers, while generated code runs.
    own: [i64; 23],
    own_vectors: [u8; XSAVE_BYTES],
    own_fs_base: u64,
}

/// What ended generated code.
#[derive(Clone, Copy)]
struct Stop {
    signal: c_int,
    vector: u64,
    error_code: u64,
    address: u64,
}

static mut SHARED: Shared = Shared {
    enters: None,
    leaves: None,
    own: [0; 23],
    own_vectors: [0; XSAVE_BYTES],
    own_fs_base: 0,
};
static TAKEN: AtomicBool = AtomicBool::new(false);
static RUNS: AtomicU64 = AtomicU64::new(0);

/// The CPU, set up to run generated code in this thread.
pub struct Cpu {
    arena: *mut u8,
    thread: c_int,
}

/// Why a test cannot be had on this computer.
#[derive(Debug)]
pub struct Unavailable(pub String);

impl Cpu {
    /// Maps the arena, installs handlers and loads the local descriptor table.
    pub fn new() -> Result<Self, Unavailable> {
        // SAFETY: a look at the auxiliary vector.
        if unsafe { libc::getauxval(libc::AT_HWCAP2) } & HWCAP2_FSGSBASE == 0 {
            return Err(Unavailable(
                "this kernel or CPU does not let programs use WRFSBASE".into(),
            ));
        }
        if TAKEN.swap(true, Ordering::SeqCst) {
            return Err(Unavailable("another test is using the CPU".into()));
        }
        let arena = map().map_err(Unavailable)?;
        install_handlers();
        // SAFETY: no effect but the number.
        let thread = unsafe { libc::syscall(libc::SYS_gettid) } as c_int;
        std::thread::spawn(move || watch(thread));
        Ok(Self { arena, thread })
    }

    /// Loads the local descriptor table; without it there are only 64-bit segments.
    pub fn load_locals(&mut self) -> Result<(), Unavailable> {
        for (index, entry) in LOCALS.iter().enumerate().skip(1) {
            load_local(index as u32, entry)
                .map_err(|error| Unavailable(format!("modify_ldt, descriptor {index}: {error}")))?;
        }
        Ok(())
    }

    /// Executes the instruction of `start`.
    pub fn run(&mut self, start: &Start) -> Outcome {
        self.write_arena(&start.memory);
        // SAFETY: this thread alone uses SHARED, and no handler runs now.
        unsafe {
            let shared = &raw mut SHARED;
            (*shared).enters = Some(start.registers.clone());
            (*shared).leaves = None;
            // The return from a signal keeps NT and ID as they are.
            asm!("pushfq", "and dword ptr [rsp], {}", "popfq", const !0x20_4000_i32);
            libc::syscall(libc::SYS_tgkill, libc::getpid(), self.thread, START);
        }
        RUNS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above; the handlers have run.
        let leaves = unsafe {
            let shared = &raw mut SHARED;
            (*shared).leaves.take()
        };
        let (mut registers, stop) = leaves.expect("a signal ends generated code");
        assert_ne!(
            stop.signal,
            libc::SIGALRM,
            "{:02x?} does not end on this CPU, which is at {:x} with {:x?}; {start:x?}",
            start.code,
            registers.rip,
            registers.selectors
        );
        let ending = match stop.vector {
            BREAKPOINT => {
                registers.rip = registers.rip.wrapping_sub(1);
                Ending::Next
            }
            DEBUG => Ending::Stepped,
            vector => Ending::Fault {
                vector: vector as u8,
                error_code: stop.error_code as u32,
                address: (vector == PAGE_FAULT).then_some(stop.address),
            },
        };
        if start.mode != CodeMode::Bits64 {
            registers.bases = start.registers.bases;
        }
        Outcome {
            ending,
            registers,
            memory: self.read_arena(),
        }
    }

    fn write_arena(&mut self, memory: &arena::Memory) {
        for (page, rights) in pages() {
            let from = &memory[arena::index(page * PAGE)..][..PAGE as usize];
            // SAFETY: the page is mapped, at the arena's second mapping, where all pages may be written; nobody has a reference to it.
            unsafe {
                ptr::copy_nonoverlapping(
                    from.as_ptr(),
                    self.arena.add((page * PAGE) as usize),
                    from.len(),
                );
            }
            debug_assert_ne!(rights, Rights::Hole);
        }
    }

    fn read_arena(&self) -> Box<arena::Memory> {
        let mut memory = Box::new([0; size_of::<arena::Memory>()]);
        for (page, _) in pages() {
            let to = &mut memory[arena::index(page * PAGE)..][..PAGE as usize];
            // SAFETY: as in `write_arena`.
            unsafe {
                ptr::copy_nonoverlapping(
                    self.arena.add((page * PAGE) as usize),
                    to.as_mut_ptr(),
                    to.len(),
                );
            }
        }
        memory
    }
}

impl Drop for Cpu {
    fn drop(&mut self) {
        RUNS.store(u64::MAX, Ordering::Relaxed);
    }
}

/// The pages that are there.
fn pages() -> impl Iterator<Item = (u64, Rights)> {
    (0..arena::PAGES)
        .map(|page| (page, arena::rights(page)))
        .filter(|(_, rights)| *rights != Rights::Hole)
}

/// Interrupts an instruction that takes too long.
fn watch(thread: c_int) {
    let mut before = 0;
    loop {
        std::thread::sleep(PATIENCE);
        let now = RUNS.load(Ordering::Relaxed);
        if now == u64::MAX {
            return;
        }
        if now == before {
            // SAFETY: sends a signal that has a handler. While no code is generated it finds nothing to end, and is ignored.
            unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, libc::SIGALRM) };
        }
        before = now;
    }
}

/// Maps the arena twice: where generated code finds it, and where we can write all of it.
fn map() -> Result<*mut u8, String> {
    let bytes = (arena::PAGES * PAGE) as usize;
    let fail = |what: &str| Err(format!("{what}: {}", io::Error::last_os_error()));
    // SAFETY: a new file in memory, and mappings of it at addresses that are free; MAP_FIXED_NOREPLACE keeps what exists.
    unsafe {
        let file = libc::memfd_create(c"arena".as_ptr(), 0);
        if file < 0 || libc::ftruncate(file, bytes as i64) != 0 {
            return fail("memfd_create");
        }
        let both = libc::PROT_READ | libc::PROT_WRITE;
        let own = libc::mmap(ptr::null_mut(), bytes, both, libc::MAP_SHARED, file, 0);
        if own == libc::MAP_FAILED {
            return fail("mmap");
        }
        for (page, rights) in pages() {
            let protection = match rights {
                Rights::Code => libc::PROT_READ | libc::PROT_EXEC,
                Rights::Data => both,
                _ => libc::PROT_READ,
            };
            let at = (arena::BASE + page * PAGE) as *mut c_void;
            let flags = libc::MAP_SHARED | libc::MAP_FIXED_NOREPLACE | libc::MAP_POPULATE;
            let offset = (page * PAGE) as i64;
            if libc::mmap(at, PAGE as usize, protection, flags, file, offset) != at {
                return fail("mmap of the arena's pages");
            }
        }
        libc::close(file);
        Ok(own.cast())
    }
}

fn install_handlers() {
    let stack = vec![0_u8; STACK_BYTES].leak();
    // SAFETY: the stack lives for ever, and the handlers are written for these signals.
    unsafe {
        let alternate = libc::stack_t {
            ss_sp: stack.as_mut_ptr().cast(),
            ss_flags: 0,
            ss_size: STACK_BYTES,
        };
        libc::sigaltstack(&alternate, ptr::null_mut());
        let mut action: libc::sigaction = core::mem::zeroed();
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        libc::sigfillset(&mut action.sa_mask);
        action.sa_sigaction = enter as *const () as usize;
        libc::sigaction(START, &action, ptr::null_mut());
        action.sa_sigaction = leave as *const () as usize;
        for signal in ENDINGS {
            libc::sigaction(signal, &action, ptr::null_mut());
        }
    }
}

/// Linux's struct user_desc.
#[repr(C)]
struct UserDescriptor {
    entry_number: u32,
    base: u32,
    limit: u32,
    /// 32-bit, contents (2 bits), read-or-execute-only, limit in pages, not present, useable.
    flags: u32,
}

fn load_local(index: u32, entry: &arena::Local) -> io::Result<()> {
    let bit = |mask: u32, at: u32| u32::from(entry.attributes & mask != 0) << at;
    let descriptor = UserDescriptor {
        entry_number: index,
        base: entry.base,
        limit: entry.limit,
        flags: bit(0x4000, 0)
            | (entry.attributes >> 2 & 3) << 1
            | (bit(2, 3) ^ 1 << 3)
            | bit(0x8000, 4)
            | (bit(0x80, 5) ^ 1 << 5),
    };
    const WRITE: c_int = 0x11;
    // SAFETY: the kernel reads one descriptor; nothing of ours uses the local table.
    let result = unsafe {
        libc::syscall(
            libc::SYS_modify_ldt,
            WRITE,
            &raw const descriptor,
            size_of::<UserDescriptor>(),
        )
    };
    // The kernel returns an int, so only 32 bits of it are defined.
    if result as i32 == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// The XSAVE image of a frame, if the kernel made one that is long enough.
unsafe fn vectors(context: *mut ucontext_t) -> *mut [u8; XSAVE_BYTES] {
    // SAFETY: the frame's, which is there while the handler runs.
    unsafe {
        let image = (*context).uc_mcontext.fpregs.cast::<u8>();
        let magic = image.add(FRAME_MAGIC).cast::<u32>().read_unaligned();
        let size = image.add(FRAME_MAGIC + 4).cast::<u32>().read_unaligned();
        if magic != MAGIC || (size as usize) < XSAVE_BYTES {
            libc::abort();
        }
        image.cast()
    }
}

/// Has the signal's end lead into generated code.
extern "C" fn enter(_: c_int, _: *mut siginfo_t, context: *mut c_void) {
    let context: *mut ucontext_t = context.cast();
    // SAFETY: SHARED is ours, as the module says; the context is the frame's; selectors are such that the kernel lets user code load
    // them; the FS base is put back in `leave` before anything uses it.
    unsafe {
        let shared = &raw mut SHARED;
        let Some(enters) = (*shared).enters.take() else {
            return;
        };
        let frame = &mut (*context).uc_mcontext.gregs;
        (*shared).own = *frame;
        let image = vectors(context);
        (*shared).own_vectors = *image;
        // The bytes that the kernel keeps for itself stay, and so do the control words.
        (&mut (*image))[32..416].copy_from_slice(&enters.vectors[32..416]);
        (&mut (*image))[576..].copy_from_slice(&enters.vectors[576..]);
        (&mut (*image))[2..6].copy_from_slice(&enters.vectors[2..6]);
        (*image)[XSTATE_BV] |= X87_SSE_AVX;
        for (index, value) in GPRS.into_iter().zip(enters.gprs) {
            frame[index as usize] = value as i64;
        }
        frame[libc::REG_RIP as usize] = enters.rip as i64;
        frame[libc::REG_EFL as usize] = enters.rflags as i64;
        let [es, cs, ss, ds, fs, gs] = enters.selectors;
        frame[libc::REG_CSGSFS as usize] = i64::from(cs) | i64::from(ss) << 48;
        let bases = enters.bases;
        // What the handler itself must not do behind WRFSBASE: let go of a value, for the allocator has a cache for each thread.
        core::mem::forget(enters);
        asm!(
            "rdfsbase {}",
            out(reg)(*shared).own_fs_base,
            options(nomem, nostack)
        );
        asm!("mov es, {0:x}", "mov ds, {1:x}", "mov fs, {2:x}", "mov gs, {3:x}",
             in(reg) es, in(reg) ds, in(reg) fs, in(reg) gs, options(nostack));
        if fs == 0 {
            asm!("wrfsbase {}", in(reg) bases[0], options(nostack));
        }
        if gs == 0 {
            asm!("wrgsbase {}", in(reg) bases[1], options(nostack));
        }
    }
}

/// Has the signal's end lead back.
extern "C" fn leave(signal: c_int, _: *mut siginfo_t, context: *mut c_void) {
    let (es, ds, fs, gs): (u16, u16, u16, u16);
    let bases: [u64; 2];
    let context: *mut ucontext_t = context.cast();
    // SAFETY: as in `enter`; FS is put right before anything else.
    unsafe {
        // The kernel leaves the alignment check on.
        asm!("pushfq", "and dword ptr [rsp], {}", "popfq", const !0x4_0000_i32);
        let shared = &raw mut SHARED;
        let (fs_base, gs_base): (u64, u64);
        asm!("mov {0:x}, es", "mov {1:x}, ds", "mov {2:x}, fs", "mov {3:x}, gs", "rdfsbase {4}", "rdgsbase {5}",
             out(reg) es, out(reg) ds, out(reg) fs, out(reg) gs, out(reg) fs_base, out(reg) gs_base,
             options(nomem, nostack));
        bases = [fs_base, gs_base];
        let frame = &mut (*context).uc_mcontext.gregs;
        if (*shared).own_fs_base == 0 {
            if signal == libc::SIGALRM {
                return;
            }
            // A fault of our own.
            libc::signal(signal, libc::SIG_DFL);
            return;
        }
        asm!("mov fs, {0:x}", "mov gs, {0:x}", "mov es, {0:x}", "mov ds, {0:x}", "wrfsbase {1}",
             in(reg) 0_u16, in(reg) (*shared).own_fs_base, options(nostack));
        (*shared).own_fs_base = 0;
        let image = vectors(context);
        let selectors = frame[libc::REG_CSGSFS as usize] as u64;
        let mut registers = Registers {
            gprs: GPRS.map(|index| frame[index as usize] as u64),
            rip: frame[libc::REG_RIP as usize] as u64,
            rflags: frame[libc::REG_EFL as usize] as u64,
            selectors: [es, selectors as u16, (selectors >> 48) as u16, ds, fs, gs],
            bases,
            vectors: Box::new(*image),
        };
        normalize(&mut registers.vectors);
        (*shared).leaves = Some((
            registers,
            Stop {
                signal,
                vector: frame[libc::REG_TRAPNO as usize] as u64,
                error_code: frame[libc::REG_ERR as usize] as u64,
                address: frame[libc::REG_CR2 as usize] as u64,
            },
        ));
        *frame = (*shared).own;
        *image = (*shared).own_vectors;
    }
}

/// Registers that the image says are in their initial state read as zero.
fn normalize(image: &mut [u8; XSAVE_BYTES]) {
    let present = image[XSTATE_BV];
    if present & 2 == 0 {
        image[160..416].fill(0);
    }
    if present & 4 == 0 {
        image[576..].fill(0);
    }
}
