//! The guest's clocks: all that Linux can go by agree, stand still in a pause, and survive a host whose counters do not agree.

use super::session::{Lab, SOON, SWITCH, Session};
use super::{Case, Machines, Scope, Tier};
use crate::bundle::Guest;
use crate::cpio::Archive;
use crate::program::{Form, build};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "clocks",
        tier: Tier::Full,
        scope: Scope::Hypervisor,
        machines: Machines::Qemu,
        body: clocks,
    },
    Case {
        name: "clocks-skewed",
        tier: Tier::Full,
        scope: Scope::Hypervisor,
        machines: Machines::SvmNptQemu,
        body: skewed,
    },
    Case {
        name: "clocks-unsteady",
        tier: Tier::Full,
        scope: Scope::Hypervisor,
        machines: Machines::SvmNptQemu,
        body: unsteady,
    },
];

const SOURCES: [&str; 4] = ["kvm-clock", "tsc", "hpet", "acpi_pm"];
const SELECTED: &str = "/sys/devices/system/clocksource/clocksource0";
/// How long each source is watched. One part in a thousand of it is far more than what reading a clock takes.
const WATCHED_S: u64 = 4;
const PAUSE: Duration = Duration::from_secs(5);

/// Linux's clock and the counter at one moment.
#[derive(Clone, Copy, Debug)]
struct Reading {
    ns: u64,
    ticks: u64,
}

impl Reading {
    fn take(session: &mut Session) -> Result<Self> {
        let line = session.run("clocks")?;
        let mut words = line.split_whitespace();
        let mut number = |name| {
            (words.next() == Some(name))
                .then(|| words.next()?.parse().ok())
                .flatten()
                .with_context(|| format!("`clocks` says {line:?}"))
        };
        Ok(Self {
            ns: number("RAW")?,
            ticks: number("TSC")?,
        })
    }

    /// Ticks in a second of Linux's clock since `earlier`.
    fn rate(self, earlier: Self) -> Result<f64> {
        ensure!(
            self.ns > earlier.ns && self.ticks > earlier.ticks,
            "a clock went backwards from {earlier:?} to {self:?}"
        );
        Ok((self.ticks - earlier.ticks) as f64 * 1e9 / (self.ns - earlier.ns) as f64)
    }
}

/// The default guest with the program that reads clocks.
fn guest(lab: &Lab) -> Result<Guest> {
    let mut guest = lab.guest();
    let default = guest.ramdisk.take().context("the guest has no initramfs")?;
    let mut bytes = fs::read(&default)?;
    let mut more = Archive::default();
    more.file(
        "bin/clocks",
        0o755,
        &fs::read(build("clocks", Form::Executable)?)?,
    );
    // Linux takes several archives, one behind the other.
    bytes.extend(more.finish());
    let ramdisk = lab.directory().join("initrd.cpio");
    fs::write(&ramdisk, bytes)?;
    guest.ramdisk = Some(ramdisk);
    Ok(guest)
}

fn clocks(lab: &mut Lab) -> Result<()> {
    let mut session = lab.start(&lab.machine(), &guest(lab)?)?;
    session.shell()?;
    lab.step("every source is offered", |_| {
        let offered = session.run(&format!("cat {SELECTED}/available_clocksource"))?;
        for source in SOURCES {
            ensure!(
                offered.split_whitespace().any(|word| word == source),
                "no {source} among {offered:?}"
            );
        }
        Ok(())
    })?;
    lab.step("they agree to one part in a thousand", |_| {
        agree(&mut session)
    })?;
    lab.step("a pause stops them all", |_| pause(&mut session))?;
    lab.step("the wall clocks agree", |_| wall(&mut session))?;
    lab.step("no complaints", |_| complaints(&mut session))
}

