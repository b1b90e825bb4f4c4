//! The command `preopen`.

fn main() {}
