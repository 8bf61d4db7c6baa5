//! A disk in memory.
//!
//! [`RamDisk`] guarantees that no request reaches outside its storage. The storage is the hypervisor's own memory, not
//! the guest's: a box, or memory that the kernel lends for good (`&'static mut [u8]`).

use guest_mem::GuestMemory;
use hvm::backend::{Block, BlockError, SECTOR_BYTES, Segment, Submitted, Transfer};

/// Whether the guest may change the medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It may.
    ReadWrite,
    /// Writes are refused.
    ReadOnly,
}

/// A disk whose contents are `storage`; an incomplete last sector is left out.
#[derive(Debug)]
pub struct RamDisk<S> {
    storage: S,
    access: Access,
}

impl<S: AsRef<[u8]> + AsMut<[u8]>> RamDisk<S> {
    /// Makes one.
    pub fn new(storage: S, access: Access) -> Self {
        Self { storage, access }
    }

    /// Gives the storage back.
    pub fn into_storage(self) -> S {
        self.storage
    }

    /// The medium from `sector` to its end.
    fn from(&mut self, sector: u64) -> Result<&mut [u8], BlockError> {
        let start = sector
            .checked_mul(SECTOR_BYTES)
            .and_then(|start| usize::try_from(start).ok());
        let storage = self.storage.as_mut();
        let whole = storage.len() - storage.len() % SECTOR_BYTES as usize;
        start
            .and_then(|start| storage.get_mut(start..whole))
            .ok_or(BlockError::OutOfRange)
    }

    /// `bytes` of the medium from `sector` on.
    fn extent(&mut self, sector: u64, bytes: usize) -> Result<&mut [u8], BlockError> {
        self.from(sector)?
            .get_mut(..bytes)
            .ok_or(BlockError::OutOfRange)
    }

    fn copy(
        &mut self,
        direction: Transfer,
        sector: u64,
        segments: &[Segment],
        memory: &GuestMemory,
    ) -> Result<(), BlockError> {
        let mut rest = self.from(sector)?;
        for segment in segments {
            let (now, later) = rest
                .split_at_mut_checked(segment.bytes as usize)
                .ok_or(BlockError::OutOfRange)?;
            match direction {
                Transfer::Read => memory.write(segment.gpa, now),
                Transfer::Write => memory.read(segment.gpa, now),
            }
            .map_err(|_| BlockError::BadMemory)?;
            rest = later;
        }
        Ok(())
    }
}

impl<S: AsRef<[u8]> + AsMut<[u8]> + Send> Block for RamDisk<S> {
    fn sectors(&self) -> u64 {
        self.storage.as_ref().len() as u64 / SECTOR_BYTES
    }

    fn read_only(&self) -> bool {
        self.access == Access::ReadOnly
    }

    fn transfer(
        &mut self,
        direction: Transfer,
        sector: u64,
        segments: &[Segment],
        memory: &GuestMemory,
        _token: u64,
    ) -> Submitted {
        if (direction, self.access) == (Transfer::Write, Access::ReadOnly) {
            return Submitted::Done(Err(BlockError::ReadOnly));
        }
        Submitted::Done(self.copy(direction, sector, segments, memory))
    }

    fn read(&mut self, sector: u64, into: &mut [u8], _token: u64) -> Submitted {
        let extent = self.extent(sector, into.len());
        Submitted::Done(extent.map(|extent| into.copy_from_slice(extent)))
    }

