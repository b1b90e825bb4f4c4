//! `fuzz-run BODY FILE…`: runs the body of a fuzz target on files, without a fuzzer, so that a finding can be examined
//! with a stable toolchain. The tests run every body on its seeds and on mutations of them.

fn main() {
    #[cfg(target_os = "linux")]
    linux::main();
}

#[cfg(target_os = "linux")]
mod linux {
    use fuzz_bodies::TARGETS;

    pub(super) fn main() {
        let mut arguments = std::env::args().skip(1);
        let name = arguments.next().unwrap_or_default();
        let Some(target) = TARGETS.iter().find(|target| target.name == name) else {
            let names = TARGETS.map(|target| target.name).join(", ");
            eprintln!("usage: fuzz-run BODY FILE…; BODY is one of {names}");
            std::process::exit(2);
        };
        for file in arguments {
            match std::fs::read(&file) {
                Ok(data) => drop((target.body)(&data)),
                Err(error) => {
                    eprintln!("cannot read {file}: {error}");
                    std::process::exit(1);
                }
            }
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests;
