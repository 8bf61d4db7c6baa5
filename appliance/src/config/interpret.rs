//! From settings to a [`Config`].

use super::action::{self, Action, Actions};
use super::consoles::{self, Consoles};
use super::disk::DiskSpec;
use super::error::{ConfigError, Note};
use super::key::{self, Use};
use super::setting::{Setting, Value};
use super::{
    BlobName, Boot, BootDevice, Config, Firmware, FirmwareImage, Loaded, MAX_BOOT_MENU_S,
    MAX_MEMORY_MIB, MAX_TSC_MHZ, MAX_VCPUS, Memory, Paging, Placement, Serial, Servers, TscRate,
    Viridian, Without, suggest, translation,
};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use net::vif::Vif;

/// The settings by key, and the notes so far.
pub(super) struct Reader {
    settings: Vec<Setting>,
    notes: Vec<Note>,
}

/// Reads a whole configuration.
pub(super) fn config(settings: Vec<Setting>, notes: Vec<Note>) -> Result<Loaded, ConfigError> {
    let mut reader = Reader { settings, notes };
    reader.check_keys()?;
    let config = Config {
        name: match reader.get("name") {
            Some(setting) => setting.text()?.to_string(),
            None => "guest".to_string(),
        },
        memory: reader.memory()?,
        vcpus: reader.vcpus()?,
        cpus: match reader.get("cpus") {
            Some(setting) => Placement::read(setting)?,
            None => None,
        },
        boot: reader.boot()?,
        disks: reader.disks()?,
        media: reader.media()?,
        vifs: reader.vifs()?,
        serial: reader.serial()?,
        consoles: Consoles::read(&mut reader)?,
        servers: Servers::read(&reader)?,
        actions: reader.actions()?,
        paging: reader.paging()?,
        shadow_memory_mib: match reader.get("shadow_memory") {
            Some(setting) => Some(setting.number(1..=MAX_MEMORY_MIB)?),
            None => None,
        },
        viridian: reader.viridian()?,
        kvm: match reader.get("kvm") {
            Some(setting) => setting.flag()?,
            None => true,
        },
        without: reader.without()?,
        tsc: match reader.get("tsc_mhz") {
            Some(setting) => Some(TscRate {
                mhz: setting.number(1..=MAX_TSC_MHZ)?,
                place: setting.place,
            }),
            None => None,
        },
    };
    translation::check(&reader, &config.vifs, &config.consoles)?;
    Ok(Loaded {
        config,
        notes: reader.notes,
    })
}

impl Reader {
    pub(super) fn get(&self, key: &str) -> Option<&Setting> {
        self.settings.iter().find(|setting| setting.key == key)
    }

    pub(super) fn note(&mut self, setting: &Setting, reason: impl Into<String>) {
        self.notes.push(Note {
            place: setting.place,
            key: setting.key.clone(),
            reason: reason.into(),
        });
    }

    /// Refuses unknown keys and notes those without effect.
    fn check_keys(&mut self) -> Result<(), ConfigError> {
        for setting in &self.settings {
            match key::find(&setting.key) {
                Some((_, Use::Honoured)) => {}
                Some((_, Use::Ignored(shape, reason))) => {
                    setting.check(shape)?;
                    self.notes.push(Note {
                        place: setting.place,
                        key: setting.key.clone(),
                        reason: format!("ignored: {reason}"),
                    });
                }
                None => {
                    let near = suggest::nearest(&setting.key, key::names());
                    let hint =
                        near.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
                    return Err(setting.error(format!(
                        "neither xl.cfg(5) nor Monovisor has a key of this name{hint}"
                    )));
                }
            }
        }
        Ok(())
    }

    /// As in xl, `maxvcpus` beside fewer vCPUs is an error.
    fn vcpus(&self) -> Result<u32, ConfigError> {
        let vcpus = match self.get("vcpus") {
            Some(setting) => setting.number(1..=u64::from(MAX_VCPUS))? as u32,
            None => 1,
        };
        if let Some(setting) = self.get("maxvcpus") {
            setting.number(vcpus.into()..=u32::MAX.into())?;
        }
        Ok(vcpus)
    }

