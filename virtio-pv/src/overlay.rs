//! A disk over bytes that stay as they are: what the guest changes lies in clusters of its own.
//!
//! [`Overlay`] guarantees that no request reaches outside the medium, and that a write which finds no cluster left fails as a medium
//! does, with nothing of its cluster changed. A read-only medium costs no memory at all.

use alloc::boxed::Box;
use alloc::vec::Vec;
use guest_mem::GuestMemory;
use hvm::backend::{Block, BlockError, SECTOR_BYTES, Segment, Submitted, Transfer};

/// Bytes of a cluster.
pub const CLUSTER_BYTES: usize = 64 << 10;

/// A cluster's memory, lent for good.
pub type Cluster = &'static mut [u8; CLUSTER_BYTES];

/// Where clusters come from.
pub trait Clusters: Send {
    /// One that nobody else has, with any contents; `None` if there is none left.
    fn take(&mut self) -> Option<Cluster>;
}

/// What becomes of writes.
enum Writes {
    Refused,
    /// By cluster; none where the base still holds.
    Kept {
        changed: Vec<Option<Cluster>>,
        clusters: Box<dyn Clusters>,
    },
}

/// A disk whose contents are `base` where the guest has changed nothing; what its last sector lacks is zeros.
pub struct Overlay {
    base: &'static [u8],
    writes: Writes,
}

const ZEROS: [u8; SECTOR_BYTES as usize] = [0; SECTOR_BYTES as usize];

impl Overlay {
    /// A medium that refuses writes.
    pub fn read_only(base: &'static [u8]) -> Self {
        Self {
            base,
            writes: Writes::Refused,
        }
    }

    /// One that takes clusters for what is written.
    pub fn writable(base: &'static [u8], clusters: Box<dyn Clusters>) -> Self {
        let mut changed = Vec::new();
        changed.resize_with(base.len().div_ceil(CLUSTER_BYTES), || None);
        Self {
            base,
            writes: Writes::Kept { changed, clusters },
        }
    }

    fn bytes(&self) -> usize {
        self.base.len().next_multiple_of(SECTOR_BYTES as usize)
    }

    /// The first byte of `sector`, if `bytes` from there on are on the medium.
    fn start(&self, sector: u64, bytes: u64) -> Result<usize, BlockError> {
        let start = sector.checked_mul(SECTOR_BYTES);
        start
            .filter(|start| {
                let end = start.checked_add(bytes);
                end.is_some_and(|end| end <= self.bytes() as u64)
            })
            .and_then(|start| usize::try_from(start).ok())
            .ok_or(BlockError::OutOfRange)
    }

    /// The cluster with the byte `at`, if it is one of the guest's own.
    fn changed(&self, at: usize) -> Option<&[u8; CLUSTER_BYTES]> {
        match &self.writes {
            Writes::Refused => None,
            Writes::Kept { changed, .. } => changed.get(at / CLUSTER_BYTES)?.as_deref(),
        }
    }

    /// Contents from `at` on: at most `most` bytes, at least one, as many as lie together.
    fn run(&self, at: usize, most: usize) -> &[u8] {
        if let Some(cluster) = self.changed(at) {
            let from = &cluster[at % CLUSTER_BYTES..];
            return &from[..most.min(from.len())];
        }
        let end = at + most;
        let mut stop = (at + 1).next_multiple_of(CLUSTER_BYTES);
        while stop < end && self.changed(stop).is_none() {
            stop += CLUSTER_BYTES;
        }
        let most = stop.min(end) - at;
        match self.base.get(at..) {
            None | Some([]) => &ZEROS[..most.min(ZEROS.len())],
            Some(from) => &from[..most.min(from.len())],
        }
    }

    /// The guest's own bytes from `at` on, to the end of the cluster, which becomes its own with this.
    fn own(&mut self, at: usize) -> Result<&mut [u8], BlockError> {
        let Writes::Kept { changed, clusters } = &mut self.writes else {
            return Err(BlockError::ReadOnly);
        };
        let place = changed
            .get_mut(at / CLUSTER_BYTES)
            .ok_or(BlockError::OutOfRange)?;
        if place.is_none() {
            let cluster = clusters.take().ok_or(BlockError::Medium)?;
            let from = &self.base[at / CLUSTER_BYTES * CLUSTER_BYTES..];
            let (copy, rest) = cluster.split_at_mut(from.len().min(CLUSTER_BYTES));
            copy.copy_from_slice(&from[..copy.len()]);
            rest.fill(0);
            *place = Some(cluster);
        }
        match place {
            Some(cluster) => Ok(&mut cluster[at % CLUSTER_BYTES..]),
            None => Err(BlockError::Medium),
        }
    }

