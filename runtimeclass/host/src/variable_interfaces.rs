//! The interfaces through which a component reads its variables: those of Spin's SDKs, old and new, and `wasi:config`.
//!
//! The functions are bound by hand, which takes less code than generated bindings for three almost equal interfaces.

use crate::variables::check_name;
use std::collections::BTreeMap;
use std::sync::Arc;
use wasmtime::StoreContextMut;
use wasmtime::component::{Accessor, ComponentType, Lift, Linker, Lower};

/// The interface that Spin's SDKs for WASI 0.2 import.
const SPIN_2: &str = "fermyon:spin/variables@2.0.0";
/// The interface that Spin's SDKs for WASI 0.3 import.
const SPIN_3: &str = "spin:variables/variables@3.0.0";
/// The drafts of `wasi:config` that toolchains use. They have the same functions.
const WASI: [&str; 2] = [
    "wasi:config/store@0.2.0-draft-2024-09-27",
    "wasi:config/store@0.2.0-rc.1",
];

/// The variables of a component with their values. It does not implement `Debug`, because a value may be a secret.
#[derive(Clone, Default)]
pub(crate) struct ComponentVariables {
    component: Arc<str>,
    values: Arc<BTreeMap<String, String>>,
}

/// The error type of Spin's interfaces.
#[derive(Debug, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(variant)]
enum Error {
    #[component(name = "invalid-name")]
    InvalidName(String),
    #[component(name = "undefined")]
    Undefined(String),
    #[component(name = "provider")]
    Provider(String),
    #[component(name = "other")]
    Other(String),
}

/// The error type of `wasi:config`. It is never returned, because all values are known before a component starts.
#[derive(Debug, ComponentType, Lift, Lower)]
#[component(variant)]
enum StoreError {
    #[component(name = "upstream")]
    Upstream(String),
    #[component(name = "io")]
    Io(String),
}

impl ComponentVariables {
    /// Returns the variables of the component with this name.
    pub(crate) fn new(component: &str, values: BTreeMap<String, String>) -> Self {
        Self {
            component: component.into(),
            values: Arc::new(values),
        }
    }

    fn get(&self, name: &str) -> Result<String, Error> {
        check_name(name).map_err(|error| Error::InvalidName(error.to_string()))?;
        let value = self.values.get(name).cloned();
        value.ok_or_else(|| {
            let component = &self.component;
            Error::Undefined(format!("no variable for {component:?}.{name:?}"))
        })
    }

    fn all(&self) -> Vec<(String, String)> {
        let values = self.values.iter();
        values
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }
}

/// The data of a store whose component has variables.
pub(crate) trait VariablesView: Send + 'static {
    /// Returns the component's variables.
    fn variables(&self) -> &ComponentVariables;
}

/// Adds the interfaces to `linker`.
pub(crate) fn add_to_linker<T: VariablesView>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    linker.instance(SPIN_2)?.func_wrap(
        "get",
        |store: StoreContextMut<'_, T>, (name,): (String,)| {
            Ok((store.data().variables().get(&name),))
        },
    )?;
    linker.instance(SPIN_3)?.func_wrap_concurrent(
        "get",
        |accessor: &Accessor<T>, (name,): (String,)| {
            let value = accessor.with(|mut access| access.data_mut().variables().get(&name));
            Box::pin(std::future::ready(Ok((value,))))
        },
    )?;
    for name in WASI {
        let mut store = linker.instance(name)?;
        store.func_wrap(
            "get",
            |store: StoreContextMut<'_, T>, (name,): (String,)| {
                let value = store.data().variables().get(&name).ok();
                Ok((Ok::<_, StoreError>(value),))
            },
        )?;
        store.func_wrap("get-all", |store: StoreContextMut<'_, T>, (): ()| {
            Ok((Ok::<_, StoreError>(store.data().variables().all()),))
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_or_missing_as_in_spin() {
        let values = BTreeMap::from([("token".to_owned(), "x".to_owned())]);
        let variables = ComponentVariables::new("shop", values);
        assert_eq!(variables.get("token"), Ok("x".to_owned()));
        let undefined = Error::Undefined("no variable for \"shop\".\"other\"".into());
        assert_eq!(variables.get("other"), Err(undefined));
        assert!(matches!(variables.get("Token"), Err(Error::InvalidName(_))));
        assert_eq!(variables.all(), [("token".to_owned(), "x".to_owned())]);
    }
}
