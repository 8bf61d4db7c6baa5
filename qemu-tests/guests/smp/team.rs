//! One thread pinned to each CPU, all started together.

use super::linux;
use core::arch::global_asm;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU32, Ordering};

/// Most CPUs that are used.
pub const MAX: usize = 64;
const STACK_BYTES: usize = 32 << 10;

#[repr(C, align(16))]
struct Stack(UnsafeCell<[u8; STACK_BYTES]>);
// SAFETY: each stack is one thread's.
unsafe impl Sync for Stack {}
static STACKS: [Stack; MAX] = [const { Stack(UnsafeCell::new([0; STACK_BYTES])) }; MAX];

static READY: AtomicU32 = AtomicU32::new(0);
static DONE: AtomicU32 = AtomicU32::new(0);

// clone(2) for a thread of this process; it finds its member's number and function on its new stack.
global_asm!(
    "start_thread:", // RDI: the stack's top
    "mov rsi, rdi", "mov edi, 0x10f00", // VM, FS, FILES, SIGHAND, THREAD
    "xor edx, edx", "xor r10d, r10d", "xor r8d, r8d", "mov eax, 56", "syscall",
    "test rax, rax", "jz 2f", "ret",
    "2:", "pop rdi", "pop rsi", "and rsp, -16", "call member",
);

unsafe extern "C" {
    fn start_thread(top: *mut u64) -> i64;
}

/// Runs `body` on each of `cpus` CPUs with the CPU's number, and comes back when all are done.
pub fn run(cpus: usize, body: extern "C" fn(usize)) {
    let cpus = cpus.min(MAX);
    READY.store(cpus as u32, Ordering::SeqCst);
    DONE.store(0, Ordering::SeqCst);
    for (cpu, stack) in STACKS.iter().enumerate().take(cpus) {
        // SAFETY: the stack is this member's alone, and has room for the two words.
        unsafe {
            let top = stack.0.get().cast::<u8>().add(STACK_BYTES - 16).cast::<u64>();
            *top = cpu as u64;
            *top.add(1) = body as usize as u64;
            assert!(start_thread(top) > 0, "no thread for CPU {cpu}");
        }
    }
    loop {
        let done = DONE.load(Ordering::SeqCst);
        if done as usize == cpus {
            return;
        }
        linux::wait(&DONE, done, 1_000_000_000);
    }
}

#[unsafe(no_mangle)]
extern "C" fn member(cpu: usize, body: extern "C" fn(usize)) -> ! {
    linux::pin(cpu);
    if READY.fetch_sub(1, Ordering::SeqCst) == 1 {
        linux::wake(&READY);
    }
    loop {
        match READY.load(Ordering::SeqCst) {
            0 => break,
            left => drop(linux::wait(&READY, left, 1_000_000_000)),
        }
    }
    body(cpu);
    DONE.fetch_add(1, Ordering::SeqCst);
    linux::wake(&DONE);
    const EXIT_THREAD: u64 = 60;
    linux::call(EXIT_THREAD, [0; 6]);
    unreachable!()
}
