//! Bindings for functions that this target's standard library and C library do not offer.

wit_bindgen::generate!({
    inline: r"
        package preopen:toolbox;

        world toolbox {
            import wasi:cli/environment@0.2.12;
            import wasi:cli/exit@0.2.12;
        }

        package wasi:cli@0.2.12 {
            interface environment {
                initial-cwd: func() -> option<string>;
            }
            interface exit {
                exit-with-code: func(status-code: u8);
            }
        }
    ",
    generate_all,
});

pub(crate) use wasi::cli::environment::initial_cwd;
pub(crate) use wasi::cli::exit::exit_with_code;
