//! The runtime of pods that name none.

use crate::paths::SHIM;
use clap::ValueEnum;
use std::fmt;

/// The default runtime of the node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Runtime {
    /// runc
    #[default]
    Runc,
    /// The shim of this repository
    Preopen,
}

impl Runtime {
    /// Returns its name in containerd's configuration.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Runc => "runc",
            Self::Preopen => "preopen",
        }
    }

    /// Returns its shim, as containerd's configuration names it.
    pub(crate) fn shim(self) -> &'static str {
        match self {
            Self::Runc => "io.containerd.runc.v2",
            Self::Preopen => SHIM,
        }
    }
}

impl fmt::Display for Runtime {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
