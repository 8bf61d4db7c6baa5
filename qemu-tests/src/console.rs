//! A machine's serial console as a program sees it: wait for what it says, type, see it end.
//!
//! Reading is driven by arriving bytes; nothing sleeps or polls. Every byte is also kept in a log.

use crate::desk::Desk;
use crate::machine::{self, Ending, Launch, Line};
use anyhow::{Context, Result, bail};
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// A running machine and its COM1. Time limits are for QEMU's emulation; a slower engine has its multiple of them.
pub struct Console {
    child: Child,
    input: Box<dyn Write + Send>,
    output: Receiver<Vec<u8>>,
    /// What has arrived and was not yet waited for.
    unread: String,
    log: File,
    open: bool,
    ending: Ending,
    slowness: u32,
    desk: Option<Desk>,
}

impl Console {
    /// Starts the machine; its console is also written to `serial.log`, QEMU's complaints to `emulator.log` in
    /// `directory`.
    pub fn start(launch: Launch, directory: &Path) -> Result<Self> {
        let create = |name: &str| {
            let path = directory.join(name);
            File::create(&path).with_context(|| format!("cannot create {}", path.display()))
        };
        let log = create("serial.log")?;
        let mut command = launch.command;
        if matches!(launch.line, Line::Stdio) {
            command
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(create("emulator.log")?);
        }
        let mut child = command.spawn().context("cannot start the emulator")?;
        let (input, output) = match ends(&launch.line, &mut child) {
            Ok(ends) => ends,
            Err(error) => {
                // It may have ended already.
                let _ = child.kill();
                let _ = child.wait();
                return Err(error);
            }
        };
        let desk = launch
            .control
            .map(|listener| Desk::accept(&listener, &mut child));
        let desk = match desk.transpose() {
            Ok(desk) => desk,
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(error);
            }
        };
        Ok(Self {
            child,
            input,
            desk,
            output: forward(output),
            unread: String::new(),
            log,
            open: true,
            ending: launch.ending,
            slowness: launch.slowness,
        })
    }

    /// Waits until the console has said `text`, and returns everything up to and with it.
    pub fn expect(&mut self, text: &str, limit: Duration) -> Result<String> {
        self.expect_any(&[text], limit).map(|(_, said)| said)
    }

    /// Waits for the first of `texts`, and returns its index and everything up to and with it.
    pub fn expect_any(&mut self, texts: &[&str], limit: Duration) -> Result<(usize, String)> {
        let limit = limit * self.slowness;
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

    /// By how much longer than usual its events may take.
    pub fn slowness(&self) -> u32 {
        self.slowness
    }

    /// Its keyboard, mouse and screen, if the machine has an attended desk ([`machine::Desk::Attended`]).
    pub fn desk(&mut self) -> Result<&mut Desk> {
        self.desk
            .as_mut()
            .context("nobody sits at this machine's desk")
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
        let limit = limit * self.slowness;
        let deadline = Instant::now() + limit;
        while self.open {
            if !self.receive(deadline)? {
                break;
            }
            if Instant::now() >= deadline {
                bail!("the machine still runs after {} s", limit.as_secs());
            }
        }
        self.ending.judge(self.child.wait()?)?;
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

/// The two directions of a machine's COM1.
type Ends = (Box<dyn Write + Send>, Box<dyn Read + Send>);

fn ends(line: &Line, child: &mut Child) -> Result<Ends> {
    match line {
        Line::Stdio => {
            let input = child.stdin.take().context("no standard input")?;
            let output = child.stdout.take().context("no standard output")?;
            Ok((Box::new(input), Box::new(output)))
        }
        Line::Calls(listener) => {
            let stream = machine::accept(listener, child)?;
            // Keys are few, and each is waited for.
            stream.set_nodelay(true)?;
            Ok((Box::new(stream.try_clone()?), Box::new(stream)))
        }
        Line::Elsewhere => bail!("this machine's console leads elsewhere"),
    }
}

/// Reads to the end, on a thread of its own.
fn forward(mut output: Box<dyn Read + Send>) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = output.read(&mut buffer) {
            if sender.send(buffer[..length].to_vec()).is_err() {
                break;
            }
        }
    });
    receiver
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
    use std::net::TcpListener;
    use std::path::PathBuf;
    use std::process::Command;

    fn launch(script: &str, line: Line) -> Launch {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Launch {
            command,
            line,
            control: None,
            ending: Ending::ExitCode,
            slowness: 1,
        }
    }

    fn directory(name: &str) -> PathBuf {
        let directory = std::env::temp_dir().join(format!("console-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        directory
    }

    fn console(script: &str, name: &str) -> Console {
        Console::start(launch(script, Line::Stdio), &directory(name)).unwrap()
    }

    const SOON: Duration = Duration::from_secs(10);

    #[test]
    fn a_machine_that_calls_is_talked_to_in_both_directions() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let script = format!(
            "exec bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port}; read -u 3 x; echo got=$x >&3'"
        );
        let launch = launch(&script, Line::Calls(listener));
        let mut console = Console::start(launch, &directory("calls")).unwrap();
        console.send("keys\n").unwrap();
        assert_eq!(console.line_after("got=", SOON).unwrap(), "keys");
        assert_eq!(console.ended(SOON).unwrap(), "");
    }

    #[test]
    fn a_slow_engine_has_more_time() {
        let mut launch = launch("sleep 1; echo late", Line::Stdio);
        launch.slowness = 200;
        let mut console = Console::start(launch, &directory("slowness")).unwrap();
        console.expect("late", Duration::from_millis(50)).unwrap();
    }

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
