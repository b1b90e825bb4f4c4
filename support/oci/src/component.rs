//! The names of a component's imports and exports, read from its binary.

use anyhow::{Context, Result, ensure};
use wasmparser::{Encoding, Parser, Payload};

/// The names of a component's imports and exports, in its own order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Interface {
    pub(crate) imports: Vec<String>,
    pub(crate) exports: Vec<String>,
}

/// Reads the names. The rest of the component is not validated; the runtime does that.
pub(crate) fn interface(bytes: &[u8]) -> Result<Interface> {
    read(bytes).context("not a well-formed component")
}

fn read(bytes: &[u8]) -> Result<Interface> {
    let mut interface = Interface::default();
    // Nested components and modules have imports and exports of their own.
    let mut depth = 0;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload? {
            Payload::Version { encoding, .. } => {
                let is_component = depth > 0 || encoding == Encoding::Component;
                ensure!(is_component, "a core module");
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    interface.imports.push(import?.name.full_name().into());
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    interface.exports.push(export?.name.full_name().into());
                }
            }
            _ => {}
        }
    }
    Ok(interface)
}
