//! Input that is not well formed is an error that names the cause, and nothing is written.

use super::*;
use crate::{Artifact, Platform};

/// Returns the error of an image, after checking that nothing was written.
fn refused(image: &Image) -> String {
    let directory = temporary();
    let path = directory.path().join("image");
    let error = image.write_layout(&path).expect_err("it is refused");
    image.write_layout_tar(&path).expect_err("as a tar too");
    image
        .write_docker_archive(&path, Platform::default())
        .expect_err("and for Docker");
    assert!(!path.exists());
    format!("{error:#}")
}

#[test]
fn a_source_date_that_is_no_number_of_seconds_is_an_error_that_shows_it() {
    for value in [
        "",
        "yesterday",
        "-1",
        "+1",
        "1.5",
        " 1",
        "0x10",
        "99999999999999999999999",
    ] {
        let error = SourceDate::parse(OsStr::new(value)).expect_err(value);
        let expected = format!("SOURCE_DATE_EPOCH={value}: not a number");
        assert!(error.to_string().starts_with(&expected), "{error}");
    }
}

#[test]
fn the_last_source_date_is_the_last_that_a_tar_header_holds() {
    let image = sample().created(date("8589934591"));
    let directory = temporary();
    image
        .write_layout(directory.path())
        .expect("the last second");
    // Milliseconds, which many clocks return.
    let error = SourceDate::parse(OsStr::new("1700000000000")).expect_err("year 55840");
    assert!(error.to_string().contains("milliseconds"), "{error}");
}

#[test]
fn paths_that_leave_the_image_or_hide_in_it_are_errors_that_name_them() {
    for path in [
        "app/x",
        "/",
        "",
        "/../x",
        "/app/../x",
        "/./x",
        "/app//x",
        "/app/",
        "/.wh.x",
        "/a\0b",
    ] {
        let error = refused(&Image::new(NAME).file(path, "", 0o644));
        assert!(error.contains(path), "{path:?}: {error}");
        assert!(error.contains(NAME), "{path:?}: {error}");
    }
}

#[test]
fn a_path_that_occurs_twice_or_below_a_file_is_an_error() {
    let twice = Image::new(NAME)
        .file("/a", "", 0o644)
        .directory("/a", 0, 0, 0o755);
    assert!(refused(&twice).contains("/a is in the image twice"));
    let below = Image::new(NAME)
        .file("/a/b/c", "", 0o644)
        .file("/a", "", 0o644);
    assert!(refused(&below).contains("/a/b/c lies below /a, which is not a directory"));
}

#[test]
fn a_mode_with_more_than_permissions_is_an_error() {
    // The mode of a regular file as stat(2) returns it.
    let error = refused(&Image::new(NAME).file("/a", "", 0o100_644));
    assert!(error.contains("/a: mode 100644"), "{error}");
}

#[test]
fn a_name_without_a_tag_is_an_error() {
    for name in [
        "localhost/visits",
        "localhost:5000/visits",
        "",
        "localhost/Visits:1",
        "localhost/visits:",
        "localhost/visits:1@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    ] {
        let error = refused(&Image::new(name));
        assert!(error.contains("its name"), "{name}: {error}");
    }
}

#[test]
fn bytes_that_are_not_a_component_are_refused() {
    let module = b"\0asm\x01\0\0\0";
    for bytes in [
        &b""[..],
        b"#!/bin/sh\n",
        module,
        b"\0asm\x0d\0\x01\0\x0a\xff",
    ] {
        let directory = temporary();
        let path = directory.path().join("artifact");
        let error = Artifact::new(NAME, bytes)
            .write_layout(&path)
            .expect_err("not a component");
        let error = format!("{error:#}");
        assert!(error.contains("not a well-formed component"), "{error}");
        assert!(!path.exists());
    }
}
