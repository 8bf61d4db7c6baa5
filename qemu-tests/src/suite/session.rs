//! What test bodies are written in: a lab that builds machines, and sessions with running ones.

use super::{Outcome, Verdict};
use crate::bundle::Guest;
use crate::command;
use crate::console::Console;
use crate::engine::{Emulator, Engine, Subject, Virtualization};
use crate::loader::{Loader, Payload};
use crate::machine::{Desk, Machine};
use crate::pc::Pc;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// From power-on to the guest's shell, on a slow computer that runs several emulators at once.
pub const BOOT: Duration = Duration::from_secs(150);
/// For anything shorter.
pub const SOON: Duration = Duration::from_secs(60);

/// What switches between the guest's console and Monovisor's prompt: Ctrl-A twice.
pub const SWITCH: &str = "\x01\x01";
/// Monovisor's prompt.
pub const PROMPT: &str = "monovisor> ";

/// The last line that the default guest prints before its shell.
const SHELL_READY: &str = "this is a shell";
const SHELL_PROMPT: &str = "/root # ";

/// VBE mode 11Bh, 1280x1024, for the host, in boot loaders' words.
const HOST_SCREEN: &str = "vga=0x31b";

/// One job's place: its engine, its default guest, its directory and its results.
pub struct Lab<'a> {
    engine: &'static dyn Engine,
    guest: Guest,
    directory: PathBuf,
    name: String,
    report: &'a dyn Fn(&Outcome),
}

impl<'a> Lab<'a> {
    /// A lab whose files go to `directory`.
    pub fn new(
        engine: &'static dyn Engine,
        guest: Guest,
        directory: PathBuf,
        name: String,
        report: &'a dyn Fn(&Outcome),
    ) -> Self {
        Self {
            engine,
            guest,
            directory,
            name,
            report,
        }
    }

    /// The default guest, to be changed at will.
    pub fn guest(&self) -> Guest {
        let mut guest = self.guest.clone();
        let options = self.engine.emulator().kernel_options();
        guest.cmdline.push_str(options);
        guest.settings.push_str(self.engine.emulator().settings());
        guest
    }

    /// Where this job's files go.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What is being booted.
    pub fn subject(&self) -> Subject {
        self.engine.subject()
    }

    /// What executes the machine.
    pub fn emulator(&self) -> Emulator {
        self.engine.emulator()
    }

    /// True if the machine's CPU has no nested paging, and a hypervisor.
    pub fn has_shadow_paging(&self) -> bool {
        let virtualization = self.engine.virtualization();
        self.subject() == Subject::Monovisor
            && matches!(
                virtualization,
                Virtualization::SvmShadow | Virtualization::VmxShadow
            )
    }

    /// The CPU's kind of virtualization.
    pub fn virtualization(&self) -> Virtualization {
        self.engine.virtualization()
    }

    /// The default machine.
    pub fn machine(&self) -> Machine {
        self.machine_with(self.engine.emulator().loader())
    }

    /// A machine that boots in this way.
    pub fn machine_with(&self, loader: Loader) -> Machine {
        Machine::new(self.engine, loader)
    }

    /// One step, one result: `body`'s, with its time.
    pub fn step<T>(&mut self, name: &str, body: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let start = Instant::now();
        let value = body(self).with_context(|| name.to_owned())?;
        let name = format!("{}: {name}", self.name);
        (self.report)(&Outcome {
            name,
            verdict: Verdict::Passed,
            took: start.elapsed(),
        });
        Ok(value)
    }

    /// Says that this computer lacks what the rest of the case needs.
    pub fn skip(&self, reason: &str) {
        (self.report)(&Outcome {
            name: self.name.clone(),
            verdict: Verdict::Skipped(reason.to_owned()),
            took: Duration::ZERO,
        });
    }

    /// Starts `machine` with this guest.
    pub fn start(&self, machine: &Machine, guest: &Guest) -> Result<Session> {
        self.start_with(machine, guest, "")
    }

