//! Small components and commands, written byte by byte: an assembler would be another dependency.

/// Returns a component that imports an instance with one function and exports an empty instance.
pub fn component_importing(import: &str, export: &str) -> Vec<u8> {
    let name = |name: &str| [&[0, name.len() as u8], name.as_bytes()].concat();
    let section = |id: u8, content: &[u8]| [&[id, content.len() as u8], content].concat();
    // The type of a function `open` without parameters and results, and its export in the type of the instance.
    let function = [&[1, 0x40, 0, 1, 0, 4], name("open").as_slice(), &[1, 0]].concat();
    [
        b"\0asm\x0d\0\x01\0".to_vec(),
        section(7, &[&[1, 0x42, 2], function.as_slice()].concat()),
        section(10, &[&[1], name(import).as_slice(), &[5, 0]].concat()),
        section(5, &[1, 1, 0]),
        section(11, &[&[1], name(export).as_slice(), &[5, 1, 0]].concat()),
    ]
    .concat()
}

/// Returns a WASI command of preview 1 that writes a text to stdout and exits with a code.
pub fn core_command(text: &str, code: u8) -> Vec<u8> {
    let name = |name: &str| [&[name.len() as u8], name.as_bytes()].concat();
    let section = |id: u8, content: &[u8]| [&[id, content.len() as u8], content].concat();
    let import = |function: &str, kind: u8| {
        let module = name("wasi_snapshot_preview1");
        [module, name(function), vec![0, kind]].concat()
    };
    let i32_const = |number: u8| [0x41, 0x80 | number & 0x7f, number >> 7];
    // The types of fd_write, proc_exit and _start.
    let types = [
        &[3, 0x60, 4, 0x7f, 0x7f, 0x7f, 0x7f, 1, 0x7f][..],
        &[0x60, 1, 0x7f, 0, 0x60, 0, 0],
    ];
    let imports = [vec![2], import("fd_write", 0), import("proc_exit", 1)];
    let exports = [
        vec![2],
        name("memory"),
        vec![2, 0],
        name("_start"),
        vec![0, 2],
    ];
    // fd_write(fd 1, the iovec at 0, one iovec, number of bytes to 8); drop; proc_exit(code)
    let body = [
        &[0][..],
        &[1, 0, 1, 8].map(i32_const).concat(),
        &[0x10, 0, 0x1a],
        &i32_const(code),
        &[0x10, 1, 0x0b],
    ]
    .concat();
    // The iovec's address and length, the number of bytes written, and the text at 16.
    let iovec = [16, text.len() as u32, 0, 0].map(u32::to_le_bytes).concat();
    let memory = [iovec.as_slice(), text.as_bytes()].concat();
    [
        b"\0asm\x01\0\0\0".to_vec(),
        section(1, &types.concat()),
        section(2, &imports.concat()),
        section(3, &[1, 2]),
        section(5, &[1, 0, 1]),
        section(7, &exports.concat()),
        section(10, &[&[1, body.len() as u8], body.as_slice()].concat()),
        section(
            11,
            &[
                &[1, 0, 0x41, 0, 0x0b, memory.len() as u8],
                memory.as_slice(),
            ]
            .concat(),
        ),
    ]
    .concat()
}