    fn write(&mut self, sector: u64, from: &[u8], _token: u64) -> Submitted {
        if self.access == Access::ReadOnly {
            return Submitted::Done(Err(BlockError::ReadOnly));
        }
        let extent = self.extent(sector, from.len());
        Submitted::Done(extent.map(|extent| extent.copy_from_slice(from)))
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
    use alloc::boxed::Box;
    use alloc::vec;
    use guest_mem::Gpa;
    use proptest::prelude::*;

    fn segment(gpa: u64, bytes: u32) -> Segment {
        Segment {
            gpa: Gpa(gpa),
            bytes,
        }
    }

    fn write(disk: &mut impl Block, sector: u64, parts: &[Segment], m: &GuestMemory) -> Submitted {
        disk.transfer(Transfer::Write, sector, parts, m, 0)
    }

    #[test]
    fn scattered_writes_come_back_gathered() {
        let memory = GuestMemory::anonymous(&[(Gpa(0), 0x4000)]);
        memory.fill(Gpa(0x1000), 700, 7).unwrap();
        memory.fill(Gpa(0x2000), 324, 9).unwrap();
        let mut disk = RamDisk::new(vec![0; 2048 + 100].into_boxed_slice(), Access::ReadWrite);
        assert_eq!(disk.sectors(), 4);
        let parts = [segment(0x1000, 700), segment(0x2000, 324)];
        assert_eq!(
            write(&mut disk, 1, &parts, &memory),
            Submitted::Done(Ok(()))
        );
        let back = [segment(0x3001, 1024)];
        let read = disk.transfer(Transfer::Read, 1, &back, &memory, 0);
        assert_eq!(read, Submitted::Done(Ok(())));
        let mut seen = [0; 1024];
        memory.read(Gpa(0x3001), &mut seen).unwrap();
        assert!(seen[..700].iter().all(|&byte| byte == 7));
        assert!(seen[700..].iter().all(|&byte| byte == 9));
        let storage: Box<[u8]> = disk.into_storage();
        assert!(storage[..512].iter().all(|&byte| byte == 0));
    }

    #[test]
    fn refusals_name_their_reason() {
        let memory = GuestMemory::anonymous(&[(Gpa(0), 0x1000)]);
        let part = [segment(0, 512)];
        let lent: &'static mut [u8] = vec![1; 1024].leak();
        let mut fixed = RamDisk::new(lent, Access::ReadOnly);
        let done = |error| Submitted::Done(Err(error));
        assert_eq!(
            write(&mut fixed, 0, &part, &memory),
            done(BlockError::ReadOnly)
        );
        let mut disk = RamDisk::new(vec![0; 1024], Access::ReadWrite);
        for sector in [2, 3, u64::MAX, u64::MAX / 512] {
            let refused = write(&mut disk, sector, &part, &memory);
            assert_eq!(refused, done(BlockError::OutOfRange));
        }
        let nowhere = [segment(0x1000, 512)];
        assert_eq!(
            write(&mut disk, 0, &nowhere, &memory),
            done(BlockError::BadMemory)
        );
    }

    #[test]
    fn buffers_of_our_own_reach_the_same_sectors() {
        let mut disk = RamDisk::new(vec![0; 1536], Access::ReadWrite);
        assert_eq!(disk.write(1, &[7; 1024], 0), Submitted::Done(Ok(())));
        let mut back = [0; 512];
        assert_eq!(disk.read(2, &mut back, 0), Submitted::Done(Ok(())));
        assert_eq!(back, [7; 512]);
        let past = Submitted::Done(Err(BlockError::OutOfRange));
        assert_eq!(disk.write(2, &[7; 1024], 0), past);
        assert_eq!(disk.read(u64::MAX, &mut back, 0), past);
        let mut fixed = RamDisk::new(disk.into_storage(), Access::ReadOnly);
        assert_eq!(
            fixed.write(0, &[7; 512], 0),
            Submitted::Done(Err(BlockError::ReadOnly))
        );
        assert_eq!(fixed.read(0, &mut back, 0), Submitted::Done(Ok(())));
        assert_eq!(back, [0; 512]);
    }

    proptest! {
        #[test]
        fn nothing_outside_the_extent_changes(sector in 0_u64..12, sectors in 1_u32..12) {
            let memory = GuestMemory::anonymous(&[(Gpa(0), 0x3000)]);
            memory.fill(Gpa(0), 0x3000, 5).unwrap();
            let mut disk = RamDisk::new(vec![0; 8 * 512], Access::ReadWrite);
            let fits = sector + u64::from(sectors) <= 8;
            let done = write(&mut disk, sector, &[segment(0, sectors * 512)], &memory);
            prop_assert_eq!(done == Submitted::Done(Ok(())), fits);
            let range = sector as usize * 512..(sector as usize + sectors as usize) * 512;
            for (at, &byte) in disk.into_storage().iter().enumerate() {
                prop_assert_eq!(byte == 5, fits && range.contains(&at));
            }
        }
    }
}
