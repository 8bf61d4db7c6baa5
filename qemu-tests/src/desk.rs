//! Who sits at a machine: types, points, and looks at its screen, through QEMU's control connection (QMP).

use crate::machine;
use anyhow::{Context, Result, bail, ensure};
use spleen_font::FONT_8X16;
use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

/// A cell of Monovisor's font, and the font file's header before its first glyph.
pub const GLYPH_WIDTH: usize = 8;
const GLYPH_LINES: usize = 16;
const PSF1_HEADER_BYTES: usize = 4;

/// How long a key is held, and so how fast text is typed: slow enough for a keyboard controller without anybody to read it.
const HOLD_MS: u32 = 25;
/// For the emulator to answer.
const ANSWER: Duration = Duration::from_secs(60);

/// How a machine came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It shut down.
    Shutdown,
    /// Its time was over.
    TimeOver,
}

/// A network card's cable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Plugged in.
    Up,
    /// Pulled.
    Down,
}

/// A machine's desk.
pub struct Desk {
    to: TcpStream,
    from: BufReader<TcpStream>,
}

impl Desk {
    /// Sits down: the emulator, `child`, connects to `listener`.
    pub fn accept(listener: &TcpListener, child: &mut Child) -> Result<Self> {
        let to = machine::accept(listener, child)?;
        to.set_read_timeout(Some(ANSWER))?;
        let from = BufReader::new(to.try_clone()?);
        let mut desk = Self { to, from };
        desk.line().context("the emulator does not greet")?;
        desk.execute("qmp_capabilities", "{}")?;
        Ok(desk)
    }

    /// Presses keys together and lets them go: QEMU's names, such as `ctrl`, `alt`, `esc`, `ret`, `f12`, `a`.
    pub fn press(&mut self, keys: &[&str]) -> Result<()> {
        let keys: Vec<_> = keys
            .iter()
            .map(|key| format!("{{\"type\":\"qcode\",\"data\":\"{key}\"}}"))
            .collect();
        let arguments = format!("{{\"keys\":[{}],\"hold-time\":{HOLD_MS}}}", keys.join(","));
        self.execute("send-key", &arguments)?;
        // The emulator holds the keys on its own time; the next must not come before.
        std::thread::sleep(Duration::from_millis(2 * u64::from(HOLD_MS)));
        Ok(())
    }

    /// Types text as on a US keyboard; `\n` is Enter.
    pub fn type_text(&mut self, text: &str) -> Result<()> {
        for character in text.chars() {
            match key_of(character) {
                Some((key, Shift::Up)) => self.press(&[&key])?,
                Some((key, Shift::Down)) => self.press(&["shift", &key])?,
                None => bail!("a US keyboard has no {character:?}"),
            }
        }
        Ok(())
    }

    /// Moves the mouse, right and down.
    pub fn move_by(&mut self, right: i32, down: i32) -> Result<()> {
        let event = |axis, value| {
            format!("{{\"type\":\"rel\",\"data\":{{\"axis\":\"{axis}\",\"value\":{value}}}}}")
        };
        let events = format!(
            "{{\"events\":[{},{}]}}",
            event("x", right),
            event("y", down)
        );
        self.execute("input-send-event", &events)
    }

    /// Clicks a button: `left`, `middle`, `right`, `wheel-up`, `wheel-down`.
    pub fn click(&mut self, button: &str) -> Result<()> {
        for down in [true, false] {
            let event = format!(
                "{{\"events\":[{{\"type\":\"btn\",\"data\":{{\"down\":{down},\"button\":\"{button}\"}}}}]}}"
            );
            self.execute("input-send-event", &event)?;
            std::thread::sleep(Duration::from_millis(HOLD_MS.into()));
        }
        Ok(())
    }

    /// Saves the machine's screen as a PNG.
    pub fn save_png(&mut self, path: &Path) -> Result<()> {
        self.dump(path, "png")
    }

