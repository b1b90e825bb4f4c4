//! The files of a crate, the modules in them, and which file defines a path.
//!
//! Paths are found by their tokens, so those inside macro calls count too. A re-export stands for the file that defines
//! the name, because a reader goes there.

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use syn::{Attribute, Item, UseTree};

/// For each file, the files that it imports and the names that it takes from them. Paths are relative to the top.
pub(super) type Imports = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// The names from the crate's root to a module; empty for the root.
type ModulePath = Vec<String>;

/// One module.
#[derive(Default)]
struct Module {
    file: String,
    /// What is defined here.
    items: BTreeSet<String>,
    /// What `use` brings here, and from where.
    aliases: BTreeMap<String, Vec<String>>,
    /// What `use …::*` brings here.
    globs: Vec<Vec<String>>,
    /// Every path in the module's code, by its segments.
    paths: Vec<Vec<String>>,
}

/// A crate's modules, without those of its tests.
pub(super) struct Crate {
    modules: BTreeMap<ModulePath, Module>,
}

impl Crate {
    /// Reads a crate from the path of its root file, relative to `top`.
    pub(super) fn read(top: &Path, root: &str) -> Self {
        let mut krate = Self {
            modules: BTreeMap::new(),
        };
        let directory = Path::new(root)
            .parent()
            .expect("a file has a directory")
            .to_owned();
        krate.read_file(top, Path::new(root), &directory, Vec::new());
        krate
    }

    /// Reads a file and the files of the modules it declares, which lie below `directory`.
    fn read_file(&mut self, top: &Path, file: &Path, directory: &Path, path: ModulePath) {
        let text = std::fs::read_to_string(top.join(file))
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let parsed =
            syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        self.read_items(top, file, directory, path, parsed.items);
    }

    fn read_items(
        &mut self,
        top: &Path,
        file: &Path,
        directory: &Path,
        path: ModulePath,
        items: Vec<Item>,
    ) {
        let mut module = Module {
            file: file.display().to_string(),
            ..Module::default()
        };
        for item in items {
            match item {
                // A file of another crate, read there.
                Item::Mod(item)
                    if item
                        .attrs
                        .iter()
                        .any(|attribute| attribute.path().is_ident("path")) => {}
                Item::Mod(item) if is_test(&item.attrs) => {}
                Item::Mod(item) => {
                    let name = item.ident.to_string();
                    let inner = [path.as_slice(), std::slice::from_ref(&name)].concat();
                    let below = directory.join(&name);
                    match item.content {
                        Some((_, items)) => self.read_items(top, file, &below, inner, items),
                        None => {
                            let file = [below.with_extension("rs"), below.join("mod.rs")]
                                .into_iter()
                                .find(|file: &PathBuf| top.join(file).is_file())
                                .unwrap_or_else(|| {
                                    panic!("{}: no file for mod {name}", file.display())
                                });
                            self.read_file(top, &file, &below, inner);
                        }
                    }
                }
                Item::Use(item) => module.add_use(&item.tree, &mut Vec::new()),
                Item::Fn(ref function) if is_test(&function.attrs) => {}
                item => {
                    module.items.extend(name_of(&item));
                    collect_paths(item.into_token_stream(), &mut module.paths);
                }
            }
        }
        self.modules.insert(path, module);
    }

    /// Returns which files import which names from which others.
    ///
    /// What a file takes from a module around it is left out: a module is the front of its parts, and they may use what
    /// it shares with all of them.
    pub(super) fn imports(&self) -> Imports {
        let mut imports = Imports::new();
        for (path, module) in &self.modules {
            let of_file = imports.entry(module.file.clone()).or_default();
            let used = module
                .aliases
                .values()
                .chain(&module.globs)
                .chain(&module.paths);
            for segments in used {
                let Some((owner, name)) = self.definition(path, segments, 0) else {
                    continue;
                };
                let file = &self.modules[&owner].file;
                if file != &module.file && !path.starts_with(&owner) {
                    of_file.entry(file.clone()).or_default().insert(name);
                }
            }
        }
        imports
    }