    fn memory(&self) -> Result<Option<Memory>, ConfigError> {
        let Some(setting) = self.get("memory") else {
            return Ok(None);
        };
        Ok(Some(Memory {
            mib: setting.number(1..=MAX_MEMORY_MIB)?,
            place: setting.place,
        }))
    }

    /// A kernel is booted directly, unless it is xm's `hvmloader`; `builder`, `type` and `device_model` ask for
    /// firmware, but a kernel beside them still wins, as in xl's direct kernel boot of HVM guests.
    fn boot(&mut self) -> Result<Boot, ConfigError> {
        let named_by = self.firmware_request()?;
        let variables = self.blob("firmware_vars")?;
        let video_rom = self.blob("video_rom")?;
        let firmware = match self.firmware()? {
            Some(code) => Firmware::Image(FirmwareImage {
                code,
                variables,
                video_rom,
            }),
            None => Firmware::Builtin,
        };
        let order = self.order()?;
        let menu_s = match self.get("boot_menu_s") {
            Some(setting) => setting.number(0..=MAX_BOOT_MENU_S)?,
            None => 0,
        };
        let kernel = self.blob("kernel")?;
        match kernel {
            Some(kernel) if !kernel.name.ends_with("hvmloader") => {
                for key in [
                    "boot",
                    "boot_menu_s",
                    "bios",
                    "firmware",
                    "firmware_vars",
                    "video_rom",
                ] {
                    self.unused(key, "ignored: `kernel` is started directly");
                }
                Ok(Boot::Linux {
                    initrd: self.initrd()?,
                    command_line: self.guest_command_line()?,
                    kernel,
                })
            }
            kernel => {
                if firmware == Firmware::Builtin {
                    for key in ["firmware_vars", "video_rom"] {
                        self.unused(key, "ignored: only a `firmware` of your own takes it");
                    }
                }
                for key in ["ramdisk", "initrd", "cmdline", "root", "extra"] {
                    self.unused(
                        key,
                        "ignored: only a `kernel` that is started directly takes it",
                    );
                }
                Ok(Boot::Firmware {
                    firmware,
                    order,
                    menu_s,
                    named_by: kernel.map(|kernel| (kernel.key, kernel.place)).or(named_by),
                })
            }
        }
    }

    fn unused(&mut self, key: &str, reason: &str) {
        if let Some(setting) = self.get(key).cloned() {
            self.note(&setting, reason);
        }
    }

    /// The key that asks for firmware, if there is one; refuses guests that cannot be hosted.
    fn firmware_request(&mut self) -> Result<Option<(&'static str, super::Place)>, ConfigError> {
        let mut named_by = None;
        if let Some(setting) = self.get("device_model") {
            setting.text()?;
            named_by = Some(("device_model", setting.place));
        }
        for (key, hvm, expected) in [
            (
                "builder",
                ["hvm", "HVM"],
                "expected \"hvm\": guests are unmodified",
            ),
            (
                "type",
                ["hvm", "pvh"],
                "expected \"hvm\": guests are unmodified",
            ),
        ] {
            let Some(setting) = self.get(key) else {
                continue;
            };
            let word = setting.text()?;
            // xm's `builder = "linux"` with a kernel boots that kernel; it may well be one that runs on bare hardware.
            if key == "builder" && matches!(word, "linux" | "generic") {
                continue;
            }
            if !hvm.contains(&word) {
                return Err(setting.error(expected));
            }
            if word != "pvh" {
                named_by = Some((key, setting.place));
            }
        }
        Ok(named_by)
    }

