//! A plugin for QEMU that counts what the emulated CPUs execute, at all levels of virtualization together.
//!
//! Where an instruction `nop dword ptr [rax + rax + 0x504d00NN]` runs, at any level, a line `NN INSTRUCTIONS VMRUNS` goes to the file
//! that the argument `to=PATH` names. Plugin interface, version 1 (QEMU's `docs/devel/tcg-plugins.rst`).

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
    fn qemu_plugin_register_vcpu_insn_exec_inline(instruction: *mut Instruction, operation: c_int, to: *mut c_void, by: u64);
    fn qemu_plugin_register_vcpu_insn_exec_cb(instruction: *mut Instruction, call: extern "C" fn(c_uint, *mut c_void), flags: c_int, data: *mut c_void);
}

static INSTRUCTIONS: AtomicU64 = AtomicU64::new(0);
static VMRUNS: AtomicU64 = AtomicU64::new(0);
static OUT: Mutex<Option<File>> = Mutex::new(None);

const VMRUN: [u8; 3] = [0x0f, 0x01, 0xd8];

extern "C" fn mark(_: c_uint, data: *mut c_void) {
    if let Ok(mut out) = OUT.lock() && let Some(file) = out.as_mut() {
        let _ = writeln!(file, "{} {} {}", data as usize, INSTRUCTIONS.load(Ordering::Relaxed), VMRUNS.load(Ordering::Relaxed));
    }
}

extern "C" fn translated(_: Id, block: *mut Block) {
    unsafe {
        for index in 0..qemu_plugin_tb_n_insns(block) {
            let instruction = qemu_plugin_tb_get_insn(block, index);
            qemu_plugin_register_vcpu_insn_exec_inline(instruction, ADD_U64, INSTRUCTIONS.as_ptr().cast(), 1);
            let bytes = std::slice::from_raw_parts(qemu_plugin_insn_data(instruction).cast::<u8>(), qemu_plugin_insn_size(instruction));
            match bytes {
                [0x0f, 0x1f, 0x84, 0x00, id, 0, 0x4d, 0x50] =>
                    qemu_plugin_register_vcpu_insn_exec_cb(instruction, mark, NO_REGISTERS, usize::from(*id) as *mut c_void),
                bytes if bytes == VMRUN => qemu_plugin_register_vcpu_insn_exec_inline(instruction, ADD_U64, VMRUNS.as_ptr().cast(), 1),
                _ => {}
            }
        }
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn qemu_plugin_install(id: Id, _: *const c_void, count: c_int, arguments: *mut *mut c_char) -> c_int {
    unsafe {
        for index in 0..count as usize {
            let argument = CStr::from_ptr(*arguments.add(index)).to_string_lossy().into_owned();
            if let Some(path) = argument.strip_prefix("to=") {
                match File::create(path) { Ok(f) => *OUT.lock().unwrap() = Some(f), Err(e) => { eprintln!("{path}: {e}"); return 1 } }
            }
        }
        qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    }
    0
}
