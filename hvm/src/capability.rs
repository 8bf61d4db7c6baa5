//! What a CPU offers for virtualization, in neutral form: the content of the capability report.
//!
//! `svm_core::capability` and `vmx_core::capability` fill it in, each from CPUID and its MSRs passed in as functions, so that
//! any CPU can be played in tests. They read only MSRs that CPUID promises.

use crate::cpuid::Source;
use bitflags::bitflags;
use core::fmt;

/// RDMSR on this CPU, as a function of ECX.
pub type MsrSource<'a> = &'a dyn Fn(u32) -> u64;

/// Who made the CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vendor {
    /// `GenuineIntel`.
    Intel,
    /// `AuthenticAMD`.
    Amd,
    /// `HygonGenuine`: AMD's design.
    Hygon,
    /// Somebody else: the twelve bytes of CPUID leaf 0.
    Other([u8; 12]),
}

impl Vendor {
    /// The vendor in CPUID leaf 0: EBX, EDX, ECX.
    pub fn of(cpuid: Source<'_>) -> Self {
        let [_, ebx, ecx, edx] = cpuid(0, 0);
        let mut name = [0; 12];
        for (place, register) in name.as_chunks_mut::<4>().0.iter_mut().zip([ebx, edx, ecx]) {
            *place = register.to_le_bytes();
        }
        match &name {
            b"GenuineIntel" => Self::Intel,
            b"AuthenticAMD" => Self::Amd,
            b"HygonGenuine" => Self::Hygon,
            _ => Self::Other(name),
        }
    }
}

impl fmt::Display for Vendor {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Intel => out.write_str("Intel"),
            Self::Amd => out.write_str("AMD"),
            Self::Hygon => out.write_str("Hygon"),
            Self::Other(name) => write!(out, "{}", name.escape_ascii()),
        }
    }
}

/// The CPU's name for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Model {
    text: [u8; 48],
}

impl Model {
    const FIRST_LEAF: u32 = 0x8000_0002;
    const LAST_LEAF: u32 = 0x8000_0004;

    /// The processor name of CPUID leaves 8000_0002h to 8000_0004h; empty where the CPU has none.
    pub fn of(cpuid: Source<'_>) -> Self {
        let mut text = [0; 48];
        if cpuid(0x8000_0000, 0)[0] >= Self::LAST_LEAF {
            let registers = (Self::FIRST_LEAF..=Self::LAST_LEAF).flat_map(|leaf| cpuid(leaf, 0));
            for (place, register) in text.as_chunks_mut::<4>().0.iter_mut().zip(registers) {
                *place = register.to_le_bytes();
            }
        }
        Self { text }
    }

    /// As text, without the padding at both ends.
    pub fn as_str(&self) -> &str {
        let end = self
            .text
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(self.text.len());
        core::str::from_utf8(&self.text[..end])
            .unwrap_or("(name is no text)")
            .trim()
    }
}

/// The two makes of hardware virtualization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Technology {
    /// AMD-V (SVM).
    AmdV,
    /// Intel VT-x (VMX).
    VtX,
}

impl Technology {
    /// The name that vendors and firmware menus use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AmdV => "AMD-V",
            Self::VtX => "VT-x",
        }
    }

    /// What nested paging is called.
    pub const fn nested_paging_name(self) -> &'static str {
        match self {
            Self::AmdV => "NPT",
            Self::VtX => "EPT",
        }
    }

    /// What TLB tags are called.
    pub const fn tag_name(self) -> &'static str {
        match self {
            Self::AmdV => "ASIDs",
            Self::VtX => "VPIDs",
        }
    }

    /// What interrupt-controller virtualization is called.
    pub const fn apic_virtualization_name(self) -> &'static str {
        match self {
            Self::AmdV => "AVIC",
            Self::VtX => "APICv",
        }
    }

    /// The page of CPUID that shows it, for people: leaf and bit.
    pub const fn cpuid_bit(self) -> &'static str {
        match self {
            Self::AmdV => "CPUID 8000_0001h.ECX[2] (SVM) is 0",
            Self::VtX => "CPUID 1.ECX[5] (VMX) is 0",
        }
    }

    /// What shows nested paging, for people: register and bit.
    pub const fn nested_paging_bit(self) -> &'static str {
        match self {
            Self::AmdV => "CPUID 8000_000Ah.EDX[0] (NP) is 0",
            Self::VtX => "IA32_VMX_PROCBASED_CTLS2 (MSR 48Bh) bit 33 (EPT) is 0",
        }
    }

    /// What firmware menus call the switch.
    pub const fn menu_name(self) -> &'static str {
        match self {
            Self::AmdV => "\"SVM Mode\" or \"AMD-V\"",
            Self::VtX => "\"Intel Virtualization Technology\" or \"VT-x\"",
        }
    }
}

