//! Links each import that this host lacks as a function that fails when it is called. So a component runs although its SDK
//! imports interfaces that it never uses.
//!
//! wasmtime's `define_unknown_imports_as_traps` compares names exactly. It would replace all of `wasi:http/types@0.2.9`
//! although the linker has a compatible version.

use semver::{Version, VersionReq};
use std::collections::BTreeMap;
use wasmtime::component::types::{ComponentFunc, ComponentItem};
use wasmtime::component::{Component, Linker, LinkerInstance, ResourceType};
use wasmtime::format_err;

/// The versions of WASI in the linker. Imports of compatible versions are resolved to them.
const WASI: [&str; 2] = ["0.2.12", "0.3.0"];

/// A resource of an interface that this host lacks. It has no values, because every function that could make one fails.
enum Missing {}

/// Links every import of the component that the linker lacks as one that fails. Returns their names, sorted: the name of an
/// interface, or the names of its missing functions if the linker has a part of it.
pub(super) fn define_missing<T: 'static>(
    linker: &mut Linker<T>,
    component: &Component,
) -> wasmtime::Result<Vec<String>> {
    let mut stubs = Stubs::default();
    let component_type = component.component_type();
    for (name, import) in component_type.imports(component.engine()) {
        match import.ty {
            ComponentItem::ComponentInstance(instance) => {
                let mut interface = linker.instance(&completed(name))?;
                for (item_name, export) in instance.exports(component.engine()) {
                    stubs.define(&mut interface, Some(name), item_name, &export.ty);
                }
            }
            item => stubs.define(&mut linker.root(), None, name, &item),
        }
    }
    Ok(stubs.names())
}

/// Returns the linker's name of the interface that an import of this name is resolved to.
fn completed(import: &str) -> String {
    let compatible = || {
        let (interface, version) = import.split_once('@')?;
        let version = Version::parse(version).ok()?;
        if !interface.starts_with("wasi:") || !version.pre.is_empty() {
            return None;
        }
        let track = VersionReq::parse(&format!("{}.{}", version.major, version.minor)).ok()?;
        let here = WASI
            .iter()
            .find(|here| Version::parse(here).is_ok_and(|here| track.matches(&here)))?;
        Some(format!("{interface}@{here}"))
    };
    compatible().unwrap_or_else(|| import.to_owned())
}

/// The imports that were linked.
#[derive(Default)]
struct Stubs {
    /// Resources that an import has introduced. A later mention of one is an alias, which needs no definition.
    resources: Vec<ResourceType>,
    interfaces: BTreeMap<String, Functions>,
}

/// The functions of one imported interface, or one function outside of an interface.
#[derive(Default)]
struct Functions {
    imported: usize,
    missing: Vec<String>,
}

impl Stubs {
    /// Defines one item if the linker lacks it. Defining an item that is there is an error, which is the only way to find
    /// out. Any other error comes again when the component is instantiated.
    fn define<T: 'static>(
        &mut self,
        linker: &mut LinkerInstance<'_, T>,
        interface: Option<&str>,
        name: &str,
        item: &ComponentItem,
    ) {
        match item {
            ComponentItem::ComponentFunc(function) => {
                let full_name = match interface {
                    Some(interface) => format!("{interface}#{name}"),
                    None => name.to_owned(),
                };
                let interface = interface.unwrap_or(name).to_owned();
                let functions = self.interfaces.entry(interface).or_default();
                functions.imported += 1;
                if define_function(linker, name, &full_name, function).is_ok() {
                    functions.missing.push(full_name);
                }
            }
            ComponentItem::Resource(resource) if !self.resources.contains(resource) => {
                self.resources.push(*resource);
                let _ = linker.resource(name, ResourceType::host::<Missing>(), |_, _| Ok(()));
            }
            _ => {}
        }
    }

    fn names(self) -> Vec<String> {
        let mut names = Vec::new();
        for (interface, functions) in self.interfaces {
            if functions.missing.len() == functions.imported {
                names.push(interface);
            } else {
                names.extend(functions.missing);
            }
        }
        names.sort();
        names
    }
}

/// Defines a function that fails. wasmtime needs another kind of definition for an `async` function.
fn define_function<T: 'static>(
    linker: &mut LinkerInstance<'_, T>,
    name: &str,
    full_name: &str,
    function: &ComponentFunc,
) -> wasmtime::Result<()> {
    let full_name = full_name.to_owned();
    let error =
        move || format_err!("the component called {full_name}, which this host does not have");
    if function.async_() {
        linker.func_new_concurrent(name, move |_, _, _, _| {
            let error = error();
            Box::pin(async move { Err(error) })
        })
    } else {
        linker.func_new(name, move |_, _, _, _| Err(error()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_of_compatible_versions_are_completed() {
        for (import, name) in [
            ("wasi:http/types@0.2.0", "wasi:http/types@0.2.12"),
            ("wasi:http/types@0.2.99", "wasi:http/types@0.2.12"),
            ("wasi:http/types@0.3.1", "wasi:http/types@0.3.0"),
        ] {
            assert_eq!(completed(import), name);
        }
    }

    #[test]
    fn other_imports_keep_their_names() {
        for import in [
            "fermyon:spin/key-value@2.0.0",
            "fermyon:spin/llm",
            "wasi:config/store@0.2.0-draft-2024-09-27",
            "wasi:http/types@0.3.0-rc-2026-03-15",
            "wasi:http/types@0.4.0",
            "wasi:http/types@1.0.0",
            "wasi:keyvalue/store@0.2",
        ] {
            assert_eq!(completed(import), import);
        }
    }

    #[test]
    fn the_versions_are_those_of_the_linker() {
        let engine = crate::engine::Engine::new().expect("an engine");
        let mut linker = crate::component::linker(engine.wasmtime()).expect("the linker");
        for (interface, function) in [
            ("wasi:io/poll@0.2.12", "poll"),
            ("wasi:http/outgoing-handler@0.2.12", "handle"),
            ("wasi:random/random@0.3.0", "get-random-u64"),
            ("wasi:http/client@0.3.0", "send"),
        ] {
            let mut interface = linker.instance(interface).expect("an instance");
            let defined = interface.func_new(function, |_, _, _, _| Ok(()));
            assert!(defined.is_err(), "{function} is not there");
        }
    }
}
