//! What clients say, taken apart as it comes.

use super::bits::{FENCE_BYTES, client, encoding};
use super::format::PixelFormat;
use heapless::Vec as Few;
use hvm::display::Rect;
use hvm::input::Action;

/// Bytes of the longest message that is kept whole: a fence.
const LONGEST: usize = 9 + FENCE_BYTES;

/// A message.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// How pixels are to look.
    PixelFormat(PixelFormat),
    /// Encodings follow, one by one.
    Encodings,
    /// One of them.
    Encoding(i32),
    /// What is wanted.
    Update {
        /// All of it, or what has changed.
        extent: Extent,
        /// Where.
        within: Rect,
    },
    /// A key moved: its meaning, and its place if the client tells.
    Key {
        /// Which way.
        action: Action,
        /// X's number of the symbol.
        symbol: u32,
        /// The PC's number of the key.
        place: Option<u32>,
    },
    /// The pointer.
    Pointer {
        /// Buttons that are down.
        buttons: u8,
        /// Column.
        x: u16,
        /// Line.
        y: u16,
    },
    /// Updates without being asked for.
    Continuous {
        /// On, within this; `None`: off.
        within: Option<Rect>,
    },
    /// A fence.
    Fence {
        /// Its flags.
        flags: u32,
        /// What an answer repeats.
        payload: Few<u8, FENCE_BYTES>,
    },
    /// The client wants another size.
    Resize,
}

/// How much of an area.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Everything.
    Whole,
    /// What has changed.
    Changes,
}

/// It does not speak the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nonsense;

/// Takes messages apart. Holds a message's bytes at most, however long it says that it is.
#[derive(Default)]
pub struct Parser {
    held: Few<u8, LONGEST>,
    /// Encodings that are still to come.
    encodings: u16,
    /// Bytes of no interest.
    skip: u32,
}

impl Parser {
    /// Takes one byte; the message that it completes.
    pub fn byte(&mut self, byte: u8) -> Result<Option<Message>, Nonsense> {
        if self.skip > 0 {
            self.skip -= 1;
            return Ok(None);
        }
        self.held.push(byte).map_err(|_| Nonsense)?;
        if self.encodings > 0 {
            let Some(number) = self.held.first_chunk::<4>() else {
                return Ok(None);
            };
            let number = i32::from_be_bytes(*number);
            self.held.clear();
            self.encodings -= 1;
            return Ok(Some(Message::Encoding(number)));
        }
        if self.held.len() < length(&self.held)? {
            return Ok(None);
        }
        let message = self.complete();
        self.held.clear();
        message
    }

    fn complete(&mut self) -> Result<Option<Message>, Nonsense> {
        let held = &self.held;
        let u16_at = |at: usize| u16::from_be_bytes([held[at], held[at + 1]]);
        let u32_at = |at: usize| u32::from(u16_at(at)) << 16 | u32::from(u16_at(at + 2));
        let rect_at = |at: usize| Rect {
            x: u16_at(at).into(),
            y: u16_at(at + 2).into(),
            width: u16_at(at + 4).into(),
            height: u16_at(at + 6).into(),
        };
        let message = match held[0] {
            client::SET_PIXEL_FORMAT => {
                let bytes = held[4..].first_chunk().ok_or(Nonsense)?;
                Message::PixelFormat(PixelFormat::read(bytes).ok_or(Nonsense)?)
            }
            client::SET_ENCODINGS => {
                self.encodings = u16_at(2);
                Message::Encodings
            }
            client::UPDATE_REQUEST => Message::Update {
                extent: match held[1] {
                    0 => Extent::Whole,
                    _ => Extent::Changes,
                },
                within: rect_at(2),
            },
            client::KEY_EVENT => Message::Key {
                action: action(held[1].into()),
                symbol: u32_at(4),
                place: None,
            },
            client::POINTER_EVENT => Message::Pointer {
                buttons: held[1],
                x: u16_at(2),
                y: u16_at(4),
            },
            client::CUT_TEXT => {
                // Negative lengths are an extension's, which was not offered; the text is as long either way.
                self.skip = (u32_at(4) as i32).unsigned_abs();
                return Ok(None);
            }
            client::ENABLE_CONTINUOUS_UPDATES => Message::Continuous {
                within: (held[1] != 0).then(|| rect_at(2)),
            },
            client::FENCE => Message::Fence {
                flags: u32_at(4),
                payload: Few::from_slice(&held[9..]).map_err(|_| Nonsense)?,
            },
            client::SET_DESKTOP_SIZE => {
                self.skip = u32::from(held[6]) * 16;
                Message::Resize
            }
            client::QEMU => Message::Key {
                action: action(u16_at(2)),
                symbol: u32_at(4),
                place: Some(u32_at(8)),
            },
            _ => return Err(Nonsense),
        };
        Ok(Some(message))
    }
}

/// What a message says of whether a key is down.
fn action(is_down: u16) -> Action {
    match is_down {
        0 => Action::Release,
        _ => Action::Press,
    }
}

