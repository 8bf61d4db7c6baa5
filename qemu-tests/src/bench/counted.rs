//! The machine on which time is instructions.

use crate::command;
use crate::console::Console;
use crate::engine::{Emulator, Engine, SvmNptQemu};
use crate::loader::{Firmware, Loader, Payload};
use crate::machine::{Ending, Launch, Line};
use crate::qemu::QEMU;
use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

/// The longest run, the peer's, on a slow computer.
pub const LIMIT: Duration = Duration::from_secs(900);

/// One instruction takes 1 ns of virtual time, waiting is skipped (`sleep=off`), and what would differ from run to run is
/// fixed: the seed of random numbers and the date.
const COUNTED: [&str; 2] = ["-icount", "shift=0,sleep=off"];
const ARGUMENTS: [&str; 12] = [
    "-seed",
    "42",
    "-rtc",
    "base=2026-01-01T00:00:00,clock=vm",
    "-nodefaults",
    "-display",
    "none",
    "-no-reboot",
    "-M",
    "pc",
    "-serial",
    "stdio",
];

/// A counted machine's size. Several CPUs run in turns, and the count is of what all of them execute.
#[derive(Clone, Copy)]
pub struct Size {
    /// Memory.
    pub memory_mib: u32,
    /// CPUs.
    pub cpus: u32,
}

/// What the machine's clocks follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// Its instructions.
    Instructions,
    /// The computer's clock. For KVM's guests with devices that interrupt: with the other, QEMU delivers interrupts twice that were injected
    /// (docs/engines.md), and Linux waits for ever for a lock that it holds itself.
    Real,
}

/// One CPU.
pub fn single(memory_mib: u32) -> Size {
    Size {
        memory_mib,
        cpus: 1,
    }
}

/// Boots `payload` by QEMU's own loader on a counted machine of that size.
pub fn start(payload: &Payload, size: Size, directory: &Path) -> Result<Console> {
    let arguments = Loader::Direct(Firmware::Bios).arguments(payload, directory)?;
    start_with(&arguments, size, Clock::Instructions, directory)
}

/// Boots a machine with these further arguments.
pub fn start_with(
    arguments: &[OsString],
    size: Size,
    clock: Clock,
    directory: &Path,
) -> Result<Console> {
    let Emulator::Qemu(engine) = SvmNptQemu.emulator() else {
        bail!("{} is not QEMU", SvmNptQemu.name());
    };
    let mut qemu = command::dependent(QEMU);
    qemu.args(engine).args(ARGUMENTS);
    if clock == Clock::Instructions {
        qemu.args(COUNTED);
    }
    qemu.args(["-smp", &size.cpus.to_string()]);
    qemu.args(["-m", &size.memory_mib.to_string()]);
    qemu.args(arguments);
    std::fs::write(directory.join("command"), command::shown(&qemu) + "\n")?;
    let launch = Launch {
        command: qemu,
        line: Line::Stdio,
        control: None,
        ending: Ending::ExitCode,
        slowness: 1,
    };
    Console::start(launch, directory)
}

/// Boots `payload` and returns all that it says up to and with `last`, and that line's rest.
pub fn transcript(payload: &Payload, size: Size, directory: &Path, last: &str) -> Result<String> {
    heard(start(payload, size, directory)?, last)
}

/// The same of a machine with these further arguments.
pub fn transcript_with(
    arguments: &[OsString],
    memory_mib: u32,
    directory: &Path,
    last: &str,
) -> Result<String> {
    let size = single(memory_mib);
    let console = start_with(arguments, size, Clock::Instructions, directory)?;
    heard(console, last)
}

fn heard(mut console: Console, last: &str) -> Result<String> {
    let said = console.expect(last, LIMIT)?;
    Ok(said + &console.expect("\n", LIMIT)?)
}

/// The number behind `prefix` on the first line that has it.
pub fn number_after(text: &str, prefix: &str) -> Result<u64> {
    let rest = text.split_once(prefix).map(|(_, rest)| rest);
    let digits = rest.and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next());
    digits
        .and_then(|digits| digits.parse().ok())
        .with_context(|| format!("no number behind `{prefix}`"))
}

#[cfg(test)]
mod tests {
    use super::number_after;

    #[test]
    fn numbers_are_found_behind_their_words() {
        let text = "x: memory: 255 MiB usable, 12 MiB kept\nTSC 00000000001575000000\n";
        assert_eq!(number_after(text, "TSC ").unwrap(), 1_575_000_000);
        assert_eq!(number_after(text, "usable, ").unwrap(), 12);
        assert!(number_after(text, "memory").is_err());
    }
}
