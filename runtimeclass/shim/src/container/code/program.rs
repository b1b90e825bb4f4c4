//! The program that an exec means. Its name is looked up along the exec's PATH, in the container as it is mounted now:
//!
//! 1. A file that begins like WebAssembly is a WASI command, which the shim's own engine runs.
//! 2. Any other executable file is a native program.
//! 3. If there is no such file and the container serves a component, the name may be a tool of the shim's [`toolbox`].
//!
//! The errors are runc's, word for word, because programs and people look for them.

use super::compile::Account;
use super::store::Store;
use super::toolbox;
use crate::cgroup::Cgroup;
use crate::container::bundle::{rootfs, spec};
use crate::container::users::Users;
use anyhow::{Context, Result, anyhow};
use libcontainer::oci_spec::runtime::Process;
use preopen_host::cache::Entry;
use preopen_host::wasm::{COMPONENT, CORE_MODULE};
use rustix::fs::{FileType, Stat};
use rustix::io::Errno;
use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

/// The container in which a program is looked up.
pub(crate) struct Search<'a> {
    /// The container's root directory, as its first process sees it.
    pub(crate) root: File,
    /// Whether the container serves a component.
    pub(crate) serves: bool,
    pub(crate) store: Store<'a>,
    /// The container's cgroup: its own programs are compiled on its account.
    pub(crate) cgroup: &'a Cgroup,
    pub(crate) users: Users,
}

/// The kind of a program.
pub(crate) enum Program {
    /// A program that the kernel executes.
    Native,
    /// A WASI command, with its machine code.
    Wasm(Entry),
}

/// Finds the program of a process.
pub(crate) fn find(process: &Process, search: &Search<'_>) -> Result<Program> {
    let name = process
        .args()
        .as_ref()
        .and_then(|arguments| arguments.first())
        .filter(|name| !name.is_empty())
        .context("the process has no command")?;
    let mut refused = None;
    for path in spec::program_paths(process, name) {
        match at(&path, process, search)? {
            Found::Program(program) => return Ok(program),
            Found::Refused(reason) => refused = Some(reason),
            Found::Nothing => {}
        }
    }
    let directories = spec::search_directories(process);
    if search.serves
        && let Some(tool) = tool(name, process.cwd(), &directories)
        && let Some(code) = toolbox::code(tool, &search.store)?
    {
        return Ok(Program::Wasm(code));
    }
    Err(missing(name, refused, search.serves))
}

/// Returns the name of a tool. Its directory is missing or on the PATH, such as in `/bin/cat`.
fn tool<'a>(name: &'a str, cwd: &Path, directories: &[PathBuf]) -> Option<&'a str> {
    let Some((directory, tool)) = name.rsplit_once('/') else {
        return Some(name);
    };
    let directory = cwd.join(if directory.is_empty() { "/" } else { directory });
    directories.contains(&directory).then_some(tool)
}

enum Found {
    Nothing,
    /// The reason why this process may not run the file.
    Refused(String),
    Program(Program),
}

fn at(path: &Path, process: &Process, search: &Search<'_>) -> Result<Found> {
    let found = match rootfs::find(&search.root, path) {
        Ok(found) => found,
        Err(Errno::NOENT) => return Ok(Found::Nothing),
        Err(error) => {
            return Ok(Found::Refused(format!(
                "stat {}: {}",
                path.display(),
                text(error)
            )));
        }
    };
    let status = rustix::fs::fstat(&found)?;
    let kind = FileType::from_raw_mode(status.st_mode);
    if kind.is_dir() {
        return Ok(Found::Refused("is a directory".into()));
    }
    if !kind.is_file() {
        return Ok(Found::Refused(text(Errno::ACCESS)));
    }
    let mut file = rootfs::open(&found)?;
    if is_wasm(&mut file)? {
        // The file is read, not executed, so the user needs the right to read it.
        if !may(&status, process, &search.users, 0o4)? {
            return Ok(Found::Refused(text(Errno::ACCESS)));
        }
        let account = Account::Container(search.cgroup);
        let code = search.store.compiled(file, &account);
        let code = code.with_context(|| format!("cannot run {}", path.display()))?;
        return Ok(Found::Program(Program::Wasm(code)));
    }
    if status.st_mode & 0o111 == 0 || !may(&status, process, &search.users, 0o1)? {
        return Ok(Found::Refused(text(Errno::ACCESS)));
    }
    Ok(Found::Program(Program::Native))
}

fn is_wasm(file: &mut File) -> Result<bool> {
    let mut head = Vec::new();
    file.take(COMPONENT.len() as u64).read_to_end(&mut head)?;
    file.rewind()?;
    Ok(head == COMPONENT || head == CORE_MODULE)
}

