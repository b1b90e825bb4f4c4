//! The bytes of `visits.bin`: a little-endian number, which the Python app wrote and operators read.

/// The name of the file in the preopened directory.
pub const FILE: &str = "visits.bin";

/// The length in bytes of the longest file that is read as a count: twice the size of the volume that the Python app had.
pub const MAX_LENGTH: usize = 2 << 20;

/// The length in bytes of the file that this counter writes.
pub const LENGTH: u64 = 8;

/// Returns the file's content for a count.
pub fn encode(visits: u64) -> [u8; LENGTH as usize] {
    visits.to_le_bytes()
}

/// The length in bytes from which text is refused. Digits and white space are bytes from 9 to 57. As a little-endian
/// number, 3 of them are at most 3 750 201, which the Python app may have reached: one probe every ten seconds does so in
/// fourteen months. 4 of them are at least 151 587 081, which takes half a century.
const MIN_TEXT: usize = 4;

/// Returns the count that a file of any length stands for, by its value: Python's `int.to_bytes` may have written fewer
/// than 8 bytes, or more. An empty file is 0.
///
/// # Errors
/// Returns why the bytes are not a count: they do not fit in 64 bits, or are a decimal number as text.
pub fn decode(bytes: &[u8]) -> Result<u64, String> {
    if bytes.len() > MAX_LENGTH {
        return Err(format!("it is longer than {MAX_LENGTH} bytes"));
    }
    if bytes.len() >= MIN_TEXT
        && let Some(text) = as_text(bytes)
    {
        return Err(format!(
            "it is the number {} as text, not as little-endian bytes; if that is the count, {}",
            shortened(text),
            conversion(text)
        ));
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

/// Returns the decimal number that the bytes are as text, without the white space around it.
pub fn as_text(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?.trim_ascii();
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then_some(text)
}

/// Returns the command that writes a number as this counter reads it.
pub fn conversion(decimal: &str) -> String {
    match decimal.parse::<u64>() {
        Ok(number) => format!(
            "write it with: python3 -c 'import sys; sys.stdout.buffer.write(({number}).to_bytes(8, \"little\"))' > {FILE}"
        ),
        Err(_) => "it does not fit in 64 bits".into(),
    }
}

fn shortened(text: &str) -> String {
    const SHOWN: usize = 24;
    match text.get(..SHOWN) {
        Some(start) if text.len() > SHOWN => format!("{start}…"),
        _ => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_LENGTH, as_text, decode, encode};

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
        assert_eq!(decode(&vec![0; MAX_LENGTH]), Ok(0));
        assert!(decode(&vec![0; MAX_LENGTH + 1]).is_err());
    }

    #[test]
    fn a_decimal_number_as_text_is_refused_with_the_command_that_converts_it() {
        for (text, number) in [
            ("114\n", "114"),
            ("1000", "1000"),
            ("0095", "95"),
            (" 7\r\n", "7"),
            ("\t12 ", "12"),
            ("12345678", "12345678"),
            ("1234567890123\n", "1234567890123"),
            ("18446744073709551615", "18446744073709551615"),
        ] {
            let why = decode(text.as_bytes()).unwrap_err();
            let command = format!("write(({number}).to_bytes(8, \"little\"))' > visits.bin");
            assert!(why.contains("as text") && why.contains(&command), "{why}");
            assert_eq!(why.lines().count(), 1, "{why}");
        }
        let why = decode(&[b'9'; 24]).unwrap_err();
        assert!(why.contains(" 999999999999999999999999 as text"), "{why}");
        let why = decode(&[b'9'; 100]).unwrap_err();
        assert!(
            why.contains(" 999999999999999999999999… as text") && why.contains("64 bits"),
            "{why}"
        );
    }

    #[test]
    fn no_count_that_fits_in_three_bytes_is_taken_for_text() {
        for count in 0..1u32 << 24 {
            let bytes = count.to_le_bytes();
            let length = (4 - count.leading_zeros() / 8).max(1) as usize;
            assert_eq!(decode(&bytes[..length.min(3)]), Ok(u64::from(count)));
            // With zeros up to a fixed length it is not text either.
            assert_eq!(as_text(&bytes), None);
        }
        assert_eq!(decode(b"1"), Ok(49));
        assert_eq!(decode(b"9\n"), Ok(2617));
        assert_eq!(decode(b"114"), Ok(0x34_31_31));
    }

    #[test]
    fn the_lowest_count_that_is_taken_for_text_is_beyond_what_was_counted() {
        // The lowest digit, which is the lowest byte of the number, and the lowest white space above it.
        let bytes = *b"0\t\t\t";
        assert!(decode(&bytes).is_err());
        assert_eq!(u32::from_le_bytes(bytes), 151_587_120);
    }
}