/// How long the message is that begins so; never less than what is there, until it is complete.
fn length(held: &[u8]) -> Result<usize, Nonsense> {
    Ok(match held[0] {
        client::SET_PIXEL_FORMAT => 20,
        client::SET_ENCODINGS => 4,
        client::UPDATE_REQUEST | client::ENABLE_CONTINUOUS_UPDATES => 10,
        client::KEY_EVENT | client::CUT_TEXT | client::SET_DESKTOP_SIZE => 8,
        client::POINTER_EVENT => 6,
        client::FENCE => match held.get(8) {
            Some(&bytes) if usize::from(bytes) > FENCE_BYTES => return Err(Nonsense),
            Some(&bytes) => 9 + usize::from(bytes),
            None => 9,
        },
        client::QEMU => match held.get(1) {
            Some(&client::QEMU_EXTENDED_KEY) | None => 12,
            Some(_) => return Err(Nonsense),
        },
        _ => return Err(Nonsense),
    })
}

/// What a client can do, of what we can.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Abilities {
    /// How it likes pixels best; `None`: it has not said.
    pub pixels: Option<Pixels>,
    /// It moves parts of its picture.
    pub copies: bool,
    /// It follows another size, told in this way.
    pub resize: Resize,
    /// It draws a pointer of its own.
    pub cursor: bool,
    /// It knows keys by their places.
    pub places: bool,
    /// It shows lamps.
    pub lamps: bool,
    /// It knows fences.
    pub fence: bool,
    /// It takes updates that it did not ask for.
    pub continuous: bool,
}

/// An encoding of pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pixels {
    /// As they are.
    Raw,
    /// See [`super::hextile`].
    Hextile,
    /// See [`super::zrle`].
    Zrle,
}

/// How a client takes another size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resize {
    /// Not at all.
    #[default]
    Never,
    /// By DesktopSize.
    Plain,
    /// By ExtendedDesktopSize.
    Extended,
}

impl Abilities {
    /// Adds one that a client names. Of pixels' encodings the first counts.
    pub fn add(&mut self, number: i32) {
        let mut pixels = |pixels| _ = self.pixels.get_or_insert(pixels);
        match number {
            encoding::RAW => pixels(Pixels::Raw),
            encoding::HEXTILE => pixels(Pixels::Hextile),
            encoding::ZRLE => pixels(Pixels::Zrle),
            encoding::COPY_RECT => self.copies = true,
            encoding::DESKTOP_SIZE if self.resize == Resize::Never => self.resize = Resize::Plain,
            encoding::EXTENDED_DESKTOP_SIZE => self.resize = Resize::Extended,
            encoding::CURSOR => self.cursor = true,
            encoding::QEMU_EXTENDED_KEY => self.places = true,
            encoding::QEMU_LED_STATE => self.lamps = true,
            encoding::FENCE => self.fence = true,
            encoding::CONTINUOUS_UPDATES => self.continuous = true,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn parse(bytes: &[u8]) -> Result<Vec<Message>, Nonsense> {
        let mut parser = Parser::default();
        let mut messages = Vec::new();
        for byte in bytes {
            messages.extend(parser.byte(*byte)?);
        }
        Ok(messages)
    }

    #[test]
    fn messages_are_told_apart() {
        let bytes = [
            &[2, 0, 0, 2, 0, 0, 0, 16, 255, 255, 255, 33][..],
            &[6, 0, 0, 0, 0, 0, 0, 3, b'a', b'b', b'c'],
            &[4, 1, 0, 0, 0, 0, 0xff, 0x0d],
            &[255, 0, 0, 1, 0, 0, 0, 0x61, 0, 0, 0, 0x1e],
            &[5, 3, 1, 0, 0, 9],
            &[248, 0, 0, 0, 0x80, 0, 0, 1, 2, 7, 8],
            &[251, 0, 1, 0, 1, 0, 1, 0],
            &[0; 16],
            &[3, 1, 0, 0, 0, 0, 0, 80, 0, 25],
        ]
        .concat();
        let rect = Rect {
            x: 0,
            y: 0,
            width: 80,
            height: 25,
        };
        let expected = [
            Message::Encodings,
            Message::Encoding(16),
            Message::Encoding(-223),
            Message::Key {
                action: Action::Press,
                symbol: 0xff0d,
                place: None,
            },
            Message::Key {
                action: Action::Press,
                symbol: 0x61,
                place: Some(0x1e),
            },
            Message::Pointer {
                buttons: 3,
                x: 256,
                y: 9,
            },
            Message::Fence {
                flags: 0x8000_0001,
                payload: Few::from_slice(&[7, 8]).unwrap(),
            },
            Message::Resize,
            Message::Update {
                extent: Extent::Changes,
                within: rect,
            },
        ];
        assert_eq!(parse(&bytes).unwrap(), expected);
    }

    #[test]
    fn nonsense_is_told() {
        assert_eq!(parse(&[7]), Err(Nonsense));
        assert_eq!(parse(&[255, 1, 0, 0]), Err(Nonsense));
        assert_eq!(parse(&[248, 0, 0, 0, 0, 0, 0, 0, 65]), Err(Nonsense));
        let mut bytes = [0; 20];
        bytes[4] = 24;
        assert_eq!(parse(&bytes), Err(Nonsense));
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn any_messages_go_on(
            kinds in prop::collection::vec(prop::sample::select(&[2_u8, 3, 4, 5, 6, 150, 248, 251, 255][..]), 1..20),
            rest in prop::collection::vec(0_u8..3, 90),
        ) {
            let mut parser = Parser::default();
            for kind in kinds {
                let _ = parser.byte(kind).map(drop);
                for byte in &rest {
                    if parser.byte(*byte).is_err() {
                        parser = Parser::default();
                    }
                    prop_assert!(parser.held.len() <= LONGEST);
                }
            }
        }
    }
}
