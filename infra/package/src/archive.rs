//! Zips whose bytes depend on what they hold and on nothing else.

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
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    pub(crate) path: PathBuf,
    /// The permissions that it gets when it is unpacked.
    pub(crate) mode: u32,
}

/// Writes a zip of entries that are sorted by name, packed by `level` from 1 to 9; says how large it is. Whoever reads the path meanwhile sees the zip
/// that was there before.
pub(crate) fn write(path: &Path, entries: &[Entry], level: i64) -> anyhow::Result<u64> {
    debug_assert!(entries.is_sorted_by_key(|entry| entry.name));
    let folder = path.parent().unwrap_or(Path::new("."));
    let everyone_reads = fs::Permissions::from_mode(0o644);
    let draft = tempfile::Builder::new().prefix(".zip-").permissions(everyone_reads).tempfile_in(folder)?;
    let mut zip = ZipWriter::new(draft.as_file().try_clone()?);
    for Entry { name, path, mode } in entries {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .compression_level(Some(level))
            .last_modified_time(DateTime::default())
            .unix_permissions(*mode);
        zip.start_file(*name, options)?;
        let mut file = File::open(path).with_context(|| path.display().to_string())?;
        io::copy(&mut file, &mut zip)?;
    }
    zip.finish()?.sync_all()?;
    draft.persist(path)?;
    Ok(fs::metadata(path)?.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_files_make_the_same_bytes_whenever_they_were_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let zipped = |name: &str, mtime: u64| {
            let program = folder.path().join("program");
            fs::write(&program, "a program").expect("written");
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(mtime);
            let file = File::options().append(true).open(&program).expect("opened");
            file.set_modified(time).expect("its time is set");
            let path = folder.path().join(name);
            let entry = Entry { name: "bootstrap", path: program, mode: 0o755 };
            let bytes = write(&path, &[entry], 9).expect("a zip");
            let zip = fs::read(&path).expect("the zip is there");
            assert_eq!(zip.len() as u64, bytes);
            zip
        };
        assert_eq!(zipped("first.zip", 1_000_000_000), zipped("second.zip", 1_700_000_000));
        let left: Vec<_> = fs::read_dir(folder.path()).expect("a list").collect();
        assert_eq!(left.len(), 3, "no draft stays: {left:?}");
    }
}
