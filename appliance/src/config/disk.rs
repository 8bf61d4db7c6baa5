//! The guest's disks, as xl-disk-configuration(5) writes them.
//!
//! A specification is text: positional parameters `target, format, vdev, access`, `keyword=value` and flags in any
//! order, `target=` last; or the older `file:/path,hda,w`, where the prefix stands for the format; or a TOML table with
//! the keywords as keys.

use super::BlobName;
use super::setting::{Setting, Value};
use super::{ConfigError, Note};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// One block device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskSpec {
    /// The guest's name for it.
    pub vdev: Vdev,
    /// May the guest write?
    pub access: Access,
    /// What the target's bytes mean.
    pub format: Format,
    /// Kind of drive.
    pub medium: Medium,
    /// Where its contents come from; `None`: an empty CD-ROM or floppy drive.
    pub target: Option<BlobName>,
}

/// The guest's name for a disk: `hda`, `xvdb`, `vdc1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vdev {
    /// The kind of name.
    pub bus: Bus,
    /// 0 for `…a`.
    pub index: u32,
    /// The target is this partition, not a whole disk.
    pub partition: Option<u32>,
}

/// The kinds of names, by the bus that they come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bus {
    /// `hd…`: IDE, up to four.
    Ide,
    /// `sd…`: SCSI.
    Scsi,
    /// `xvd…`: Xen's own.
    Xen,
    /// `vd…`: virtio.
    Virtio,
    /// `fd…`: floppy drives, up to two.
    Floppy,
}

/// May the guest write?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// `ro`, `r`.
    ReadOnly,
    /// `rw`, `w`.
    ReadWrite,
}

/// Image formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The disk's bytes.
    Raw,
    /// QCOW, the first version.
    Qcow,
    /// QCOW2.
    Qcow2,
    /// Microsoft VHD.
    Vhd,
    /// QEMU's QED.
    Qed,
}

/// Kinds of drives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// A hard disk.
    Disk,
    /// A CD-ROM.
    Cdrom,
}

const NEEDS: &str = "as in 'disk.img,raw,xvda,rw', 'file:disk.img,hda,w' or \
    { target = \"disk.img\", vdev = \"xvda\", access = \"rw\" }";
const EXPECTED_VDEV: &str = "expected a vdev such as xvda, vda, sda, hda (hda to hdd), fda or fdb";

/// Keywords without a meaning here.
const NOT_HERE: &[(&str, &str)] = &[
    ("backend", "there are no driver domains"),
    ("backendtype", "there is one backend"),
    ("script", "there are no hotplug scripts"),
    ("direct-io-safe", "there is no page cache"),
    ("discard", "it is offered where the backend has it"),
    ("no-discard", "it is offered where the backend has it"),
    ("trusted", "it concerns Xen's own front ends only"),
    ("untrusted", "it concerns Xen's own front ends only"),
    ("specification", "a disk's name says what it hangs on"),
    ("colo", "there is no replication"),
    ("colo-host", "there is no replication"),
    ("colo-port", "there is no replication"),
    ("colo-export", "there is no replication"),
    ("active-disk", "there is no replication"),
    ("hidden-disk", "there is no replication"),
];

/// Prefixes of xm's targets and the formats that they stand for.
const PREFIXES: &[(&str, Format)] = &[
    ("file:", Format::Raw),
    ("phy:", Format::Raw),
    ("raw:", Format::Raw),
    ("aio:", Format::Raw),
    ("tapdisk:", Format::Raw),
    ("tap2:", Format::Raw),
    ("tap:", Format::Raw),
    ("ioemu:", Format::Raw),
    ("qcow2:", Format::Qcow2),
    ("qcow:", Format::Qcow),
    ("vhd:", Format::Vhd),
    ("qed:", Format::Qed),
];

