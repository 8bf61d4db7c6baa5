//! A machine's serial console as a program sees it: wait for what it says, type, see it end.
//!
//! Reading is driven by arriving bytes; nothing sleeps or polls. Every byte is also kept in a log.

use anyhow::{Context, Result, bail};
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// A running machine whose COM1 is QEMU's standard input and output.
pub struct Console {
    child: Child,
    input: ChildStdin,
    output: Receiver<Vec<u8>>,
    /// What has arrived and was not yet waited for.
    unread: String,
    log: File,
    open: bool,
}

impl Console {
    /// Starts `qemu`; its console goes to `serial.log`, its complaints to `qemu.log` in `directory`.
    pub fn start(qemu: &mut Command, directory: &Path) -> Result<Self> {
        let create = |name: &str| {
            let path = directory.join(name);
            File::create(&path).with_context(|| format!("cannot create {}", path.display()))
        };
        let log = create("serial.log")?;
        qemu.stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(create("qemu.log")?);
        let mut child = qemu.spawn().context("cannot start QEMU")?;
        let input = child.stdin.take().context("QEMU has no standard input")?;
        let mut stdout = child.stdout.take().context("QEMU has no standard output")?;
        let (sender, output) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = stdout.read(&mut buffer) {
                if sender.send(buffer[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
        Ok(Self {
            child,
            input,
            output,
            unread: String::new(),
            log,
            open: true,
        })
    }

    /// Waits until the console has said `text`, and returns everything up to and with it.
    pub fn expect(&mut self, text: &str, limit: Duration) -> Result<String> {
        self.expect_any(&[text], limit).map(|(_, said)| said)
    }

    /// Waits for the first of `texts`, and returns its index and everything up to and with it.
    pub fn expect_any(&mut self, texts: &[&str], limit: Duration) -> Result<(usize, String)> {
        let deadline = Instant::now() + limit;
        loop {
            let found = texts.iter().enumerate().filter_map(|(index, text)| {
                self.unread
                    .find(text)
                    .map(|start| (start, start + text.len(), index))
            });
            if let Some((_, end, index)) = found.min() {
                let rest = self.unread.split_off(end);
                return Ok((index, std::mem::replace(&mut self.unread, rest)));
            }
            if !self.receive(deadline)? {
                bail!("the machine ended, and had not said {}", quoted(texts));
            }
            if Instant::now() >= deadline {
                bail!(
                    "the machine did not say {} within {} s",
                    quoted(texts),
                    limit.as_secs()
                );
            }
        }
    }

    /// Waits for `text`, and returns the rest of its line. Text before it is dropped.
    pub fn line_after(&mut self, text: &str, limit: Duration) -> Result<String> {
        self.expect(text, limit)?;
        let line = self.expect("\n", limit)?;
        Ok(line.trim().to_owned())
    }

    /// Types `keys`.
    pub fn send(&mut self, keys: &str) -> Result<()> {
        self.input
            .write_all(keys.as_bytes())
            .context("the machine's console is closed")?;
        self.input
            .flush()
            .context("the machine's console is closed")
    }

    /// Drops what has been said so far and was not waited for.
    pub fn forget(&mut self) {
        self.unread.clear();
    }

    /// Waits until the machine ends by itself, and returns all that it still said.
    pub fn ended(&mut self, limit: Duration) -> Result<String> {
        let deadline = Instant::now() + limit;
        while self.open {
            if !self.receive(deadline)? {
                break;
            }
            if Instant::now() >= deadline {
                bail!("the machine still runs after {} s", limit.as_secs());
            }
        }
        let status = self.child.wait()?;
        if !status.success() {
            bail!("QEMU ended with {status}");
        }
        Ok(std::mem::take(&mut self.unread))
    }

    /// Takes in what arrives before `deadline`; false if the machine has ended.
    fn receive(&mut self, deadline: Instant) -> Result<bool> {
        match self
            .output
            .recv_timeout(deadline.saturating_duration_since(Instant::now()))
        {
            Ok(bytes) => {
                self.log
                    .write_all(&bytes)
                    .context("cannot write the serial log")?;
                self.unread.push_str(&String::from_utf8_lossy(&bytes));
                Ok(true)
            }
            Err(RecvTimeoutError::Timeout) => Ok(true),
            Err(RecvTimeoutError::Disconnected) => {
                self.open = false;
                Ok(false)
            }
        }
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        // What it said last belongs in the log, too.
        while let Ok(bytes) = self.output.recv_timeout(Duration::from_secs(1)) {
            let _ = self.log.write_all(&bytes);
        }
    }
}

fn quoted(texts: &[&str]) -> String {
    texts
        .iter()
        .map(|text| format!("{text:?}"))
        .collect::<Vec<_>>()
        .join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn console(script: &str, name: &str) -> Console {
        let directory = std::env::temp_dir().join(format!("console-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        Console::start(Command::new("sh").args(["-c", script]), &directory).unwrap()
    }

    const SOON: Duration = Duration::from_secs(10);

    #[test]
    fn waits_types_and_sees_the_end() {
        let mut console = console("echo one two; read x; echo got=$x end", "waits");
        assert_eq!(console.expect("one", SOON).unwrap(), "one");
        console.send("keys\n").unwrap();
        assert_eq!(console.line_after("got=", SOON).unwrap(), "keys end");
        assert_eq!(console.ended(SOON).unwrap(), "");
    }

    #[test]
    fn the_first_of_several_wins() {
        let mut console = console("echo beta alpha", "several");
        assert_eq!(console.expect_any(&["alpha", "beta"], SOON).unwrap().0, 1);
    }

    #[test]
    fn an_end_and_a_missed_deadline_are_told_apart() {
        let mut ended = console("echo x", "ended");
        assert!(
            ended
                .expect("never", SOON)
                .unwrap_err()
                .to_string()
                .contains("ended")
        );
        let mut slow = console("echo x; exec sleep 100", "slow");
        let error = slow.expect("never", Duration::from_millis(50)).unwrap_err();
        assert!(error.to_string().contains("within"));
    }

    #[test]
    fn a_failing_machine_is_an_error() {
        assert!(console("exit 3", "failing").ended(SOON).is_err());
    }
}
