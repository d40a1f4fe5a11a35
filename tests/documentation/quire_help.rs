//! Blocks that cannot be run are still checked: the program must have their subcommands and flags.

use std::{path::Path, process::Command};

use crate::{QUIRE, root};

/// Checks a line of a shell block that is not run.
///
/// # Errors
/// The subcommand, flag or file that does not exist.
pub(crate) fn check_line(line: &str) -> Result<(), String> {
    let words: Vec<&str> = line.split_whitespace().take_while(|word| !word.starts_with('#')).collect();
    if words.first() == Some(&"quire") {
        check_quire(&words[1..])?;
    }
    match words.iter().find(|word| is_script(word) && !root().join(word).is_file()) {
        Some(path) => Err(format!("no such script: {path}")),
        None => Ok(()),
    }
}

/// Whether the word is the path of a Python script in the repository.
fn is_script(word: &str) -> bool {
    let path = Path::new(word);
    path.is_relative() && word.contains('/') && path.extension().is_some_and(|extension| extension == "py")
}

fn check_quire(words: &[&str]) -> Result<(), String> {
    let mut subcommands: Vec<&str> = Vec::new();
    let mut help = help(&subcommands)?;
    for word in words {
        let is_listed = help.lines().any(|line| line.trim_start().starts_with(&format!("{word} ")));
        if !help.contains("Commands:") || !is_listed {
            break;
        }
        subcommands.push(word);
        help = self::help(&subcommands)?;
    }
    if subcommands.is_empty() {
        return Err(format!("no such command: quire {}", words.join(" ")));
    }
    match words.iter().filter(|word| word.starts_with("--")).find(|flag| !help.contains(**flag)) {
        Some(flag) => Err(format!("quire {} has no {flag}", subcommands.join(" "))),
        None => Ok(()),
    }
}

fn help(subcommands: &[&str]) -> Result<String, String> {
    let output = Command::new(QUIRE).args(subcommands).arg("--help").output().expect("quire starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() { Ok(text) } else { Err(format!("quire {} has no help", subcommands.join(" "))) }
}

#[test]
fn commands_flags_and_scripts_that_do_not_exist_are_found() {
    assert_eq!(check_line("quire review correct NAME --text a.txt --by anna    # a comment --nonsense"), Ok(()));
    assert_eq!(check_line("docker build --file functions/worker/Dockerfile ."), Ok(()));
    assert!(check_line("quire reviews list").is_err());
    assert!(check_line("quire review show NAME --picture a.png").is_err_and(|why| why.contains("--picture")));
    assert!(check_line("python3 tests/bench/no_such.py").is_err());
}
