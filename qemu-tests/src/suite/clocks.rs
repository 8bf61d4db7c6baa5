//! The guest's clocks: all that Linux can go by agree, stand still in a pause, and survive a host whose counters do not agree.

use super::session::{Lab, SOON, SWITCH, Session};
use super::smp::{bogomips, prove};
use super::{Case, Machines, Scope, Tier};
use crate::bundle::Guest;
use crate::cpio::Archive;
use crate::engine::Emulator;
use crate::program::{Form, build};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const fn full(name: &'static str, machines: Machines, body: fn(&mut Lab) -> Result<()>) -> Case {
    Case {
        name,
        tier: Tier::Full,
        scope: Scope::Hypervisor,
        machines,
        body,
    }
}

pub(super) const CASES: &[Case] = &[
    Case {
        name: "clocks",
        tier: Tier::Always,
        scope: Scope::Hypervisor,
        machines: Machines::Any,
        body: clocks,
    },
    full("clocks-one", Machines::Qemu, |lab| {
        spoilt(lab, &Spoilt { vcpus: 1, ..PLAIN })
    }),
    full("clocks-warp", Machines::Any, |lab| {
        let effort = Effort::Full;
        spoilt(lab, &Spoilt { effort, ..PLAIN })
    }),
    full("clocks-warp-4", Machines::Qemu, |lab| {
        let (vcpus, effort) = (4, Effort::Full);
        spoilt(
            lab,
            &Spoilt {
                vcpus,
                effort,
                ..PLAIN
            },
        )
    }),
    full("clocks-skewed", Machines::SvmNptQemu, |lab| {
        spoilt(lab, &SKEWED)
    }),
    full("clocks-skewed-back", Machines::SvmNptQemu, |lab| {
        let words = "test_tsc_skew=1:-5000000";
        spoilt(lab, &Spoilt { words, ..SKEWED })
    }),
    full("clocks-drifting", Machines::SvmNptQemu, |lab| {
        spoilt(lab, &DRIFTING)
    }),
    full("clocks-written", Machines::Bochs, |lab| {
        let words = "test_tsc_write=1:+5000000";
        spoilt(lab, &Spoilt { words, ..SKEWED })
    }),
    full("clocks-warp-left", Machines::SvmNptQemu, |lab| {
        uncompensated(lab, SKEWED.words).map(drop)
    }),
    full("clocks-drift-left", Machines::SvmNptQemu, |lab| {
        let mut session = uncompensated(lab, DRIFTING.words)?;
        lab.step("and nothing is promised", |_| unpromised(&mut session))
    }),
    full("idle", Machines::Any, idle),
    full("clocks-written-left", Machines::Bochs, |lab| {
        uncompensated(lab, "test_tsc_write=1:+5000000").map(drop)
    }),
];

/// A guest on a machine whose counters tests have spoilt, or not.
struct Spoilt {
    vcpus: u32,
    cpus: u32,
    /// For the hypervisor's command line.
    words: &'static str,
    /// What its report says of the counters.
    verdict: &'static str,
    effort: Effort,
}

/// Whether warps are looked for a little or thoroughly.
#[derive(Clone, Copy)]
enum Effort {
    Short,
    Full,
}

/// Counters as they are; two vCPUs.
const PLAIN: Spoilt = Spoilt {
    vcpus: 2,
    cpus: 2,
    words: "",
    verdict: "the guest reads it directly",
    effort: Effort::Short,
};
/// A constant distance.
const SKEWED: Spoilt = Spoilt {
    words: "test_tsc_skew=1:+90000000000",
    verdict: "skewed, CPU 1 by",
    effort: Effort::Full,
    ..PLAIN
};
/// A distance that grows, fast enough for an emulator's comparison, which is coarse.
const DRIFTING: Spoilt = Spoilt {
    words: "test_tsc_skew=1:+500000ppm",
    verdict: "unsteady, CPU 1 runs",
    ..SKEWED
};

