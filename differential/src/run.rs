//! Many instructions, one after another.

use crate::arena::USER_CODE;
use crate::cpu::Cpu;
use crate::model::Model;
use crate::random::Random;
use crate::{Start, compare, generate, undefined};
use hvm::emulate::code::CodeMode;
use iced_x86::{Instruction, OpKind};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::{Duration, Instant};

/// How long to go on.
#[derive(Clone, Copy, Debug)]
pub enum Limit {
    /// So many instructions.
    Count(u64),
    /// So long.
    Time(Duration),
}

/// What was seen.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Instructions executed by both, by name.
    pub compared: BTreeMap<String, u64>,
    /// Instructions that the emulator does not cover, by name.
    pub uncovered: BTreeMap<String, u64>,
    /// Instructions that do not end, or lead into themselves.
    pub skipped: u64,
    /// What was not the same, one text each.
    pub differences: Vec<String>,
}

/// No more differences than this are told.
const DIFFERENCES: usize = 40;

/// Executes random instructions of `mode` that `only` lets through.
pub fn run(
    cpu: &mut Cpu,
    mode: CodeMode,
    seed: u64,
    limit: Limit,
    only: fn(&Instruction) -> bool,
) -> Tally {
    let mut random = Random::new(seed);
    let mut model = Model::new();
    let mut tally = Tally::default();
    let begin = Instant::now();
    for count in 0.. {
        let is_over = match limit {
            Limit::Count(limit) => count >= limit,
            Limit::Time(limit) => count % 256 == 0 && begin.elapsed() >= limit,
        };
        if is_over || tally.differences.len() >= DIFFERENCES {
            break;
        }
        let start = generate::start(&mut random, mode, only);
        one(cpu, &mut model, &start, &mut tally);
    }
    tally
}

fn one(cpu: &mut Cpu, model: &mut Model, start: &Start, tally: &mut Tally) {
    let Some(instruction) = generate::decode(&start.code, start.mode) else {
        return;
    };
    let name = format!("{:?}", instruction.mnemonic());
    let by_model = match model.run(start) {
        Ok(Some(outcome)) => outcome,
        Ok(None) => {
            tally.skipped += 1;
            return;
        }
        Err(_) => {
            *tally.uncovered.entry(name).or_default() += 1;
            return;
        }
    };
    // The kernel takes a fault on the way from a local segment to 64-bit code for an old erratum, and tries again for ever.
    let tries = matches!(
        instruction.op0_kind(),
        OpKind::FarBranch16 | OpKind::FarBranch32
    ) && instruction.far_branch_selector() & !3 == USER_CODE & !3;
    let arrives = by_model.registers.selectors[1] & !3 == USER_CODE & !3;
    if start.mode != CodeMode::Bits64 && (tries || arrives) {
        tally.skipped += 1;
        return;
    }
    let by_cpu = cpu.run(start);
    let undefined = undefined::of(&instruction, start);
    let found = compare::differences(start, &by_model, &by_cpu, undefined);
    if !found.is_empty() {
        let mut text = format!(
            "{:?}\n  {:02x?} at {:x}, {:?}\n",
            instruction.code(),
            start.code,
            start.registers.rip,
            start.mode
        );
        let _ = writeln!(
            text,
            "  registers {:x?}\n  flags {:x}, selectors {:x?}",
            start.registers.gprs, start.registers.rflags, start.registers.selectors
        );
        tally.differences.push(text + &found);
    }
    *tally.compared.entry(name).or_default() += 1;
}
