//! Handwritten HTTP/2 frames, including those that no correct client sends (RFC 9113, RFC 7541).

/// The bytes that a client sends first.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// Types of frames.
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

// Flags.
pub(crate) const NONE: u8 = 0;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// A setting: bytes of a response that the server may send on a stream before it must wait.
pub(crate) const INITIAL_WINDOW_SIZE: u16 = 4;

/// An error code: the peer violates the protocol.
pub(crate) const PROTOCOL_ERROR: u32 = 1;

/// An error code: the peer causes excessive load.
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

/// Returns a frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short frame");
    let mut frame = length.to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Returns the identifier of the client's n-th stream.
pub(crate) fn stream(number: u32) -> u32 {
    2 * number + 1
}

/// Returns a SETTINGS frame with one setting.
pub(crate) fn setting(name: u16, value: u32) -> Vec<u8> {
    let payload = [&name.to_be_bytes()[..], &value.to_be_bytes()].concat();
    frame(SETTINGS, NONE, 0, &payload)
}

/// Returns a complete `GET` or, without the flag `END_STREAM`, the beginning of a `POST` with a body.
pub(crate) fn request(flags: u8, stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | flags, stream, &head(flags, path))
}

/// Returns a header block of entries of the static table and literals that are not indexed.
pub(crate) fn head(flags: u8, path: &str) -> Vec<u8> {
    const METHOD_GET: u8 = 0x82;
    const METHOD_POST: u8 = 0x83;
    const SCHEME_HTTP: u8 = 0x86;
    let method = match flags & END_STREAM {
        0 => METHOD_POST,
        _ => METHOD_GET,
    };
    let length = u8::try_from(path.len()).expect("a short path");
    let mut block = vec![method, SCHEME_HTTP, 0x04, length];
    block.extend(path.as_bytes());
    block.extend([0x01, 1, b'a']);
    block
}

/// Returns a literal header with a new name. `indexed` adds it to the dynamic table. Its value is shorter than 16 KiB.
pub(crate) fn literal(indexed: bool, name: &str, value: &[u8]) -> Vec<u8> {
    let mut field = vec![if indexed { 0x40 } else { 0 }];
    for text in [name.as_bytes(), value] {
        if text.len() < 127 {
            field.push(text.len() as u8);
        } else {
            let rest = text.len() - 127;
            field.extend([127, 0x80 | (rest & 0x7f) as u8, (rest >> 7) as u8]);
        }
        field.extend(text);
    }
    field
}
