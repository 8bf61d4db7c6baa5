//! Reading archives.

use super::header::{
    CHECKSUM, FIELDS, FILE_SIZE, HEADER_BYTES, Kind, MAGIC, MAX_NAME_BYTES, MODE, NAME_SIZE,
    TRAILER,
};
use alloc::string::String;
use core::fmt;

/// One member of an archive; borrows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Name as stored, without its NUL.
    pub name: &'a str,
    /// What it is.
    pub kind: Kind,
    /// Its contents.
    pub data: &'a [u8],
}

/// Where and why an archive could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveError {
    /// Offset of the entry's header in the input.
    pub offset: usize,
    /// The entry's name, or the name of the last good entry before it; empty if there is none.
    pub near: String,
    /// What was found.
    pub problem: Problem,
}

/// What is wrong with an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// Something else than a newc header.
    Foreign(Foreign),
    /// The input ends within the entry: it `needs` so many bytes from its header on, and only `has` these.
    Truncated {
        /// Bytes that the entry has by its own header.
        needs: usize,
        /// Bytes that are there.
        has: usize,
    },
    /// A header field is not eight hexadecimal digits.
    BadField,
    /// The name's length is zero or beyond 4,096 bytes.
    BadNameLength(u32),
    /// The name has no NUL at its end, one before it, or is not UTF-8.
    BadName,
    /// The archive does not end with its trailer entry.
    NoTrailer,
}

/// What the input looks like instead of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// Nothing at all, or only zeroes.
    Empty,
    /// Packed by the named compressor.
    Compressed(&'static str),
    /// Another flavour of cpio.
    OtherCpio,
    /// An ELF program.
    Elf,
    /// These first bytes.
    Unknown([u8; 6]),
}

impl Foreign {
    /// Magic numbers of what people hand over by mistake.
    const KNOWN: &'static [(&'static [u8], Self)] = &[
        (&[0x1f, 0x8b], Self::Compressed("gzip")),
        (&[0xfd, b'7', b'z', b'X', b'Z', 0], Self::Compressed("xz")),
        (&[0x28, 0xb5, 0x2f, 0xfd], Self::Compressed("zstd")),
        (b"BZh", Self::Compressed("bzip2")),
        (&[0x5d, 0, 0], Self::Compressed("lzma")),
        (&[0x02, 0x21, 0x4c, 0x18], Self::Compressed("lz4")),
        (&[0x04, 0x22, 0x4d, 0x18], Self::Compressed("lz4")),
        (&[0x89, b'L', b'Z', b'O'], Self::Compressed("lzop")),
        (b"070702", Self::OtherCpio),
        (b"070707", Self::OtherCpio),
        (&[0xc7, 0x71], Self::OtherCpio),
        (&[0x71, 0xc7], Self::OtherCpio),
        (b"\x7fELF", Self::Elf),
    ];

    fn recognise(input: &[u8]) -> Self {
        if let Some((_, foreign)) = Self::KNOWN
            .iter()
            .find(|(magic, _)| input.starts_with(magic))
        {
            return *foreign;
        }
        let mut first = [0; 6];
        for (to, from) in first.iter_mut().zip(input) {
            *to = *from;
        }
        Self::Unknown(first)
    }
}

impl fmt::Display for ArchiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at offset {:#x}", self.offset)?;
        if !self.near.is_empty() {
            write!(f, ", at or after entry `{}`", self.near)?;
        }
        write!(f, ": {}", self.problem)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign(foreign) => foreign.fmt(f),
            Self::Truncated { needs, has } => write!(
                f,
                "truncated: the entry has {needs} bytes, only {has} are there"
            ),
            Self::BadField => f.write_str("a header field is not eight hexadecimal digits"),
            Self::BadNameLength(bytes) => {
                write!(f, "a name of {bytes} bytes; expected 1 to {MAX_NAME_BYTES}")
            }
            Self::BadName => f.write_str("the name is not UTF-8 text with one NUL at its end"),
            Self::NoTrailer => f.write_str("truncated: the archive ends without its trailer"),
        }
    }
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("empty: there is no archive"),
            Self::Compressed(by) => write!(
                f,
                "compressed bundle ({by}): pack it plain (the blobs in it may be compressed)"
            ),
            Self::OtherCpio => {
                f.write_str("another flavour of cpio: pack it in newc format (cpio -H newc)")
            }
            Self::Elf => f.write_str("an ELF program, not a newc cpio archive"),
            Self::Unknown(first) => {
                write!(
                    f,
                    "not a newc cpio archive: expected \"070701\", found bytes"
                )?;
                first.iter().try_for_each(|byte| write!(f, " {byte:02x}"))
            }
        }
    }
}

