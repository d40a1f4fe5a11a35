//! Packages the Lambda functions as zips.
//!
//! Each function is one program, named `bootstrap` in its zip as the runtime `provided.al2023` requires, with pdfium
//! next to it where PDFs are opened. Cargo builds the programs with the local toolchain. If Amazon Linux 2023 cannot
//! load them because the C library of this machine is newer, they are built again against an older one, with zig. A
//! program that Lambda cannot load is never packaged. Zips are reproducible: the same programs give the same bytes.
#![warn(missing_docs)]

mod archive;
mod cargo_build;
mod functions;
mod glibc_check;
mod zig;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use quire_native_libs::Progress;

use archive::ZipEntry;
use functions::Programs;

pub use functions::{FUNCTIONS, Function};

/// The arguments of the command.
#[derive(Debug, clap::Parser)]
#[command(name = "quire-package", version, about = "Package the Lambda functions as zips")]
pub struct Args {
    /// Output folder of the zips
    #[arg(long, value_name = "DIR", default_value_os_t = functions::repository().join("infra/build"))]
    pub out: PathBuf,
    /// Use the programs in this folder instead of building them
    #[arg(long, value_name = "DIR")]
    pub bins: Option<PathBuf>,
    /// Package for an emulator on this machine: skip the check whether Lambda can load the programs
    #[arg(long)]
    pub for_this_machine: bool,
}

/// The maximum unpacked size of a function, an AWS limit.
const UNPACKED_MAX_BYTES: u64 = 250 << 20;

/// Compression levels of deflate: an emulator on this machine needs no small zips.
const FAST_COMPRESSION: i64 = 1;
const BEST_COMPRESSION: i64 = 9;

/// Packages all functions. Returns the path and the size in bytes of each zip.
///
/// # Errors
/// A program is missing, does not build, or does not run on Lambda; the message says what to do.
pub fn package(args: &Args) -> anyhow::Result<Vec<(PathBuf, u64)>> {
    let is_lambda_platform = cfg!(all(target_os = "linux", target_arch = "x86_64"));
    ensure!(
        is_lambda_platform || args.bins.is_some(),
        "programs for Lambda can only be built on Linux x86-64: build them there, and pass their folder with --bins DIR"
    );
    let pdfium = quire_native_libs::pdfium(&Progress::Bar)?;
    let programs = match &args.bins {
        Some(folder) => find_programs(folder)?,
        None => build_programs()?,
    };
    let contents: Vec<_> =
        programs.iter().map(|(function, program)| (*function, zip_entries(*function, program, &pdfium))).collect();
    if !args.for_this_machine {
        for (function, entries) in &contents {
            check_lambda_limits(*function, entries)?;
        }
    }
    fs::create_dir_all(&args.out).with_context(|| format!("cannot create {}", args.out.display()))?;
    let level = if args.for_this_machine { FAST_COMPRESSION } else { BEST_COMPRESSION };
    let mut zips = Vec::new();
    for (function, entries) in contents {
        let path = args.out.join(format!("{}.zip", function.name));
        let size = archive::write_zip(&path, &entries, level);
        let size = size.with_context(|| format!("cannot write {}", path.display()))?;
        zips.push((path, size));
    }
    Ok(zips)
}

fn find_programs(folder: &Path) -> anyhow::Result<Programs> {
    let find = |function: Function| {
        let path = folder.join(function.name);
        ensure!(path.is_file(), "{} is missing: run `cargo build -p {} --bins`", path.display(), function.package);
        Ok((function, path))
    };
    FUNCTIONS.into_iter().map(find).collect()
}

fn build_programs() -> anyhow::Result<Programs> {
    let programs = cargo_build::build_for_this_machine()?;
    let incompatibility = programs.iter().find_map(|(_, program)| glibc_check::check(program).err());
    let Some(incompatibility) = incompatibility else { return Ok(programs) };
    eprintln!("building again for an older C library: {incompatibility:#}");
    cargo_build::build_with_zig(&zig::install()?)
}

/// Returns the entries of a function's zip, sorted by name.
fn zip_entries(function: Function, program: &Path, pdfium: &Path) -> Vec<ZipEntry> {
    let mut entries = vec![ZipEntry { name: "bootstrap", path: program.to_owned(), mode: 0o755 }];
    if function.pdfium {
        entries.push(ZipEntry { name: "libpdfium.so", path: pdfium.to_owned(), mode: 0o644 });
    }
    entries
}

/// Checks that Lambda can load the entries, and that their total size is within its limit.
fn check_lambda_limits(function: Function, entries: &[ZipEntry]) -> anyhow::Result<()> {
    let mut unpacked = 0;
    for ZipEntry { path, .. } in entries {
        glibc_check::check(path)?;
        unpacked += fs::metadata(path)?.len();
    }
    if unpacked > UNPACKED_MAX_BYTES {
        bail!("{} has an unpacked size of {unpacked} bytes; the limit is {UNPACKED_MAX_BYTES} bytes", function.name);
    }
    Ok(())
}