    /// The machine's screen.
    pub fn picture(&mut self, directory: &Path) -> Result<Image> {
        let path = directory.join("screen.ppm");
        self.dump(&path, "ppm")?;
        let bytes = fs::read(&path)?;
        fs::remove_file(&path)?;
        Image::parse(&bytes).with_context(|| format!("{} is no PPM picture", path.display()))
    }

    /// Waits until the machine shuts down, or `limit` is over, saves its screen as a PNG, and ends the emulator. The machine has to
    /// run with `-no-shutdown`, so that it is still there then.
    pub fn photograph_end(&mut self, path: &Path, limit: Option<Duration>) -> Result<End> {
        let start = Instant::now();
        let end = loop {
            let left = limit.map(|limit| limit.saturating_sub(start.elapsed()));
            if left.is_some_and(|left| left.is_zero()) {
                break End::TimeOver;
            }
            self.to.set_read_timeout(left)?;
            let mut line = String::new();
            match self.from.read_line(&mut line) {
                Ok(0) => bail!("the emulator ended before its screen was saved"),
                Ok(_) if line.contains("\"event\": \"SHUTDOWN\"") => break End::Shutdown,
                // Another event; or time is over.
                Ok(_) => {}
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) => return Err(error).context("the emulator does not answer"),
            }
        };
        self.to.set_read_timeout(Some(ANSWER))?;
        self.save_png(path)?;
        self.quit()?;
        Ok(end)
    }

    /// Ends the emulator, which may be gone before it has answered.
    fn quit(&mut self) -> Result<()> {
        self.to.write_all(b"{\"execute\":\"quit\"}\n")?;
        loop {
            let mut line = String::new();
            match self.from.read_line(&mut line) {
                Ok(0) => return Ok(()),
                Ok(_) if line.starts_with("{\"return\"") => return Ok(()),
                Ok(_) if line.starts_with("{\"error\"") => {
                    bail!("the emulator refuses to end: {}", line.trim())
                }
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(()),
                Err(error) => return Err(error).context("the emulator does not end"),
            }
        }
    }

    /// What the machine's own VGA shows: a line a row as text, or the size of a picture; in the words of Monovisor's `screen`. Text is
    /// taken from where a BIOS's 80x25 characters lie; files in between go to `directory`.
    pub fn text(&mut self, directory: &Path) -> Result<String> {
        const SIZES_OF_TEXT: [(usize, usize); 2] = [(720, 400), (640, 400)];
        const COLUMNS: usize = 80;
        let picture = self.picture(directory)?;
        let size = (picture.width, picture.height);
        if !SIZES_OF_TEXT.contains(&size) {
            // Before anybody has set the VGA up, QEMU shows a notice in black and white.
            let plain = picture.count([0; 3]) + picture.count([0xff; 3]);
            if plain == picture.pixels.len() {
                return Ok("nothing\n".to_owned());
            }
            return Ok(format!("graphics, {}x{}\n", size.0, size.1));
        }
        let path = directory.join("screen.bin");
        let name = path.to_str().context("the path is no UTF-8")?;
        let name = name.replace('\\', "\\\\").replace('"', "\\\"");
        self.execute(
            "pmemsave",
            &format!(
                "{{\"val\":{},\"size\":4000,\"filename\":\"{name}\"}}",
                0xb_8000
            ),
        )?;
        let cells = fs::read(&path)?;
        fs::remove_file(&path)?;
        let (cells, _) = cells.as_chunks::<2>();
        let mut text = "text, 80x25\n".to_owned();
        for row in cells.chunks(COLUMNS) {
            let row: String = row
                .iter()
                .map(|&[character, _]| match character {
                    b' '..=b'~' => char::from(character),
                    0 => ' ',
                    _ => '\u{b7}',
                })
                .collect();
            text.push_str(row.trim_end());
            text.push('\n');
        }
        Ok(text)
    }

    fn dump(&mut self, path: &Path, format: &str) -> Result<()> {
        let path = path.to_str().context("the path is no UTF-8")?;
        let path = path.replace('\\', "\\\\").replace('"', "\\\"");
        self.execute(
            "screendump",
            &format!("{{\"filename\":\"{path}\",\"format\":\"{format}\"}}"),
        )
    }

    /// Plugs a network card's cable in, or pulls it.
    pub fn set_link(&mut self, card: &str, link: Link) -> Result<()> {
        let up = link == Link::Up;
        self.execute("set_link", &format!("{{\"name\":\"{card}\",\"up\":{up}}}"))
    }

    /// Where a memory window of a device's is, by its name.
    pub fn window_of(&mut self, device: &str, bar: u8) -> Result<u64> {
        let said = self.ask("human-monitor-command", "{\"command-line\":\"info pci\"}")?;
        let (before, _) = said
            .split_once(&format!("id \\\"{device}\\\""))
            .with_context(|| format!("there is no {device}: {said}"))?;
        let (_, itself) = before.rsplit_once("function ").context(before.to_owned())?;
        let digits = itself
            .split_once(&format!("BAR{bar}: "))
            .and_then(|(_, window)| window.split_once("memory at 0x"))
            .and_then(|(_, address)| address.split(' ').next())
            .with_context(|| format!("there is no memory by BAR {bar}: {itself}"))?;
        u64::from_str_radix(digits, 16).context(digits.to_owned())
    }

    /// The most bytes that QEMU's own network holds for one connection.
    pub fn bytes_held_up(&mut self) -> Result<u64> {
        let said = self.ask(
            "human-monitor-command",
            "{\"command-line\":\"info usernet\"}",
        )?;
        // A line a connection, with what waits in either direction last.
        let waiting = |line: &str| {
            let words = line.split_whitespace().rev().take(2);
            words.filter_map(|word| word.parse().ok()).max()
        };
        let connections = said.split("\\r\\n");
        Ok(connections
            .filter(|line| line.contains("TCP["))
            .filter_map(waiting)
            .max()
            .unwrap_or(0))
    }

    fn execute(&mut self, command: &str, arguments: &str) -> Result<()> {
        self.ask(command, arguments).map(drop)
    }

    /// The line that answers a command.
    fn ask(&mut self, command: &str, arguments: &str) -> Result<String> {
        let request = format!("{{\"execute\":\"{command}\",\"arguments\":{arguments}}}\n");
        self.to
            .write_all(request.as_bytes())
            .context("the emulator's control connection is closed")?;
        loop {
            let line = self.line()?;
            if line.starts_with("{\"return\"") {
                return Ok(line);
            }
            // Anything else is an event.
            ensure!(
                !line.starts_with("{\"error\""),
                "the emulator refuses `{}`: {}",
                request.trim(),
                line.trim()
            );
        }
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        let bytes = self
            .from
            .read_line(&mut line)
            .context("the emulator does not answer")?;
        ensure!(bytes > 0, "the emulator's control connection is closed");
        Ok(line)
    }
}

