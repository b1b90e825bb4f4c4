//! A visit counter as a WebAssembly component.