    /// The image to start, if it is not to be the BIOS that is built in.
    fn firmware(&self) -> Result<Option<BlobName>, ConfigError> {
        for key in ["bios_path_override", "firmware_override"] {
            if let Some(image) = self.blob(key)? {
                return Ok(Some(image));
            }
        }
        for key in ["firmware", "bios"] {
            let Some(setting) = self.get(key) else {
                continue;
            };
            return match setting.text()? {
                "bios" | "rombios" | "seabios" => Ok(None),
                "uefi" | "ovmf" => Err(setting.error(
                    "Monovisor has a BIOS but no UEFI: put OVMF.fd into the bundle and name it here",
                )),
                name if name.starts_with("pvgrub") => {
                    Err(setting.error("expected bios or a firmware image: guests are unmodified"))
                }
                name if key == "bios" => Err(setting.error(format!(
                    "`{name}`: expected seabios, rombios or ovmf"
                ))),
                _ => self.blob(key),
            };
        }
        Ok(None)
    }

    fn order(&self) -> Result<Vec<BootDevice>, ConfigError> {
        let Some(setting) = self.get("boot") else {
            return Ok(vec![BootDevice::Disk, BootDevice::Cdrom]);
        };
        let letters = setting.any_text()?.chars().map(|letter| match letter {
            'a' => Some(BootDevice::Floppy),
            'c' => Some(BootDevice::Disk),
            'd' => Some(BootDevice::Cdrom),
            'n' => Some(BootDevice::Network),
            _ => None,
        });
        letters.collect::<Option<_>>().ok_or_else(|| {
            setting.error(
                "expected letters: a (floppy), c (disk), d (CD-ROM), n (network), as in \"dc\"",
            )
        })
    }

    fn blob(&self, key: &'static str) -> Result<Option<BlobName>, ConfigError> {
        let Some(setting) = self.get(key) else {
            return Ok(None);
        };
        Ok(Some(BlobName {
            name: setting.text()?.to_string(),
            key,
            place: setting.place,
        }))
    }

    fn initrd(&self) -> Result<Option<BlobName>, ConfigError> {
        match (self.blob("ramdisk")?, self.get("initrd")) {
            (Some(_), Some(second)) => {
                Err(second.error("`ramdisk` and `initrd` are one key; expected one of them"))
            }
            (Some(ramdisk), None) => Ok(Some(ramdisk)),
            (None, _) => self.blob("initrd"),
        }
    }

    fn guest_command_line(&mut self) -> Result<String, ConfigError> {
        let mut parts = [None, None, None];
        for (part, key) in parts.iter_mut().zip(["cmdline", "root", "extra"]) {
            if let Some(setting) = self.get(key) {
                *part = Some(setting.any_text()?.to_string());
            }
        }
        match parts {
            [Some(line), ..] => {
                for key in ["root", "extra"] {
                    self.unused(key, "ignored: `cmdline` is the whole command line");
                }
                Ok(line)
            }
            [None, Some(root), Some(extra)] => Ok(format!("root={root} {extra}")),
            [None, Some(root), None] => Ok(format!("root={root}")),
            [None, None, extra] => Ok(extra.unwrap_or_default()),
        }
    }

    fn disks(&mut self) -> Result<Vec<DiskSpec>, ConfigError> {
        let Some(setting) = self.get("disk").cloned() else {
            return Ok(Vec::new());
        };
        let mut disks: Vec<DiskSpec> = Vec::new();
        for item in setting.list()? {
            let disk = DiskSpec::read(item, &mut self.notes)?;
            if disks.iter().any(|other| other.vdev == disk.vdev) {
                return Err(item.error("another disk has this vdev"));
            }
            disks.push(disk);
        }
        Ok(disks)
    }

    fn media(&self) -> Result<Vec<BlobName>, ConfigError> {
        let Some(setting) = self.get("media") else {
            return Ok(Vec::new());
        };
        let files = setting.list()?.iter().map(|item| {
            Ok(BlobName {
                name: item.text()?.to_string(),
                key: "media",
                place: item.place,
            })
        });
        files.collect()
    }

