//! The bytes of `visits.bin`: a little-endian number, as the Python app wrote it and operators read it.

/// The name of the file, in the preopened directory.
pub const FILE: &str = "visits.bin";

/// The longest file that is looked at as a count, in bytes: twice the size of the volume it was made for.
pub const LONGEST: usize = 2 << 20;

/// The file's content for a count: always 8 bytes.
pub fn encode(visits: u64) -> [u8; 8] {
    visits.to_le_bytes()
}

/// The count that a file of any length stands for, judged by its value: Python's `int.to_bytes` may have written
/// fewer bytes than 8, or more. An empty file is 0.
///
/// # Errors
/// Says why the bytes are no count that 64 bits can hold.
pub fn decode(bytes: &[u8]) -> Result<u64, String> {
    if bytes.len() > LONGEST {
        return Err(format!("it is longer than {LONGEST} bytes"));
    }
    let (low, high) = bytes.split_at(bytes.len().min(8));
    if high.iter().any(|byte| *byte != 0) {
        return Err(format!(
            "its {} bytes are a number above 64 bits",
            bytes.len()
        ));
    }
    let mut number = [0; 8];
    number[..low.len()].copy_from_slice(low);
    Ok(u64::from_le_bytes(number))
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, decode, encode};

    #[test]
    fn a_file_of_any_length_is_judged_by_its_value() {
        assert_eq!(decode(&[]), Ok(0));
        assert_eq!(decode(&[114]), Ok(114));
        assert_eq!(decode(&[0x39, 0x05]), Ok(1337));
        assert_eq!(decode(&[1, 2, 3]), Ok(0x03_02_01));
        assert_eq!(decode(&[7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), Ok(7));
        assert_eq!(decode(&[0xff; 8]), Ok(u64::MAX));
        assert_eq!(decode(&encode(u64::MAX - 1)), Ok(u64::MAX - 1));
    }

    #[test]
    fn a_number_above_64_bits_is_no_count() {
        assert!(decode(&[0, 0, 0, 0, 0, 0, 0, 0, 1]).is_err());
        assert!(decode(b"one hundred and fourteen").is_err());
        assert!(decode(&vec![0; LONGEST + 1]).is_err());
    }
}
