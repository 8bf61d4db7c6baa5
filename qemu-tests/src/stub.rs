//! A hand in the machine: writes physical memory, registers of devices among it, through QEMU's debugger connection (GDB's remote protocol).

use anyhow::{Context, Result, ensure};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// For the emulator to answer.
const ANSWER: Duration = Duration::from_secs(60);

/// A machine's debugger connection, which nobody uses yet.
pub struct Stub {
    path: PathBuf,
}

impl Stub {
    /// One whose socket is in `directory`.
    pub fn new(directory: &Path) -> Self {
        let path = directory.join("stub");
        Self { path }
    }

    /// QEMU's arguments for it.
    pub fn arguments(&self) -> Vec<String> {
        let socket = format!(
            "socket,id=stub,path={},server=on,wait=off",
            self.path.display()
        );
        ["-chardev", &socket, "-gdb", "chardev:stub"]
            .map(str::to_owned)
            .into()
    }

    /// Writes bytes at a physical address; the machine stands still meanwhile.
    pub fn write(&self, address: u64, bytes: &[u8]) -> Result<()> {
        let mut stream = UnixStream::connect(&self.path)
            .with_context(|| format!("cannot connect to {}", self.path.display()))?;
        stream.set_read_timeout(Some(ANSWER))?;
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let write = format!("M{address:x},{:x}:{hex}", bytes.len());
        for command in ["Qqemu.PhyMemMode:1", &write, "Qqemu.PhyMemMode:0", "D"] {
            let answer = ask(&mut stream, command)?;
            ensure!(answer == "OK", "QEMU answers {command:?} by {answer:?}");
        }
        Ok(())
    }
}

/// Asks, and takes the answer.
fn ask(stream: &mut (impl Read + Write), command: &str) -> Result<String> {
    stream.write_all(framed(command).as_bytes())?;
    loop {
        let packet = packet(stream).with_context(|| format!("QEMU does not answer {command:?}"))?;
        // That the machine has stopped, as it does for who connects, may be told at any time.
        if !packet.starts_with('T') {
            return Ok(packet);
        }
    }
}

/// The next packet: what lies between "$" and "#", with two digits behind. It is acknowledged by "+", and so was ours.
fn packet(stream: &mut (impl Read + Write)) -> Result<String> {
    let mut packet = Vec::new();
    let mut byte = [0];
    while packet.iter().rev().nth(2) != Some(&b'#') {
        stream.read_exact(&mut byte)?;
        if byte == *b"$" || !packet.is_empty() {
            packet.push(byte[0]);
        }
    }
    stream.write_all(b"+")?;
    let text = String::from_utf8_lossy(&packet[1..packet.len() - 3]);
    Ok(text.into_owned())
}

/// A packet of GDB's remote protocol: text with its sum.
fn framed(command: &str) -> String {
    let sum = command.bytes().fold(0_u8, u8::wrapping_add);
    format!("${command}#{sum:02x}")
}

#[cfg(test)]
mod tests {
    use super::{ask, framed};
    use std::collections::VecDeque;
    use std::io::{Read, Result, Write};

    /// What QEMU says, and what it is told.
    struct Line(VecDeque<u8>, Vec<u8>);

    impl Read for Line {
        fn read(&mut self, into: &mut [u8]) -> Result<usize> {
            self.0.read(into)
        }
    }

    impl Write for Line {
        fn write(&mut self, bytes: &[u8]) -> Result<usize> {
            self.1.write(bytes)
        }
        fn flush(&mut self) -> Result<()> {
            Ok(())
        }
    }

    #[test]
    fn that_the_machine_stops_is_no_answer() {
        let said = "$T02thread:01;#07++$OK#9a";
        let mut line = Line(said.bytes().collect(), Vec::new());
        assert_eq!(ask(&mut line, "D").unwrap(), "OK");
        assert_eq!(line.1, b"$D#44++");
        assert!(ask(&mut line, "D").is_err(), "it says no more");
    }

    #[test]
    fn a_packet_has_its_sum() {
        assert_eq!(framed("OK"), "$OK#9a");
        assert_eq!(framed("D"), "$D#44");
    }
}
