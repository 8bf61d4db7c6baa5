//! The emulated computer: its size, its firmware and loader, and where its serial ports lead.

use crate::engine::{Engine, QEMU};
use crate::loader::{Loader, Payload};
use anyhow::Result;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the first serial port, the people's console, leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Serial {
    /// This process's standard input and output.
    Stdio,
    /// A file; nothing can be typed.
    File(PathBuf),
    /// A TCP port on the loopback interface; the machine starts at once.
    Tcp(u16),
}

/// A computer to boot.
#[derive(Clone)]
pub struct Machine {
    /// What executes it.
    pub engine: &'static dyn Engine,
    /// How it boots.
    pub loader: Loader,
    /// QEMU's machine type.
    pub chipset: &'static str,
    /// Its memory.
    pub memory_mib: u32,
    /// Its CPUs.
    pub cpus: u32,
    /// COM1.
    pub serial: Serial,
    /// Further QEMU arguments; they come last, so they win.
    pub extra: Vec<String>,
}

impl Machine {
    /// A plain PC with 512 MiB and one CPU, booted directly, its console on standard input and output.
    pub fn new(engine: &'static dyn Engine, loader: Loader) -> Self {
        let (memory_mib, cpus) = (512, 1);
        Self {
            engine,
            loader,
            chipset: "pc",
            memory_mib,
            cpus,
            serial: Serial::Stdio,
            extra: Vec::new(),
        }
    }

    /// QEMU's command line; media are built in `directory`, which also receives COM2's frames as `defmt.bin`.
    pub fn command(&self, payload: &Payload, directory: &Path) -> Result<Command> {
        let mut qemu = Command::new(QEMU);
        qemu.args(["-M", self.chipset])
            .args(self.engine.arguments());
        qemu.args([
            "-m",
            &self.memory_mib.to_string(),
            "-smp",
            &self.cpus.to_string(),
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
        qemu.args(["-chardev", &self.console(), "-serial", "chardev:com1"]);
        qemu.arg("-serial")
            .arg(format!("file:{}", directory.join("defmt.bin").display()));
        qemu.args(self.loader.arguments(payload, directory)?);
        qemu.args(&self.extra);
        Ok(qemu)
    }

    /// `signal=off` passes Ctrl-C to the machine; there is no monitor, so Ctrl-A passes, too.
    fn console(&self) -> String {
        match &self.serial {
            Serial::Stdio => "stdio,id=com1,signal=off".to_owned(),
            Serial::File(path) => format!("file,id=com1,path={}", path.display()),
            Serial::Tcp(port) => {
                format!("socket,id=com1,host=127.0.0.1,port={port},server=on,wait=off")
            }
        }
    }
}
