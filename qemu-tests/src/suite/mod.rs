//! The end-to-end suite: test bodies, what each needs, and the runner.
//!
//! A [`Case`] boots machines and checks them in named steps; each step is one result. A case ends at its first failed
//! step, because later ones would speak of a machine that is not there.

mod bad_input;
mod beside;
mod boot;
mod bounds;
mod clocks;
mod consoles;
mod crash;
mod desk;
mod dirty;
mod errands;
mod events;
mod firmware;
mod guest;
mod hammer;
mod hang;
mod host;
mod hyperv;
mod ipxe;
mod lan;
mod linux;
mod loaders;
mod modes;
mod netboot;
mod network;
mod options;
mod outside;
mod own_firmware;
mod owner;
mod prompt;
mod real_mode;
mod seat;
mod session;
mod shadow;
mod smp;
mod storm;
mod systems;
mod translation;
mod uplink;
mod vectors;
mod vnc;

use crate::engine::{
    Emulator, Engine, Share, Subject, SvmNptQemu, VMX_EPT_RESTRICTED_BOCHS, VMX_SHADOW_BOCHS,
    Virtualization,
};
use crate::turn::Turn;
use crate::{bundle::Guest, tree};
use anyhow::{Context, Result};
use session::Lab;
use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// When a case runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// In every run, on every engine that has a share in it: the one boot.
    EveryEngine,
    /// In every run, on fast engines.
    Always,
    /// In full runs, and when asked for by name.
    Full,
}

/// What a case holds for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    /// Monovisor, and a guest alone.
    Everything,
    /// Monovisor.
    Hypervisor,
}

/// The machines that a case can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Machines {
    /// Any engine's.
    Any,
    /// Those in which a guest finds virtio devices: Monovisor's own, or QEMU's.
    WithVirtio,
    /// Those in which a guest finds media of its own: Monovisor's, or QEMU's.
    WithMedia,
    /// QEMU's: the loader, the chipset or the size is not to be had elsewhere.
    Qemu,
    /// QEMU's with an emulated AMD CPU, whose model the case chooses.
    SvmNptQemu,
    /// Bochs', whose counters take writes.
    Bochs,
    /// Those with VT-x.
    VmxEpt,
    /// Those with VT-x that cannot run real mode.
    Restricted,
    /// All but QEMU's without nested paging, which has no intercept for task switches: there a guest loads CR3 unseen.
    TaskSwitches,
}

/// One test.
pub struct Case {
    /// Its name, without the engine.
    pub name: &'static str,
    /// When it runs.
    pub tier: Tier,
    scope: Scope,
    machines: Machines,
    body: fn(&mut Lab) -> Result<()>,
}

impl Case {
    /// Of Monovisor in QEMU.
    const fn in_qemu(name: &'static str, tier: Tier, body: fn(&mut Lab) -> Result<()>) -> Self {
        Self {
            name,
            tier,
            scope: Scope::Hypervisor,
            machines: Machines::Qemu,
            body,
        }
    }

    /// Whether it makes sense on `engine`.
    pub fn fits(&self, engine: &dyn Engine) -> bool {
        let hypervisor = engine.subject() == Subject::Monovisor;
        let qemu = matches!(engine.emulator(), Emulator::Qemu(_));
        let machine = match self.machines {
            Machines::Any => true,
            Machines::WithVirtio | Machines::WithMedia => hypervisor || qemu,
            Machines::Qemu => qemu,
            Machines::SvmNptQemu => engine.name() == SvmNptQemu.name(),
            Machines::Bochs => !qemu,
            Machines::VmxEpt => engine.virtualization() == Virtualization::VmxEpt,
            Machines::Restricted => {
                [VMX_EPT_RESTRICTED_BOCHS.name(), VMX_SHADOW_BOCHS.name()].contains(&engine.name())
            }
            Machines::TaskSwitches => {
                !(qemu && engine.virtualization() == Virtualization::SvmShadow)
            }
        };
        machine && (hypervisor || self.scope == Scope::Everything)
    }
}

/// Every case.
pub fn cases() -> impl Iterator<Item = &'static Case> {
    [
        boot::CASES,
        guest::CASES,
        firmware::CASES,
        hammer::CASES,
        hang::CASES,
        ipxe::CASES,
        lan::CASES,
        linux::CASES,
        loaders::CASES,
        modes::CASES,
        netboot::CASES,
        network::CASES,
        outside::CASES,
        uplink::CASES,
        vnc::CASES,
        own_firmware::CASES,
        owner::CASES,
        systems::CASES,
        translation::CASES,
        prompt::CASES,
        real_mode::CASES,
        bad_input::CASES,
        bounds::CASES,
        crash::CASES,
        clocks::CASES,
        consoles::CASES,
        desk::CASES,
        dirty::CASES,
        errands::CASES,
        events::CASES,
        host::CASES,
        hyperv::CASES,
        options::CASES,
        shadow::CASES,
        smp::CASES,
        storm::CASES,
        vectors::CASES,
    ]
    .into_iter()
    .flatten()
}