/// Whether a character is typed with Shift.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shift {
    Up,
    Down,
}

/// The key of a character on a US keyboard, in QEMU's words.
fn key_of(character: char) -> Option<(String, Shift)> {
    const NAMED: [(char, char, &str); 13] = [
        (' ', ' ', "spc"),
        ('\n', '\n', "ret"),
        ('\t', '\t', "tab"),
        ('-', '_', "minus"),
        ('=', '+', "equal"),
        ('[', '{', "bracket_left"),
        (']', '}', "bracket_right"),
        (';', ':', "semicolon"),
        ('\'', '"', "apostrophe"),
        ('`', '~', "grave_accent"),
        (',', '<', "comma"),
        ('.', '>', "dot"),
        ('/', '?', "slash"),
    ];
    const DIGITS: &str = ")!@#$%^&*(";
    if character.is_ascii_lowercase() || character.is_ascii_digit() {
        return Some((character.to_string(), Shift::Up));
    }
    if character.is_ascii_uppercase() {
        return Some((character.to_ascii_lowercase().to_string(), Shift::Down));
    }
    if let Some(digit) = DIGITS.find(character) {
        return Some((digit.to_string(), Shift::Down));
    }
    match character {
        '\\' => return Some(("backslash".to_owned(), Shift::Up)),
        '|' => return Some(("backslash".to_owned(), Shift::Down)),
        _ => {}
    }
    NAMED.iter().find_map(|&(plain, shifted, name)| {
        let shift = if character == plain {
            Shift::Up
        } else {
            Shift::Down
        };
        (character == plain || character == shifted).then(|| (name.to_owned(), shift))
    })
}

