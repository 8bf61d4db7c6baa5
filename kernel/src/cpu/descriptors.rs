//! Segment descriptors and the task-state segment: flat, and only there because the CPU insists. (SDM vol. 3, 3.4 and 8.7.)

use crate::mem::stack::StackTops;
use core::arch::asm;
use core::cell::UnsafeCell;

/// Selector of the 64-bit code segment.
pub const CODE: u16 = 0x08;
/// Selector of the data segment.
pub const DATA: u16 = 0x10;
/// Selector of the task-state segment.
pub const TASK: u16 = 0x18;

/// IST slot of #DF; 0 would mean "the current stack".
pub const IST_DOUBLE_FAULT: u8 = 1;
/// IST slot of NMI.
pub const IST_NMI: u8 = 2;
/// IST slot of #MC.
pub const IST_MACHINE_CHECK: u8 = 3;

/// Present, ring 0, execute/read, 64-bit.
const CODE_DESCRIPTOR: u64 = 0x00af_9b00_0000_ffff;
/// Present, ring 0, read/write.
const DATA_DESCRIPTOR: u64 = 0x00cf_9300_0000_ffff;
/// Present, available 64-bit TSS.
const TASK_ACCESS: u64 = 0x89 << 40;

#[repr(C, packed(4))]
struct TaskState {
    reserved_0: u32,
    privileged_stacks: [u64; 3],
    reserved_1: u64,
    interrupt_stacks: [u64; 7],
    reserved_2: u64,
    reserved_3: u16,
    io_map_base: u16,
}

/// One CPU's GDT and TSS.
#[repr(C, align(16))]
pub struct Tables {
    gdt: UnsafeCell<[u64; 5]>,
    task: UnsafeCell<TaskState>,
}

// SAFETY: `load` writes them once, on the CPU that owns them, before the hardware is told of them; nothing reads them
// through Rust afterwards.
unsafe impl Sync for Tables {}

impl Tables {
    /// Tables that `load` will fill.
    pub const fn new() -> Self {
        Self {
            gdt: UnsafeCell::new([0, CODE_DESCRIPTOR, DATA_DESCRIPTOR, 0, 0]),
            task: UnsafeCell::new(TaskState {
                reserved_0: 0,
                privileged_stacks: [0; 3],
                reserved_1: 0,
                interrupt_stacks: [0; 7],
                reserved_2: 0,
                reserved_3: 0,
                io_map_base: size_of::<TaskState>() as u16,
            }),
        }
    }
}

impl Default for Tables {
    fn default() -> Self {
        Self::new()
    }
}

#[repr(C, packed)]
struct Pointer {
    limit: u16,
    base: u64,
}

/// Fills the tables of this CPU and makes it use them. The GS base is lost.
pub(super) fn load(tables: &'static Tables, tops: &StackTops) {
    let task = tables.task.get();
    let gdt = tables.gdt.get();
    let base = task.addr() as u64;
    // SAFETY: this CPU alone knows `tables`, which live for ever; the descriptors are flat, so the running code stays valid.
    unsafe {
        (*task).interrupt_stacks = [tops.double_fault, tops.nmi, tops.machine_check, 0, 0, 0, 0];
        (*gdt)[3] = (size_of::<TaskState>() as u64 - 1)
            | (base & 0x00ff_ffff) << 16
            | TASK_ACCESS
            | (base >> 24 & 0xff) << 56;
        (*gdt)[4] = base >> 32;
        let pointer = Pointer {
            limit: size_of::<[u64; 5]>() as u16 - 1,
            base: gdt.addr() as u64,
        };
        asm!(
            "lgdt [{pointer}]",
            "push {code}",
            "lea {scratch}, [rip + 2f]",
            "push {scratch}",
            "retfq",
            "2:",
            "mov ds, {data:x}",
            "mov es, {data:x}",
            "mov ss, {data:x}",
            "xor {data:e}, {data:e}",
            "mov fs, {data:x}",
            "mov gs, {data:x}",
            "ltr {task:x}",
            pointer = in(reg) &raw const pointer,
            code = const CODE as i32,
            scratch = out(reg) _,
            data = inout(reg) u64::from(DATA) => _,
            task = in(reg) u64::from(TASK),
        );
    }
}
