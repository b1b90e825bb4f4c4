//! The key of compiled code: a hash of the component and of the engine settings that affect the code.

use crate::engine::Engine;
use sha2::{Digest, Sha256};
use std::hash::{Hash, Hasher};
use std::io::Read;

/// The key of a component or core module, the same for all engines that compile it to the same code.
#[derive(Clone, Debug)]
pub struct Key {
    name: String,
    wasm: [u8; 32],
}

impl Key {
    /// Returns the key of `wasm`.
    pub fn of(engine: &Engine, wasm: &[u8]) -> Self {
        Self::of_digest(engine, Sha256::digest(wasm).into())
    }

    /// Returns the key of the bytes that `wasm` yields. They are read in pieces.
    ///
    /// # Errors
    /// If `wasm` cannot be read.
    pub fn read(engine: &Engine, mut wasm: impl Read) -> std::io::Result<Self> {
        Ok(Self::of_digest(engine, digest(&mut wasm)?))
    }

    fn of_digest(engine: &Engine, wasm: [u8; 32]) -> Self {
        // The digest has a fixed length, so the engine's hash cannot be mistaken for a part of the component.
        let mut hasher = Sha256Hasher(Sha256::new_with_prefix(wasm));
        engine
            .wasmtime()
            .precompile_compatibility_hash()
            .hash(&mut hasher);
        Self {
            name: hex(&hasher.0.finalize()),
            wasm,
        }
    }

    /// Returns whether both keys are of the same bytes and of engines that compile to the same code.
    pub fn is(&self, other: &Self) -> bool {
        self.name == other.name
    }

    /// Returns the key as 64 hexadecimal digits.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Returns the SHA-256 of the component.
    pub(super) fn wasm(&self) -> [u8; 32] {
        self.wasm
    }
}

/// Returns the SHA-256 of the bytes that `bytes` yields.
pub(super) fn digest(bytes: &mut impl Read) -> std::io::Result<[u8; 32]> {
    let mut hasher = Sha256::new();
    let mut piece = [0; 32 << 10];
    loop {
        match bytes.read(&mut piece)? {
            0 => return Ok(hasher.finalize().into()),
            read => hasher.update(&piece[..read]),
        }
    }
}

pub(super) fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A hasher that feeds SHA-256. Its result is the whole digest instead of the 64 bits of `finish`.
struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        unreachable!("only the whole digest is used")
    }
}
