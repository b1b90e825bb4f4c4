//! The platforms an image says it is for. Wasm runs on all of them alike, but containerd pulls an image only when it
//! names the node's own.

use oci_spec::image::{Arch, Os, PlatformBuilder};
use std::fmt;

/// A platform, as in `ctr images pull --platform`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Platform {
    /// `linux/amd64`
    #[default]
    LinuxAmd64,
    /// `linux/arm64`
    LinuxArm64,
}

impl Platform {
    /// The platforms in an image's index, in its order.
    pub const ALL: [Self; 2] = [Self::LinuxAmd64, Self::LinuxArm64];

    /// The one that this program runs on, if images can be made for it.
    #[must_use]
    pub fn here() -> Option<Self> {
        match std::env::consts::ARCH {
            "x86_64" => Some(Self::LinuxAmd64),
            "aarch64" => Some(Self::LinuxArm64),
            _ => None,
        }
    }

    pub(crate) fn architecture(self) -> Arch {
        match self {
            Self::LinuxAmd64 => Arch::Amd64,
            Self::LinuxArm64 => Arch::ARM64,
        }
    }

    pub(crate) fn descriptor(self) -> oci_spec::image::Platform {
        PlatformBuilder::default()
            .os(Os::Linux)
            .architecture(self.architecture())
            .build()
            .expect("os and architecture are all that is required")
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", Os::Linux, self.architecture())
    }
}