    /// The same with these words on the hypervisor's command line, if there is a hypervisor.
    pub fn start_with(&self, machine: &Machine, guest: &Guest, words: &str) -> Result<Session> {
        match self.subject() {
            Subject::Monovisor => {
                let bundle = self.directory.join("bundle.cpio");
                guest.pack(&bundle)?;
                let payload = Payload {
                    append: words.to_owned(),
                    ..self.monovisor(Some(bundle))
                };
                self.start_payload(machine, &payload)
            }
            Subject::Guest => {
                let mut machine = machine.clone();
                if let Emulator::Qemu(_) = self.engine.emulator() {
                    machine.extra.splice(0..0, guest.devices());
                }
                self.start_payload(&machine, &guest.payload())
            }
        }
    }

    /// Starts `machine` with a bundle of any content, or none.
    pub fn start_bundle(&self, machine: &Machine, content: Option<&[u8]>) -> Result<Session> {
        let bundle = self.directory.join("bundle.cpio");
        if let Some(content) = content {
            fs::write(&bundle, content)?;
        }
        self.start_payload(machine, &self.monovisor(content.map(|_| bundle)))
    }

    /// Starts `machine` without a guest, with these words on the hypervisor's command line.
    pub fn start_alone(&self, machine: &Machine, words: &str) -> Result<Session> {
        let payload = Payload {
            append: words.to_owned(),
            ..self.monovisor(None)
        };
        self.start_payload(machine, &payload)
    }

    /// Starts a PC of the default machine's size, which boots from its own media.
    pub fn start_pc(&self, pc: &Pc) -> Result<Session> {
        let mut machine = self.machine();
        self.start_pc_on(&mut machine, pc)
    }

    /// The same on a machine of the case's own.
    pub fn start_pc_on(&self, machine: &mut Machine, pc: &Pc) -> Result<Session> {
        match self.subject() {
            Subject::Monovisor => {
                let mut pc = pc.clone();
                pc.settings.push_str(self.engine.emulator().settings());
                let bundle = self.directory.join("bundle.cpio");
                fs::write(&bundle, pc.bundle()?)?;
                let mut payload = self.monovisor(Some(bundle));
                if machine.desk == Desk::Attended {
                    // The guest's pictures are seen on a screen that has some.
                    payload.append.push_str(HOST_SCREEN);
                }
                self.start_payload(machine, &payload)
            }
            Subject::Guest => {
                machine.loader = Loader::Own;
                machine.memory_mib = pc.memory_mib;
                machine.extra.splice(0..0, pc.arguments());
                // Nothing is loaded but by the guest itself.
                self.start_payload(machine, &self.monovisor(None))
            }
        }
    }

    /// The bytes of this guest's bundle.
    pub fn bundle(&self, guest: &Guest) -> Result<Vec<u8>> {
        let bundle = self.directory.join("bundle.cpio");
        guest.pack(&bundle)?;
        Ok(fs::read(&bundle)?)
    }

    fn monovisor(&self, initrd: Option<PathBuf>) -> Payload {
        Payload {
            kernel: crate::tree::image(),
            initrd,
            append: String::new(),
        }
    }

    fn start_payload(&self, machine: &Machine, payload: &Payload) -> Result<Session> {
        let launch = machine.launch(payload, &self.directory)?;
        let line = command::shown(&launch.command);
        fs::write(self.directory.join("command"), line + "\n")?;
        Ok(Session {
            console: Console::start(launch, &self.directory)?,
        })
    }

    /// The end of the last machine's console, for a failure's report.
    pub fn transcript(&self) -> String {
        const LINES: usize = 25;
        let bytes = fs::read(self.directory.join("serial.log")).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<_> = text.lines().map(str::trim_end).collect();
        let tail = lines[lines.len().saturating_sub(LINES)..].join("\n    ");
        format!(
            "  the console's end (all of it is in {}):\n    {tail}",
            self.directory.display()
        )
    }
}

/// A running machine.
pub struct Session {
    /// Its serial console.
    pub console: Console,
}

