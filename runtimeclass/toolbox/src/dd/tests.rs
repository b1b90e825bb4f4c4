//! Tests of dd on files.

use super::*;
use std::fs;
use std::path::Path;

/// Runs dd with these operands on the files `if` and `of` in the directory and returns the totals.
fn dd(directory: &Path, operands: &str) -> std::result::Result<Totals, String> {
    let file = |name| format!("{name}={}", directory.join(name).display());
    let files = [file("if"), file("of")];
    let words = operands.split(' ').filter(|word| !word.is_empty());
    let operands = parse(files.iter().map(String::as_str).chain(words))?;
    let mut totals = Totals::default();
    run(&operands, &mut totals)?;
    Ok(totals)
}

#[test]
fn blocks_are_copied_to_the_right_place() {
    for (operands, expected, read, written) in [
        ("", "0123456789", [0, 1], [0, 1]),
        ("bs=4", "0123456789", [2, 1], [2, 1]),
        ("bs=4 count=1", "0123", [1, 0], [1, 0]),
        ("bs=2 skip=1 count=2", "2345", [2, 0], [2, 0]),
        ("ibs=3 obs=5", "0123456789", [3, 1], [2, 0]),
        ("bs=2 seek=1 count=1", "ab01", [1, 0], [1, 0]),
        ("bs=2 seek=1 count=1 conv=notrunc", "ab01ef", [1, 0], [1, 0]),
        (
            "bs=8 conv=sync,fsync skip=1",
            "89\0\0\0\0\0\0",
            [0, 1],
            [1, 0],
        ),
        ("bs=4 count=0", "", [0, 0], [0, 0]),
    ] {
        let directory = tempfile::tempdir().expect("a directory");
        fs::write(directory.path().join("if"), "0123456789").expect("a file");
        fs::write(directory.path().join("of"), "abcdef").expect("a file");
        let totals = dd(directory.path(), operands).expect(operands);
        let output = fs::read(directory.path().join("of")).expect("a file");
        assert_eq!(String::from_utf8_lossy(&output), expected, "{operands}");
        assert_eq!((totals.read, totals.written), (read, written), "{operands}");
    }
}

#[test]
fn numbers_have_units() {
    for (text, expected) in [
        ("7", 7),
        ("2x3x4", 24),
        ("3b", 1536),
        ("2K", 2048),
        ("1MB", 1_000_000),
    ] {
        assert_eq!(number(text), Ok(expected), "{text}");
    }
    for text in ["", "k", "-1", "1q", "99999999999G", "x"] {
        assert!(number(text).is_err(), "{text}");
    }
}

#[test]
fn invalid_operands_and_missing_files_are_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    for (operands, reason) in [
        ("", "failed to open"),
        ("bs=0", "invalid number: '0'"),
        ("conv=ebcdic", "cannot do conv=ebcdic"),
        ("of", "unrecognized operand 'of'"),
    ] {
        let error = dd(directory.path(), operands).expect_err(operands);
        assert!(error.contains(reason), "{operands}: {error}");
    }
    fs::write(directory.path().join("if"), "1").expect("a file");
    assert!(dd(directory.path(), "conv=nocreat").is_err());
    assert!(dd(directory.path(), "conv=excl").is_ok());
    assert!(dd(directory.path(), "conv=excl").is_err());
}
