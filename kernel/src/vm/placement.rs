//! Which CPU runs which vCPU. A vCPU stays where it is placed.

use crate::service::executor::SERVICE_CPU;
use alloc::vec::Vec;

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

/// The same within the sets that the owner wrote, one of the host's CPUs for each vCPU, none of them empty: each vCPU goes to the CPU of
/// its set that has the fewest so far, the service CPU last.
pub fn pinned(sets: &[Vec<u32>]) -> Vec<usize> {
    let mut places: Vec<usize> = Vec::with_capacity(sets.len());
    for set in sets {
        let load = |cpu: usize| places.iter().filter(|&&place| place == cpu).count();
        let place = set
            .iter()
            .map(|&cpu| cpu as usize)
            .min_by_key(|&cpu| (load(cpu), cpu == SERVICE_CPU, cpu));
        places.push(place.unwrap_or(SERVICE_CPU));
    }
    places
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
        let both = alloc::vec![2, 3];
        assert_eq!(pinned(&[both.clone(), both]), [2, 3]);
        assert_eq!(pinned(&[alloc::vec![3], alloc::vec![3]]), [3, 3]);
        let all = alloc::vec![0, 1];
        assert_eq!(pinned(&[all.clone(), all.clone(), all]), [1, 0, 1]);
    }
}
