//! What a component is given: its environment, its directories, the requests it may send, and its variables.

use crate::outbound::Allowed;
use crate::preopens::Preopen;
use crate::trust::Trust;
use crate::variable_interfaces::ComponentVariables;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The grants of one component. Every instance of it gets the same.
pub(crate) struct Grants {
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) preopens: Vec<Preopen>,
    pub(crate) outbound: Allowed,
    pub(crate) trust: Arc<Trust>,
    pub(crate) variables: ComponentVariables,
}
