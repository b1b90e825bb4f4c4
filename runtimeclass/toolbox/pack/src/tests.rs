//! Tests of packing and unpacking.

use super::*;

#[test]
fn packed_code_unpacks_to_the_same_bytes_and_packing_is_deterministic() {
    let code: Vec<u8> = (0..200_000_u32)
        .map(|n| (n.wrapping_mul(n) >> 9) as u8)
        .collect();
    for architecture in ["x86_64", "aarch64", "s390x"] {
        let packed = pack(&code, architecture).expect("packing succeeds");
        assert!(packed.len() < code.len(), "{architecture}");
        assert!(
            unpack(&packed).expect("unpacking succeeds") == code,
            "{architecture}"
        );
        assert!(
            pack(&code, architecture).expect("packing succeeds") == packed,
            "{architecture}"
        );
    }
}

#[test]
fn a_damaged_pack_is_an_error() {
    let mut packed = pack(&[7; 5000], "x86_64").expect("packing succeeds");
    let last = packed.len() - 1;
    assert!(unpack(&packed[..last]).is_err());
    packed[last / 2] ^= 1;
    assert!(unpack(&packed).is_err());
}

#[test]
fn the_shims_engine_loads_code_for_the_oldest_processor() {
    // The smallest component.
    let code = compile(b"\0asm\x0d\0\x01\0").expect("compiling and loading succeed");
    assert!(!code.is_empty());
}

#[test]
fn the_same_bytes_leave_the_file_untouched() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("pack");
    write(&path, b"1").expect("a file");
    let modified = || {
        path.metadata()
            .and_then(|file| file.modified())
            .expect("a time")
    };
    let first = modified();
    write(&path, b"1").expect("a file");
    assert_eq!(modified(), first);
    write(&path, b"2").expect("a file");
    assert_eq!(std::fs::read(&path).expect("a file"), b"2");
}