fn agree(session: &mut Session) -> Result<()> {
    let mut rates = Vec::new();
    for source in SOURCES {
        session.run(&format!("echo {source} >{SELECTED}/current_clocksource"))?;
        let selected = session.run(&format!("cat {SELECTED}/current_clocksource"))?;
        ensure!(selected == source, "{selected} is used instead of {source}");
        let before = Reading::take(session)?;
        session.run(&format!("sleep {WATCHED_S}"))?;
        rates.push((source, Reading::take(session)?.rate(before)?));
    }
    let highest = rates.iter().map(|&(_, rate)| rate).fold(0.0, f64::max);
    let lowest = rates.iter().map(|&(_, rate)| rate).fold(f64::MAX, f64::min);
    ensure!(
        highest / lowest < 1.001,
        "ticks of the TSC in a second of each: {rates:?}"
    );
    Ok(())
}

/// Here the machine's time is the wall's, so that a pause shows as what the guest's clock lacks.
fn pause(session: &mut Session) -> Result<()> {
    session.run(&format!("echo tsc >{SELECTED}/current_clocksource"))?;
    let start = Instant::now();
    let before = Reading::take(session)?;
    session.enter_prompt()?;
    session.ask("pause")?;
    let paused = Instant::now();
    std::thread::sleep(PAUSE);
    let stood = paused.elapsed();
    session.ask("resume")?;
    session.console.send(SWITCH)?;
    session.console.send("\n")?;
    session.console.expect("/root # ", SOON)?;
    let after = Reading::take(session)?;
    after.rate(before)?;
    let passed = Duration::from_nanos(after.ns - before.ns);
    // A tenth of a second for what the two ways of measuring do not see alike.
    let allowed = start.elapsed() - stood + Duration::from_millis(100);
    ensure!(
        passed < allowed,
        "{passed:?} passed in the guest, of at most {allowed:?} in which it ran"
    );
    Ok(())
}

fn wall(session: &mut Session) -> Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let system: u64 = session.run("date +%s")?.parse()?;
    let chip: u64 = session
        .run("cat /sys/class/rtc/rtc0/since_epoch")?
        .parse()?;
    // The chip stood still in the pause, and so did the system.
    ensure!(
        system.abs_diff(chip) <= 2,
        "the system says {system}, its clock chip {chip}"
    );
    let behind = now.saturating_sub(system);
    ensure!(
        (PAUSE.as_secs() - 1..PAUSE.as_secs() + 30).contains(&behind),
        "the guest is {behind} s behind the host, after a pause of {PAUSE:?}"
    );
    Ok(())
}

fn complaints(session: &mut Session) -> Result<()> {
    let said = session
        .run("dmesg | grep -iE 'unstable|went backwards|lost ticks|lockup|stall' || true")?;
    ensure!(said.is_empty(), "the guest's kernel complains: {said:?}");
    Ok(())
}

/// Boots on two CPUs whose counters `words` spoil, and finds `verdict` in the report.
fn spoilt(lab: &mut Lab, words: &str, verdict: &str) -> Result<()> {
    let mut machine = lab.machine();
    machine.cpus = 2;
    let mut session = lab.start_with(&machine, &guest(lab)?, words)?;
    let said = session.shell()?;
    lab.step("the report says so", |_| {
        let line = said
            .lines()
            .find(|line| line.starts_with("time-stamp counter:"))
            .context("no line of the report is about it")?;
        ensure!(line.contains(verdict), "the report says {line:?}");
        Ok(())
    })?;
    lab.step("the guest's clocks agree", |_| agree(&mut session))?;
    lab.step("no complaints", |_| complaints(&mut session))
}

fn skewed(lab: &mut Lab) -> Result<()> {
    let words = "test_tsc_skew=1:+90000000000";
    spoilt(lab, words, "skewed, CPU 1 by")
}

fn unsteady(lab: &mut Lab) -> Result<()> {
    let words = "test_tsc_skew=1:+500000ppm";
    spoilt(lab, words, "unsteady, CPU 1 runs")
}
