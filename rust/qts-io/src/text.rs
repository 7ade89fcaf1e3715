//! Opening text that may be packed.

use std::fs::File;
use std::io::{self, Chain, Cursor, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use qts_core::market::source::SourceError;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

type Restored<R> = Chain<Cursor<Vec<u8>>, R>;

/// Text from `R`, unpacked if it was packed.
pub(crate) enum Text<R: Read> {
    Plain(Restored<R>),
    Gzip(Box<MultiGzDecoder<Restored<R>>>),
}

impl<R: Read> Text<R> {
    /// Looks at the first two bytes to tell packed from plain text.
    pub(crate) fn new(mut input: R) -> io::Result<Self> {
        let mut first = Vec::with_capacity(GZIP_MAGIC.len());
        input.by_ref().take(2).read_to_end(&mut first)?;
        let is_gzip = first == GZIP_MAGIC;
        let restored = Cursor::new(first).chain(input);
        Ok(if is_gzip { Self::Gzip(Box::new(MultiGzDecoder::new(restored))) } else { Self::Plain(restored) })
    }

    pub(crate) const fn is_gzip(&self) -> bool {
        matches!(self, Self::Gzip(_))
    }
}

impl<R: Read> Read for Text<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(text) => text.read(buffer),
            Self::Gzip(text) => text.read(buffer),
        }
    }
}

/// Opens a file for reading.
pub(crate) fn open(path: &Path) -> Result<File, SourceError> {
    let fault = |found: &str| fault(&path.to_string_lossy(), 0, found, "a readable .csv or .csv.gz file");
    let file = File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => fault("no such file"),
        _ => fault(&error.to_string()),
    })?;
    match file.metadata() {
        Ok(metadata) if metadata.is_dir() => Err(fault("a directory")),
        Ok(_) => Ok(file),
        Err(error) => Err(fault(&error.to_string())),
    }
}

/// A fault that no column is to blame for.
pub(crate) fn fault(path: &str, line: u64, found: &str, expected: &str) -> SourceError {
    SourceError {
        path: path.to_owned(),
        line,
        column: None,
        found: found.to_owned(),
        expected: expected.to_owned(),
    }
}
