//! Names and files of a journal's directory.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::error::JournalError;

const SUFFIX: &str = ".qtsj";
const LOCK: &str = "lock";
pub(super) const DAY_NS: i64 = 86_400_000_000_000;

/// Segments of a directory in the order of their numbers.
pub(super) fn list(dir: &Path) -> Result<Vec<(u32, PathBuf)>, JournalError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(JournalError::io("read", dir))? {
        let path = entry.map_err(JournalError::io("read", dir))?.path();
        let Some(stem) = path.file_name().and_then(|name| name.to_str()?.strip_suffix(SUFFIX)) else {
            continue;
        };
        let Some(number) = number(stem) else {
            let found = "a segment with another name".to_owned();
            return Err(JournalError::Foreign { path, found, expected: "<yyyymmdd>-<number>.qtsj" });
        };
        found.push((number, path));
    }
    found.sort();
    if let Some(((number, _), (_, path))) = found.iter().zip(found.iter().skip(1)).find(|(a, b)| a.0 == b.0) {
        let found = format!("a second segment {number}");
        return Err(JournalError::Foreign { path: path.clone(), found, expected: "each number once" });
    }
    Ok(found)
}

fn number(stem: &str) -> Option<u32> {
    let (day, number) = stem.split_once('-')?;
    let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    (day.len() == 8 && is_plain(day) && number.len() >= 6 && is_plain(number)).then(|| number.parse().ok())?
}

/// The file of a segment that begins at that time.
pub(super) fn path(dir: &Path, ts_ns: i64, number: u32) -> PathBuf {
    let (year, month, day) = date(ts_ns.div_euclid(DAY_NS));
    dir.join(format!("{year:04}{month:02}{day:02}-{number:06}{SUFFIX}"))
}

/// First nanosecond of the next UTC day.
pub(super) const fn day_end(ts_ns: i64) -> i64 {
    ts_ns.div_euclid(DAY_NS).saturating_add(1).saturating_mul(DAY_NS)
}

/// Year, month and day of a count of days since 1970 (Hinnant's algorithm).
#[allow(clippy::arithmetic_side_effects, reason = "64-bit nanoseconds are at most 106 752 days from 1970")]
const fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + if month <= 2 { 1 } else { 0 }, month, day)
}

/// Bytes of all segments.
pub(super) fn used(dir: &Path) -> Result<u64, JournalError> {
    list(dir)?.iter().try_fold(0_u64, |sum, (_, path)| Ok(sum.saturating_add(bytes(path)?)))
}

/// Bytes of a segment; none of one that has been retired meanwhile.
pub(super) fn bytes(path: &Path) -> Result<u64, JournalError> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(metadata.len()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(JournalError::io("look at", path)(error)),
    }
}

/// Makes the directory if need be, for its owner alone, and keeps other processes out.
pub(super) fn lock(dir: &Path) -> Result<File, JournalError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(JournalError::io("make", dir))?;
    let path = dir.join(LOCK);
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
    let file = file.map_err(JournalError::io("open", &path))?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(JournalError::InUse { dir: dir.to_owned() }),
        Err(error) => Err(JournalError::io("lock", &path)(io::Error::from(error))),
    }
}

/// Lets other processes in. Closing the file alone would not do while a child that has just been forked still has it.
pub(super) fn unlock(lock: &File) {
    // The lock ends with the process at the latest.
    let _ = rustix::fs::flock(lock, rustix::fs::FlockOperation::Unlock);
}
