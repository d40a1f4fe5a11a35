//! Reproducible zips: their bytes depend only on the content and the permissions of their entries.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::Context;
use zip::{CompressionMethod, DateTime, ZipWriter, write::SimpleFileOptions};

/// A file in a zip.
#[derive(Debug)]
pub(crate) struct ZipEntry {
    pub(crate) name: &'static str,
    pub(crate) path: PathBuf,
    /// The Unix permissions after unpacking.
    pub(crate) mode: u32,
}

/// Writes a zip of entries that are sorted by name, with a deflate `level` from 1 to 9. Returns its size in bytes.
/// Replaces an existing file atomically.
pub(crate) fn write_zip(path: &Path, entries: &[ZipEntry], level: i64) -> anyhow::Result<u64> {
    debug_assert!(entries.is_sorted_by_key(|entry| entry.name));
    let folder = path.parent().unwrap_or(Path::new("."));
    let permissions = fs::Permissions::from_mode(0o644);
    let temporary = tempfile::Builder::new().prefix(".zip-").permissions(permissions).tempfile_in(folder)?;
    let mut zip = ZipWriter::new(temporary.as_file().try_clone()?);
    for ZipEntry { name, path, mode } in entries {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .compression_level(Some(level))
            .last_modified_time(DateTime::default())
            .unix_permissions(*mode);
        zip.start_file(*name, options)?;
        let mut file = File::open(path).with_context(|| path.display().to_string())?;
        io::copy(&mut file, &mut zip)?;
    }
    // Synced before the rename: a crash must not leave an incomplete zip.
    zip.finish()?.sync_all()?;
    temporary.persist(path)?;
    Ok(fs::metadata(path)?.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zip_does_not_depend_on_modification_times() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let write_program = |name: &str, mtime: u64| {
            let program = folder.path().join("program");
            fs::write(&program, "a program").expect("the file is written");
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(mtime);
            let file = File::options().append(true).open(&program).expect("the file is opened");
            file.set_modified(time).expect("the modification time is set");
            let path = folder.path().join(name);
            let entry = ZipEntry { name: "bootstrap", path: program, mode: 0o755 };
            let size = write_zip(&path, &[entry], 9).expect("the zip is written");
            let zip = fs::read(&path).expect("the zip can be read");
            assert_eq!(zip.len() as u64, size);
            zip
        };
        assert_eq!(write_program("first.zip", 1_000_000_000), write_program("second.zip", 1_700_000_000));
        let files: Vec<_> = fs::read_dir(folder.path()).expect("the folder can be read").collect();
        assert_eq!(files.len(), 3, "no temporary file is left: {files:?}");
    }
}
