//! `stat`: prints the metadata of files. WASI has no owners, modes or block counts; they are printed as `?`. (The `stat` of
//! uutils 0.12 is for Unix only.)

use crate::report::{self, Report};
use crate::time;
use rustix::fs::{AtFlags, CWD, statat};
use std::ffi::OsString;
use std::fs::Metadata;
use std::io::{Result, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

const HELP: &str = "\
Usage: stat [-L] [-c FORMAT] FILE...
Print the type, size and times of files.

  -L, --dereference    follow symbolic links
  -c, --format=FORMAT  print one line in this format for each file
  --printf=FORMAT      like --format, with \\n and \\t and without a newline at the end
  -t, --terse          print numbers only

In FORMAT: %n name, %N name and target, %s size, %F type, %h links, %i inode, %d device, %x %X access,
%y %Y modification, %z %Z change (as a date and in seconds). Fields that WebAssembly does not have are printed as ?.
";
const DEFAULT: &str = "  File: %N
  Size: %s\t\tLinks: %h\t%F
 Inode: %i\tDevice: %d\tMode: %a\tUid: %u\tGid: %g
Access: %x
Modify: %y
Change: %z
 Birth: %w";
const TERSE: &str = "%n %s %b %f %u %g %d %i %h %t %T %X %Y %Z %W %o";

/// Runs stat with these arguments.
pub(crate) fn main(arguments: Vec<OsString>) -> i32 {
    run(
        &arguments[1..],
        &mut std::io::stdout().lock(),
        &mut Report::new("stat", &mut std::io::stderr().lock()),
    )
}

struct Options {
    format: String,
    follow: bool,
    newline: bool,
    files: Vec<OsString>,
}

fn run(arguments: &[OsString], output: &mut dyn Write, report: &mut Report<'_>) -> i32 {
    let Some(options) = parse(arguments, report) else {
        return 1;
    };
    if options.files.is_empty() {
        let written = output.write_all(HELP.as_bytes());
        return finish(written, report);
    }
    for file in &options.files {
        let name = file.to_string_lossy();
        match FileInfo::of(Path::new(file), options.follow) {
            Ok(info) => {
                let mut text = expand(&options, &name, &info);
                if options.newline {
                    text.push('\n');
                }
                if let Err(error) = output.write_all(text.as_bytes()) {
                    return finish(Err(error), report);
                }
            }
            Err(error) => report.error(format_args!(
                "cannot stat '{name}': {}",
                report::reason(&error)
            )),
        }
    }
    finish(output.flush(), report)
}

fn finish(written: Result<()>, report: &mut Report<'_>) -> i32 {
    if let Err(error) = written {
        report.error(format_args!("write error: {}", report::reason(&error)));
    }
    i32::from(report.failed())
}

/// Parses the arguments. Options without files mean that help is to be printed.
fn parse(arguments: &[OsString], report: &mut Report<'_>) -> Option<Options> {
    let mut options = Options {
        format: DEFAULT.into(),
        follow: false,
        newline: true,
        files: Vec::new(),
    };
    let mut words = arguments.iter();
    let mut only_files = false;
    let mut help = false;
    while let Some(word) = words.next() {
        let text = word.to_string_lossy();
        if only_files || text == "-" || !text.starts_with('-') {
            options.files.push(word.clone());
            continue;
        }
        let (name, value) = match text.split_once('=') {
            Some((name, value)) if text.starts_with("--") => (name, Some(value.to_owned())),
            _ => (&*text, None),
        };
        match name {
            "--" => only_files = true,
            "--help" => help = true,
            "-L" | "--dereference" => options.follow = true,
            "-t" | "--terse" => options.format = TERSE.into(),
            "-c" | "--format" | "--printf" => {
                let next = || words.next().map(|word| word.to_string_lossy().into_owned());
                let Some(format) = value.or_else(next) else {
                    report.error(format_args!("option '{name}' requires an argument"));
                    return None;
                };
                options.newline = name != "--printf";
                options.format = format;
            }
            _ if text.starts_with("-c") => options.format = text["-c".len()..].to_owned(),
            _ => {
                report.error(format_args!("unrecognized option '{text}'"));
                return None;
            }
        }
    }
    if options.files.is_empty() && !help {
        report.error("missing operand");
        return None;
    }
    if help {
        options.files.clear();
    }
    Some(options)
}

/// The metadata of a file.
struct FileInfo {
    metadata: Metadata,
    target: Option<String>,
    inode: u64,
    device: u64,
    links: u64,
}

impl FileInfo {
    fn of(path: &Path, follow: bool) -> Result<Self> {
        let (metadata, flags) = if follow {
            (path.metadata()?, AtFlags::empty())
        } else {
            (path.symlink_metadata()?, AtFlags::SYMLINK_NOFOLLOW)
        };
        let status = statat(CWD, path, flags)?;
        let target = path.read_link().ok().filter(|_| metadata.is_symlink());
        Ok(Self {
            target: target.map(|target| target.to_string_lossy().into_owned()),
            inode: status.st_ino,
            device: status.st_dev,
            links: status.st_nlink,
            metadata,
        })
    }

    fn kind(&self) -> &'static str {
        let kind = self.metadata.file_type();
        match (kind.is_dir(), kind.is_symlink(), kind.is_file()) {
            (true, _, _) => "directory",
            (_, true, _) => "symbolic link",
            (_, _, true) if self.metadata.len() == 0 => "regular empty file",
            (_, _, true) => "regular file",
            _ => "special file",
        }
    }

    /// Returns the field for a letter of a format.
    fn field(&self, letter: char, name: &str) -> String {
        let modified = self.metadata.modified();
        let accessed = self.metadata.accessed();
        // In WASI the standard library returns the time of the last status change as the creation time.
        let changed = self.metadata.created();
        match letter {
            '%' => "%".into(),
            'n' => name.into(),
            'N' => match &self.target {
                Some(target) => format!("'{name}' -> '{target}'"),
                None => format!("'{name}'"),
            },
            's' => self.metadata.len().to_string(),
            'F' => self.kind().into(),
            'h' => self.links.to_string(),
            'i' => self.inode.to_string(),
            'd' => self.device.to_string(),
            'x' => date(accessed),
            'X' => seconds(accessed),
            'y' => date(modified),
            'Y' => seconds(modified),
            'z' => date(changed),
            'Z' => seconds(changed),
            'w' => "-".into(),
            'W' => "0".into(),
            _ => "?".into(),
        }
    }
}

