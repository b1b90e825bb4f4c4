//! The commands of this program that a text names.

/// Returns the arguments of each `cargo xtask …` in a text. A command ends with its line or its quotation.
pub(super) fn commands(text: &str) -> Vec<Vec<String>> {
    const END: [char; 7] = ['\n', '`', '#', '&', '|', ';', '('];
    let pieces: Vec<&str> = text.split("cargo xtask ").collect();
    let commands = pieces.windows(2).map(|pair| {
        let command = pair[1].split(END).next().unwrap_or_default();
        // An argument of another command ends with its quotation.
        let command = match pair[0].ends_with('\'') {
            true => command.split('\'').next().unwrap_or_default(),
            false => command,
        };
        shlex::split(command).unwrap_or_else(|| panic!("an open quotation: {command}"))
    });
    commands.collect()
}

#[test]
fn commands_end_with_their_quotation() {
    let text = "run `cargo xtask test unit`, or\n$ cargo xtask dist  # slow\n";
    assert_eq!(commands(text), [["test", "unit"].as_slice(), &["dist"]]);
    let text = "`make test ARGS='cargo xtask image'` or `cargo xtask test 'a b'`";
    assert_eq!(commands(text), [["image"].as_slice(), &["test", "a b"]]);
}
