//! Well-formed images and artifacts.

use super::*;
use crate::{Artifact, Platform, Written};
use serde_json::json;

/// Writes an image as a directory and as a tar, checks that both hold the same files, and returns them.
fn layout(image: &Image) -> (Files, Written) {
    let directory = temporary();
    let layout = directory.path().join("oci");
    let tar = directory.path().join("oci.tar");
    let written = image.write_layout(&layout).expect("a layout");
    let archived = image.write_layout_tar(&tar).expect("a tar");
    assert_eq!(written.digest, archived.digest);
    let files = read_directory(&layout);
    let total: usize = files.values().map(Vec::len).sum();
    assert_eq!(written.size, total as u64);
    let tar = std::fs::read(tar).expect("the tar is there");
    assert_eq!(archived.size, tar.len() as u64);
    assert_eq!(files, read_tar(&tar));
    (files, written)
}

/// Returns the image's index, which `index.json` refers to.
fn index(files: &Files) -> Value {
    let top = parse(&files["index.json"]);
    let [target] = list(&top["manifests"]) else {
        panic!("one image: {top}");
    };
    parse(blob(files, target))
}

#[test]
fn every_descriptor_names_a_blob_of_its_digest_and_size() {
    let (files, written) = layout(&sample());
    assert_eq!(
        parse(&files["oci-layout"]),
        json!({"imageLayoutVersion": "1.0.0"})
    );
    let top = parse(&files["index.json"]);
    assert_eq!(top["manifests"][0]["digest"], written.digest);

    let mut named = 1;
    let mut layers = Vec::new();
    let index = index(&files);
    for (descriptor, platform) in list(&index["manifests"]).iter().zip(["amd64", "arm64"]) {
        assert_eq!(
            descriptor["platform"],
            json!({"os": "linux", "architecture": platform})
        );
        let manifest = parse(blob(&files, descriptor));
        assert_eq!(
            manifest["mediaType"],
            "application/vnd.oci.image.manifest.v1+json"
        );
        let config = parse(blob(&files, &manifest["config"]));
        assert_eq!(config["architecture"], platform);
        assert_eq!(config["os"], "linux");
        let [layer] = list(&manifest["layers"]) else {
            panic!("one layer: {manifest}");
        };
        let tar = gunzip(blob(&files, layer));
        assert_eq!(
            config["rootfs"],
            json!({"type": "layers", "diff_ids": [digest(&tar)]})
        );
        layers.push(layer.clone());
        named += 2;
    }
    assert_eq!(layers.len(), 2, "both platforms are there");
    assert_eq!(layers[0], layers[1], "they share the layer");
    // The layout holds no file without a descriptor, except `oci-layout` and `index.json`.
    assert_eq!(files.len(), named + 1 + 2);
}

#[test]
fn the_name_is_where_containerd_and_skopeo_look_for_it() {
    let (files, _) = layout(&sample());
    assert_eq!(
        parse(&files["index.json"])["manifests"][0]["annotations"],
        json!({
            "io.containerd.image.name": NAME,
            "org.opencontainers.image.ref.name": "1.2.3",
        })
    );
}

#[test]
fn the_configuration_has_the_program_and_its_properties() {
    let (files, _) = layout(&sample().created(date("1700000000")));
    let index = index(&files);
    let manifest = parse(blob(&files, &index["manifests"][0]));
    let config = parse(blob(&files, &manifest["config"]));
    let annotations = json!({
        "org.opencontainers.image.title": "sample",
        "org.opencontainers.image.licenses": "Apache-2.0",
        "org.opencontainers.image.version": "1.2.3",
    });
    assert_eq!(
        config["config"],
        json!({
            "Entrypoint": ["/app/spin.toml"],
            "Cmd": ["--log-format", "json"],
            "WorkingDir": "/app",
            "User": "65532:65532",
            "Env": ["SPIN_HTTP_LISTEN_ADDR=0.0.0.0:5000", "A=b=c"],
            "ExposedPorts": {"5000/tcp": {}, "9000/udp": {}},
            "Labels": annotations,
        })
    );
    assert_eq!(config["created"], "2023-11-14T22:13:20Z");
    let mut annotations = annotations;
    annotations["org.opencontainers.image.created"] = "2023-11-14T22:13:20Z".into();
    assert_eq!(manifest["annotations"], annotations);
    assert_eq!(index["annotations"], annotations);
}

