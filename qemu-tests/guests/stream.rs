//! Traffic that is counted: `stream tx|rx|ping NUMBER long|plain` on `eth0`, whose address and link are there already.
//!
//! `tx` and `rx` move so many MiB by TCP to a sink and from a source, `ping` asks a station so often for an echo; `plain` has the
//! interface neither send nor take frames longer than the wire's, nor gather them itself. Before the part that counts and behind it the program executes the
//! instruction that the counting plugin looks for, with 1 and 2; then it prints `STREAM done`. A static Linux program, built by `rustc`
//! alone.
#![no_std]
#![no_main]

use core::arch::{asm, global_asm};

#[path = "linux.rs"]
mod linux;
use linux::{call, exit, print};

// The stack holds the number of arguments, then pointers to them.
global_asm!("_start:", "lea rdi, [rsp + 8]", "and rsp, -16", "call main", ".global _start");

const READ: u64 = 0;
const WRITE: u64 = 1;
const IOCTL: u64 = 16;
const YIELD: u64 = 24;
const SOCKET: u64 = 41;
const CONNECT: u64 = 42;

const SINK: [u8; 4] = [10, 0, 2, 100];
const SOURCE: [u8; 4] = [10, 0, 2, 101];
const ECHO: [u8; 4] = [10, 0, 2, 2];

const STREAM: u64 = 1;
const RAW: u64 = 3;
const ICMP: u64 = 1;

const CHUNK: usize = 1 << 16;
static mut BUFFER: [u8; CHUNK] = [0; CHUNK];

/// What the interface is told to do or not: `SIOCETHTOOL` with these commands and 1 or 0.
const SIOCETHTOOL: u64 = 0x8946;
const LONG_FRAMES: [u32; 3] = [0x1f, 0x24, 0x2c];
/// The names of features, and setting them by number; that by which a card gives frames that it has gathered, which has no command of its own.
const GET_STRINGS: u32 = 0x1b;
const FEATURES: u32 = 4;
const SET_FEATURES: u32 = 0x3b;
const GATHERED_FRAMES: &[u8] = b"rx-gro-hw\0";
const NAME_BYTES: usize = 32;
const MOST_FEATURES: usize = 128;

#[repr(C)]
struct Names {
    head: [u32; 3],
    names: [[u8; NAME_BYTES]; MOST_FEATURES],
}

static mut NAMES: Names = Names {
    head: [GET_STRINGS, FEATURES, 0],
    names: [[0; NAME_BYTES]; MOST_FEATURES],
};

#[repr(C)]
struct Request {
    name: [u8; 16],
    data: u64,
    rest: [u8; 16],
}

#[repr(C)]
struct Address {
    family: u16,
    port: [u8; 2],
    station: [u8; 4],
    zero: [u8; 8],
}

/// Says something and ends if a system call failed.
fn check(result: u64, what: &[u8]) -> u64 {
    if result > u64::MAX - 4096 {
        print(b"STREAM failed: ");
        print(what);
        print(b"\n");
        exit()
    }
    result
}

fn connected(kind: u64, protocol: u64, station: [u8; 4], port: u16) -> u64 {
    let socket = check(call(SOCKET, [2, kind, protocol]), b"socket");
    let address = Address {
        family: 2,
        port: port.to_be_bytes(),
        station,
        zero: [0; 8],
    };
    let to = &raw const address as u64;
    check(call(CONNECT, [socket, to, size_of::<Address>() as u64]), b"connect");
    socket
}

fn buffer() -> u64 {
    (&raw mut BUFFER) as u64
}

fn send(socket: u64, mut bytes: usize) {
    while bytes > 0 {
        let now = bytes.min(CHUNK) as u64;
        bytes -= check(call(WRITE, [socket, buffer(), now]), b"write") as usize;
    }
}

fn receive(socket: u64, mut bytes: usize) {
    while bytes > 0 {
        let now = bytes.min(CHUNK) as u64;
        let came = check(call(READ, [socket, buffer(), now]), b"read") as usize;
        if came == 0 {
            check(u64::MAX, b"the source is dry");
        }
        bytes -= came;
    }
}

