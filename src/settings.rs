//! What the environment sets: the replica's name, and whether prefetches count.

use crate::answer::Answer;
use http::StatusCode;
use std::env;

/// The variable that makes prefetches count.
const COUNT_PREFETCH: &str = "COUNT_PREFETCH";

/// The settings of one instance.
pub struct Settings {
    /// The name that this replica shows.
    pub pod: String,
    /// Whether prefetches count as visits; an error if the variable says neither `true` nor `false`.
    pub count_prefetch: Result<bool, String>,
}

impl Settings {
    /// Reads the component's environment.
    pub fn from_environment() -> Self {
        Settings::from(|name| env::var(name).ok())
    }

    /// Reads the variables that `variable` returns. Kubernetes' downward API sets `POD_NAME` if the manifest asks for
    /// it, and containers have a `HOSTNAME`, which in a pod is the same.
    fn from(variable: impl Fn(&str) -> Option<String>) -> Self {
        let pod = variable("POD_NAME").or_else(|| variable("HOSTNAME"));
        Settings {
            pod: pod.unwrap_or_else(|| "unnamed".into()),
            count_prefetch: boolean(variable(COUNT_PREFETCH).as_deref()),
        }
    }

    /// Returns the answer that tells of a setting which cannot be used; nothing is counted until it is mended.
    pub fn refusal(&self) -> Option<Answer> {
        let error = self.count_prefetch.as_ref().err()?;
        Some(Answer::line(StatusCode::INTERNAL_SERVER_ERROR, error))
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
    use super::Settings;

    fn settings(variables: &[(&str, &str)]) -> Settings {
        Settings::from(|name| {
            let found = variables.iter().find(|(it, _)| *it == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_pods_name_comes_from_pod_name_or_else_hostname() {
        let both = [("HOSTNAME", "machine"), ("POD_NAME", "visits-0")];
        assert_eq!(settings(&both).pod, "visits-0");
        assert_eq!(settings(&both[..1]).pod, "machine");
        assert_eq!(settings(&[]).pod, "unnamed");
    }

    #[test]
    fn a_prefetch_counts_only_if_the_variable_is_true() {
        assert_eq!(settings(&[]).count_prefetch, Ok(false));
        for (value, expected) in [("true", true), ("false", false)] {
            let settings = settings(&[("COUNT_PREFETCH", value)]);
            assert_eq!(settings.count_prefetch, Ok(expected));
            assert!(settings.refusal().is_none());
        }
    }

    #[test]
    fn any_other_value_is_an_error_and_no_default() {
        for value in ["", "yes", "1", "TRUE", "true\n", "truely"] {
            let settings = settings(&[("COUNT_PREFETCH", value)]);
            let error = settings.count_prefetch.as_ref().unwrap_err();
            assert!(error.contains("true or false"), "{value:?}: {error}");
            assert_eq!(error.lines().count(), 1, "{value:?}: {error}");
            assert_eq!(settings.refusal().unwrap().status, 500, "{value:?}");
        }
    }
}
