//! `tiny STATE BUNDLE`: creates a container with libcontainer, whose process reports its state, and removes it.
//!
//! [dependencies]
//! anyhow = "1"
//! libcontainer = "=0.7.0"

use libcontainer::container::builder::ContainerBuilder;
use libcontainer::oci_spec::runtime::Spec;
use libcontainer::syscall::syscall::SyscallType;
use libcontainer::workload::{Executor, ExecutorError, ExecutorValidationError};

#[derive(Clone)]
struct Report;

impl Executor for Report {
    fn validate(&self, _: &Spec) -> Result<(), ExecutorValidationError> {
        Ok(())
    }

    fn exec(&self, _: &Spec) -> Result<(), ExecutorError> {
        let print = |path: &str, word: &str| {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            text.lines().filter(|line| line.contains(word)).for_each(|line| println!("{line}"));
        };
        println!("HOME={:?}", std::env::var_os("HOME"));
        println!("exe={:?}", std::fs::read_link("/proc/self/exe"));
        print("/proc/self/status", "Cap");
        print("/proc/self/mountinfo", "cgroup");
        print("/proc/keys", "ses");
        for descriptor in 3..64 {
            let processes = count(&format!("/proc/self/fd/{descriptor}/"));
            if processes > 0 {
                let own = count("/proc");
                println!("descriptor {descriptor}: a /proc with {processes} processes, its own has {own}");
            }
        }
        std::process::exit(0)
    }
}

/// Counts the processes that a procfs shows.
fn count(directory: &str) -> usize {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let is_process = |name: &std::ffi::OsStr| name.to_string_lossy().parse::<u32>().is_ok();
    entries.filter(|entry| is_process(&entry.file_name())).count()
}

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let state = arguments.next().expect("a directory for the state");
    let bundle = arguments.next().expect("a bundle");
    let mut container = ContainerBuilder::new("tiny".into(), SyscallType::default())
        .with_executor(Report)
        .with_root_path(&state)?
        .validate_id()?
        .as_init(&bundle)
        .with_systemd(false)
        .build()?;
    container.start()?;
    std::thread::sleep(std::time::Duration::from_secs(1));
    container.delete(true)?;
    Ok(())
}