/// Asks for echoes of 56 bytes, one after the other. Raw sockets see their own checksums to it.
fn ping(socket: u64, count: usize) {
    for _ in 0..count {
        let mut echo = [0_u8; 64];
        echo[0] = 8;
        echo[2..4].copy_from_slice(&0xf7ff_u16.to_be_bytes());
        check(call(WRITE, [socket, (&raw const echo) as u64, 64]), b"ping");
        check(call(READ, [socket, buffer(), CHUNK as u64]), b"echo");
    }
}

fn set_long_frames(socket: u64, on: u32) {
    for command in LONG_FRAMES {
        // A card that never does it says so.
        ask_interface(socket, (&raw const *&[command, on]) as u64);
    }
    check(ask_interface(socket, (&raw mut NAMES) as u64), b"names of features");
    // SAFETY: nobody else is there, and the kernel has filled it.
    let (count, names) = unsafe { (NAMES.head[2] as usize, &*&raw const NAMES.names) };
    if let Some(index) = names.iter().take(count).position(|name| name.starts_with(GATHERED_FRAMES)) {
        // What is to be set, and how, for each 32 features.
        let mut request = [0_u32; 2 + 2 * MOST_FEATURES / 32];
        request[..2].copy_from_slice(&[SET_FEATURES, count.div_ceil(32) as u32]);
        let at = 2 + 2 * (index / 32);
        request[at] = 1 << (index % 32);
        request[at + 1] = on << (index % 32);
        ask_interface(socket, (&raw const request) as u64);
    }
}

fn ask_interface(socket: u64, data: u64) -> u64 {
    let mut request = Request {
        name: [0; 16],
        data,
        rest: [0; 16],
    };
    request.name[..4].copy_from_slice(b"eth0");
    call(IOCTL, [socket, SIOCETHTOOL, (&raw mut request) as u64])
}

fn number(digits: *const u8) -> usize {
    let mut value = 0;
    let mut at = digits;
    // SAFETY: arguments end with a zero byte.
    while let digit @ b'0'..=b'9' = unsafe { at.read() } {
        value = value * 10 + usize::from(digit - b'0');
        // SAFETY: as above.
        at = unsafe { at.add(1) };
    }
    value
}

#[unsafe(no_mangle)]
extern "C" fn main(arguments: *const *const u8) -> ! {
    // SAFETY: the caller gives three arguments, and the program's name stands before them.
    let (what, count, form) = unsafe {
        let what = (*arguments.add(1)).read();
        (what, number(*arguments.add(2)), (*arguments.add(3)).read())
    };
    let some = connected(2, 0, ECHO, 9);
    // A port for each form: the stations have one connection at a time each, and do not see at once that one has ended.
    let port = match form {
        b'p' => {
            set_long_frames(some, 0);
            7
        }
        _ => {
            set_long_frames(some, 1);
            8
        }
    };
    // The first part warms up: addresses, windows, timers.
    match what {
        b't' => {
            let socket = connected(STREAM, 0, SINK, port);
            counted(|| send(socket, 1 << 20), || send(socket, count << 20));
        }
        b'r' => {
            let socket = connected(STREAM, 0, SOURCE, port);
            counted(|| receive(socket, 1 << 20), || receive(socket, count << 20));
        }
        _ => {
            let socket = connected(RAW, ICMP, ECHO, 0);
            counted(|| ping(socket, 100), || ping(socket, count));
        }
    }
    call(YIELD, [0; 3]);
    print(b"\nSTREAM done\n");
    exit()
}

fn counted(before: impl FnOnce(), work: impl FnOnce()) {
    before();
    // SAFETY: a NOP whatever its operand says.
    unsafe { asm!("nop dword ptr [rax + rax + 0x504d0001]") };
    work();
    // SAFETY: as above.
    unsafe { asm!("nop dword ptr [rax + rax + 0x504d0002]") };
}
