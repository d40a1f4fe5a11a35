//! Unpacks members of a wheel and verifies their hashes.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use sha2::{Digest, Sha256};
use zip::ZipArchive;
use zip::result::ZipError;

use crate::NativeLibsError;
use crate::error::at;
use crate::pinned::{PinnedWheel, WheelMember};

/// The most bytes of the licenses of a wheel. Real ones have less than 350 kB in total.
const LICENSES_MAX_BYTES: u64 = 4 * 1024 * 1024;
const LICENSES_NAME: &str = "LICENSES.txt";
/// A larger buffer is not faster.
const BUFFER_BYTES: usize = 64 * 1024;

/// Unpacks the members and licenses of a wheel to a new folder, and syncs them to disk.
pub(crate) fn unpack(part: &PinnedWheel, wheel: &Path, into: &Path) -> Result<(), NativeLibsError> {
    // pip verifies the hash too, but its version and configuration are not under our control.
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

/// Returns the size and SHA-256 of a file.
pub(crate) fn hash_file(path: &Path) -> io::Result<(u64, String)> {
    copy_hashed(&mut File::open(path)?, &mut io::sink())
}

/// Syncs a folder, so that renames in it are durable.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), NativeLibsError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(at(folder))
}

fn unpack_member(
    part: &PinnedWheel,
    member: &WheelMember,
    archive: &mut ZipArchive<File>,
    into: &Path,
) -> Result<(), NativeLibsError> {
    let path = into.join(member.name);
    let entry = archive.by_name(member.archived).map_err(|error| unreadable(part, member.archived, &path, error))?;
    let mut file = File::create_new(&path).map_err(at(&path))?;
    // One byte more than pinned is enough to detect a longer member.
    let hashed = copy_hashed(&mut entry.take(member.size + 1), &mut file).map_err(at(&path))?;
    if hashed != (member.size, member.sha256.to_owned()) {
        return Err(mismatch(part, member.archived));
    }
    file.sync_all().map_err(at(&path))
}

/// Concatenates the licenses to one file. They have no hash of their own: the hash of the wheel covers them.
fn keep_licenses(part: &PinnedWheel, archive: &mut ZipArchive<File>, into: &Path) -> Result<(), NativeLibsError> {
    let path = into.join(LICENSES_NAME);
    let mut file = File::create_new(&path).map_err(at(&path))?;
    let mut bytes_left = LICENSES_MAX_BYTES;
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(|error| unreadable(part, LICENSES_NAME, &path, error))?;
        let name = entry.name().map_err(|error| unreadable(part, LICENSES_NAME, &path, error))?.into_owned();
        let wanted =
            part.licenses.iter().any(|license| name == *license || license.ends_with('/') && name.starts_with(license));
        if wanted && entry.is_file() {
            writeln!(file, "---- {name}\n").map_err(at(&path))?;
            bytes_left -= io::copy(&mut entry.take(bytes_left), &mut file).map_err(at(&path))?;
            writeln!(file).map_err(at(&path))?;
        }
    }
    file.sync_all().map_err(at(&path))
}

fn copy_hashed(from: &mut dyn Read, to: &mut dyn Write) -> io::Result<(u64, String)> {
    let mut hasher = Sha256::new();
    let mut length = 0;
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
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    })
}

fn mismatch(part: &PinnedWheel, what: &str) -> NativeLibsError {
    NativeLibsError::Mismatch { part: part.to_string(), what: what.to_owned() }
}

/// Converts an error of the archive. Any error but an I/O error means that the archive is not the pinned one.
fn unreadable(part: &PinnedWheel, what: &str, path: &Path, error: ZipError) -> NativeLibsError {
    match error {
        ZipError::Io(source) => at(path)(source),
        _ => mismatch(part, what),
    }
}