/// A case on an engine.
#[derive(Clone, Copy)]
pub struct Job {
    /// The test.
    pub case: &'static Case,
    /// What executes its machines.
    pub engine: &'static dyn Engine,
}

impl Job {
    /// Whether it belongs to runs that are not full.
    pub fn is_usual(&self) -> bool {
        match self.engine.share() {
            Share::Suite => self.case.tier != Tier::Full,
            Share::OneBoot => self.case.tier == Tier::EveryEngine,
            Share::Case(name) => self.case.name == name,
            Share::Nothing => false,
        }
    }

    /// The whole name: `e2e/<case>@<mode>@<emulator>`.
    pub fn name(&self) -> String {
        format!("e2e/{}@{}", self.case.name, self.engine.name())
    }
}

/// What became of a step, or of a whole job that had none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Passed,
    /// Not as it should be, and why.
    Failed(String),
    /// Not tried, and what is missing here.
    Skipped(String),
}

/// One result.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The job's name and the step's.
    pub name: String,
    /// What became of it.
    pub verdict: Verdict,
    /// How long it took.
    pub took: Duration,
}

/// Runs `jobs`, `parallel` at a time, and calls `report` for each result as it comes.
pub fn run(jobs: &[Job], parallel: usize, report: &(dyn Fn(&Outcome) + Sync)) -> Result<()> {
    let guest = Guest::debian()?;
    let next = AtomicUsize::new(0);
    let gate = Mutex::new(());
    let report = |outcome: &Outcome| {
        // A poisoned gate only means that another job panicked; lines still come one at a time.
        let _open = gate.lock();
        report(outcome);
    };
    std::thread::scope(|scope| {
        for _ in 0..parallel.clamp(1, jobs.len().max(1)) {
            scope.spawn(|| {
                while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    run_job(job, &guest, &report);
                }
            });
        }
    });
    Ok(())
}

fn run_job(job: &Job, guest: &Guest, report: &dyn Fn(&Outcome)) {
    let start = Instant::now();
    let attempt = directory(job)
        .map_err(|error| format!("{error:#}"))
        .and_then(|(directory, _turn)| {
            let mut lab = Lab::new(job.engine, guest.clone(), directory, job.name(), report);
            (job.case.body)(&mut lab).map_err(|error| format!("{error:#}\n{}", lab.transcript()))
        });
    if let Err(reason) = attempt {
        let verdict = Verdict::Failed(reason);
        report(&Outcome {
            name: job.name(),
            verdict,
            took: start.elapsed(),
        });
    }
}

/// The job's own directory under `target/e2e`, emptied, and the turn at it.
fn directory(job: &Job) -> Result<(PathBuf, Turn)> {
    let directory = tree::e2e().join(job.name().trim_start_matches("e2e/"));
    let turn = Turn::take_directory(&directory, "runs this case")?;
    if directory.exists() {
        fs::remove_dir_all(&directory)?;
    }
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    Ok((directory, turn))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{ENGINES, by_name};

    fn usual(engine: &str) -> Vec<&'static str> {
        let engine = by_name(engine).unwrap();
        let fits = cases().filter(|case| case.fits(engine));
        fits.filter(|case| Job { case, engine }.is_usual())
            .map(|case| case.name)
            .collect()
    }

    #[test]
    fn slow_engines_have_one_boot_in_a_usual_run() {
        assert_eq!(usual("svm-npt@bochs"), ["boot-iso-bios"]);
        assert_eq!(usual("vmx-ept@bochs"), ["boot-iso-bios"]);
        assert_eq!(usual("vmx-ept-restricted@bochs"), ["real-mode-grub"]);
        assert_eq!(usual("vmx-shadow@bochs"), ["real-mode-grub"]);
        assert!(usual("bare@qemu").is_empty());
        assert!(usual("svm-npt@qemu").contains(&"boot-iso-bios"));
        assert!(usual("svm-npt@qemu").len() > 10);
    }

    #[test]
    fn every_engine_has_cases_for_full_runs() {
        for engine in ENGINES {
            let count = cases().filter(|case| case.fits(engine)).count();
            assert!(count > 0, "{}", engine.name());
        }
    }
}