/// Which MSR bit keeps the extension off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lock {
    /// The MSR.
    pub msr: u32,
    /// The bits, for people: "VM_CR: SVMDIS (bit 4) is set".
    pub what: &'static str,
}

impl fmt::Display for Lock {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "MSR {:X}h {}", self.msr, self.what)
    }
}

bitflags! {
    /// Options that save work; every one has a software path.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Options: u32 {
        /// The instruction's length or next RIP is given at exits.
        const NEXT_RIP = 1;
        /// Instruction bytes or operands are given at exits.
        const DECODE_ASSISTS = 1 << 1;
        /// Unchanged parts of the control block need not be read again.
        const CLEAN_BITS = 1 << 2;
        /// One guest's TLB entries can be flushed alone.
        const FLUSH_BY_TAG = 1 << 3;
        /// Real mode and unpaged guests run as they are.
        const UNRESTRICTED_GUEST = 1 << 4;
        /// Virtual NMIs with their blocking.
        const VIRTUAL_NMI = 1 << 5;
        /// The guest's TSC rate can differ.
        const TSC_SCALING = 1 << 6;
        /// An exit after a time.
        const PREEMPTION_TIMER = 1 << 7;
        /// Exits from PAUSE loops alone.
        const PAUSE_FILTER = 1 << 8;
        /// Interrupts reach a running guest without an exit.
        const POSTED_INTERRUPTS = 1 << 9;
        /// Accessed and dirty bits in nested page tables.
        const NESTED_DIRTY_BITS = 1 << 10;
        /// The guest's task priority is kept by the CPU.
        const TPR_SHADOW = 1 << 11;
        /// The CPU lists the pages whose dirty bits it sets.
        const PAGE_MODIFICATION_LOG = 1 << 12;
        /// Accesses to the page of the guest's local APIC are told apart, and those to the task priority served.
        const APIC_ACCESS_PAGE = 1 << 13;
        /// The same for the MSRs of x2APIC mode.
        const X2APIC_VIRTUALIZATION = 1 << 14;
        /// EFER and PAT are switched by controls; else by lists.
        const MSR_CONTROLS = 1 << 15;
        /// The pause filter tells PAUSEs in a loop from those that are far apart.
        const PAUSE_THRESHOLD = 1 << 16;
        /// An interrupt enters as a virtual one that is pending, and not as an injected event: better where injected ones may come twice.
        const VIRTUAL_INTERRUPT = 1 << 17;
    }
}

impl Options {
    const NAMES: [(Self, &'static str); 18] = [
        (Self::NEXT_RIP, "next RIP"),
        (Self::DECODE_ASSISTS, "decode assists"),
        (Self::CLEAN_BITS, "clean bits"),
        (Self::FLUSH_BY_TAG, "flush by tag"),
        (Self::UNRESTRICTED_GUEST, "unrestricted guest"),
        (Self::VIRTUAL_NMI, "virtual NMI"),
        (Self::TSC_SCALING, "TSC scaling"),
        (Self::PREEMPTION_TIMER, "preemption timer"),
        (Self::PAUSE_FILTER, "pause filter"),
        (Self::POSTED_INTERRUPTS, "posted interrupts"),
        (Self::NESTED_DIRTY_BITS, "nested dirty bits"),
        (Self::TPR_SHADOW, "TPR shadow"),
        (Self::PAGE_MODIFICATION_LOG, "page modification log"),
        (Self::APIC_ACCESS_PAGE, "APIC-access page"),
        (Self::X2APIC_VIRTUALIZATION, "x2APIC virtualization"),
        (Self::MSR_CONTROLS, "MSR controls"),
        (Self::PAUSE_THRESHOLD, "pause threshold"),
        (Self::VIRTUAL_INTERRUPT, "virtual interrupt"),
    ];
}

impl fmt::Display for Options {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return out.write_str("none");
        }
        let present = Self::NAMES
            .iter()
            .filter(|(option, _)| self.contains(*option));
        for (index, (_, name)) in present.enumerate() {
            out.write_str(if index > 0 { ", " } else { "" })?;
            out.write_str(name)?;
        }
        Ok(())
    }
}

/// Whether the CPU walks a second set of page tables, and with which pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NestedPaging {
    /// No: only shadow paging is possible.
    Absent,
    /// Pages of 4 KiB and 2 MiB.
    Large,
    /// Pages of 1 GiB, too.
    Huge,
}