    fn copy_in(
        &self,
        sector: u64,
        segments: &[Segment],
        memory: &GuestMemory,
    ) -> Result<(), BlockError> {
        let mut at = self.start(sector, sum(segments))?;
        for segment in segments {
            let mut gpa = segment.gpa;
            let mut left = segment.bytes as usize;
            while left > 0 {
                let from = self.run(at, left);
                memory.write(gpa, from).map_err(|_| BlockError::BadMemory)?;
                at += from.len();
                left -= from.len();
                gpa = gpa.wrapping_add(from.len() as u64);
            }
        }
        Ok(())
    }

    fn copy_out(
        &mut self,
        sector: u64,
        segments: &[Segment],
        memory: &GuestMemory,
    ) -> Result<(), BlockError> {
        let mut at = self.start(sector, sum(segments))?;
        for segment in segments {
            if !memory.contains(segment.gpa, segment.bytes.into()) {
                return Err(BlockError::BadMemory);
            }
            let mut gpa = segment.gpa;
            let mut left = segment.bytes as usize;
            while left > 0 {
                let into = self.own(at)?;
                let bytes = left.min(into.len());
                memory
                    .read(gpa, &mut into[..bytes])
                    .map_err(|_| BlockError::BadMemory)?;
                at += bytes;
                left -= bytes;
                gpa = gpa.wrapping_add(bytes as u64);
            }
        }
        Ok(())
    }

    fn read_buffer(&self, sector: u64, into: &mut [u8]) -> Result<(), BlockError> {
        let mut at = self.start(sector, into.len() as u64)?;
        let mut rest = into;
        while !rest.is_empty() {
            let from = self.run(at, rest.len());
            let (now, later) = rest.split_at_mut(from.len());
            now.copy_from_slice(from);
            at += now.len();
            rest = later;
        }
        Ok(())
    }

    fn write_buffer(&mut self, sector: u64, from: &[u8]) -> Result<(), BlockError> {
        let mut at = self.start(sector, from.len() as u64)?;
        let mut rest = from;
        while !rest.is_empty() {
            let into = self.own(at)?;
            let (now, later) = rest.split_at(rest.len().min(into.len()));
            into[..now.len()].copy_from_slice(now);
            at += now.len();
            rest = later;
        }
        Ok(())
    }
}

fn sum(segments: &[Segment]) -> u64 {
    segments
        .iter()
        .map(|segment| u64::from(segment.bytes))
        .sum()
}

impl Block for Overlay {
    fn sectors(&self) -> u64 {
        self.bytes() as u64 / SECTOR_BYTES
    }

    fn read_only(&self) -> bool {
        matches!(self.writes, Writes::Refused)
    }

    fn transfer(
        &mut self,
        direction: Transfer,
        sector: u64,
        segments: &[Segment],
        memory: &GuestMemory,
        _token: u64,
    ) -> Submitted {
        Submitted::Done(match direction {
            Transfer::Read => self.copy_in(sector, segments, memory),
            Transfer::Write if self.read_only() => Err(BlockError::ReadOnly),
            Transfer::Write => self.copy_out(sector, segments, memory),
        })
    }

    fn read(&mut self, sector: u64, into: &mut [u8], _token: u64) -> Submitted {
        Submitted::Done(self.read_buffer(sector, into))
    }

    fn write(&mut self, sector: u64, from: &[u8], _token: u64) -> Submitted {
        if self.read_only() {
            return Submitted::Done(Err(BlockError::ReadOnly));
        }
        Submitted::Done(self.write_buffer(sector, from))
    }

    /// There is nothing more durable than the memory itself.
    fn flush(&mut self, _token: u64) -> Submitted {
        Submitted::Done(Ok(()))
    }

    fn completed(&mut self) -> Option<(u64, Result<(), BlockError>)> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ram::{Access, RamDisk};
    use alloc::vec;
    use guest_mem::Gpa;
    use proptest::prelude::*;