    /// Returns the module that defines what a path in `module` names, and the name; nothing for what another crate defines.
    fn definition(
        &self,
        module: &[String],
        segments: &[String],
        depth: usize,
    ) -> Option<(ModulePath, String)> {
        // Two globs may import each other's names.
        const MAX_DEPTH: usize = 16;
        if depth > MAX_DEPTH {
            return None;
        }
        let mut at = module.to_vec();
        let mut moved = false;
        let mut segments = segments.iter().peekable();
        while let Some(segment) = segments.next() {
            match segment.as_str() {
                "crate" => at.clear(),
                "self" => {}
                "super" => drop(at.pop()?),
                name => {
                    let child = [at.as_slice(), std::slice::from_ref(segment)].concat();
                    if self.modules.contains_key(&child) {
                        at = child;
                    } else {
                        let here = self.modules.get(&at)?;
                        let rest: Vec<String> = segments.cloned().collect();
                        return self.item(here, &at, name, &rest, moved, depth);
                    }
                }
            }
            moved = true;
        }
        let name = at.last().cloned().unwrap_or_else(|| "crate".into());
        (moved && self.modules.contains_key(&at)).then_some((at, name))
    }

    fn item(
        &self,
        here: &Module,
        at: &[String],
        name: &str,
        rest: &[String],
        moved: bool,
        depth: usize,
    ) -> Option<(ModulePath, String)> {
        if here.items.contains(name) {
            return Some((at.to_vec(), name.to_owned()));
        }
        if let Some(alias) = here.aliases.get(name) {
            // `use anyhow;` names itself.
            let same = alias.len() == 1 && alias[0] == name;
            let path = [alias.as_slice(), rest].concat();
            return if same {
                None
            } else {
                self.definition(at, &path, depth + 1)
            };
        }
        // A bare name that comes by a glob is not looked for: the glob itself is an import already.
        let globs = here.globs.iter().filter(|_| moved);
        globs
            .filter_map(|glob| {
                let path = [glob.as_slice(), &[name.to_owned()], rest].concat();
                self.definition(at, &path, depth + 1)
            })
            .next()
    }
}

impl Module {
    fn add_use(&mut self, tree: &UseTree, before: &mut Vec<String>) {
        match tree {
            UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.add_use(&path.tree, before);
                before.pop();
            }
            UseTree::Name(name) => {
                self.add_alias(name.ident.to_string(), &name.ident.to_string(), before)
            }
            UseTree::Rename(rename) => {
                self.add_alias(rename.rename.to_string(), &rename.ident.to_string(), before)
            }
            UseTree::Glob(_) => self.globs.push(before.clone()),
            UseTree::Group(group) => group
                .items
                .iter()
                .for_each(|tree| self.add_use(tree, before)),
        }
    }

    fn add_alias(&mut self, alias: String, name: &str, before: &[String]) {
        let mut path = before.to_vec();
        let alias = match name {
            "self" => before.last().cloned().unwrap_or_default(),
            name => {
                path.push(name.to_owned());
                alias
            }
        };
        self.aliases.insert(alias, path);
    }
}

/// Returns whether this is compiled for tests alone.
fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let tokens = attribute
            .meta
            .to_token_stream()
            .to_string()
            .replace(' ', "");
        tokens.starts_with("cfg(test") || tokens.starts_with("cfg(all(test")
    })
}

fn name_of(item: &Item) -> Option<String> {
    Some(match item {
        Item::Const(item) => item.ident.to_string(),
        Item::Enum(item) => item.ident.to_string(),
        Item::Fn(item) => item.sig.ident.to_string(),
        Item::Macro(item) => item.ident.as_ref()?.to_string(),
        Item::Static(item) => item.ident.to_string(),
        Item::Struct(item) => item.ident.to_string(),
        Item::Trait(item) => item.ident.to_string(),
        Item::Type(item) => item.ident.to_string(),
        Item::Union(item) => item.ident.to_string(),
        _ => return None,
    })
}

/// Collects `a::b::c` from the tokens, groups included.
fn collect_paths(tokens: TokenStream, paths: &mut Vec<Vec<String>>) {
    let mut path: Vec<String> = Vec::new();
    // Colons since the last name of the path.
    let mut colons = 0;
    for token in tokens {
        match token {
            TokenTree::Ident(name) if colons == 2 => {
                path.push(name.to_string());
                colons = 0;
            }
            TokenTree::Ident(name) => {
                keep(&mut path, paths);
                path.push(name.to_string());
                colons = 0;
            }
            TokenTree::Punct(punct) if punct.as_char() == ':' && !path.is_empty() => colons += 1,
            other => {
                keep(&mut path, paths);
                colons = 0;
                if let TokenTree::Group(group) = other {
                    collect_paths(group.stream(), paths);
                }
            }
        }
    }
    keep(&mut path, paths);
}

/// Keeps a path of two or more names; one name alone is a local one or was imported by `use`.
fn keep(path: &mut Vec<String>, paths: &mut Vec<Vec<String>>) {
    let path = std::mem::take(path);
    if path.len() > 1 {
        paths.push(path);
    }
}
