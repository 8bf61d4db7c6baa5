//! A plugin for QEMU that counts what the emulated CPUs execute, at all levels of virtualization together.
//!
//! Where an instruction `nop dword ptr [rax + rax + 0x504d00NN]` runs, at any level, a line `NN INSTRUCTIONS VMRUNS` goes to the file
//! that the argument `to=PATH` names; VMRUN is 0F 01 D8. Plugin interface, version 1 (QEMU's `docs/devel/tcg-plugins.rst`).

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::fs::File;
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

#[unsafe(no_mangle)]
pub static qemu_plugin_version: c_int = 1;

type Id = u64;
#[repr(C)]
pub struct Block([u8; 0]);
#[repr(C)]
pub struct Instruction([u8; 0]);

const ADD_U64: c_int = 0;
const NO_REGISTERS: c_int = 0;

unsafe extern "C" {
    fn qemu_plugin_register_vcpu_tb_trans_cb(id: Id, call: extern "C" fn(Id, *mut Block));
    fn qemu_plugin_tb_n_insns(block: *const Block) -> usize;
    fn qemu_plugin_tb_get_insn(block: *const Block, index: usize) -> *mut Instruction;
    fn qemu_plugin_insn_data(instruction: *const Instruction) -> *const c_void;
    fn qemu_plugin_insn_size(instruction: *const Instruction) -> usize;
    fn qemu_plugin_register_vcpu_insn_exec_inline(
        instruction: *mut Instruction,
        operation: c_int,
        to: *mut c_void,
        by: u64,
    );
    fn qemu_plugin_register_vcpu_insn_exec_cb(
        instruction: *mut Instruction,
        call: extern "C" fn(c_uint, *mut c_void),
        flags: c_int,
        data: *mut c_void,
    );
}

static INSTRUCTIONS: AtomicU64 = AtomicU64::new(0);
static VMRUNS: AtomicU64 = AtomicU64::new(0);
static OUT: Mutex<Option<File>> = Mutex::new(None);

/// Runs at a mark, whose number is `data`.
extern "C" fn mark(_: c_uint, data: *mut c_void) {
    if let Ok(mut out) = OUT.lock()
        && let Some(file) = out.as_mut()
    {
        let [instructions, entries] =
            [&INSTRUCTIONS, &VMRUNS].map(|counter| counter.load(Ordering::Relaxed));
        // A line that is missing is missed by who reads the file.
        let _ = writeln!(file, "{} {instructions} {entries}", data as usize);
    }
}

extern "C" fn translated(_: Id, block: *mut Block) {
    // SAFETY: QEMU gives a block that is valid during the call.
    let count = unsafe { qemu_plugin_tb_n_insns(block) };
    for index in 0..count {
        // SAFETY: the block has so many instructions, and their bytes live as long as it does. The counters live for ever, and one thread
        // runs the emulated CPUs of a counted machine.
        unsafe {
            let instruction = qemu_plugin_tb_get_insn(block, index);
            let bytes = std::slice::from_raw_parts(
                qemu_plugin_insn_data(instruction).cast::<u8>(),
                qemu_plugin_insn_size(instruction),
            );
            let add_one = |counter: &'static AtomicU64| {
                let counter = counter.as_ptr().cast();
                qemu_plugin_register_vcpu_insn_exec_inline(instruction, ADD_U64, counter, 1);
            };
            add_one(&INSTRUCTIONS);
            match *bytes {
                [0x0f, 0x1f, 0x84, 0x00, id, 0, 0x4d, 0x50] => {
                    let data = usize::from(id) as *mut c_void;
                    qemu_plugin_register_vcpu_insn_exec_cb(instruction, mark, NO_REGISTERS, data);
                }
                [0x0f, 0x01, 0xd8] => add_one(&VMRUNS),
                _ => {}
            }
        }
    }
}

/// Called by QEMU; anything but 0 ends it.
#[unsafe(no_mangle)]
pub extern "C" fn qemu_plugin_install(
    id: Id,
    _: *const c_void,
    count: c_int,
    arguments: *mut *mut c_char,
) -> c_int {
    // SAFETY: QEMU gives so many arguments, each a string that ends with a zero byte.
    let mut arguments =
        (0..count as usize).map(|index| unsafe { CStr::from_ptr(*arguments.add(index)) });
    let path = arguments.find_map(|argument| argument.to_str().ok()?.strip_prefix("to="));
    let Some(path) = path else {
        eprintln!("count: no `to=PATH` among the arguments");
        return 1;
    };
    match (File::create(path), OUT.lock()) {
        (Ok(file), Ok(mut out)) => *out = Some(file),
        (Err(error), _) => {
            eprintln!("count: cannot create {path}: {error}");
            return 1;
        }
        (_, Err(_)) => return 1,
    }
    // SAFETY: `id` is the plugin's own, and the function stays as long as it does.
    unsafe { qemu_plugin_register_vcpu_tb_trans_cb(id, translated) };
    0
}
