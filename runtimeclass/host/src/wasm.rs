//! How WebAssembly binaries begin.

/// The first eight bytes of every component: magic, version 13, layer 1.
pub const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// The first eight bytes of every core module: magic, version 1, layer 0.
pub const CORE_MODULE: &[u8] = b"\0asm\x01\0\0\0";
