//! The end-to-end suite: test bodies, what each needs, and the runner.
//!
//! A [`Case`] boots machines and checks them in named steps; each step is one result. A case ends at its first failed
//! step, because later ones would speak of a machine that is not there.

mod bad_input;
mod boot;
mod crash;
mod dirty;
mod guest;
mod host;
mod prompt;
mod session;

use crate::engine::{Engine, Subject, SvmNptQemu};
use crate::{bundle::Guest, tree};
use anyhow::{Context, Result};
use session::Lab;
use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// When a case runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// In every run.
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
    /// Monovisor on an emulated CPU, whose model the case chooses.
    EmulatedHypervisor,
}

/// One test.
pub struct Case {
    /// Its name, without the engine.
    pub name: &'static str,
    /// When it runs.
    pub tier: Tier,
    scope: Scope,
    body: fn(&mut Lab) -> Result<()>,
}

impl Case {
    /// Whether it makes sense on `engine`.
    pub fn fits(&self, engine: &dyn Engine) -> bool {
        match self.scope {
            Scope::Everything => true,
            Scope::Hypervisor => engine.subject() == Subject::Monovisor,
            Scope::EmulatedHypervisor => engine.name() == SvmNptQemu.name(),
        }
    }
}

/// Every case.
pub fn cases() -> impl Iterator<Item = &'static Case> {
    [
        boot::CASES,
        guest::CASES,
        prompt::CASES,
        bad_input::CASES,
        crash::CASES,
        dirty::CASES,
        host::CASES,
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
        .and_then(|directory| {
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

/// The job's own directory under `target/e2e`, emptied.
fn directory(job: &Job) -> Result<std::path::PathBuf> {
    let directory = tree::e2e().join(job.name().trim_start_matches("e2e/"));
    if directory.exists() {
        fs::remove_dir_all(&directory)?;
    }
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    Ok(directory)
}
