//! The platforms of an image. Wasm runs the same on all of them, but containerd only pulls an image that names the node's
//! platform.

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
    /// The platforms of an image without native code, in the order of its index.
    pub const ALL: [Self; 2] = [Self::LinuxAmd64, Self::LinuxArm64];

    /// Returns the platform of this machine, if images support it.
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
