//! Single exits, by the guest `ub`.

use super::counted;
use super::figures::{self, Figures};
use crate::loader::Payload;
use anyhow::{Context, Result, ensure};
use std::path::Path;

/// Rounds of each loop; as in `ub.s`.
const ROUNDS: u64 = 1000;

/// Boots the guest and reads its figures.
pub fn measure(payload: &Payload, memory_mib: u32, directory: &Path) -> Result<Figures> {
    read(&counted::transcript(
        payload,
        counted::single(memory_mib),
        directory,
        "UB done",
    )?)
}

/// Reads what `ub` prints.
pub fn read(said: &str) -> Result<Figures> {
    let interrupts = counted::number_after(said, "UB interrupts ")?;
    ensure!(
        interrupts == ROUNDS,
        "the guest took {interrupts} of {ROUNDS} interrupts"
    );
    let lines = said
        .lines()
        .filter_map(|line| line.trim().strip_prefix("UB ")?.split_once(' '));
    let mut found = Figures::new();
    for (name, ticks) in lines {
        if let Some(key) = figures::key(name) {
            let ticks: u64 = ticks
                .trim()
                .parse()
                .with_context(|| format!("`{name} {ticks}` is no figure"))?;
            found.insert(key.name, (ticks / ROUNDS) as f64);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_per_round() {
        let said = "UB interrupts 1000\r\nUB exit_cpuid 244004\r\nUB nonsense 5\r\nUB done\r\n";
        let found = read(said).unwrap();
        assert_eq!(found.get("exit_cpuid"), Some(&244.0));
        assert_eq!(found.len(), 1);
        assert!(read("UB interrupts 999\r\n").is_err());
    }
}
