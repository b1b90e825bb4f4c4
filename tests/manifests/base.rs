//! The counters that `kubectl apply -k k8s` creates.

use crate::VERSION;
use crate::render::Objects;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::process::Command;
use visits_tests::{artifacts, command};

const DAY: u64 = 24 * 60 * 60;

fn number(value: &Value) -> Result<u64> {
    value
        .as_u64()
        .with_context(|| format!("{value} is not a number"))
}

/// Returns the default of a host option in seconds, read from the host's help.
fn seconds(option: &str) -> Result<u64> {
    let mut help = Command::new(artifacts::preopen()?);
    help.arg("--help");
    let help = command::run(help)?;
    let (_, after) = help
        .split_once(&format!("{option} <"))
        .with_context(|| format!("the host has no option {option}"))?;
    let default = after.split_once("[default: ").and_then(|(_, default)| {
        let (number, _) = default.split_once("s]")?;
        number.parse().ok()
    });
    default.with_context(|| format!("{option} has no default in seconds"))
}

#[test]
#[ignore = "needs kubectl: cargo xtask test cluster"]
fn the_base_has_four_counters_with_volumes_like_app_pys() -> Result<()> {
    let base = Objects::of("k8s")?;
    let set = &base.get("StatefulSet", "visits")?["spec"];
    assert_eq!(set["replicas"], 4);
    assert_eq!(set["podManagementPolicy"], "Parallel");
    let kept = json!({ "whenDeleted": "Retain", "whenScaled": "Retain" });
    assert_eq!(set["persistentVolumeClaimRetentionPolicy"], kept);
    let claims = set["volumeClaimTemplates"].as_array().context("claims")?;
    assert_eq!(claims.len(), 1);
    assert_eq!(claims[0]["metadata"]["name"], "persistent");
    // Without a storage class a claim gets the cluster's default.
    let claim = json!({ "accessModes": ["ReadWriteOncePod"], "resources": { "requests": { "storage": "1Mi" } } });
    assert_eq!(claims[0]["spec"], claim);
    let init = &base.pod()?["initContainers"][0];
    assert_eq!(init["name"], "change-ownership-of-persistent-volume");
    for container in [base.counter()?, init] {
        let mounts = json!([{ "name": "persistent", "mountPath": "/app/persistent" }]);
        assert_eq!(container["volumeMounts"], mounts);
    }
    Ok(())
}

#[test]
#[ignore = "needs kubectl: cargo xtask test cluster"]
fn the_image_is_the_one_that_this_repository_builds() -> Result<()> {
    let base = Objects::of("k8s")?;
    let counter = base.counter()?;
    assert_eq!(counter["image"], format!("localhost/visits:{VERSION}"));
    assert_eq!(base.pod()?["runtimeClassName"], "preopen");
    for object in &base.0 {
        let labels = &object["metadata"]["labels"];
        assert_eq!(labels["app.kubernetes.io/version"], VERSION, "{object}");
        ensure!(object["metadata"]["namespace"].is_null(), "{object}");
    }
    Ok(())
}

#[test]
#[ignore = "needs kubectl: cargo xtask test cluster"]
fn a_pod_may_take_a_day_to_start_and_liveness_waits_longer_than_the_hosts_own_remedy() -> Result<()>
{
    let base = Objects::of("k8s")?;
    let counter = base.counter()?;
    let path = |probe: &str| counter[probe]["httpGet"]["path"].clone();
    assert_eq!(path("startupProbe"), "/");
    assert_eq!(path("readinessProbe"), "/");
    assert_eq!(path("livenessProbe"), "/livez");
    let patience = |probe: &str| -> Result<u64> {
        let probe = &counter[probe];
        Ok(number(&probe["periodSeconds"])? * number(&probe["failureThreshold"])?)
    };
    ensure!(patience("startupProbe")? >= DAY);
    // The first failure may occur at once.
    let patience = patience("livenessProbe")? - number(&counter["livenessProbe"]["periodSeconds"])?;
    let remedy = seconds("--request-timeout")?;
    ensure!(patience > remedy, "{patience} s, {remedy} s");
    Ok(())
}

#[test]
#[ignore = "needs kubectl: cargo xtask test cluster"]
fn a_pod_has_time_to_drain() -> Result<()> {
    let base = Objects::of("k8s")?;
    let before = number(&base.counter()?["lifecycle"]["preStop"]["sleep"]["seconds"])?;
    let grace = number(&base.pod()?["terminationGracePeriodSeconds"])?;
    let drain = seconds("--drain-timeout")?;
    ensure!(before > 0 && grace > before + drain, "{grace} s");
    Ok(())
}

#[test]
#[ignore = "needs kubectl: cargo xtask test cluster"]
fn visitors_operators_and_budgets_find_the_counters() -> Result<()> {
    let base = Objects::of("k8s")?;
    let set = &base.get("StatefulSet", "visits")?["spec"];
    let labels = &set["template"]["metadata"]["labels"];
    assert_eq!(base.counter()?["ports"][0]["containerPort"], 5000);
    let port = &base.counter()?["ports"][0]["name"];

    let service = &base.get("Service", "visits")?["spec"];
    assert_eq!(service["type"], "LoadBalancer");
    let name = set["serviceName"].as_str().context("a serviceName")?;
    let pods = &base.get("Service", name)?["spec"];
    assert_eq!(pods["clusterIP"], "None");
    for service in [service, pods] {
        assert_eq!(service["ipFamilyPolicy"], "PreferDualStack");
        assert_eq!(&service["selector"], labels);
        assert_eq!(service["ports"][0]["port"], 5000);
        assert_eq!(&service["ports"][0]["targetPort"], port);
    }
    let budget = &base.get("PodDisruptionBudget", "visits")?["spec"];
    assert_eq!(budget["maxUnavailable"], 1);
    for selector in [&budget["selector"], &set["selector"]] {
        assert_eq!(&selector["matchLabels"], labels);
    }
    Ok(())
}

#[test]
#[ignore = "needs kubectl: cargo xtask test cluster"]
fn the_shell_for_a_volume_has_the_counters_user_and_the_first_claim() -> Result<()> {
    let shell = Objects::file("k8s/volume.yaml")?;
    let spec = &shell.get("Pod", "volume")?["spec"];
    let claim = &spec["volumes"][0]["persistentVolumeClaim"]["claimName"];
    assert_eq!(claim, "persistent-visits-0");
    ensure!(
        spec["runtimeClassName"].is_null(),
        "it must run native tools"
    );
    let base = Objects::of("k8s")?;
    let user = &base.counter()?["securityContext"]["runAsUser"];
    assert_eq!(&spec["securityContext"]["runAsUser"], user);
    crate::overlays::check_restricted(spec)
}
