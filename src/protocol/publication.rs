//! How a claim's number gets into `visits.bin`.

/// How a claim's number gets into `visits.bin`: see [`super::fence`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Publication {
    /// It is there, or a higher one.
    Done,
    /// It is written to the open file, because nobody else has claimed.
    Write,
    /// It is written to the open file without a fence, and the ticket is read after it.
    WriteAndLook,
}