/// A specification while its parts come in.
#[derive(Default)]
struct Draft {
    target: Option<String>,
    format: Option<Format>,
    vdev: Option<Vdev>,
    access: Option<Access>,
    cdrom: Option<()>,
    /// Positional parameters that were given an empty text, which leaves their default.
    skipped: [bool; 4],
    ignored: Vec<(String, &'static str)>,
}

impl DiskSpec {
    /// Reads one member of `disk`.
    pub(super) fn read(setting: &Setting, notes: &mut Vec<Note>) -> Result<Self, ConfigError> {
        let mut draft = Draft::default();
        match &setting.value {
            Value::Text(text) => draft
                .take_text(text)
                .map_err(|expected| setting.error(expected))?,
            Value::Table(members) => {
                for member in members {
                    let value = member.any_text()?;
                    draft
                        .take_keyword(&member.key, value)
                        .map_err(|expected| member.error(expected))?;
                }
            }
            _ => return Err(setting.error(format!("expected a disk {NEEDS}"))),
        }
        notes.extend(draft.ignored.drain(..).map(|(keyword, reason)| Note {
            place: setting.place,
            key: format!("disk: {keyword}"),
            reason: format!("ignored: {reason}"),
        }));
        draft.finish(setting)
    }
}

impl Draft {
    fn take_text(&mut self, text: &str) -> Result<(), String> {
        let mut rest = text;
        loop {
            rest = rest.trim_start();
            // A named target is all of the rest, commas included.
            if let Some(target) = rest.strip_prefix("target=") {
                return self.set_target(target);
            }
            let (part, more) = match rest.split_once(',') {
                Some((part, more)) => (part.trim_end(), Some(more)),
                None => (rest.trim_end(), None),
            };
            match part.split_once('=') {
                Some((keyword, value)) => self.take_keyword(keyword.trim(), value.trim())?,
                None if is_flag(part) => self.take_keyword(part, "")?,
                None => self.take_positional(part)?,
            }
            match more {
                Some(more) => rest = more,
                None => return Ok(()),
            }
        }
    }

    /// Gives `part` to the first positional parameter that has none yet.
    fn take_positional(&mut self, part: &str) -> Result<(), String> {
        let given = [
            self.target.is_some(),
            self.format.is_some(),
            self.vdev.is_some(),
            self.access.is_some(),
        ];
        let free = (0..4).find(|&at| !given[at] && !self.skipped[at]);
        let Some(at) = free else {
            return if part.is_empty() {
                Ok(())
            } else {
                Err(format!(
                    "`{part}` is one parameter too many; expected a disk {NEEDS}"
                ))
            };
        };
        if part.is_empty() {
            self.skipped[at] = true;
            return Ok(());
        }
        match at {
            0 => self.set_prefixed_target(part),
            1 => self.take_keyword("format", part),
            2 => self.take_keyword("vdev", part),
            _ => self.take_keyword("access", part),
        }
    }

    fn set_prefixed_target(&mut self, text: &str) -> Result<(), String> {
        let mut path = text;
        // xm stacked them: `tap:aio:/path`; the innermost names the format.
        while let Some((rest, format)) = PREFIXES
            .iter()
            .find_map(|&(prefix, format)| Some((path.strip_prefix(prefix)?, format)))
        {
            self.format = Some(format);
            path = rest;
        }
        self.set_target(path)
    }

    fn set_target(&mut self, path: &str) -> Result<(), String> {
        let path = path.trim();
        if !path.is_empty() {
            set(&mut self.target, Some(path.to_string()), "a target once")?;
        }
        Ok(())
    }