/// Whether the CPU answers the guest's accesses to its local APIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ApicVirtualization {
    /// No; the hypervisor does.
    Absent,
    /// Yes.
    Present,
}

/// What a usable extension offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features {
    /// Nested paging.
    pub nested_paging: NestedPaging,
    /// How many TLB tags a hypervisor may give to guests; 0 = none.
    pub tags: u32,
    /// Local APIC virtualization.
    pub apic_virtualization: ApicVirtualization,
    /// The rest.
    pub options: Options,
}

/// How things stand with the extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extension {
    /// The CPU has none, or hides it.
    Absent,
    /// The CPU has it and firmware keeps it off.
    Locked(Lock),
    /// This build has no code for it.
    NotBuilt,
    /// It can be used.
    Usable(Features),
}

/// One CPU, as reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capability {
    /// Its maker.
    pub vendor: Vendor,
    /// Its name.
    pub model: Model,
    /// Which make of the extension the vendor builds; `None` for vendors that we do not know.
    pub technology: Option<Technology>,
    /// Its state.
    pub extension: Extension,
}

impl Capability {
    /// A CPU of a vendor whose extension we do not know.
    pub fn unknown(cpuid: Source<'_>) -> Self {
        Self {
            vendor: Vendor::of(cpuid),
            model: Model::of(cpuid),
            technology: None,
            extension: Extension::Absent,
        }
    }

    /// A CPU whose make of the extension was left out of this build.
    pub fn not_built(cpuid: Source<'_>, technology: Technology) -> Self {
        Self {
            technology: Some(technology),
            extension: Extension::NotBuilt,
            ..Self::unknown(cpuid)
        }
    }
}

impl fmt::Display for Capability {
    /// One line: "AMD EPYC Processor: AMD-V usable, NPT with 1 GiB pages, 16 ASIDs, no AVIC; options: none".
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let model = self.model.as_str();
        let vendor = self.vendor;
        match model {
            "" => write!(out, "{vendor} CPU: ")?,
            _ => write!(out, "{vendor}, {model}: ")?,
        }
        let Some(technology) = self.technology else {
            return out.write_str("no extension that Monovisor knows");
        };
        let name = technology.name();
        match &self.extension {
            Extension::Absent => write!(out, "{name} absent ({})", technology.cpuid_bit()),
            Extension::Locked(lock) => write!(out, "{name} present, kept off by firmware ({lock})"),
            Extension::NotBuilt => write!(out, "{name} is left out of this build"),
            Extension::Usable(features) => {
                write!(out, "{name} usable, ")?;
                features.describe(technology, out)
            }
        }
    }
}

/// A name that [`Features::without`] does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownOption;

impl fmt::Display for UnknownOption {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("no such option of a CPU; there are tags, huge pages, apicv")?;
        for (_, name) in Options::NAMES {
            write!(out, ", {name}")?;
        }
        out.write_str(" (with hyphens for spaces)")
    }
}

/// True if `word` is the name, with hyphens for spaces and in any case.
fn is_hyphenated(name: &str, word: &str) -> bool {
    let plain = |byte: u8| {
        if byte == b'-' {
            b' '
        } else {
            byte.to_ascii_lowercase()
        }
    };
    name.bytes().map(plain).eq(word.bytes().map(plain))
}

impl Features {
    /// What both CPUs offer: a guest's vCPUs are alike, wherever they run.
    pub fn common(self, other: Self) -> Self {
        Self {
            nested_paging: self.nested_paging.min(other.nested_paging),
            tags: self.tags.min(other.tags),
            apic_virtualization: self.apic_virtualization.min(other.apic_virtualization),
            options: self.options & other.options,
        }
    }

    /// The same CPU without one option, by its name in lower case with hyphens ("next-rip", "tpr-shadow"; "tags" are ASIDs and VPIDs).
    pub fn without(mut self, name: &str) -> Result<Self, UnknownOption> {
        match name {
            "tags" | "asid" | "vpid" => self.tags = 0,
            "huge-pages" => {
                if self.nested_paging == NestedPaging::Huge {
                    self.nested_paging = NestedPaging::Large;
                }
            }
            "apic-virtualization" | "apicv" | "avic" => {
                self.apic_virtualization = ApicVirtualization::Absent;
            }
            _ => {
                let mut options = Options::NAMES.iter();
                let known = options.find(|(_, known)| is_hyphenated(known, name));
                let (option, _) = known.ok_or(UnknownOption)?;
                self.options -= *option;
            }
        }
        Ok(self)
    }

