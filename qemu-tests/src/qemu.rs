//! QEMU's command line for a machine.

use crate::command;
use crate::loader::Payload;
use crate::machine::{Desk, Ending, Launch, Line, Machine, Serial};
use anyhow::Result;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

/// The emulator's program name.
pub const QEMU: &str = "qemu-system-x86_64";

/// Whether it is installed.
pub fn present() -> Result<(), String> {
    let version = command::output(Command::new(QEMU).arg("--version"));
    version
        .map(drop)
        .map_err(|error| format!("{error:#} (package qemu-system-x86)"))
}

/// Whether it has a device of this name. The list of all devices would want every module to load, also those that no test asks for.
pub fn has_device(name: &str) -> bool {
    let said = command::output(Command::new(QEMU).args(["-device", &format!("{name},help")]));
    // The exit code is that of a good command in any case.
    said.is_ok_and(|options| !options.is_empty())
}

/// `machine` with accelerator and CPU chosen by `engine`; media are built in `directory`, which also receives COM2's
/// frames as `defmt.bin`.
pub fn launch(
    machine: &Machine,
    engine: &[&str],
    payload: &Payload,
    directory: &Path,
) -> Result<Launch> {
    let mut qemu = command::dependent(QEMU);
    qemu.args(["-M", machine.chipset]).args(engine);
    qemu.args([
        "-m",
        &machine.memory_mib.to_string(),
        "-smp",
        &machine.cpus.to_string(),
    ]);
    // Nothing but what is asked for; a VGA card because a firmware screen is part of the machine.
    qemu.args([
        "-nodefaults",
        "-vga",
        "std",
        "-display",
        "none",
        "-no-reboot",
    ]);
    qemu.args([
        "-chardev",
        &console(&machine.serial),
        "-serial",
        "chardev:com1",
    ]);
    qemu.arg("-serial")
        .arg(format!("file:{}", directory.join("defmt.bin").display()));
    qemu.args(machine.loader.arguments(payload, directory)?);
    let control = match machine.desk {
        Desk::Absent => None,
        Desk::Attended => {
            let listener = TcpListener::bind("127.0.0.1:0")?;
            let port = listener.local_addr()?.port();
            qemu.arg("-chardev")
                .arg(format!("socket,id=control,host=127.0.0.1,port={port}"))
                .args(["-mon", "chardev=control,mode=control"]);
            Some(listener)
        }
    };
    qemu.args(&machine.extra);
    Ok(Launch {
        command: qemu,
        line: match machine.serial {
            Serial::Stdio => Line::Stdio,
            Serial::File(_) | Serial::Tcp(_) => Line::Elsewhere,
        },
        control,
        ending: Ending::ExitCode,
        slowness: machine.engine.emulator().slowness(),
    })
}

/// `signal=off` passes Ctrl-C to the machine; there is no monitor, so Ctrl-A passes, too.
fn console(serial: &Serial) -> String {
    match serial {
        Serial::Stdio => "stdio,id=com1,signal=off".to_owned(),
        Serial::File(path) => format!("file,id=com1,path={}", path.display()),
        Serial::Tcp(port) => {
            format!("socket,id=com1,host=127.0.0.1,port={port},server=on,wait=off")
        }
    }
}
