use clap::CommandFactory;

use super::*;

pub(crate) fn parse(line: &str) -> Result<CliCommand, String> {
    match Cli::try_parse_from(line.split(' ')) {
        Ok(cli) => Ok(cli.command),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn the_command_line_is_well_formed() {
    Cli::command().debug_assert();
}

fn read_mode(arguments: &str) -> Result<quire_submit::ReadOptions, String> {
    match parse(&format!("quire read a.pdf {arguments}"))? {
        CliCommand::Read(read) => read.mode.validate().map_err(|error| error.to_string()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_mode_is_parsed_with_its_keys_and_language() {
    let fields = read_mode("--mode fields --key total --key date --engine a@1").expect("valid arguments");
    assert_eq!(fields.mode, Mode::Fields { keys: vec!["total".to_owned(), "date".to_owned()] });
    assert_eq!(fields.engine.as_deref(), Some("a@1"));
    assert_eq!(read_mode("--format json").expect("valid arguments").mode, Mode::Text, "text is the default");
    assert!(read_mode("--mode fields").expect_err("no keys").contains("keys"));
    assert!(read_mode("--language English").expect_err("an unused language").contains("language"));
    assert!(read_mode("--mode poem").expect_err("an unknown mode").contains("mode"));
}

#[test]
fn the_devices_are_cpu_and_cuda() {
    for (arguments, device) in [("", Device::Cpu), (" --device cuda", Device::Cuda)] {
        let Ok(CliCommand::Read(read)) = parse(&format!("quire read a.pdf{arguments}")) else { panic!("{arguments}") };
        assert_eq!(read.engine.device, device);
    }
    assert!(parse("quire read a.pdf --device gpu").expect_err("an unknown device").contains("cpu, cuda"));
}