    fn take_keyword(&mut self, keyword: &str, value: &str) -> Result<(), String> {
        if let Some(&(_, reason)) = NOT_HERE.iter().find(|(name, _)| *name == keyword) {
            self.ignored.push((keyword.to_string(), reason));
            return Ok(());
        }
        match keyword {
            "target" => self.set_target(value),
            // An empty value leaves the default.
            "format" | "vdev" | "access" | "devtype" if value.is_empty() => Ok(()),
            "format" => {
                let format = match value {
                    "raw" => Some(Format::Raw),
                    "qcow" => Some(Format::Qcow),
                    "qcow2" => Some(Format::Qcow2),
                    "vhd" => Some(Format::Vhd),
                    "qed" => Some(Format::Qed),
                    _ => None,
                };
                set(
                    &mut self.format,
                    format,
                    "format raw, qcow, qcow2, vhd or qed, once",
                )
            }
            "vdev" => {
                let name = value.strip_prefix("ioemu:").unwrap_or(value);
                let name = match name.split_once(':') {
                    Some((name, "cdrom")) => {
                        self.cdrom = Some(());
                        name
                    }
                    Some((name, "disk")) => name,
                    _ => name,
                };
                let vdev =
                    Vdev::parse(name).ok_or_else(|| format!("`{value}`: {EXPECTED_VDEV}"))?;
                set(&mut self.vdev, Some(vdev), "a vdev once")
            }
            "access" => {
                let access = match value {
                    "r" | "ro" => Some(Access::ReadOnly),
                    "w" | "rw" | "w!" => Some(Access::ReadWrite),
                    _ => None,
                };
                set(&mut self.access, access, "access r, ro, w or rw, once")
            }
            "cdrom" => {
                self.cdrom = Some(());
                Ok(())
            }
            "devtype" if value == "cdrom" => self.take_keyword(value, ""),
            "devtype" if value == "disk" => Ok(()),
            "devtype" => Err(format!("`{value}`: expected devtype=cdrom")),
            _ => Err(format!(
                "`{keyword}` is no keyword of a disk; expected one {NEEDS}"
            )),
        }
    }