/// The entries of all archives in one input, in order, without their trailers. Ends after the first error.
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    input: &'a [u8],
    at: usize,
    state: State,
    near: &'a str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first archive.
    Start,
    /// Inside one: its trailer must come.
    Inside,
    /// After a trailer: zeroes, another archive or the end may come.
    Between,
    /// At the end, or after an error.
    Done,
}

impl<'a> Entries<'a> {
    /// Reads `input` from its first byte.
    pub const fn new(input: &'a [u8]) -> Self {
        Self {
            input,
            at: 0,
            state: State::Start,
            near: "",
        }
    }

    /// The rest of the input, past the zeroes that may stand between archives.
    fn rest(&mut self) -> &'a [u8] {
        let rest = self.input.get(self.at..).unwrap_or(&[]);
        if self.state == State::Inside {
            return rest;
        }
        let zeroes = rest.iter().take_while(|&&byte| byte == 0).count();
        self.at += zeroes;
        &rest[zeroes..]
    }

    /// The entry at the cursor, or `None` at the end of the input.
    fn entry(&mut self) -> Result<Option<Entry<'a>>, Problem> {
        loop {
            let rest = self.rest();
            if rest.is_empty() {
                return match self.state {
                    State::Start => Err(Problem::Foreign(Foreign::Empty)),
                    State::Inside => Err(Problem::NoTrailer),
                    State::Between | State::Done => Ok(None),
                };
            }
            let (entry, bytes) = parse(rest, &mut self.near)?;
            self.at += bytes;
            if entry.name == TRAILER {
                self.state = State::Between;
            } else {
                self.state = State::Inside;
                return Ok(Some(entry));
            }
        }
    }
}

/// One entry at the start of `rest`, and how many bytes it takes with its padding. The padding of the last entry may be
/// cut off. Sets `near` once the name is known.
fn parse<'a>(rest: &'a [u8], near: &mut &'a str) -> Result<(Entry<'a>, usize), Problem> {
    let truncated = |needs| Problem::Truncated {
        needs,
        has: rest.len(),
    };
    if !rest.starts_with(&MAGIC[..rest.len().min(MAGIC.len())]) {
        return Err(Problem::Foreign(Foreign::recognise(rest)));
    }
    let (head, _) = rest
        .split_at_checked(HEADER_BYTES)
        .ok_or(truncated(HEADER_BYTES))?;
    let fields = fields(&head[MAGIC.len()..])?;
    let name_bytes = fields[NAME_SIZE] as usize;
    if name_bytes == 0 || name_bytes > MAX_NAME_BYTES {
        return Err(Problem::BadNameLength(fields[NAME_SIZE]));
    }
    let name_end = HEADER_BYTES + name_bytes;
    let name = rest
        .get(HEADER_BYTES..name_end)
        .ok_or(truncated(name_end))?;
    let name = match name.split_last() {
        Some((0, name)) if !name.contains(&0) => core::str::from_utf8(name).ok(),
        _ => None,
    };
    let name = name.ok_or(Problem::BadName)?;
    *near = name;
    let data_start = name_end.next_multiple_of(4);
    // No overflow: a 32-bit size and a short name in a 64-bit usize.
    let data_end = data_start + fields[FILE_SIZE] as usize;
    let data = match fields[FILE_SIZE] {
        0 => &[],
        _ => rest.get(data_start..data_end).ok_or(truncated(data_end))?,
    };
    let entry = Entry {
        name,
        kind: Kind::of_mode(fields[MODE]),
        data,
    };
    Ok((entry, data_end.next_multiple_of(4)))
}

