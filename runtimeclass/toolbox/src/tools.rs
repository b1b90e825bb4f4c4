//! Finds a tool by its name. `tools.txt` lists the names. The shim embeds the same list to know which tools there are.

use std::ffi::OsString;

/// The main function of a tool. Takes the arguments with the tool's name first and returns the exit code.
pub(crate) type Tool = fn(Vec<OsString>) -> i32;

/// Returns the tool with this name.
pub(crate) fn find(name: &str) -> Option<Tool> {
    match name {
        "dd" => Some(crate::dd::main),
        "env" => Some(crate::env::main),
        "help" => Some(crate::help::main),
        "stat" => Some(crate::stat::main),
        "tar" => Some(crate::tar::main),
        _ => uutils(name),
    }
}

/// Defines the lookup in the tools of uutils, each with its crate.
macro_rules! uutils {
    ($($name:literal => $tool:ident,)*) => {
        /// Returns the tool of uutils with this name.
        #[cfg(target_family = "wasm")]
        fn uutils(name: &str) -> Option<Tool> {
            match name {
                $($name => Some(|arguments| {
                    prepare(stringify!($tool));
                    flushed($tool::uumain(arguments.into_iter()))
                }),)*
                _ => None,
            }
        }

        /// The names that [`uutils`] knows in the component.
        #[cfg(test)]
        const UUTILS: &[&str] = &[$($name,)*];
    };
}

uutils! {
    "[" => uu_test,
    "base64" => uu_base64,
    "basename" => uu_basename,
    "cat" => uu_cat,
    "cp" => uu_cp,
    "cut" => uu_cut,
    "date" => uu_date,
    "dirname" => uu_dirname,
    "echo" => uu_echo,
    "false" => uu_false,
    "head" => uu_head,
    "ln" => uu_ln,
    "ls" => uu_ls,
    "md5sum" => uu_md5sum,
    "mkdir" => uu_mkdir,
    "mv" => uu_mv,
    "od" => uu_od,
    "printenv" => uu_printenv,
    "printf" => uu_printf,
    "pwd" => uu_pwd,
    "readlink" => uu_readlink,
    "realpath" => uu_realpath,
    "rm" => uu_rm,
    "rmdir" => uu_rmdir,
    "seq" => uu_seq,
    "sha256sum" => uu_sha256sum,
    "sleep" => uu_sleep,
    "sort" => uu_sort,
    "tail" => uu_tail,
    "tee" => uu_tee,
    "test" => uu_test,
    "touch" => uu_touch,
    "tr" => uu_tr,
    "true" => uu_true,
    "truncate" => uu_truncate,
    "uniq" => uu_uniq,
    "wc" => uu_wc,
}

/// Returns `None`: a native build does not have uutils.
#[cfg(not(target_family = "wasm"))]
fn uutils(_name: &str) -> Option<Tool> {
    None
}

/// Makes uutils take the tool's name, for messages and `--help`, from the second argument.
pub(crate) fn name_is_second() {
    #[cfg(target_family = "wasm")]
    uucore::set_utility_is_second_arg();
}

/// Loads the tool's messages.
#[cfg(target_family = "wasm")]
fn prepare(package: &str) {
    // If this fails, a tool prints the keys of its messages and still works.
    let _ = uucore::locale::setup_localization(uucore::get_canonical_util_name(package));
}

/// Flushes standard output. If that fails, a success becomes a failure.
#[cfg(target_family = "wasm")]
fn flushed(code: i32) -> i32 {
    use std::io::Write;
    match std::io::stdout().flush() {
        Err(error) if code == 0 => {
            eprintln!("write error: {}", crate::report::reason(&error));
            1
        }
        _ => code,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_has_exactly_the_tools_that_are_found() {
        let own = ["dd", "env", "help", "stat", "tar"];
        let mut names: Vec<_> = own.iter().chain(UUTILS).copied().collect();
        names.sort_unstable();
        let listed: Vec<_> = crate::help::TOOLS
            .lines()
            .filter_map(|line| line.split_whitespace().next())
            .collect();
        assert_eq!(listed, names);
        for name in own {
            assert!(find(name).is_some(), "{name}");
        }
        assert!(find("sh").is_none());
    }
}