#[test]
fn the_layer_has_the_owners_modes_and_times_that_were_given() {
    let (files, _) = layout(&sample().created(date("1700000000")));
    let manifest = parse(blob(&files, &index(&files)["manifests"][0]));
    let tar = gunzip(blob(&files, &manifest["layers"][0]));
    let mut found = Vec::new();
    for entry in tar::Archive::new(&*tar).entries().expect("a tar") {
        let entry = entry.expect("an entry");
        let header = entry.header();
        assert_eq!(header.mtime().expect("a time"), 1_700_000_000);
        assert_eq!(header.username().expect("a name"), Some(""));
        found.push(format!(
            "{:04o} {}:{} {}",
            header.mode().expect("a mode"),
            header.uid().expect("a user"),
            header.gid().expect("a group"),
            String::from_utf8_lossy(&entry.path_bytes()),
        ));
    }
    assert_eq!(
        found,
        [
            "0755 0:0 app/",
            "0750 65532:65532 app/data/",
            "0755 0:0 app/deep/",
            "0755 0:0 app/deep/er/",
            "0640 0:0 app/deep/er/hello.wasm",
            "4600 1000:1001 app/secret",
            "0644 0:0 app/spin.toml",
        ]
    );
}

#[test]
fn a_link_keeps_its_target_compressed_or_not() {
    let linked = || {
        Image::new(NAME)
            .symlink("/bin/sh", "busybox")
            .entrypoint(["/bin/sh"])
    };
    for image in [linked(), linked().uncompressed()] {
        let (files, _) = layout(&image);
        let manifest = parse(blob(&files, &index(&files)["manifests"][0]));
        let tar = gunzip(blob(&files, &manifest["layers"][0]));
        let mut links = Vec::new();
        for entry in tar::Archive::new(&*tar).entries().expect("a tar") {
            let entry = entry.expect("an entry");
            let target = entry.link_name().expect("a name");
            links.extend(
                target.map(|target| (entry.path_bytes().into_owned(), target.into_owned())),
            );
        }
        assert_eq!(links, [(b"bin/sh".to_vec(), "busybox".into())]);
    }
}

#[test]
fn two_writes_give_the_same_bytes() {
    let directory = temporary();
    let write = |name: &str, image: Image| {
        let top = directory.path().join(name);
        std::fs::create_dir(&top).expect("a new directory");
        image.write_layout(&top.join("oci")).expect("a layout");
        image
            .write_layout_tar(&top.join("oci.tar"))
            .expect("a layout's tar");
        image
            .write_docker_archive(&top.join("docker.tar"), Platform::LinuxArm64)
            .expect("an archive");
        Artifact::new(NAME, component())
            .annotation("b", "2")
            .annotation("a", "1")
            .write_layout(&top.join("artifact"))
            .expect("an artifact");
        read_directory(&top)
    };
    // The order of a hash map differs each time. Eight rounds make an equal order by chance unlikely.
    let first = write("first", sample());
    for round in 0..8 {
        assert!(first == write(&round.to_string(), sample()));
    }
}

#[test]
fn the_order_of_the_calls_does_not_change_the_layer() {
    let one = Image::new(NAME)
        .file("/b", "1", 0o644)
        .file("/a", "2", 0o644);
    let other = Image::new(NAME)
        .file("/a", "2", 0o644)
        .file("/b", "1", 0o644);
    assert_eq!(layout(&one), layout(&other));
}

