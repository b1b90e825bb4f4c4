//! The command line of tar: `tar cvf -`, `tar -cvf-` and `tar --create --verbose --file=-` mean the same.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::PathBuf;

const HELP: &str = "\
Usage: tar c|x|t [OPTION]... [PATH]...
Pack, unpack or list an archive.

  -c, --create           pack these paths
  -x, --extract          unpack the archive, or only these members
  -t, --list             list the archive, or only these members
  -f, --file=FILE        archive file (default and -: the standard streams)
  -C, --directory=DIR    directory to work in
  -h, --dereference      pack the targets of symbolic links
  -m, --touch            do not restore times
  -v, --verbose          list the members that are processed
  --no-same-owner, --no-same-permissions, -o: accepted without effect: WebAssembly has no owners or modes

This tar does not compress or decompress archives.
";

/// The operation on the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Create,
    Extract,
    List,
}

/// A parsed command line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) operation: Operation,
    /// The archive's file. `None` is a standard stream.
    pub(super) archive: Option<PathBuf>,
    /// The directory into which members are unpacked.
    pub(super) directory: PathBuf,
    /// The paths, each with its base directory.
    pub(super) paths: Vec<(PathBuf, String)>,
    pub(super) dereference: bool,
    pub(super) touch: bool,
    pub(super) verbose: bool,
}

/// The result of parsing: a run, or a text to print.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    Run(Options),
    /// The help text or the version.
    Print(String),
}

/// Parses a command line.
pub(super) fn parse(arguments: &[OsString]) -> Result<Parsed, String> {
    let mut parser = Parser {
        words: arguments
            .iter()
            .map(|word| word.to_string_lossy().into_owned())
            .collect(),
        ..Parser::default()
    };
    // The first word has options even without a dash. Their values are the words after it, in order.
    if let Some(first) = parser.words.front()
        && !first.starts_with('-')
    {
        let letters = parser.words.pop_front().unwrap_or_default();
        for letter in letters.chars() {
            let value = takes_value(letter).then(|| parser.next(&letter.to_string()));
            parser.letter(letter, value.transpose()?)?;
        }
    }
    while let Some(word) = parser.words.pop_front() {
        if word == "--" {
            while let Some(path) = parser.words.pop_front() {
                parser.path(path);
            }
        } else if let Some(long) = word.strip_prefix("--") {
            if let Some(text) = parser.long(long)? {
                return Ok(Parsed::Print(text));
            }
        } else if word.len() > 1 && word.starts_with('-') {
            parser.cluster(&word[1..])?;
        } else {
            parser.path(word);
        }
    }
    parser.finish().map(Parsed::Run)
}

fn takes_value(letter: char) -> bool {
    matches!(letter, 'C' | 'f')
}

#[derive(Default)]
struct Parser {
    words: VecDeque<String>,
    operation: Option<Operation>,
    archive: Option<PathBuf>,
    directory: PathBuf,
    paths: Vec<(PathBuf, String)>,
    dereference: bool,
    touch: bool,
    verbose: bool,
}

impl Parser {
    fn next(&mut self, option: &str) -> Result<String, String> {
        self.words
            .pop_front()
            .ok_or_else(|| format!("option '{option}' requires an argument"))
    }

    fn path(&mut self, path: String) {
        self.paths.push((self.directory.clone(), path));
    }

    /// Parses the letters after one dash. The rest after a letter that takes a value is its value.
    fn cluster(&mut self, letters: &str) -> Result<(), String> {
        for (at, letter) in letters.char_indices() {
            if takes_value(letter) {
                let rest = &letters[at + letter.len_utf8()..];
                let value = if rest.is_empty() {
                    self.next(&letter.to_string())?
                } else {
                    rest.to_owned()
                };
                return self.letter(letter, Some(value));
            }
            self.letter(letter, None)?;
        }
        Ok(())
    }

