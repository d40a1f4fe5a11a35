//! Deletions on a full disk: a file system in memory, which only root can mount.

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
    process::Command,
};

use quire_platform::{Backend, Error, conformance, now, purge};
use quire_platform_embedded::Embedded;
use quire_tasks::{Document, DocumentFormat, DocumentState, ObjectKey, SplitDocument, Task, TaskId, Tenant};
use tempfile::TempDir;

/// A mounted file system of 64 MB.
struct SmallDisk {
    dir: TempDir,
}

impl SmallDisk {
    /// Returns `None` where it cannot be mounted.
    fn mount() -> Option<Self> {
        let dir = TempDir::new().expect("a folder");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=64m", "tmpfs"]).arg(dir.path()).output();
        let mounted = mount.is_ok_and(|output| output.status.success());
        if !mounted {
            #[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
            {
                eprintln!("SKIPPED: deletions on a full disk were not tested: mounting a file system needs root");
            }
        }
        mounted.then_some(Self { dir })
    }

    /// Fills the disk to the last byte. Returns the name of the file.
    fn fill(&self) -> std::path::PathBuf {
        let place = self.dir.path().join("filler");
        let mut filler = File::create(&place).expect("a file");
        let mut block = vec![1_u8; 1 << 20];
        while !block.is_empty() {
            if filler.write_all(&block).is_err() {
                block.truncate(block.len() / 2);
            }
        }
        place
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.dir.path()).status();
    }
}

fn task(number: usize, pages: u32) -> Task {
    let state = DocumentState::Split(SplitDocument { format: DocumentFormat::Pdf, pages });
    let document = Document::new(1, Some(format!("file-{number}.pdf")), state);
    let id = TaskId::derive_from(&["full disk", &number.to_string()]);
    Task::new(id, Tenant::default(), now(), vec![document], None)
}

async fn create(backend: &Backend, number: usize, pages: u32) -> Task {
    let task = task(number, pages);
    backend.tasks.create(task.clone()).await.expect("created");
    let key = ObjectKey::Document { task_id: task.id, document: 1 }.to_string();
    backend.objects.put(&key, vec![7; 4 << 20].into()).await.expect("stored");
    task
}

fn open(dir: &Path) -> Embedded {
    Embedded::open_with(dir, "test", conformance::settings).expect("open the backend")
}

#[tokio::test]
async fn tasks_are_deleted_on_a_full_disk_and_free_its_space() {
    let Some(disk) = SmallDisk::mount() else { return };
    let data = disk.dir.path().join("data");
    let embedded = open(&data);
    let backend = embedded.backend();
    let mut tasks = Vec::new();
    for (number, pages) in [(1, 3000), (2, 1), (3, 1)] {
        tasks.push(create(&backend, number, pages).await);
    }
    assert!(!embedded.is_disk_full().expect("a disk"));
    let filler = disk.fill();
    let space = backend.objects.disk_space().expect("a disk");
    assert!(embedded.is_disk_full().expect("a disk") && space.free < 4096, "{space:?}");
    let refused = backend.tasks.create(task(9, 3000)).await;
    assert!(matches!(refused, Err(Error::Full { .. })), "{refused:?}");

    for deleted in &tasks {
        purge(&backend, deleted).await.expect("deleted on a full disk");
        assert!(matches!(backend.tasks.task(deleted.id).await, Err(Error::NotFound { .. })));
    }
    let space = backend.objects.disk_space().expect("a disk");
    let reserve = fs::metadata(data.join("reserve")).map_or(0, |reserve| reserve.len());
    assert!(space.free + reserve >= 3 * (4 << 20), "{space:?}");
    fs::remove_file(filler).expect("space again");
    let created = create(&backend, 4, 1).await;
    purge(&backend, &created).await.expect("deleted");
    assert!(data.join("reserve").exists(), "the reserve is there for the next time");
    assert!(!embedded.is_disk_full().expect("a disk"));
}

#[tokio::test]
async fn an_expired_task_is_deleted_after_a_restart_on_a_full_disk() {
    let Some(disk) = SmallDisk::mount() else { return };
    let data = disk.dir.path().join("data");
    let embedded = open(&data);
    let created = create(&embedded.backend(), 1, 10).await;
    embedded.backend().tasks.expire(created.id, now()).await.expect("expired");
    drop(embedded);
    let _filler = disk.fill();
    let embedded = open(&data);
    let backend = embedded.backend();
    let expired = backend.tasks.list_expired(now(), 10).await.expect("a list");
    assert_eq!(expired.len(), 1);
    purge(&backend, &expired[0]).await.expect("deleted");
    let key = ObjectKey::Document { task_id: created.id, document: 1 }.to_string();
    assert!(matches!(backend.objects.read(&key).await, Err(Error::NotFound { .. })));
}