/// Replaces the letters after `%`, and with `--printf` also those after a backslash.
fn expand(options: &Options, name: &str, info: &FileInfo) -> String {
    let mut text = String::new();
    let mut letters = options.format.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '%' => match letters.next() {
                Some(letter) => text.push_str(&info.field(letter, name)),
                None => text.push('%'),
            },
            '\\' if !options.newline => match letters.next() {
                Some('n') => text.push('\n'),
                Some('t') => text.push('\t'),
                Some('0') => text.push('\0'),
                Some(other) => text.push(other),
                None => text.push('\\'),
            },
            other => text.push(other),
        }
    }
    text
}

/// Returns seconds and nanoseconds since 1970.
fn since_epoch(time: SystemTime) -> (i64, u32) {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => (
            i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
            after.subsec_nanos(),
        ),
        Err(before) => {
            let before = before.duration();
            let whole = -i64::try_from(before.as_secs()).unwrap_or(i64::MAX);
            match before.subsec_nanos() {
                0 => (whole, 0),
                nanos => (whole - 1, 1_000_000_000 - nanos),
            }
        }
    }
}

fn date(time: Result<SystemTime>) -> String {
    time.map_or("?".into(), |time| {
        let (seconds, nanoseconds) = since_epoch(time);
        format!("{}.{nanoseconds:09} +0000", time::utc(seconds))
    })
}

fn seconds(time: Result<SystemTime>) -> String {
    time.map_or("?".into(), |time| since_epoch(time).0.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::time::Duration;

    /// Returns the exit code, the output and the error lines.
    fn stat(words: &[&str], file: &Path) -> (i32, String, String) {
        let mut words: Vec<OsString> = words.iter().map(Into::into).collect();
        words.push(file.into());
        let (mut output, mut lines) = (Vec::new(), Vec::new());
        let code = run(&words, &mut output, &mut Report::new("stat", &mut lines));
        let text = |bytes| String::from_utf8(bytes).expect("text");
        (code, text(output), text(lines))
    }

    #[test]
    fn a_format_is_replaced_by_the_files_metadata() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("visits.bin");
        fs::write(&path, [0; 8]).expect("a file");
        let time = UNIX_EPOCH + Duration::new(86_399, 5);
        let file = File::options().write(true).open(&path).expect("the file");
        file.set_modified(time).expect("a time");
        let format = ["-c", "%s %F %h %Y %y %a %%"];
        let expected = "8 regular file 1 86399 1970-01-01 23:59:59.000000005 +0000 ? %\n";
        assert_eq!(stat(&format, &path), (0, expected.into(), String::new()));
        assert_eq!(stat(&["--printf=%s\\t"], &path).1, "8\t");
        assert_eq!(stat(&["-c%F"], directory.path()).1, "directory\n");
        assert!(stat(&[], &path).1.contains("Modify: 1970-01-01 23:59:59"));
    }

    #[test]
    fn links_are_followed_only_with_the_option() {
        let directory = tempfile::tempdir().expect("a directory");
        let link = directory.path().join("link");
        rustix::fs::symlink(".", &link).expect("a link");
        let expected = format!("'{}' -> '.' symbolic link\n", link.display());
        assert_eq!(stat(&["--format=%N %F"], &link).1, expected);
        assert_eq!(stat(&["-L", "-c", "%F"], &link).1, "directory\n");
    }

    #[test]
    fn a_missing_file_and_an_unknown_option_are_errors() {
        let (code, _, lines) = stat(&[], Path::new("/no/such"));
        assert_eq!(code, 1);
        assert_eq!(
            lines,
            "stat: cannot stat '/no/such': No such file or directory\n"
        );
        assert_eq!(stat(&["--what"], Path::new("/")).0, 1);
    }

    #[test]
    fn times_before_1970_have_negative_seconds() {
        let before = UNIX_EPOCH - Duration::new(1, 1);
        assert_eq!(since_epoch(before), (-2, 999_999_999));
    }
}
