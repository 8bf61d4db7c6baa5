//! A guest that does everything to its machine that random numbers say: the hypervisor goes on.

use super::session::{BOOT, Lab, Session};
use super::{Case, Machines, Scope, Tier};
use crate::loader::{self, Payload};
use crate::pc::{Pc, Place};
use crate::program::{Form, build};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

pub(super) const CASES: &[Case] = &[Case {
    name: "hammer",
    tier: Tier::Full,
    scope: Scope::Hypervisor,
    machines: Machines::Any,
    body: hammer,
}];

/// How long.
const A_MINUTE: Duration = Duration::from_secs(60);
/// A guest that says nothing for so long has put its CPU to sleep, or writes to a line that it has broken.
const SILENCE: Duration = Duration::from_secs(10);
/// The seed, in hexadecimal; otherwise each life takes one from the clock, and prints it.
const SEED: &str = "MONOVISOR_HAMMER_SEED";

/// The guest's program with the seed that the environment asks for.
fn program(lab: &Lab) -> Result<PathBuf> {
    const MARKER: &[u8] = b"hammer's seed is";
    let mut program = fs::read(build("hammer", Form::Kernel)?)?;
    if let Ok(seed) = std::env::var(SEED) {
        let seed = u32::from_str_radix(&seed, 16)
            .with_context(|| format!("{SEED} is no hexadecimal number of 32 bits"))?;
        let at = program
            .windows(MARKER.len())
            .position(|window| window == MARKER)
            .context("the guest has no place for a seed")?;
        program[at + MARKER.len()..][..4].copy_from_slice(&seed.to_le_bytes());
    }
    let path = lab.directory().join("hammer");
    fs::write(&path, program)?;
    Ok(path)
}

/// A PC with every device that there is, and a guest that always comes back.
fn pc(lab: &Lab) -> Result<Pc> {
    let payload = Payload {
        kernel: program(lab)?,
        initrd: None,
        append: String::new(),
    };
    let cd = loader::grub_iso(&payload, "linux /boot/kernel\nboot\n", lab.directory())?;
    let disk = lab.directory().join("disk");
    fs::write(&disk, vec![0; 4 << 20])?;
    let floppy = lab.directory().join("floppy");
    fs::write(&floppy, vec![0; 1_474_560])?;
    let mut pc = Pc::with(Place::Cd, cd)
        .and(Place::Disk, disk)
        .and(Place::Floppy, floppy);
    for event in ["on_poweroff", "on_reboot", "on_crash"] {
        pc.settings.push_str(&format!("{event} = \"restart\"\n"));
    }
    Ok(pc)
}

/// What became of the guest.
#[derive(Debug, Default)]
struct Counts {
    progress: u32,
    starts: u32,
    silences: u32,
}

fn hammer(lab: &mut Lab) -> Result<()> {
    let pc = pc(lab)?;
    let mut session = lab.step("first steps", |lab| {
        let mut session = lab.start_pc(&pc)?;
        session.console.expect("HAMMER step", BOOT)?;
        Ok(session)
    })?;
    lab.step("a minute", |_| {
        let counts = a_minute(&mut session)?;
        ensure!(counts.progress > 0, "the guest never went on: {counts:?}");
        Ok(())
    })?;
    lab.step("prompt", |_| {
        session.enter_prompt()?;
        session.prompt_is_alive()?;
        session.ask("info").map(drop)
    })
}

fn a_minute(session: &mut Session) -> Result<Counts> {
    let mut counts = Counts::default();
    let start = Instant::now();
    while start.elapsed() < A_MINUTE {
        match session
            .console
            .expect_any(&["HAMMER step", "guest starts at"], SILENCE)
        {
            Ok((0, _)) => counts.progress += 1,
            Ok(_) => counts.starts += 1,
            Err(_) => {
                // If it is the machine that has stopped, the prompt does not come.
                counts.silences += 1;
                session.enter_prompt()?;
                session.console.send("reset\r")?;
                session.leave_prompt()?;
            }
        }
    }
    Ok(counts)
}