    fn vifs(&mut self) -> Result<Vec<Vif>, ConfigError> {
        let Some(setting) = self.get("vif").cloned() else {
            return Ok(Vec::new());
        };
        let mut vifs = Vec::new();
        for item in setting.list()? {
            let mut vif =
                Vif::parse(item.any_text()?).map_err(|error| item.error(error.to_string()))?;
            for (keyword, reason) in vif.ignored.drain(..) {
                self.notes.push(Note {
                    place: item.place,
                    key: format!("vif: {keyword}"),
                    reason: format!("ignored: {reason}"),
                });
            }
            vifs.push(vif);
        }
        Ok(vifs)
    }

    /// Where xl would connect the port matters not: there is one console.
    fn serial(&mut self) -> Result<Serial, ConfigError> {
        let Some(setting) = self.get("serial").cloned() else {
            return Ok(Serial::Console);
        };
        let mut ports = setting.list()?.iter();
        let serial = match ports.next() {
            None => Serial::None,
            Some(port) => match port.any_text()? {
                "none" | "null" => Serial::None,
                "pty" | "stdio" | "console" => Serial::Console,
                // Beside the console.
                text if consoles::names_network(text) => Serial::Console,
                _ => {
                    self.note(port, "the port is on Monovisor's console instead");
                    Serial::Console
                }
            },
        };
        for port in ports {
            port.any_text()?;
            self.note(port, "ignored: the guest has one serial port");
        }
        Ok(serial)
    }

    fn actions(&mut self) -> Result<Actions, ConfigError> {
        let default = Actions::default();
        Ok(Actions {
            poweroff: self.action("on_poweroff", default.poweroff)?,
            reboot: self.action("on_reboot", default.reboot)?,
            crash: self.action("on_crash", default.crash)?,
            watchdog: self.action("on_watchdog", default.watchdog)?,
        })
    }

    fn action(&mut self, key: &str, default: Action) -> Result<Action, ConfigError> {
        let Some(setting) = self.get(key).cloned() else {
            return Ok(default);
        };
        let word = setting.text()?;
        let &(_, action, remark) = action::WORDS
            .iter()
            .find(|(name, ..)| *name == word)
            .ok_or_else(|| setting.error(action::EXPECTED))?;
        if let Some(remark) = remark {
            self.note(&setting, remark);
        }
        Ok(action)
    }

    fn paging(&self) -> Result<Paging, ConfigError> {
        if let Some(setting) = self.get("paging") {
            return match setting.text()? {
                "auto" => Ok(Paging::Auto),
                "nested" | "npt" | "ept" => Ok(Paging::Nested),
                "shadow" => Ok(Paging::Shadow),
                _ => Err(setting.error("expected auto, nested (or npt, ept) or shadow")),
            };
        }
        match self.get("hap").map(Setting::flag).transpose()? {
            Some(false) => Ok(Paging::Shadow),
            Some(true) | None => Ok(Paging::Auto),
        }
    }

    /// A list, or words between commas or spaces.
    fn without(&self) -> Result<Vec<Without>, ConfigError> {
        let mut all = Vec::new();
        for setting in match self.get("without") {
            Some(setting) => setting.list()?,
            None => &[],
        } {
            let words = setting.text()?.split([',', ' ']);
            all.extend(words.filter(|word| !word.is_empty()).map(|word| Without {
                name: word.to_string(),
                place: setting.place,
            }));
        }
        Ok(all)
    }

    /// A boolean, or a list of groups.
    fn viridian(&mut self) -> Result<Viridian, ConfigError> {
        let Some(setting) = self.get("viridian").cloned() else {
            return Ok(Viridian::NONE);
        };
        let Value::List(groups) = &setting.value else {
            return Ok(if setting.flag()? {
                Viridian::ALL
            } else {
                Viridian::NONE
            });
        };
        Viridian::read(groups, |word, name| {
            self.note(word, format!("the group `{name}` is not offered"));
        })
    }
}
