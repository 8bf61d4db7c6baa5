//! The boot menu of a PXE server (PXE 2.1, table 2-1: PXE_BOOT_MENU, PXE_MENU_PROMPT).

use super::message::{Answer, vendor};
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// Items that have a key.
const MOST_ITEMS: usize = 9;
/// The prompt's time that means: until somebody chooses.
const FOR_EVER: u8 = 255;

/// How long somebody may ask for the menu.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Patience {
    /// Not at all: the first item is taken.
    None,
    /// Then the first item is taken.
    Seconds(u8),
    /// The menu is shown at once, and waits.
    Endless,
}

/// An item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// What the server calls it; 0 is this machine's own next device.
    pub number: u16,
    /// What people call it.
    pub text: String,
}

/// A menu, of one item at least.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Menu {
    /// What is said to whoever may be there.
    pub prompt: String,
    pub patience: Patience,
    pub items: Vec<Item>,
}

impl Menu {
    /// That of an answer, if it has one, and leaves the choice to it.
    pub fn of(answer: &Answer) -> Option<Self> {
        const FILE_AT_ONCE: u8 = 8;
        let control = answer
            .vendor(vendor::CONTROL)
            .and_then(|value| value.first());
        if control.is_some_and(|control| control & FILE_AT_ONCE != 0) && !answer.file().is_empty() {
            return None;
        }
        let items = items(answer.vendor(vendor::MENU)?);
        if items.is_empty() {
            return None;
        }
        // Without a prompt the specification has the menu shown without end; nobody sits before most guests, so that is for servers that say so.
        let (patience, prompt) = match answer.vendor(vendor::PROMPT) {
            Some([FOR_EVER, prompt @ ..]) => (Patience::Endless, printable(prompt)),
            Some([seconds @ 1..=254, prompt @ ..]) => {
                (Patience::Seconds(*seconds), printable(prompt))
            }
            _ => (Patience::None, String::new()),
        };
        Some(Self {
            prompt,
            patience,
            items,
        })
    }

    /// The item that nobody has to choose.
    pub fn first(&self) -> u16 {
        self.items.first().map_or(0, |item| item.number)
    }
}

/// Items: number, length, text, as far as they are whole.
fn items(mut rest: &[u8]) -> Vec<Item> {
    let mut items = Vec::new();
    while let [high, low, bytes, later @ ..] = rest
        && items.len() < MOST_ITEMS
    {
        let Some((text, later)) = later.split_at_checked((*bytes).into()) else {
            break;
        };
        items.push(Item {
            number: u16::from_be_bytes([*high, *low]),
            text: printable(text),
        });
        rest = later;
    }
    items
}

fn printable(text: &[u8]) -> String {
    let printable = text.iter().filter(|byte| (b' '..=b'~').contains(*byte));
    printable.map(|&byte| char::from(byte)).collect()
}