const SOURCES: [&str; 4] = ["kvm-clock", "tsc", "hpet", "acpi_pm"];
const SELECTED: &str = "/sys/devices/system/clocksource/clocksource0";
/// How long each source is watched. One part in a thousand of it is far more than what reading a clock takes.
const WATCHED_S: u64 = 4;
/// A counter that is emulated takes some tens of microseconds for each reading, on an emulator.
const WARP_LIMIT: Duration = Duration::from_secs(1800);
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
pub(super) fn guest(lab: &Lab) -> Result<Guest> {
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
    let mut session = start(lab, &PLAIN)?;
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
    prove_clocks(lab, &mut session, &PLAIN)?;
    // Where the machine's time is the wall's, a pause shows as what the guest's clocks lack.
    if let Emulator::Qemu(_) = lab.emulator() {
        lab.step("a pause stops them all", |_| pause(&mut session))?;
        lab.step("the wall clocks agree", |_| wall(&mut session))?;
    }
    lab.step("no warps after it", |lab| {
        prove(
            &mut session,
            "warp",
            samples(lab, Effort::Short),
            WARP_LIMIT,
        )
    })?;
    lab.step("no complaints", |_| complaints(&mut session))
}

/// A second of each of `sources` has the same number of the counter's ticks.
pub(super) fn agree(session: &mut Session, sources: &[&str]) -> Result<()> {
    let mut rates = Vec::new();
    for source in sources {
        select(session, source)?;
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

/// Has Linux go by this source.
pub(super) fn select(session: &mut Session, source: &str) -> Result<()> {
    session.run(&format!("echo {source} >{SELECTED}/current_clocksource"))?;
    let selected = session.run(&format!("cat {SELECTED}/current_clocksource"))?;
    ensure!(selected == source, "{selected} is used instead of {source}");
    Ok(())
}

/// Here the machine's time is the wall's, so that a pause shows as what the guest's clock lacks.
fn pause(session: &mut Session) -> Result<()> {
    select(session, "tsc")?;
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

/// Linux found nothing wrong with its clocks.
pub(super) fn complaints(session: &mut Session) -> Result<()> {
    let said = session.run(
        "dmesg | grep -iE 'unstable|went backwards|lost ticks|lockup|stall|not synchron|tsc warp|unsync' || true",
    )?;
    ensure!(said.is_empty(), "the guest's kernel complains: {said:?}");
    Ok(())
}

/// Boots on a machine whose report says what is expected of its counters.
fn start(lab: &mut Lab, spoilt: &Spoilt) -> Result<Session> {
    let mut machine = lab.machine();
    machine.cpus = spoilt.cpus;
    let mut guest = guest(lab)?;
    guest.vcpus = spoilt.vcpus;
    lab.step("the report says what becomes of the counters", |lab| {
        let mut session = lab.start_with(&machine, &guest, spoilt.words)?;
        let said = session.shell()?;
        let line = said
            .lines()
            .find(|line| line.starts_with("time-stamp counter:"))
            .context("no line of the report is about it")?;
        ensure!(line.contains(spoilt.verdict), "the report says {line:?}");
        Ok(session)
    })
}

/// What holds of the guest's clocks whatever the host's counters are like.
fn prove_clocks(lab: &mut Lab, session: &mut Session, spoilt: &Spoilt) -> Result<()> {
    lab.step("the guest trusts its counter", |_| trusted(session))?;
    lab.step("they agree to one part in a thousand", |_| {
        agree(session, &SOURCES)
    })?;
    lab.step("bogomips within 1 %", |_| bogomips(session, spoilt.vcpus))?;
    if spoilt.vcpus > 1 {
        lab.step("no warps", |lab| {
            select(session, "tsc")?;
            let samples = samples(lab, spoilt.effort);
            prove(session, "warp", samples, WARP_LIMIT)
        })?;
    }
    Ok(())
}

/// Boots on CPUs whose counters are spoilt, and finds the guest's clocks as they should be.
fn spoilt(lab: &mut Lab, spoilt: &Spoilt) -> Result<()> {
    let mut session = start(lab, spoilt)?;
    prove_clocks(lab, &mut session, spoilt)?;
    lab.step("no complaints", |_| complaints(&mut session))
}

/// Without our help the guest sees what was done to the counters. If it does not, the test for warps is worth nothing.
fn uncompensated(lab: &mut Lab, words: &str) -> Result<Session> {
    let mut machine = lab.machine();
    machine.cpus = PLAIN.cpus;
    let mut guest = guest(lab)?;
    guest.vcpus = PLAIN.vcpus;
    // A kernel that goes by such a counter would wait for ever.
    guest.cmdline.push_str(" clocksource=acpi_pm notsc");
    let mut session = lab.step("shell", |lab| {
        let words = format!("{words} test_tsc_compensation=0");
        let mut session = lab.start_with(&machine, &guest, &words)?;
        session.shell()?;
        Ok(session)
    })?;
    lab.step("the guest's counters warp", |lab| {
        let samples = samples(lab, Effort::Short);
        session.leave(&format!("smp warp {samples}"))?;
        let found = session.console.line_after("SMP warp ", WARP_LIMIT)?;
        ensure!(
            found.starts_with("bad ") && !found.contains(" 0 TSC warps"),
            "{found}"
        );
        session.console.expect("/root # ", SOON).map(drop)
    })?;
    Ok(session)
}

/// What CPUID says of a counter that is not steady.
fn unpromised(session: &mut Session) -> Result<()> {
    let flags = session.run("grep -m 1 ^flags /proc/cpuinfo")?;
    for flag in ["constant_tsc", "nonstop_tsc", "tsc_deadline_timer"] {
        ensure!(
            !flags.split_whitespace().any(|word| word == flag),
            "Linux sees {flag} among {flags}"
        );
    }
    Ok(())
}

fn samples(lab: &Lab, effort: Effort) -> u32 {
    match (lab.emulator(), effort) {
        (Emulator::Qemu(_), Effort::Short) => 200_000,
        (Emulator::Qemu(_), Effort::Full) => 10_000_000,
        // It takes a minute for what QEMU does in a second.
        (Emulator::Bochs(_), Effort::Short) => 5_000,
        (Emulator::Bochs(_), Effort::Full) => 50_000,
    }
}

/// Linux's own comparison of the CPUs' counters found nothing, and it does not watch them by another clock.
fn trusted(session: &mut Session) -> Result<()> {
    let flags = session.run("grep -m 1 ^flags /proc/cpuinfo")?;
    for flag in [
        "constant_tsc",
        "nonstop_tsc",
        "tsc_adjust",
        "tsc_deadline_timer",
    ] {
        ensure!(
            flags.split_whitespace().any(|word| word == flag),
            "Linux sees no {flag} among {flags}"
        );
    }
    complaints(session)
}

/// A guest that has nothing to do, with a CPU of its own, leaves that alone: it halts by itself, and comes back for its own timers.
fn idle(lab: &mut Lab) -> Result<()> {
    const SECONDS: u64 = 5;
    /// Linux' own housekeeping takes about ten ticks a second, each with an exit for the timer and one to set it anew.
    const EXITS_EACH_S: u64 = 100;
    let mut machine = lab.machine();
    machine.cpus = 2;
    let mut session = lab.start(&machine, &lab.guest())?;
    session.shell()?;
    lab.step("hardly an exit while it idles, and none for HLT", |_| {
        let (halts, all) = counted(&mut session)?;
        session.run(&format!("sleep {SECONDS}"))?;
        let (more_halts, more) = counted(&mut session)?;
        ensure!(more_halts == halts, "{} exits for HLT", more_halts - halts);
        let limit = SECONDS * EXITS_EACH_S + CONSOLE_EXITS;
        ensure!(
            more - all <= limit,
            "{} exits in {SECONDS} s; at most {limit} are expected",
            more - all
        );
        Ok(())
    })
}

/// What the guest's shell needs for a line and its echo.
const CONSOLE_EXITS: u64 = 2000;

/// Exits so far: those for HLT, and all.
fn counted(session: &mut Session) -> Result<(u64, u64)> {
    session.enter_prompt()?;
    let info = session.ask("info")?;
    session.leave_prompt()?;
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix("exits:"))
        .with_context(|| format!("`info` says nothing of exits: {info:?}"))?;
    let words: Vec<_> = line.split_whitespace().collect();
    let counts: Option<Vec<_>> = words
        .chunks(2)
        .map(|pair| Some((pair[0], pair.get(1)?.parse::<u64>().ok()?)))
        .collect();
    let counts = counts.with_context(|| format!("`info` says {line:?}"))?;
    let halts = counts.iter().find(|(name, _)| *name == "HLT");
    let &(_, halts) = halts.with_context(|| format!("no exits for HLT among {line:?}"))?;
    Ok((halts, counts.iter().map(|(_, count)| count).sum()))
}
