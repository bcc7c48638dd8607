//! `conclave man`: manual pages, made from the same definitions as the help.

use std::path::Path;

use clap::CommandFactory as _;
use clap_mangen::Man;

use crate::args::Cli;
use crate::failure::Failure;
use crate::output::Output;

pub(super) fn run(output: Output, command: &[String], dir: Option<&Path>) -> Result<(), Failure> {
    let mut program = Cli::command();
    // Names of subcommands become `conclave-chat-mute`, and the options all commands take are theirs, too.
    program.build();
    if let Some(dir) = dir {
        std::fs::create_dir_all(dir).map_err(|e| Failure::io("making", dir, &e))?;
        return write_all(&program, dir);
    }
    let mut found = &program;
    for name in command {
        found = found.find_subcommand(name).ok_or_else(|| {
            let known: Vec<_> = found.get_subcommands().map(|sub| sub.get_name()).collect();
            Failure::usage(
                "usage",
                format!("there is no command {name:?}"),
                format!("these are there: {}", known.join(", ")),
            )
        })?;
    }
    output.text(&page(found)?);
    Ok(())
}

fn write_all(command: &clap::Command, dir: &Path) -> Result<(), Failure> {
    let name = command.get_display_name().unwrap_or(command.get_name());
    let path = dir.join(format!("{name}.1"));
    std::fs::write(&path, page(command)?).map_err(|e| Failure::io("writing", &path, &e))?;
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        write_all(sub, dir)?;
    }
    Ok(())
}

fn page(command: &clap::Command) -> Result<Vec<u8>, Failure> {
    let mut page = Vec::new();
    Man::new(command.clone())
        .source(format!("conclave {}", env!("CARGO_PKG_VERSION")))
        .manual("Conclave Manual")
        .render(&mut page)
        .map_err(|e| Failure::failed("io", format!("writing the manual page: {e}"), "try again"))?;
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_a_command_is_titled_with_its_whole_name() {
        let mut program = Cli::command();
        program.build();
        let mute = program.find_subcommand("chat").and_then(|chat| chat.find_subcommand("mute")).unwrap();
        let text = String::from_utf8(page(mute).unwrap()).unwrap();
        let title = text.lines().find(|line| line.starts_with(".TH")).unwrap();
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(
            title.split_whitespace().collect::<Vec<_>>().join(" "),
            format!(".TH conclave-chat-mute 1 \"conclave {version}\" \"Conclave Manual\"")
        );
    }
}
