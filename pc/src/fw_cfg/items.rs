//! The items and their directory.

use super::bits::*;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// How an item is found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// By its well-known selector.
    Selector(u16),
    /// By a name in the directory, such as `etc/e820`.
    File(String),
}

/// Why a list of items cannot be offered; the text says which one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemError(pub String);

/// The items by selector, the directory among them.
#[derive(Clone, Debug)]
pub(super) struct Items(BTreeMap<u16, Vec<u8>>);

impl Items {
    /// Files get their selectors in the order of their names, so that the same list always looks the same.
    pub(super) fn new(items: Vec<(Key, Vec<u8>)>) -> Result<Self, ItemError> {
        let mut by_selector = BTreeMap::from([
            (SIGNATURE, b"QEMU".to_vec()),
            (FEATURES, (DATA_PORT | DMA).to_le_bytes().to_vec()),
        ]);
        let mut files = BTreeMap::new();
        for (key, bytes) in items {
            if u32::try_from(bytes.len()).is_err() {
                return Err(ItemError(format!("{key:?} is longer than 4 GiB")));
            }
            let twice = match &key {
                Key::Selector(selector) => {
                    check_selector(*selector)?;
                    by_selector.insert(*selector, bytes)
                }
                Key::File(name) => {
                    check_name(name)?;
                    files.insert(name.clone(), bytes)
                }
            };
            if twice.is_some() {
                return Err(ItemError(format!("{key:?} is there twice")));
            }
        }
        let mut directory = (files.len() as u32).to_be_bytes().to_vec();
        for (selector, (name, bytes)) in (FIRST_FILE..WRITE_MODE).zip(files) {
            directory.extend(entry(selector, &name, bytes.len() as u32));
            by_selector.insert(selector, bytes);
        }
        by_selector.insert(DIRECTORY, directory);
        Ok(Self(by_selector))
    }

    /// An item's bytes; none where there is no item.
    pub(super) fn get(&self, selector: u16) -> &[u8] {
        self.0.get(&selector).map_or(&[], Vec::as_slice)
    }
}

fn entry(selector: u16, name: &str, bytes: u32) -> [u8; ENTRY_BYTES] {
    let mut entry = [0; ENTRY_BYTES];
    entry[..4].copy_from_slice(&bytes.to_be_bytes());
    entry[4..6].copy_from_slice(&selector.to_be_bytes());
    for (into, byte) in entry[8..].iter_mut().zip(name.bytes()) {
        *into = byte;
    }
    entry
}

fn check_selector(selector: u16) -> Result<(), ItemError> {
    let own = matches!(selector, SIGNATURE | FEATURES | DIRECTORY);
    let file = (FIRST_FILE..ARCHITECTURE).contains(&selector);
    if own || file {
        return Err(ItemError(format!(
            "selector {selector:#x} is the device's own or a file's; items may have 2h to 1Fh and from 8000h on"
        )));
    }
    Ok(())
}

fn check_name(name: &str) -> Result<(), ItemError> {
    if name.is_empty() || name.len() > NAME_BYTES || name.contains('\0') {
        return Err(ItemError(format!(
            "file name {name:?} must have 1 to {NAME_BYTES} bytes, none of them 0"
        )));
    }
    Ok(())
}
