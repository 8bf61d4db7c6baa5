//! What two CPUs cost each other, by the guest `pair`, on a counted machine of two CPUs.

use super::counted::{self, Size, number_after};
use super::figures::Figures;
use crate::loader::Payload;
use anyhow::Result;
use std::path::Path;

/// Rounds of each loop; as in `pair.rs`.
const ROUNDS: u64 = 200;

/// What is measured: by the guest's name of it, the figure's.
const MEASURED: [(&str, &str); 3] = [
    ("PAIR ipi ", "ipi"),
    ("PAIR timer ", "timer"),
    ("PAIR hlt_wakeup ", "hlt_wakeup"),
];

/// Boots the guest and reads its figures.
pub fn measure(payload: &Payload, memory_mib: u32, directory: &Path) -> Result<Figures> {
    let size = Size {
        memory_mib,
        cpus: 2,
    };
    read(&counted::transcript(payload, size, directory, "PAIR done")?)
}

/// Reads what `pair` prints.
pub fn read(said: &str) -> Result<Figures> {
    MEASURED
        .iter()
        .map(|&(prefix, name)| Ok((name, (number_after(said, prefix)? / ROUNDS) as f64)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_per_round() {
        let said =
            "\r\nPAIR ipi 400000\r\nPAIR hlt_wakeup 200000\r\nPAIR timer 1000\r\nPAIR spun 7\r\n";
        let found = read(said).unwrap();
        assert_eq!(found.get("ipi"), Some(&2000.0));
        assert_eq!(found.get("timer"), Some(&5.0));
        assert!(read("PAIR ipi 1\r\n").is_err());
    }
}
