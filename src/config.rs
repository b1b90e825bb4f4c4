//! The configuration, from the environment: the replica's name, and whether prefetches count.

use crate::response::{self, Response};
use http::StatusCode;
use std::env;

/// The variable that makes prefetches count.
const COUNT_PREFETCH: &str = "COUNT_PREFETCH";

/// The configuration of one instance.
pub struct Config {
    /// The replica's name, which the page and JSON show.
    pub pod: String,
    /// Whether prefetches count as visits; an error if the variable is neither `true` nor `false`.
    pub count_prefetch: Result<bool, String>,
}

impl Config {
    /// Reads the component's environment.
    pub fn from_environment() -> Self {
        Config::from(|name| env::var(name).ok())
    }

    /// Reads the variables that `variable` returns. A manifest can set `POD_NAME` by Kubernetes' downward API. Without it
    /// the `HOSTNAME` that containers have is the same name.
    fn from(variable: impl Fn(&str) -> Option<String>) -> Self {
        let pod = variable("POD_NAME").or_else(|| variable("HOSTNAME"));
        Config {
            pod: pod.unwrap_or_else(|| "unnamed".into()),
            count_prefetch: boolean(variable(COUNT_PREFETCH).as_deref()),
        }
    }

    /// Returns the response to every visit and probe if a variable cannot be used. Nothing is counted until it is
    /// corrected.
    pub fn refusal(&self) -> Option<Response> {
        let error = self.count_prefetch.as_ref().err()?;
        Some(response::line(StatusCode::INTERNAL_SERVER_ERROR, error))
    }
}

fn boolean(value: Option<&str>) -> Result<bool, String> {
    match value {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => Err(format!(
            "cannot use the variable {COUNT_PREFETCH}={other:?}: set it to true or false"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::Config;

    fn config(variables: &[(&str, &str)]) -> Config {
        Config::from(|name| {
            let found = variables.iter().find(|(it, _)| *it == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_pods_name_comes_from_pod_name_or_else_hostname() {
        let both = [("HOSTNAME", "machine"), ("POD_NAME", "visits-0")];
        assert_eq!(config(&both).pod, "visits-0");
        assert_eq!(config(&both[..1]).pod, "machine");
        assert_eq!(config(&[]).pod, "unnamed");
    }

    #[test]
    fn a_prefetch_counts_only_if_the_variable_is_true() {
        assert_eq!(config(&[]).count_prefetch, Ok(false));
        for (value, expected) in [("true", true), ("false", false)] {
            let config = config(&[("COUNT_PREFETCH", value)]);
            assert_eq!(config.count_prefetch, Ok(expected));
            assert!(config.refusal().is_none());
        }
    }

    #[test]
    fn any_other_value_is_an_error_instead_of_a_default() {
        for value in ["", "yes", "1", "TRUE", "true\n", "truely"] {
            let config = config(&[("COUNT_PREFETCH", value)]);
            let error = config.count_prefetch.as_ref().unwrap_err();
            assert!(error.contains("true or false"), "{value:?}: {error}");
            assert_eq!(error.lines().count(), 1, "{value:?}: {error}");
            assert_eq!(config.refusal().unwrap().status(), 500, "{value:?}");
        }
    }
}