fn fields(digits: &[u8]) -> Result<[u32; FIELDS], Problem> {
    let mut fields = [0; FIELDS];
    for (field, digits) in fields.iter_mut().zip(digits.chunks_exact(8)) {
        for &digit in digits {
            let value = char::from(digit).to_digit(16).ok_or(Problem::BadField)?;
            *field = *field << 4 | value;
        }
    }
    // The format without checksums stores zero here; anything else means that the fields are shifted.
    if fields[CHECKSUM] != 0 {
        return Err(Problem::BadField);
    }
    Ok(fields)
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>, ArchiveError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.state == State::Done {
            return None;
        }
        match self.entry() {
            Ok(Some(entry)) => Some(Ok(entry)),
            Ok(None) => {
                self.state = State::Done;
                None
            }
            Err(problem) => {
                self.state = State::Done;
                Some(Err(ArchiveError {
                    offset: self.at,
                    near: self.near.into(),
                    problem,
                }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Writer;
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;
    use std::string::ToString;

    fn sample() -> Vec<u8> {
        let mut writer = Writer::new();
        writer.file("a", b"alpha").unwrap();
        writer.file("dir/b", b"").unwrap();
        writer.file("c", &[7; 300]).unwrap();
        writer.finish()
    }

    fn names(input: &[u8]) -> Result<Vec<&str>, ArchiveError> {
        Entries::new(input)
            .map(|entry| entry.map(|entry| entry.name))
            .collect()
    }

    #[test]
    fn archives_with_zeroes_between_read_as_one() {
        let mut twice = sample();
        twice.extend([0; 512]);
        twice.extend(sample());
        twice.extend([0; 3]);
        let all = ["a", "dir/b", "c", "a", "dir/b", "c"];
        assert_eq!(names(&twice).unwrap(), all);
    }

    #[test]
    fn every_truncation_is_an_error_that_says_so() {
        let whole = sample();
        // The trailer's own padding may be missing; nothing else.
        for len in 1..whole.len() - 4 {
            let error = names(&whole[..len]).unwrap_err();
            assert!(error.to_string().contains("truncated"), "{len}: {error}");
        }
    }

    #[test]
    fn foreign_input_is_recognised() {
        for (input, text) in [
            (&b""[..], "empty"),
            (&[0; 64], "empty"),
            (
                &[0x1f, 0x8b, 8, 0],
                "compressed bundle (gzip): pack it plain",
            ),
            (&[0xfd, b'7', b'z', b'X', b'Z', 0], "compressed bundle (xz)"),
            (&[0x28, 0xb5, 0x2f, 0xfd], "compressed bundle (zstd)"),
            (b"070707000", "cpio -H newc"),
            (b"\x7fELF\x02", "ELF"),
            (b"hello world", "found bytes 68 65 6c 6c 6f 20"),
        ] {
            let error = names(input).unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
        }
    }

    #[test]
    fn a_damaged_second_entry_is_placed() {
        let mut archive = sample();
        let second = 110 + 2 + 8; // header, name, data, padded
        assert_eq!(&archive[second..second + 6], b"070701");
        archive[second + 20] = b'x';
        let error = names(&archive).unwrap_err();
        assert_eq!((error.offset, error.near.as_str()), (second, "a"));
        assert_eq!(error.problem, Problem::BadField);
    }

    #[test]
    fn unusable_names_are_not_written() {
        assert!(Writer::new().file("", b"").is_none());
        assert!(Writer::new().file("a\0b", b"").is_none());
        assert!(Writer::new().file(TRAILER, b"").is_none());
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(
            files in proptest::collection::vec(("[a-zA-Z0-9./_-]{1,30}", any::<Vec<u8>>()), 0..6)
        ) {
            let mut writer = Writer::new();
            for (name, data) in &files {
                writer.file(name, data).unwrap();
            }
            let archive = writer.finish();
            let read: Vec<_> = Entries::new(&archive).map(Result::unwrap).collect();
            prop_assert_eq!(read.len(), files.len());
            for (entry, (name, data)) in read.iter().zip(&files) {
                prop_assert_eq!(entry.name, name);
                prop_assert_eq!(entry.data, &data[..]);
                prop_assert_eq!(entry.kind, Kind::File);
            }
        }

        #[test]
        fn arbitrary_bytes_are_answered(bytes: Vec<u8>) {
            let _ = names(&bytes);
        }

        #[test]
        fn a_flipped_byte_is_answered(at in 0_usize..700, value: u8) {
            let mut archive = sample();
            let at = at % archive.len();
            archive[at] = value;
            let _ = names(&archive);
        }
    }
}
