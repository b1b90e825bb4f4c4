//! The change that each overlay makes, and their combination.

use crate::render::Objects;
use crate::repository;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use visits_support::files::copy_tree;

/// Fails unless a pod complies with the Pod Security standard `restricted`, as far as it concerns this project's pods.
pub(crate) fn check_restricted(pod: &Value) -> Result<()> {
    let whole = &pod["securityContext"];
    let none = Vec::new();
    let list = |value: &'_ Value| value.as_array().unwrap_or(&none).clone();
    for unwanted in ["hostNetwork", "hostPID", "hostIPC"] {
        ensure!(pod[unwanted].is_null(), "{unwanted}");
    }
    for volume in list(&pod["volumes"]) {
        ensure!(!volume["persistentVolumeClaim"].is_null(), "{volume}");
    }
    for container in [list(&pod["initContainers"]), list(&pod["containers"])].concat() {
        let own = &container["securityContext"];
        let either = |name: &str| {
            let value = if own[name].is_null() { whole } else { own };
            value[name].clone()
        };
        assert_eq!(either("runAsNonRoot"), true, "{container}");
        assert_eq!(either("runAsUser"), 65532, "{container}");
        let seccomp = either("seccompProfile");
        assert_eq!(seccomp["type"], "RuntimeDefault", "{container}");
        assert_eq!(own["allowPrivilegeEscalation"], false, "{container}");
        assert_eq!(own["readOnlyRootFilesystem"], true, "{container}");
        let only_drops = serde_json::json!({ "drop": ["ALL"] });
        assert_eq!(own["capabilities"], only_drops, "{container}");
    }
    Ok(())
}

fn paths(counter: &Value) -> [&Value; 3] {
    ["startupProbe", "readinessProbe", "livenessProbe"]
        .map(|probe| &counter[probe]["httpGet"]["path"])
}

#[test]
#[ignore = "needs kubectl: cargo xtask test cluster"]
fn in_the_base_one_container_is_root_and_can_only_change_owners() -> Result<()> {
    let mut pod = Objects::of("k8s")?.pod()?.clone();
    let init = pod["initContainers"].take();
    check_restricted(&pod)?;
    assert_eq!(init.as_array().map(Vec::len), Some(1), "{init}");
    let rights = &init[0]["securityContext"];
    let chown = serde_json::json!({ "drop": ["ALL"], "add": ["CHOWN"] });
    assert_eq!(rights["capabilities"], chown);
    assert_eq!(rights["allowPrivilegeEscalation"], false);
    assert_eq!(rights["readOnlyRootFilesystem"], true);
    Ok(())
}

#[test]
#[ignore = "needs kubectl: cargo xtask test cluster"]
fn the_fsgroup_overlay_is_restricted_and_its_group_is_the_counters() -> Result<()> {
    let overlay = Objects::of("k8s/overlays/fsgroup")?;
    let pod = overlay.pod()?;
    ensure!(pod["initContainers"].is_null(), "{pod}");
    let group = &overlay.counter()?["securityContext"]["runAsGroup"];
    assert_eq!(&pod["securityContext"]["fsGroup"], group);
    check_restricted(pod)
}

#[test]
#[ignore = "needs kubectl: cargo xtask test cluster"]
fn the_overlay_probes_healthz_changes_the_probes_and_nothing_else() -> Result<()> {
    let overlay = Objects::of("k8s/overlays/probes-healthz")?;
    let paths = paths(overlay.counter()?);
    assert_eq!(paths, ["/healthz", "/healthz", "/livez"]);
    // Nothing else differs, such as a period or the port.
    let mut counter = overlay.counter()?.clone();
    for probe in ["startupProbe", "readinessProbe"] {
        counter[probe]["httpGet"]["path"] = "/".into();
    }
    assert_eq!(&counter, Objects::of("k8s")?.counter()?);
    Ok(())
}

#[test]
#[ignore = "needs kubectl: cargo xtask test cluster"]
fn the_overlay_larger_claim_changes_the_claim_to_a_gibibyte_and_nothing_else() -> Result<()> {
    let mut set = Objects::of("k8s/overlays/larger-claim")?
        .get("StatefulSet", "visits")?
        .clone();
    let claim = &mut set["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"];
    assert_eq!(claim["storage"], "1Gi");
    claim["storage"] = "1Mi".into();
    assert_eq!(&set, Objects::of("k8s")?.get("StatefulSet", "visits")?);
    Ok(())
}

#[test]
#[ignore = "needs kubectl: cargo xtask test cluster"]
fn the_other_overlays_add_one_object_each() -> Result<()> {
    let base = Objects::of("k8s")?;
    for (name, kind) in [
        ("servicemonitor", "ServiceMonitor"),
        ("networkpolicy", "NetworkPolicy"),
    ] {
        let overlay = Objects::of(&format!("k8s/overlays/{name}"))?;
        let mut names = overlay.names();
        names.retain(|name| !base.names().contains(name));
        assert_eq!(names, [format!("{kind} visits")]);
        assert_eq!(overlay.pod()?, base.pod()?);
    }
    let monitors = Objects::of("k8s/overlays/servicemonitor")?;
    let wanted = &monitors.get("ServiceMonitor", "visits")?["spec"]["selector"]["matchLabels"];
    let wanted = wanted.as_object().context("labels")?;
    let seen = monitors.0.iter().filter(|object| {
        let labels = &object["metadata"]["labels"];
        object["kind"] == "Service" && wanted.iter().all(|(key, value)| &labels[key] == value)
    });
    assert_eq!(
        seen.count(),
        1,
        "one Service selects the counters for monitoring"
    );
    Ok(())
}

/// Returns the only kustomization in k8s/README.md.
fn example() -> Result<String> {
    let page = std::fs::read_to_string(repository().join("k8s/README.md"))?;
    let (_, example) = page.split_once("```yaml\n").context("no example")?;
    let (example, _) = example.split_once("```").context("no end")?;
    Ok(example.to_owned())
}

#[test]
#[ignore = "needs kubectl: cargo xtask test cluster"]
fn the_readmes_example_combines_its_components() -> Result<()> {
    let directory = tempfile::tempdir()?;
    copy_tree(&repository().join("k8s"), &directory.path().join("k8s"))?;
    let mine = directory.path().join("k8s/mine");
    std::fs::create_dir(&mine)?;
    std::fs::write(mine.join("kustomization.yaml"), example()?)?;
    let mine = Objects::at(&mine)?;
    check_restricted(mine.pod()?)?;
    assert_eq!(paths(mine.counter()?), ["/healthz", "/healthz", "/livez"]);
    assert_eq!(mine.counter()?["imagePullPolicy"], "IfNotPresent");
    assert_eq!(
        mine.counter()?["image"],
        "registry.example/visits@sha256:DIGEST"
    );
    Ok(())
}
