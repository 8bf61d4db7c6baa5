//! `cargo xtask test`: every check, then the end-to-end suite; one line at the end tells the sum.

use crate::checks::{CHECKS, Check, Counts};
use crate::{compile, host};
use anyhow::{Result, bail};
use qemu_tests::engine::{ENGINES, Subject};
use qemu_tests::suite::{self, Job, Outcome, Verdict};
use std::sync::Mutex;
use std::time::Instant;

/// What to test.
#[derive(clap::Args)]
pub struct Options {
    /// `unit`, `e2e`, or parts of a test's name, all of which it must have
    filter: Vec<String>,
    /// Run the whole matrix, and the guest alone as a reference (hours: all cases on Bochs, too)
    #[arg(long)]
    full: bool,
    /// List the names instead
    #[arg(long)]
    list: bool,
    /// How many machines run at a time [default: one for each CPU]
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
}

/// What was chosen.
struct Plan {
    checks: Vec<Check>,
    jobs: Vec<Job>,
}

/// Runs what was asked for; an error if anything failed.
pub fn test(options: &Options) -> Result<()> {
    let plan = options.plan();
    if plan.checks.is_empty() && plan.jobs.is_empty() {
        bail!(
            "no test's name contains `{}`; `cargo xtask test --list` lists them",
            options.filter.join("` and `")
        );
    }
    if options.list {
        plan.checks
            .iter()
            .for_each(|check| println!("{}", check.name));
        plan.jobs.iter().for_each(|job| println!("{}", job.name()));
        return Ok(());
    }
    host::prepare(if plan.jobs.is_empty() {
        host::Need::Checks
    } else {
        host::Need::Everything
    })?;
    let mut sum = Counts::default();
    for check in &plan.checks {
        sum.add(run_check(check));
    }
    if !plan.jobs.is_empty() {
        sum.add(end_to_end(&plan.jobs, options.jobs));
    }
    println!("{sum}");
    // The line above is the last: no error's text may follow it.
    std::process::exit(i32::from(sum.failed > 0));
}

impl Options {
    fn plan(&self) -> Plan {
        let wanted = |name: &str| self.filter.iter().all(|part| name.contains(part));
        let named = self.filter.iter().any(|part| part != "e2e");
        let checks = CHECKS
            .into_iter()
            .filter(|check| wanted(check.name))
            .collect();
        let jobs = ENGINES.into_iter().flat_map(|engine| {
            let fits = move |case: &&suite::Case| case.fits(engine);
            suite::cases()
                .filter(fits)
                .map(move |case| Job { case, engine })
        });
        let in_tier = |job: &Job| self.full || self.list || named || job.is_usual();
        Plan {
            checks,
            jobs: jobs
                .filter(|job| wanted(&job.name()) && in_tier(job))
                .collect(),
        }
    }
}

fn run_check(check: &Check) -> Counts {
    println!("     {} …", check.name);
    let start = Instant::now();
    let (counts, word) = match (check.run)() {
        Ok(counts) if counts.failed == 0 => (counts, "ok"),
        Ok(counts) => (counts, "FAIL"),
        Err(error) => {
            println!("{error:#}");
            (Counts::FAILURE, "FAIL")
        }
    };
    println!(
        "{word:<4} {} {:.1} s",
        check.name,
        start.elapsed().as_secs_f64()
    );
    counts
}

/// Builds the image and runs the jobs whose engine works here.
fn end_to_end(jobs: &[Job], parallel: Option<usize>) -> Counts {
    let mut sum = Counts::default();
    let mut able = Vec::new();
    for engine in ENGINES {
        let theirs: Vec<_> = jobs
            .iter()
            .filter(|job| job.engine.name() == engine.name())
            .copied()
            .collect();
        if theirs.is_empty() {
            continue;
        }
        match engine.availability() {
            Ok(_) => able.extend(theirs),
            Err(reason) => {
                println!("skip {} tests on {}: {reason}", theirs.len(), engine.name());
                sum.skipped += theirs.len() as u32;
            }
        }
    }
    if able
        .iter()
        .any(|job| job.engine.subject() == Subject::Monovisor)
        && let Err(error) = compile::image()
    {
        println!("FAIL e2e/build: {error:#}");
        return Counts::FAILURE;
    }
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let results = Mutex::new(Counts::default());
    let report = |outcome: &Outcome| {
        let counts = show(outcome);
        results
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .add(counts);
    };
    if let Err(error) = suite::run(&able, parallel.unwrap_or(cpus), &report) {
        println!("FAIL e2e/guest: {error:#}");
        sum.add(Counts::FAILURE);
    }
    sum.add(
        results
            .into_inner()
            .unwrap_or_else(|poisoned| poisoned.into_inner()),
    );
    sum
}

fn show(outcome: &Outcome) -> Counts {
    let seconds = outcome.took.as_secs_f64();
    match &outcome.verdict {
        Verdict::Passed => {
            println!("ok   {} {seconds:.1} s", outcome.name);
            Counts::ONE
        }
        Verdict::Failed(reason) => {
            println!("FAIL {} {seconds:.1} s\n  {reason}", outcome.name);
            Counts::FAILURE
        }
        Verdict::Skipped(reason) => {
            println!("skip {}: {reason}", outcome.name);
            Counts {
                skipped: 1,
                ..Counts::default()
            }
        }
    }
}