/// A picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Pixels in a line.
    pub width: usize,
    /// Lines.
    pub height: usize,
    /// Red, green, blue of each pixel, line by line.
    pub pixels: Vec<[u8; 3]>,
}

impl Image {
    /// Reads a binary PPM with 8 bits a component, as QEMU writes it.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut words = bytes.splitn(4, |byte| byte.is_ascii_whitespace());
        let mut word = || std::str::from_utf8(words.next()?).ok();
        if word()? != "P6" {
            return None;
        }
        let (width, height) = (word()?.parse().ok()?, word()?.parse().ok()?);
        // The colour depth, and the pixels behind one blank.
        let rest = words.next()?;
        let pixels = rest.strip_prefix(b"255\n")?;
        let (pixels, _) = pixels.as_chunks::<3>();
        (pixels.len() == usize::checked_mul(width, height)?).then(|| Self {
            width,
            height,
            pixels: pixels.to_vec(),
        })
    }

    /// The text of a screen that Monovisor has drawn in its own font, light on black: a line for each row, without trailing blanks;
    /// cells with anything else in them are blanks. Cells may be wider than the font.
    pub fn text(&self, cell_width: usize) -> String {
        let (columns, rows) = (self.width / cell_width, self.height / GLYPH_LINES);
        let mut text = String::new();
        for row in 0..rows {
            let line: String = (0..columns)
                .map(|column| self.character(column * cell_width, row))
                .collect();
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    /// The character whose cell starts at this pixel of a row.
    fn character(&self, x: usize, row: usize) -> char {
        let mut cell = [0_u8; GLYPH_LINES];
        for (line, bits) in cell.iter_mut().enumerate() {
            let start = (row * GLYPH_LINES + line) * self.width + x;
            let pixels = self.pixels[start..][..GLYPH_WIDTH].iter();
            *bits = pixels.fold(0, |bits, pixel| bits << 1 | u8::from(*pixel != [0; 3]));
        }
        let glyphs = FONT_8X16[PSF1_HEADER_BYTES..].chunks_exact(GLYPH_LINES);
        let found = (' '..='~').zip(glyphs.skip(' ' as usize));
        found
            .into_iter()
            .find_map(|(character, glyph)| (*glyph == cell).then_some(character))
            .unwrap_or(' ')
    }

    /// How many pixels have this colour.
    pub fn count(&self, color: [u8; 3]) -> usize {
        self.pixels.iter().filter(|pixel| **pixel == color).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_printable_character_has_a_key() {
        for character in ' '..='~' {
            assert!(key_of(character).is_some(), "{character:?}");
        }
        assert_eq!(key_of('('), Some(("9".to_owned(), Shift::Down)));
        assert_eq!(key_of(':'), Some(("semicolon".to_owned(), Shift::Down)));
        assert_eq!(key_of('é'), None);
    }

    #[test]
    fn a_picture_is_read() {
        let image = Image::parse(b"P6\n2 1\n255\n\x01\x02\x03\n \t").unwrap();
        assert_eq!(image.pixels, [[1, 2, 3], [10, 32, 9]]);
        assert_eq!(image.count([1, 2, 3]), 1);
        assert_eq!(Image::parse(b"P6\n2 2\n255\n\x01\x02\x03"), None);
        assert_eq!(Image::parse(b"P5"), None);
    }
}