#[test]
fn a_layout_replaces_the_previous_one_and_no_other_file() {
    let directory = temporary();
    sample().write_layout(directory.path()).expect("a layout");
    let other = directory.path().join("blobs/sha256/notes.txt");
    std::fs::write(&other, "mine").expect("a file of somebody else");
    let image = Image::new(NAME).file("/a", "2", 0o644);
    image.write_layout(directory.path()).expect("a layout");
    let mut files = read_directory(directory.path());
    assert!(files.remove("blobs/sha256/notes.txt").is_some());
    assert_eq!(files, layout(&image).0);
}

#[test]
fn the_docker_archive_contains_the_members_that_it_names() {
    let directory = temporary();
    let path = directory.path().join("docker.tar");
    for (platform, architecture) in Platform::ALL.into_iter().zip(["amd64", "arm64"]) {
        let written = sample()
            .write_docker_archive(&path, platform)
            .expect("an archive");
        let bytes = std::fs::read(&path).expect("the archive is there");
        assert_eq!(written.size, bytes.len() as u64);
        let files = read_tar(&bytes);
        let manifest = parse(&files["manifest.json"]);
        assert_eq!(manifest[0]["RepoTags"], json!([NAME]));
        let config = &files[text(&manifest[0]["Config"])];
        assert_eq!(digest(config), written.digest);
        let config = parse(config);
        assert_eq!(config["architecture"], architecture);
        let layer = &files[text(&manifest[0]["Layers"][0])];
        assert_eq!(
            config["rootfs"]["diff_ids"],
            json!([digest(&gunzip(layer))])
        );
        assert_eq!(files.len(), 3);
    }
}

#[test]
fn an_artifact_has_the_component_as_its_layer_and_its_names_in_the_configuration() {
    let directory = temporary();
    let written = Artifact::new(NAME, component())
        .annotation("org.opencontainers.image.title", "sample")
        .write_layout(directory.path())
        .expect("an artifact");
    let files = read_directory(directory.path());
    let top = parse(&files["index.json"]);
    assert_eq!(top["manifests"][0]["digest"], written.digest);
    let manifest = parse(blob(&files, &top["manifests"][0]));
    let [layer] = list(&manifest["layers"]) else {
        panic!("one layer: {manifest}");
    };
    assert_eq!(layer["mediaType"], "application/wasm");
    assert_eq!(blob(&files, layer), component());
    assert_eq!(
        manifest["config"]["mediaType"],
        "application/vnd.wasm.config.v0+json"
    );
    assert_eq!(
        parse(blob(&files, &manifest["config"])),
        json!({
            "created": "1970-01-01T00:00:00Z",
            "architecture": "wasm",
            "os": "wasip2",
            "layerDigests": [layer["digest"]],
            "component": {"imports": ["a:b/c@0.3.0"], "exports": ["d:e/f"]},
        })
    );
}

/// Returns a component that imports the empty instance `a:b/c@0.3.0` and exports it as `d:e/f`. It contains a component with
/// imports of its own.
fn component() -> Vec<u8> {
    const PREAMBLE: &[u8] = b"\0asm\x0d\0\x01\0";
    let import = |name: &str| {
        let mut section = vec![1, 0, name.len() as u8];
        section.extend(name.bytes());
        section.extend([5, 0]); // an instance of type 0
        section
    };
    let section = |id: u8, content: &[u8]| {
        let mut bytes = vec![id, content.len() as u8];
        bytes.extend(content);
        bytes
    };
    let empty_instance_type = section(7, &[1, 0x42, 0]);
    let inner = [
        PREAMBLE,
        &empty_instance_type,
        &section(10, &import("not:this/one")),
    ]
    .concat();
    let mut export = vec![1, 0, 5];
    export.extend(b"d:e/f");
    export.extend([5, 0, 0]); // instance 0, without a type of its own
    [
        PREAMBLE,
        &section(4, &inner),
        &empty_instance_type,
        &section(10, &import("a:b/c@0.3.0")),
        &section(11, &export),
    ]
    .concat()
}
