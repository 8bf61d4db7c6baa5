//! The emulated computer: its size, its firmware and loader, and where its serial ports lead.

use crate::engine::{Emulator, Engine};
use crate::loader::{Loader, Payload};
use crate::{bochs, qemu};
use anyhow::{Context, Result, bail};
use std::fs;
use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

/// Where the first serial port, the people's console, leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Serial {
    /// This process's standard input and output, or whoever starts the machine.
    Stdio,
    /// A file; nothing can be typed.
    File(PathBuf),
    /// A TCP port on the loopback interface. QEMU's machines start at once, Bochs' when somebody connects.
    Tcp(u16),
}

/// A machine's keyboard, mouse and screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Desk {
    /// Nobody sits there.
    Absent,
    /// A [`crate::desk::Desk`] reaches them.
    Attended,
}

/// A computer to boot.
#[derive(Clone)]
pub struct Machine {
    /// What executes it.
    pub engine: &'static dyn Engine,
    /// How it boots.
    pub loader: Loader,
    /// QEMU's machine type; Bochs has a 440FX PC only.
    pub chipset: &'static str,
    /// Its memory.
    pub memory_mib: u32,
    /// Its CPUs.
    pub cpus: u32,
    /// COM1.
    pub serial: Serial,
    /// Whether it is typed to and looked at, which QEMU's machines can be.
    pub desk: Desk,
    /// Further arguments of QEMU's, or lines of Bochs' configuration; they come last, so they win.
    pub extra: Vec<String>,
}

impl Machine {
    /// A plain PC with 512 MiB and one CPU, its console on standard input and output.
    pub fn new(engine: &'static dyn Engine, loader: Loader) -> Self {
        let (memory_mib, cpus) = (512, 1);
        Self {
            engine,
            loader,
            chipset: "pc",
            memory_mib,
            cpus,
            serial: Serial::Stdio,
            desk: Desk::Absent,
            extra: Vec::new(),
        }
    }

    /// Readies it for its start; media, logs and COM2's frames (`defmt.bin`) go to `directory`.
    pub fn launch(&self, payload: &Payload, directory: &Path) -> Result<Launch> {
        match self.engine.emulator() {
            Emulator::Qemu(arguments) => qemu::launch(self, arguments, payload, directory),
            Emulator::Bochs(model) => bochs::launch(self, model, payload, directory),
        }
    }
}

/// A machine that is ready to start.
pub struct Launch {
    /// The emulator and its arguments.
    pub command: Command,
    /// How to reach COM1.
    pub line: Line,
    /// Where the emulator's control connection will come to, for an attended desk.
    pub control: Option<TcpListener>,
    /// How the emulator tells that all went well.
    pub ending: Ending,
    /// See [`Emulator::slowness`].
    pub slowness: u32,
}

/// The emulator's end of COM1.
pub enum Line {
    /// Its standard input and output.
    Stdio,
    /// It will connect here.
    Calls(TcpListener),
    /// Nobody's who starts it.
    Elsewhere,
}

/// What it looks like when a machine was powered off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The emulator ends with 0.
    ExitCode,
    /// The emulator ends somehow, and the log has these words.
    Log(PathBuf, &'static str),
}

impl Ending {
    /// Whether the machine ended well, given the emulator's exit status.
    pub fn judge(&self, status: ExitStatus) -> Result<()> {
        let well = match self {
            Self::ExitCode => status.success(),
            Self::Log(path, words) => fs::read(path)
                .with_context(|| format!("cannot read {}", path.display()))?
                .windows(words.len())
                .any(|window| window == words.as_bytes()),
        };
        match (well, self) {
            (true, _) => Ok(()),
            (false, Self::ExitCode) => bail!("the emulator ended with {status}"),
            (false, Self::Log(path, words)) => bail!(
                "the emulator ended with {status}, and {} does not say `{words}`",
                path.display()
            ),
        }
    }
}

/// Waits until the emulator, `child`, connects to its end of COM1.
pub fn accept(listener: &TcpListener, child: &mut Child) -> Result<TcpStream> {
    const LIMIT: Duration = Duration::from_secs(30);
    listener.set_nonblocking(true)?;
    let start = Instant::now();
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false)?;
                return Ok(stream);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error).context("cannot listen for the machine's console"),
        }
        if let Some(status) = child.try_wait()? {
            bail!("the emulator ended with {status} before the machine started");
        }
        if start.elapsed() > LIMIT {
            bail!(
                "the emulator did not connect its COM1 within {} s",
                LIMIT.as_secs()
            );
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u32) -> ExitStatus {
        Command::new("sh")
            .args(["-c", &format!("exit {code}")])
            .status()
            .unwrap()
    }

    #[test]
    fn an_exit_code_or_a_log_tells_the_end() {
        assert!(Ending::ExitCode.judge(status(0)).is_ok());
        assert!(Ending::ExitCode.judge(status(1)).is_err());
        let path = std::env::temp_dir().join(format!("ending-{}", std::process::id()));
        let ending = Ending::Log(path.clone(), "power off");
        fs::write(&path, "[ACPI] soft power off\n").unwrap();
        assert!(ending.judge(status(1)).is_ok());
        fs::write(&path, b"[CPU0] \xff triple fault\n").unwrap();
        let error = ending.judge(status(1)).unwrap_err().to_string();
        assert!(error.contains("power off"), "{error}");
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn an_emulator_that_ends_early_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut child = Command::new("sh").args(["-c", "exit 3"]).spawn().unwrap();
        let error = accept(&listener, &mut child).unwrap_err().to_string();
        assert!(error.contains("before the machine started"), "{error}");
    }
}
