//! What the component prints.

use crate::text;
use spin_sdk::http::{BoxBody, Response};
use wasi::wit_bindgen;

/// Prints one line on stdout and one on stderr.
pub(crate) fn print() -> Response<BoxBody> {
    println!("the probe's stdout: {{\"a\": 1}}");
    eprintln!("the probe's stderr: \u{1b}[1mbold");
    text("printed\n")
}

/// Prints numbered lines of 1 KiB with the standard library, which blocks the whole instance.
pub(crate) fn print_lines(count: usize) -> Response<BoxBody> {
    for number in 0..count {
        print!("{}", line(number));
    }
    text("printed\n")
}

/// Prints numbered lines of 1 KiB with WASI's own stream, which does not block the instance.
pub(crate) async fn stream_lines(count: usize) -> Response<BoxBody> {
    let (mut writer, reader) = wasi::wit_stream::new::<u8>();
    let written = wasi::cli::stdout::write_via_stream(reader);
    wit_bindgen::spawn(async move {
        for number in 0..count {
            writer.write_all(line(number).into_bytes()).await;
        }
    });
    text(format!("{:?}\n", written.await))
}

fn line(number: usize) -> String {
    format!("{number:1023}\n")
}
