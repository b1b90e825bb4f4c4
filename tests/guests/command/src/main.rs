//! A WASI command that tests run in containers. Its first argument selects what it does.
//!
//! It uses the standard library alone, so that it is like any program built with `cargo build --target wasm32-wasip2`.

use std::io::{IsTerminal, Read, Write};
use std::net::TcpStream;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let words: Vec<&str> = arguments.iter().skip(1).map(String::as_str).collect();
    match act(&words) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn act(words: &[&str]) -> std::io::Result<ExitCode> {
    match words {
        ["arguments", ..] => std::env::args().for_each(|argument| println!("{argument}")),
        ["environment"] => std::env::vars().for_each(|(name, value)| println!("{name}={value}")),
        ["exit", code] => return Ok(ExitCode::from(code.parse().unwrap_or(u8::MAX))),
        ["read", path] => std::io::stdout().write_all(&std::fs::read(path)?)?,
        ["write", path, text] => open_and_write(path, text)?,
        ["get", address] => print!("{}", get(address)?),
        ["terminals"] => println!(
            "{} {} {}",
            std::io::stdin().is_terminal(),
            std::io::stdout().is_terminal(),
            std::io::stderr().is_terminal()
        ),
        ["repeat", line] => repeat(line)?,
        ["loop"] => compute_for_ever(),
        ["allocate", mebibytes] => allocate(mebibytes.parse().unwrap_or(usize::MAX)),
        ["panic"] => panic!("asked to"),
        _ => {
            eprintln!("error: unknown command {words:?}: see act() for the commands");
            return Ok(ExitCode::from(2));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes to an existing file. Tests use it on the memory of processes.
fn open_and_write(path: &str, text: &str) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).open(path)?;
    file.write_all(text.as_bytes())
}

/// Sends `GET /` and returns the response with its head.
fn get(address: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    write!(
        stream,
        "GET / HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n"
    )?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    Ok(response)
}

/// Writes a line until the write fails.
fn repeat(line: &str) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    loop {
        writeln!(stdout, "{line}")?;
    }
}

/// Prints a line, and computes for ever without awaiting.
fn compute_for_ever() -> ! {
    println!("looping");
    let mut number = 1_u64;
    loop {
        number = std::hint::black_box(number.wrapping_mul(6_364_136_223_846_793_005));
    }
}

/// Allocates memory and writes to all of it.
fn allocate(mebibytes: usize) {
    let mut kept = Vec::new();
    for _ in 0..mebibytes {
        kept.push(std::hint::black_box(vec![1_u8; 1 << 20]));
    }
    println!("{}", kept.len());
}