    fn finish(self, setting: &Setting) -> Result<DiskSpec, ConfigError> {
        let (medium, access) = match self.cdrom {
            Some(()) => (Medium::Cdrom, Access::ReadOnly),
            None => (Medium::Disk, self.access.unwrap_or(Access::ReadWrite)),
        };
        let removable =
            medium == Medium::Cdrom || self.vdev.is_some_and(|vdev| vdev.bus == Bus::Floppy);
        if self.target.is_none() && !removable {
            return Err(setting.error(format!("no target; expected a disk {NEEDS}")));
        }
        Ok(DiskSpec {
            vdev: self
                .vdev
                .ok_or_else(|| setting.error(format!("no vdev; expected a disk {NEEDS}")))?,
            access,
            format: self.format.unwrap_or(Format::Raw),
            medium,
            target: self.target.map(|name| BlobName {
                name,
                key: "disk",
                place: setting.place,
            }),
        })
    }
}

/// Words without a value that are not positional.
fn is_flag(word: &str) -> bool {
    word == "cdrom" || NOT_HERE.iter().any(|(name, _)| *name == word)
}

fn set<T>(slot: &mut Option<T>, value: Option<T>, expected: &str) -> Result<(), String> {
    if slot.is_some() || value.is_none() {
        return Err(format!("expected {expected}"));
    }
    *slot = value;
    Ok(())
}

impl Vdev {
    /// Reads a name such as `hda` or `xvdb2` (xen-vbd-interface(7)).
    fn parse(name: &str) -> Option<Self> {
        let (letters, bus) = [
            ("xvd", Bus::Xen),
            ("hd", Bus::Ide),
            ("sd", Bus::Scsi),
            ("vd", Bus::Virtio),
            ("fd", Bus::Floppy),
        ]
        .into_iter()
        .find_map(|(prefix, bus)| Some((name.strip_prefix(prefix)?, bus)))?;
        let digits = letters.trim_start_matches(|letter: char| letter.is_ascii_lowercase());
        let letters = letters.strip_suffix(digits)?;
        let index = match letters.as_bytes() {
            [one] => u32::from(one - b'a'),
            [first, second] => 26 * (u32::from(first - b'a') + 1) + u32::from(second - b'a'),
            _ => return None,
        };
        let partition = match digits {
            "" => None,
            digits if digits.starts_with(['0', '+']) => return None,
            digits => Some(digits.parse().ok()?),
        };
        let places = match bus {
            Bus::Ide => 4,
            Bus::Floppy => 2,
            Bus::Scsi | Bus::Xen | Bus::Virtio => u32::MAX,
        };
        (index < places).then_some(Self {
            bus,
            index,
            partition,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Place;
    use super::*;
    use proptest::prelude::*;

    fn setting(value: Value) -> Setting {
        Setting {
            key: "disk".into(),
            value,
            shown: "…".into(),
            place: Place::Line(1),
        }
    }

    fn read(text: &str) -> Result<DiskSpec, ConfigError> {
        DiskSpec::read(&setting(Value::Text(text.into())), &mut Vec::new())
    }

    fn summary(text: &str) -> (Bus, u32, Access, Medium, String) {
        let disk = read(text).unwrap();
        assert_eq!(disk.format, Format::Raw);
        let target = disk.target.unwrap().name;
        (
            disk.vdev.bus,
            disk.vdev.index,
            disk.access,
            disk.medium,
            target,
        )
    }

    #[test]
    fn the_manual_pages_equivalents_are_equal() {
        let volume = (
            Bus::Ide,
            0,
            Access::ReadWrite,
            Medium::Disk,
            "/dev/vg/guest-volume".into(),
        );
        for text in [
            "/dev/vg/guest-volume,,hda",
            "/dev/vg/guest-volume,raw,hda,rw",
            "format=raw, vdev=hda, access=rw, target=/dev/vg/guest-volume",
            "raw:/dev/vg/guest-volume,hda,w",
            "phy:/dev/vg/guest-volume,hda,w",
            "tap:aio:/dev/vg/guest-volume,ioemu:hda,w",
        ] {
            assert_eq!(summary(text), volume, "{text}");
        }
        let image = (
            Bus::Ide,
            2,
            Access::ReadOnly,
            Medium::Cdrom,
            "/root/image.iso".into(),
        );
        for text in [
            "/root/image.iso,,hdc,cdrom",
            "/root/image.iso,,hdc,,cdrom",
            "/root/image.iso,raw,hdc,devtype=cdrom",
            "format=raw, vdev=hdc, access=ro, devtype=cdrom, target=/root/image.iso",
            "raw:/root/image.iso,hdc:cdrom,ro",
        ] {
            assert_eq!(summary(text), image, "{text}");
        }
    }

    #[test]
    fn a_named_target_takes_the_rest() {
        assert_eq!(summary("vdev=xvdb,target=a,b=c ").4, "a,b=c");
    }

    #[test]
    fn an_empty_drive_for_removable_media_needs_no_target() {
        assert_eq!(read(",,hdc,,cdrom").unwrap().target, None);
        assert_eq!(read(",,fda").unwrap().target, None);
        assert!(read(",,hdc").is_err());
    }

    #[test]
    fn names_count_in_letters() {
        let index = |name| Vdev::parse(name).map(|vdev| (vdev.index, vdev.partition));
        assert_eq!(index("xvda"), Some((0, None)));
        assert_eq!(index("vdz"), Some((25, None)));
        assert_eq!(index("sdaa1"), Some((26, Some(1))));
        for bad in [
            "hde",
            "xvd",
            "xvda0",
            "xvda+1",
            "hd1",
            "fdc",
            "xvdA",
            "sdaaa",
            "xvda99999999999",
        ] {
            assert_eq!(index(bad), None, "{bad}");
        }
    }

    #[test]
    fn bad_parts_are_named() {
        for (text, part) in [
            ("a.img,qcow3,hda", "format"),
            ("a.img,raw,hdx,w", "`hdx`"),
            ("a.img,raw,hda,x", "access"),
            ("a.img,raw,hda,w,more", "`more`"),
            ("a.img,raw,hda,colour=red", "`colour`"),
            ("a.img,raw,hda,vdev=hdb", "once"),
            ("a.img", "no vdev"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.expected.contains(part), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text: String) {
            let _ = read(&text);
        }

        #[test]
        fn any_parts_are_answered(
            text in "((file:|tap:|target=|format=|vdev=|hd|xvd|cdrom|raw|script=)?[a-e0-9]{0,2},? ?){0,8}"
        ) {
            let _ = read(&text);
        }
    }
}
