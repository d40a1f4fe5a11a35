//! From the sources to the zips that Lambda runs.
//!
//! Each function is one program, named `bootstrap` in its zip as `provided.al2023` wants it, with pdfium beside it where
//! PDFs are opened. The programs are built by the Cargo that is here; `elf` then finds out whether Amazon Linux 2023 can
//! load them, and where this machine's C library is too new for that, they are built again against an older one (`zig`).
//! What cannot be loaded there never becomes a zip, and the same programs make the same bytes.
#![warn(missing_docs)]

mod archive;
mod build;
mod elf;
mod zig;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use quire_native_libs::Progress;

use archive::Entry;

/// What the command takes.
#[derive(Debug, clap::Parser)]
#[command(name = "quire-package", version, about = "Makes the zips of the Lambda functions")]
pub struct Args {
    /// Where the zips go.
    #[arg(long, value_name = "DIR", default_value_os_t = root().join("infra/build"))]
    pub out: PathBuf,
    /// Take the programs out of this folder instead of building them.
    #[arg(long, value_name = "DIR")]
    pub bins: Option<PathBuf>,
    /// The zips are for an emulator on this machine: whether Lambda could load the programs is not looked at.
    #[arg(long)]
    pub for_this_machine: bool,
}

/// A Lambda function.
#[derive(Debug, Clone, Copy)]
pub struct Function {
    /// The program's name, and the zip's.
    pub name: &'static str,
    /// The package that it is in.
    pub package: &'static str,
    /// Whether it opens PDFs.
    pub pdfium: bool,
}

/// All of them.
pub const FUNCTIONS: [Function; 6] = [
    Function { name: "submit-api", package: "quire-submit", pdfium: true },
    Function { name: "submit-upload", package: "quire-submit", pdfium: false },
    Function { name: "submit-ingest", package: "quire-submit", pdfium: true },
    Function { name: "submit-sweep", package: "quire-submit", pdfium: false },
    Function { name: "notifier", package: "quire-notifier", pdfium: false },
    Function { name: "dead-letter", package: "quire-dead-letter", pdfium: false },
];

/// What Lambda unpacks of one function at most, by AWS.
const UNPACKED_MAX_BYTES: u64 = 250 << 20;

/// Makes the zips, and says where they are and how large.
///
/// # Errors
/// What is missing or does not fit, and what to do about it.
pub fn package(args: &Args) -> anyhow::Result<Vec<(PathBuf, u64)>> {
    let on_lambda = cfg!(all(target_os = "linux", target_arch = "x86_64"));
    ensure!(
        on_lambda || args.bins.is_some(),
        "programs for Lambda are built on Linux on x86-64 only: build them there, and name their folder with --bins DIR"
    );
    let pdfium = quire_native_libs::pdfium(&Progress::Bar)?;
    let programs = match &args.bins {
        Some(folder) => ready_made(folder)?,
        None => built()?,
    };
    let contents = programs.iter().map(|(function, program)| contents(*function, program, &pdfium));
    let contents: Vec<_> = contents.collect();
    if !args.for_this_machine {
        for (function, entries) in &contents {
            fits(*function, entries)?;
        }
    }
    fs::create_dir_all(&args.out).with_context(|| format!("{} cannot be made", args.out.display()))?;
    // An emulator on this machine is next door: its zips are small enough at once.
    let level = if args.for_this_machine { 1 } else { 9 };
    let write = |(function, entries): (Function, Vec<Entry>)| {
        let path = args.out.join(format!("{}.zip", function.name));
        let bytes =
            archive::write(&path, &entries, level).with_context(|| format!("{} cannot be made", path.display()))?;
        Ok((path, bytes))
    };
    contents.into_iter().map(write).collect()
}

/// Each function with its program.
type Programs = Vec<(Function, PathBuf)>;

fn ready_made(folder: &Path) -> anyhow::Result<Programs> {
    let program = |function: Function| {
        let path = folder.join(function.name);
        ensure!(path.is_file(), "{} is missing: cargo build -p {} --bins makes it", path.display(), function.package);
        Ok((function, path))
    };
    FUNCTIONS.into_iter().map(program).collect()
}

fn built() -> anyhow::Result<Programs> {
    let programs = build::on_this_machine()?;
    let misfit = programs.iter().find_map(|(_, program)| elf::check(program).err());
    let Some(misfit) = misfit else { return Ok(programs) };
    eprintln!("built again for an older C library: {misfit:#}");
    build::with_zig(&zig::install()?)
}

/// What one zip is to hold.
fn contents(function: Function, program: &Path, pdfium: &Path) -> (Function, Vec<Entry>) {
    let bootstrap = Entry { name: "bootstrap", path: program.to_owned(), mode: 0o755 };
    let library = Entry { name: "libpdfium.so", path: pdfium.to_owned(), mode: 0o644 };
    let entries = std::iter::once(bootstrap).chain(function.pdfium.then_some(library));
    (function, entries.collect())
}

/// Whether Lambda can unpack and load it.
fn fits(function: Function, entries: &[Entry]) -> anyhow::Result<()> {
    let mut unpacked = 0;
    for Entry { path, .. } in entries {
        elf::check(path)?;
        unpacked += fs::metadata(path)?.len();
    }
    if unpacked > UNPACKED_MAX_BYTES {
        bail!("{} would be unpacked to {unpacked} bytes, more than the {UNPACKED_MAX_BYTES} of Lambda", function.name);
    }
    Ok(())
}

fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}