impl Session {
    /// Waits for the default guest's shell and returns what was said on the way.
    pub fn shell(&mut self) -> Result<String> {
        let said = self.console.expect(SHELL_READY, BOOT)?;
        self.console.expect(SHELL_PROMPT, SOON)?;
        // From here on the kernel's messages, or an echo wrapped at 80 columns, would only garble what commands print.
        self.run("dmesg -n 1; stty cols 1000")?;
        Ok(said)
    }

    /// Runs `command` in the guest's shell and returns what it printed; it must succeed.
    pub fn run(&mut self, command: &str) -> Result<String> {
        self.run_within(command, SOON)
    }

    /// The same, for one that may take so long.
    pub fn run_within(&mut self, command: &str, limit: Duration) -> Result<String> {
        // The echo of what is typed says rc"=", so that only the command's end says rc=.
        self.console.send(&format!("{command}; echo rc\"=\"$?\n"))?;
        self.console.expect("\n", SOON)?;
        let printed = self.console.expect("rc=", limit)?;
        let code = self.console.expect("\n", SOON)?;
        self.console.expect(SHELL_PROMPT, SOON)?;
        let printed = printed.trim_end_matches("rc=").trim().replace('\r', "");
        match code.trim() {
            "0" => Ok(printed),
            code => bail!("`{command}` in the guest ended with {code} and said {printed:?}"),
        }
    }

    /// Types a line in the guest's shell that it will not come back from.
    pub fn leave(&mut self, command: &str) -> Result<()> {
        self.console.send(&format!("{command}\n"))
    }

    /// Switches from the guest to Monovisor's prompt.
    pub fn enter_prompt(&mut self) -> Result<()> {
        self.console.send(SWITCH)?;
        self.console.expect(PROMPT, SOON).map(drop)
    }

    /// Waits for the prompt that comes to the front by itself where no guest runs, and returns what was said before.
    pub fn offered_prompt(&mut self) -> Result<String> {
        self.console.expect(PROMPT, BOOT)
    }

    /// Switches from Monovisor's prompt to the guest.
    pub fn leave_prompt(&mut self) -> Result<()> {
        self.console.send(SWITCH)?;
        self.console.expect("[guest's console", SOON)?;
        self.console.expect("\n", SOON).map(drop)
    }

    /// What the guest's screen shows, a line a row without trailing blanks, from Monovisor's prompt, which has to be in front. A
    /// screen of graphics has only a first line, of its size.
    pub fn screen(&mut self) -> Result<String> {
        self.console.send("screen\r")?;
        // Log lines may come first, each with the prompt behind it.
        self.console.expect("\nscreen: ", SOON)?;
        let told = self.console.expect(PROMPT, SOON)?;
        Ok(told.trim_end_matches(PROMPT).replace('\r', ""))
    }

    /// Waits until the guest's screen shows `text`; the prompt has to be in front. Returns the screen.
    pub fn screen_shows(&mut self, text: &str, limit: Duration) -> Result<String> {
        let start = Instant::now();
        loop {
            let screen = self.screen()?;
            if screen.contains(text) {
                return Ok(screen);
            }
            if start.elapsed() > limit {
                bail!(
                    "the guest's screen does not show {text:?} within {} s, but\n{screen}",
                    limit.as_secs()
                );
            }
            // A picture cannot be waited for, only looked at again.
            std::thread::sleep(Duration::from_millis(300));
        }
    }

    /// Types a command at Monovisor's prompt and returns what it printed before the next prompt.
    pub fn ask(&mut self, command: &str) -> Result<String> {
        self.console.send(&format!("{command}\r"))?;
        self.console.expect(PROMPT, SOON)
    }

    /// The prompt answers, whatever the guest does.
    pub fn prompt_is_alive(&mut self) -> Result<()> {
        let help = self.ask("help")?;
        for word in ["help", "info", "reset", "poweroff"] {
            if !help.contains(word) {
                bail!("`help` says nothing of `{word}`: {help:?}");
            }
        }
        Ok(())
    }
}