    /// Parses an option after two dashes. Returns the text to print for `--help` and `--version`.
    fn long(&mut self, option: &str) -> Result<Option<String>, String> {
        let (name, value) = match option.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (option, None),
        };
        let letter = match name {
            "create" => 'c',
            "extract" | "get" => 'x',
            "list" => 't',
            "file" => 'f',
            "directory" => 'C',
            "dereference" => 'h',
            "touch" => 'm',
            "verbose" => 'v',
            "same-permissions" | "preserve-permissions" => 'p',
            "no-same-owner" | "no-same-permissions" | "same-owner" | "numeric-owner" => 'o',
            "gzip" | "gunzip" | "ungzip" => 'z',
            "bzip2" => 'j',
            "xz" => 'J',
            "help" => return Ok(Some(HELP.into())),
            "version" => {
                return Ok(Some(format!(
                    "tar (preopen toolbox) {}\n",
                    env!("CARGO_PKG_VERSION")
                )));
            }
            _ => return Err(format!("unrecognized option '--{name}'")),
        };
        let value = match value {
            None if takes_value(letter) => Some(self.next(&format!("--{name}"))?),
            Some(_) if !takes_value(letter) => {
                return Err(format!("option '--{name}' doesn't allow an argument"));
            }
            value => value,
        };
        self.letter(letter, value)?;
        Ok(None)
    }

    fn letter(&mut self, letter: char, value: Option<String>) -> Result<(), String> {
        let value = value.unwrap_or_default();
        match letter {
            'c' => self.operation(Operation::Create)?,
            'x' => self.operation(Operation::Extract)?,
            't' => self.operation(Operation::List)?,
            'f' => self.archive = (value != "-").then(|| value.into()),
            'C' => self.directory.push(value),
            'h' => self.dereference = true,
            'm' => self.touch = true,
            'v' => self.verbose = true,
            // These concern owners and modes, which WASI does not have.
            'o' | 'p' => {}
            'z' | 'j' | 'J' => {
                return Err("cannot compress or decompress: use a plain archive".into());
            }
            _ => return Err(format!("invalid option -- '{letter}'")),
        }
        Ok(())
    }

    fn operation(&mut self, operation: Operation) -> Result<(), String> {
        match self.operation.replace(operation) {
            Some(other) if other != operation => {
                Err("You may not specify more than one of c, x and t".into())
            }
            _ => Ok(()),
        }
    }

    fn finish(self) -> Result<Options, String> {
        let operation = self
            .operation
            .ok_or("You must specify one of the options c, x and t")?;
        if operation == Operation::Create && self.paths.is_empty() {
            return Err("Cowardly refusing to create an empty archive".into());
        }
        Ok(Options {
            operation,
            archive: self.archive,
            directory: self.directory,
            paths: self.paths,
            dereference: self.dereference,
            touch: self.touch,
            verbose: self.verbose,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(line: &str) -> Result<Options, String> {
        let words: Vec<OsString> = line.split(' ').map(Into::into).collect();
        match parse(&words)? {
            Parsed::Run(options) => Ok(options),
            Parsed::Print(text) => Err(text),
        }
    }

    #[test]
    fn the_command_lines_of_kubectl_cp_are_accepted() {
        let options_of_a_copy_from = options("cf - /app/persistent").expect("a command line");
        assert_eq!(options_of_a_copy_from.operation, Operation::Create);
        assert_eq!(options_of_a_copy_from.archive, None);
        assert_eq!(
            options_of_a_copy_from.paths,
            [(PathBuf::new(), "/app/persistent".to_owned())]
        );
        for line in [
            "-xmf - -C /app/persistent",
            "--no-same-permissions --no-same-owner -xmf - -C /app/persistent",
            "--extract --touch --file=- --directory=/app/persistent",
            "xmfC - /app/persistent",
            "-xmf- -C/app/persistent",
        ] {
            let options = options(line).expect(line);
            assert_eq!(options.operation, Operation::Extract, "{line}");
            assert!(options.touch, "{line}");
            assert_eq!(options.archive, None, "{line}");
            assert_eq!(
                options.directory,
                PathBuf::from("/app/persistent"),
                "{line}"
            );
            assert_eq!(options.paths, [], "{line}");
        }
    }

    #[test]
    fn a_directory_applies_to_the_paths_after_it() {
        let options = options("-cf a.tar one -C /two three -C four -- -five").expect("options");
        assert_eq!(options.archive, Some("a.tar".into()));
        assert_eq!(
            options.paths,
            [
                (PathBuf::new(), "one".to_owned()),
                ("/two".into(), "three".into()),
                ("/two/four".into(), "-five".into())
            ]
        );
    }

    #[test]
    fn invalid_command_lines_are_refused() {
        for (line, reason) in [
            ("-f -", "You must specify one of"),
            ("cf -", "Cowardly refusing"),
            ("cx", "more than one"),
            ("-xf", "option 'f' requires an argument"),
            ("xzf -", "cannot compress"),
            ("--extract --gzip", "cannot compress"),
            ("-xK", "invalid option -- 'K'"),
            ("x --bwlimit=3", "unrecognized option '--bwlimit'"),
            ("x --touch=3", "doesn't allow an argument"),
        ] {
            let error = options(line).expect_err(line);
            assert!(error.contains(reason), "{line}: {error}");
        }
    }
}