/// Returns whether a file's mode grants `bit` to the process's user. Root may do everything with files whose owners are mapped.
fn may(status: &Stat, process: &Process, users: &Users, bit: u32) -> Result<bool> {
    let user = process.user();
    let uid = users.user(user.uid())?;
    let group = |gid: u32| users.group(gid).is_ok_and(|gid| gid == status.st_gid);
    let of_group = group(user.gid())
        || user
            .additional_gids()
            .iter()
            .flatten()
            .any(|gid| group(*gid));
    let shift = match () {
        () if uid == status.st_uid => 6,
        () if of_group => 3,
        () => 0,
    };
    let root = user.uid() == 0 && users.governs(status.st_uid, status.st_gid);
    Ok(root || status.st_mode & (bit << shift) != 0)
}

/// Returns the text of a kernel error as Go writes it.
fn text(error: Errno) -> String {
    let text = std::io::Error::from(error).to_string();
    // Rust appends the number of the error.
    let words = text.split(" (os error").next().unwrap_or_default();
    words.to_lowercase()
}

/// Returns the error for a program that cannot run. A file that is refused on the PATH counts as not found.
fn missing(name: &str, refused: Option<String>, serves: bool) -> anyhow::Error {
    let reason = match refused {
        _ if !name.contains('/') => "executable file not found in $PATH".to_owned(),
        Some(reason) => reason,
        None => format!("stat {name}: {}", text(Errno::NOENT)),
    };
    let hint = match serves {
        true => {
            "; this container serves a WebAssembly component and has no shell: run \"help\" for the tools it has"
        }
        false => "",
    };
    anyhow!(
        "OCI runtime exec failed: exec failed: unable to start container process: exec: {name:?}: {reason}{hint}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use libcontainer::oci_spec::runtime::{ProcessBuilder, UserBuilder};

    fn process(arguments: &[&str], path: &str) -> Process {
        ProcessBuilder::default()
            .args(
                arguments
                    .iter()
                    .map(|word| (*word).to_owned())
                    .collect::<Vec<_>>(),
            )
            .env(vec![format!("PATH={path}")])
            .cwd("/app")
            .user(
                UserBuilder::default()
                    .uid(1000u32)
                    .gid(1000u32)
                    .additional_gids(vec![2000u32])
                    .build()
                    .expect("a user"),
            )
            .build()
            .expect("a process")
    }

    fn search(arguments: &[&str], serves: bool) -> Result<Program> {
        let image = tempfile::tempdir().expect("a temporary directory");
        let bin = image.path().join("bin");
        std::fs::create_dir_all(&bin).expect("it can be created");
        std::fs::create_dir(image.path().join("app")).expect("it can be created");
        let file = |name: &str, mode: u32| {
            use std::os::unix::fs::PermissionsExt;
            let path = bin.join(name);
            std::fs::write(&path, "#!/bin/sh\n").expect("it can be written");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode))
                .expect("its mode can be set");
        };
        file("native", 0o755);
        file("data", 0o644);
        let container = Search {
            root: File::open(image.path()).expect("it is there"),
            serves,
            store: Store {
                cache: Path::new("/nonexistent"),
                owner: "",
            },
            cgroup: &Cgroup::parse(""),
            users: Users::none(),
        };
        find(&process(arguments, "/usr/bin:/bin"), &container)
    }

    #[test]
    fn a_native_program_is_found_on_the_path_and_by_its_own_path() {
        for name in ["native", "/bin/native", "../bin/native"] {
            let found = search(&[name], false);
            assert!(matches!(found, Ok(Program::Native)), "{name}");
        }
    }

    #[test]
    fn errors_are_the_same_as_those_of_runc() {
        let error = |name: &str, serves| match search(&[name], serves) {
            Ok(_) => panic!("{name} was found"),
            Err(error) => error.to_string(),
        };
        let prefix =
            "OCI runtime exec failed: exec failed: unable to start container process: exec: ";
        assert_eq!(
            error("nope", false),
            format!("{prefix}\"nope\": executable file not found in $PATH")
        );
        assert_eq!(
            error("/x/nope", false),
            format!("{prefix}\"/x/nope\": stat /x/nope: no such file or directory")
        );
        assert_eq!(
            error("data", false),
            format!("{prefix}\"data\": executable file not found in $PATH")
        );
        assert_eq!(
            error("/bin/data", false),
            format!("{prefix}\"/bin/data\": permission denied")
        );
        assert_eq!(
            error("/bin", false),
            format!("{prefix}\"/bin\": is a directory")
        );
        assert_eq!(
            error("/bin/native/x", false),
            format!("{prefix}\"/bin/native/x\": stat /bin/native/x: not a directory")
        );
        assert!(error("sh", true).contains("has no shell"), "the hint");
    }

    #[test]
    fn a_tool_may_have_a_directory_that_is_on_the_path() {
        let directories = ["/usr/bin".into(), "/bin".into()];
        let tool = |name| tool(name, Path::new("/app"), &directories);
        assert_eq!(tool("cat"), Some("cat"));
        assert_eq!(tool("/bin/cat"), Some("cat"));
        assert_eq!(
            tool("../bin/cat"),
            None,
            "a path that would have to be resolved"
        );
        assert_eq!(tool("/opt/cat"), None);
        assert_eq!(tool("./cat"), None);
    }
}