    /// So many clusters of noise.
    struct Few(usize);

    impl Clusters for Few {
        fn take(&mut self) -> Option<Cluster> {
            self.0 = self.0.checked_sub(1)?;
            Some(Box::leak(Box::new([0xcc; CLUSTER_BYTES])))
        }
    }

    fn base(bytes: usize) -> &'static [u8] {
        let image: Vec<u8> = (0..bytes).map(|at| (at / 512 + at) as u8).collect();
        image.leak()
    }

    fn done(error: BlockError) -> Submitted {
        Submitted::Done(Err(error))
    }

    #[test]
    fn a_medium_without_clusters_is_read_and_not_written() {
        let memory = GuestMemory::anonymous(&[(Gpa(0), 0x1000)]);
        let mut disk = Overlay::writable(base(CLUSTER_BYTES + 100), Box::new(Few(1)));
        assert_eq!(disk.sectors(), 129);
        assert_eq!(disk.write(127, &[7; 1024], 0), done(BlockError::Medium));
        let mut seen = [1; 1024];
        assert_eq!(disk.read(127, &mut seen, 0), Submitted::Done(Ok(())));
        assert_eq!(seen[..512], [7; 512], "the cluster that there was");
        assert_eq!(seen[512..612], disk.base[CLUSTER_BYTES..]);
        assert_eq!(seen[612..], [0; 412]);
        let part = [Segment {
            gpa: Gpa(0xf00),
            bytes: 512,
        }];
        let written = disk.transfer(Transfer::Write, 0, &part, &memory, 0);
        assert_eq!(written, done(BlockError::BadMemory));
    }

    #[test]
    fn a_read_only_medium_refuses_writes() {
        let mut disk = Overlay::read_only(base(1024));
        assert!(disk.read_only());
        assert_eq!(disk.write(0, &[0; 512], 0), done(BlockError::ReadOnly));
        assert_eq!(
            disk.read(1, &mut [0; 1024], 0),
            done(BlockError::OutOfRange)
        );
        assert_eq!(
            disk.read(u64::MAX, &mut [0; 512], 0),
            done(BlockError::OutOfRange)
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Whatever is written and read, it is as with a disk that has its bytes to itself.
        #[test]
        fn overlays_are_disks(
            steps in prop::collection::vec((any::<bool>(), 0_u64..400, 1_u32..300, any::<u8>()), 1..12),
        ) {
            const BYTES: usize = 3 * CLUSTER_BYTES - 700;
            let memory = GuestMemory::anonymous(&[(Gpa(0), 0x4_0000)]);
            let image = base(BYTES);
            let mut disk = Overlay::writable(image, Box::new(Few(3)));
            let mut whole = image.to_vec();
            whole.resize(disk.bytes(), 0);
            let mut other = RamDisk::new(whole, Access::ReadWrite);
            for (writes, sector, sectors, value) in steps {
                let bytes = sectors * 512;
                let parts = [
                    Segment { gpa: Gpa(0x100), bytes: bytes / 3 },
                    Segment { gpa: Gpa(0x100 + u64::from(bytes / 3)), bytes: bytes - bytes / 3 },
                ];
                if writes {
                    memory.fill(Gpa(0), 0x4_0000, value).unwrap();
                    let [one, two] = [&mut disk as &mut dyn Block, &mut other]
                        .map(|disk| disk.transfer(Transfer::Write, sector, &parts, &memory, 0));
                    // A disk of bytes notices its end on the way, and keeps what came before.
                    prop_assert_eq!(one, two);
                    if one != Submitted::Done(Ok(())) {
                        return Ok(());
                    }
                }
                let mut seen = vec![0; disk.bytes()];
                prop_assert_eq!(disk.read(0, &mut seen, 0), Submitted::Done(Ok(())));
                let mut expected = vec![0; seen.len()];
                prop_assert_eq!(other.read(0, &mut expected, 0), Submitted::Done(Ok(())));
                prop_assert!(seen == expected);
                if disk.transfer(Transfer::Read, sector, &parts, &memory, 0) == Submitted::Done(Ok(())) {
                    let mut copied = vec![0; bytes as usize];
                    memory.read(Gpa(0x100), &mut copied).unwrap();
                    let start = sector as usize * 512;
                    prop_assert!(copied == expected[start..start + bytes as usize]);
                }
            }
        }
    }
}
