//! Random instructions by the emulator and by this computer's CPU.
//!
//! `MONOVISOR_DIFFERENTIAL_SECONDS` asks for more than the default, for each mode; `MONOVISOR_DIFFERENTIAL_SEED` for other instructions.

use differential::cpu::Cpu;
use differential::generate::is_rare;
use differential::run::{Limit, Tally, run};
use hvm::emulate::code::CodeMode;
use std::collections::BTreeSet;
use std::time::Duration;

const SECONDS: &str = "MONOVISOR_DIFFERENTIAL_SECONDS";
const SEED: &str = "MONOVISOR_DIFFERENTIAL_SEED";
const USUAL_SEED: u64 = 20261129;
const USUAL_COUNT: u64 = 60_000;
const USUAL_RARE_COUNT: u64 = 6_000;
/// Some of each class: without them a run proves less than it says.
const EXPECTED: &[&str] = &[
    "Aaa",
    "Adcx",
    "Arpl",
    "Bextr",
    "Bsf",
    "Btc",
    "Call",
    "Cmpxchg16b",
    "Cmpxchg8b",
    "Crc32",
    "Daa",
    "Div",
    "Enter",
    "Idiv",
    "Imul",
    "Int",
    "Iretd",
    "Iretq",
    "Jmp",
    "Lar",
    "Lddqu",
    "Leave",
    "Lgs",
    "Loop",
    "Lsl",
    "Lss",
    "Mov",
    "Movbe",
    "Movdqa",
    "Movhps",
    "Movntq",
    "Movq",
    "Mulx",
    "Pdep",
    "Popa",
    "Popf",
    "Pusha",
    "Pushfq",
    "Rcl",
    "Ret",
    "Retf",
    "Scasw",
    "Shld",
    "Verr",
    "Vmovdqu",
    "Vmovntdq",
    "Wrfsbase",
    "Xadd",
    "Xlatb",
];

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is no number: {text}")),
    )
}

fn report(mode: CodeMode, tally: &Tally) {
    let sum: u64 = tally.compared.values().sum();
    println!(
        "{mode:?}: {sum} instructions of {} kinds compared, {} skipped: they do not end, or leave for 64-bit code",
        tally.compared.len(),
        tally.skipped
    );
    println!(
        "compared: {:?}\nnot covered: {:?}",
        tally.compared, tally.uncovered
    );
    for difference in &tally.differences {
        println!("{difference}");
    }
}

#[test]
fn the_emulator_does_what_the_cpu_does() {
    let seed = number(SEED).unwrap_or(USUAL_SEED);
    let limit = match number(SECONDS) {
        Some(seconds) => Limit::Time(Duration::from_secs(seconds)),
        None => Limit::Count(USUAL_COUNT),
    };
    println!("seed {seed} ({SEED})");
    let mut cpu = match Cpu::new() {
        Ok(cpu) => cpu,
        Err(reason) => {
            eprintln!("SKIPPED, all of it: {}", reason.0);
            return;
        }
    };
    let mut modes = vec![CodeMode::Bits64];
    match cpu.load_locals() {
        Ok(()) => modes.extend([CodeMode::Bits32, CodeMode::Bits16]),
        Err(reason) => eprintln!("SKIPPED, 16- and 32-bit code: {}", reason.0),
    }
    let mut different = 0;
    let mut seen = BTreeSet::new();
    let has_all = modes.len() == 3;
    for mode in modes {
        let tally = run(&mut cpu, mode, seed, limit, |_| true);
        report(mode, &tally);
        let rare = run(
            &mut cpu,
            mode,
            seed,
            Limit::Count(USUAL_RARE_COUNT),
            is_rare,
        );
        report(mode, &rare);
        for tally in [tally, rare] {
            different += tally.differences.len();
            seen.extend(tally.compared.into_keys());
        }
    }
    let missing: Vec<_> = EXPECTED
        .iter()
        .filter(|name| !seen.contains(**name))
        .collect();
    assert!(
        !has_all || missing.is_empty(),
        "seed {seed}: never compared: {missing:?}"
    );
    assert_eq!(
        different, 0,
        "seed {seed}: the emulator and this CPU differ"
    );
}
