//! The system calls that durability rests on, behind a trait: tests fail them and cut the power between them.

use std::fmt::Debug;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// What the journal asks of a disk.
pub trait Disk: Send + Sync + Debug {
    /// Makes a new file of that size whose blocks are there already, all zero, for the owner alone.
    ///
    /// # Errors
    /// What the system says; there is no file then.
    fn create(&self, path: &Path, bytes: u64) -> io::Result<File>;

    /// Returns once the file's bytes, mapped ones too, are durable.
    ///
    /// # Errors
    /// What the system says; what the file holds is not known then.
    fn sync(&self, file: &File, path: &Path) -> io::Result<()>;

    /// Returns once the names in the directory are durable.
    ///
    /// # Errors
    /// What the system says.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Gives a file another name, in place of the one that has it.
    ///
    /// # Errors
    /// What the system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    /// Removes a file.
    ///
    /// # Errors
    /// What the system says.
    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }
}

/// The operating system's files.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemDisk;

impl Disk for SystemDisk {
    fn create(&self, path: &Path, bytes: u64) -> io::Result<File> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?;
        let allocated = rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, bytes);
        if let Err(error) = allocated {
            // The first error counts; the file is empty.
            let _ = std::fs::remove_file(path);
            return Err(error.into());
        }
        Ok(file)
    }

    fn sync(&self, file: &File, _path: &Path) -> io::Result<()> {
        file.sync_data()
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }
}