    fn describe(&self, technology: Technology, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nested = technology.nested_paging_name();
        match self.nested_paging {
            NestedPaging::Absent => write!(out, "no {nested}")?,
            NestedPaging::Large => write!(out, "{nested} with 2 MiB pages")?,
            NestedPaging::Huge => write!(out, "{nested} with 1 GiB pages")?,
        }
        write!(out, ", {} {}, ", self.tags, technology.tag_name())?;
        if self.apic_virtualization == ApicVirtualization::Absent {
            out.write_str("no ")?;
        }
        write!(
            out,
            "{}; options: {}",
            technology.apic_virtualization_name(),
            self.options
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    fn registers(text: &[u8; 12]) -> [u32; 4] {
        let word = |at: usize| u32::from_le_bytes(text[at..at + 4].try_into().unwrap());
        [0x1f, word(0), word(8), word(4)]
    }

    #[test]
    fn vendors_are_told_by_leaf_0() {
        let vendor = |text| Vendor::of(&|_, _| registers(text));
        assert_eq!(vendor(b"GenuineIntel"), Vendor::Intel);
        assert_eq!(vendor(b"AuthenticAMD"), Vendor::Amd);
        assert_eq!(vendor(b"HygonGenuine"), Vendor::Hygon);
        assert_eq!(vendor(b"CentaurHauls").to_string(), "CentaurHauls");
    }

    #[test]
    fn the_model_is_trimmed_and_may_be_missing() {
        let named = |leaf, _| match leaf {
            0x8000_0000 => [0x8000_001f, 0, 0, 0],
            0x8000_0002 => [*b"    ", *b"EPYC", *b" Tes", *b"t\0\0\0"].map(u32::from_le_bytes),
            _ => [0; 4],
        };
        assert_eq!(Model::of(&named).as_str(), "EPYC Test");
        assert_eq!(Model::of(&|_, _| [0; 4]).as_str(), "");
    }

    #[test]
    fn what_is_left_out_on_one_cpu_is_not_in_common() {
        let all = Features {
            nested_paging: NestedPaging::Huge,
            tags: 16,
            apic_virtualization: ApicVirtualization::Present,
            options: Options::all(),
        };
        assert_eq!(all.common(all), all);
        for name in ["tags", "huge-pages", "apicv", "next-rip"] {
            let less = all.without(name).unwrap();
            assert_ne!(less, all, "{name}");
            assert_eq!(all.common(less), less, "{name}");
            assert_eq!(less.common(all), less, "{name}");
        }
    }

    #[test]
    fn options_can_be_left_out_by_name() {
        let all = Features {
            nested_paging: NestedPaging::Huge,
            tags: 15,
            apic_virtualization: ApicVirtualization::Present,
            options: Options::NEXT_RIP | Options::TPR_SHADOW,
        };
        assert_eq!(
            all.without("next-rip").unwrap().options,
            Options::TPR_SHADOW
        );
        assert_eq!(
            all.without("TPR-shadow").unwrap().options,
            Options::NEXT_RIP
        );
        assert_eq!(all.without("vpid").unwrap().tags, 0);
        let large = all.without("huge-pages").unwrap();
        assert_eq!(large.nested_paging, NestedPaging::Large);
        assert_eq!(all.without("florizel"), Err(UnknownOption));
        let text = UnknownOption.to_string();
        assert!(text.contains("preemption timer") && text.contains("hyphens"));
    }

    #[test]
    fn a_line_names_everything() {
        let cpuid = |_, _| registers(b"AuthenticAMD");
        let features = Features {
            nested_paging: NestedPaging::Huge,
            tags: 15,
            apic_virtualization: ApicVirtualization::Absent,
            options: Options::NEXT_RIP | Options::FLUSH_BY_TAG,
        };
        let usable = Capability {
            technology: Some(Technology::AmdV),
            extension: Extension::Usable(features),
            ..Capability::unknown(&cpuid)
        };
        assert!(usable.to_string().ends_with(
            "AMD-V usable, NPT with 1 GiB pages, 15 ASIDs, no AVIC; options: next RIP, flush by tag"
        ));
        let lock = Lock {
            msr: 0xc001_0114,
            what: "VM_CR: SVMDIS (bit 4) is set",
        };
        let locked = Capability {
            extension: Extension::Locked(lock),
            ..usable
        };
        assert!(
            locked
                .to_string()
                .contains("kept off by firmware (MSR C0010114h VM_CR: SVMDIS")
        );
    }
}
