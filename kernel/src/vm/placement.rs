//! Which CPU runs which vCPU. A vCPU stays where it is placed.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// The CPU of the services, and of the host's device interrupts.
pub const SERVICE_CPU: usize = 0;

/// The CPU for each of `vcpus` on a host with `cpus`, by default: each has a CPU of its own, and the service CPU none as long as the
/// others suffice. What is more goes around.
pub fn spread(vcpus: usize, cpus: usize) -> Vec<usize> {
    let spare = cpus - 1;
    if spare == 0 {
        return alloc::vec![SERVICE_CPU; vcpus];
    }
    if vcpus <= spare {
        return (1..=vcpus).collect();
    }
    // The service CPU comes last in each round, so that it has the fewest.
    (0..vcpus).map(|vcpu| (vcpu % cpus + 1) % cpus).collect()
}

/// The same by the sets that the owner wrote, one for each vCPU or one for all: each vCPU goes to the CPU of its set that has the fewest
/// so far, the service CPU last. The error names what the host does not have.
pub fn pinned(vcpus: usize, cpus: usize, sets: &[Vec<usize>]) -> Result<Vec<usize>, String> {
    let mut load = alloc::vec![0_usize; cpus];
    let mut places = Vec::with_capacity(vcpus);
    for vcpu in 0..vcpus {
        let set = sets
            .get(vcpu)
            .or(sets.last())
            .map_or(&[][..], Vec::as_slice);
        if let Some(absent) = set.iter().find(|&&cpu| cpu >= cpus) {
            return Err(format!(
                "`cpus` names CPU {absent}, and this host has CPUs 0 to {}",
                cpus - 1
            ));
        }
        let place = set
            .iter()
            .copied()
            .min_by_key(|&cpu| (load[cpu], cpu == SERVICE_CPU, cpu))
            .ok_or_else(|| format!("`cpus` leaves no CPU for vCPU {vcpu}"))?;
        load[place] += 1;
        places.push(place);
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_own_cpu_while_there_are_enough() {
        assert_eq!(spread(1, 1), [0]);
        assert_eq!(spread(3, 1), [0, 0, 0]);
        assert_eq!(spread(1, 2), [1]);
        assert_eq!(spread(2, 2), [1, 0]);
        assert_eq!(spread(2, 4), [1, 2]);
        assert_eq!(spread(5, 4), [1, 2, 3, 0, 1]);
        assert_eq!(spread(8, 2), [1, 0, 1, 0, 1, 0, 1, 0]);
    }

    #[test]
    fn pins_are_kept() {
        assert_eq!(pinned(2, 4, &[alloc::vec![2, 3]]).unwrap(), [2, 3]);
        assert_eq!(
            pinned(2, 4, &[alloc::vec![3], alloc::vec![3]]).unwrap(),
            [3, 3]
        );
        assert_eq!(pinned(3, 2, &[alloc::vec![0, 1]]).unwrap(), [1, 0, 1]);
        let error = pinned(1, 2, &[alloc::vec![5]]).unwrap_err();
        assert!(error.contains("CPU 5") && error.contains("0 to 1"));
        assert!(pinned(1, 2, &[alloc::vec![]]).is_err());
    }
}
