//! Lines out of bytes, in constant memory.

use std::io::{self, Read};

use memchr::memchr;
use qts_core::market::source::SourceError;

use crate::text::{Text, fault};

/// Bytes asked for at once.
const BLOCK_BYTES: usize = 64 * 1024;

/// A line longer than this is none of ours: what looks like one is a file of another kind.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// Reads text line by line into one buffer that does not grow.
pub(crate) struct Lines<R: Read> {
    text: Text<R>,
    path: String,
    buffer: Vec<u8>,
    /// Start of the part of the buffer that has not been handed out.
    start: usize,
    /// End of what has been read into the buffer.
    end: usize,
    /// Number of lines handed out.
    line: u64,
    is_at_end: bool,
}

impl<R: Read> Lines<R> {
    /// Lines of `input`, which is called `path` in errors.
    pub(crate) fn new(path: String, input: R) -> Result<Self, SourceError> {
        match Text::new(input) {
            Ok(text) => Ok(Self {
                text,
                path,
                buffer: vec![0; BLOCK_BYTES + LINE_BYTES_MAX],
                start: 0,
                end: 0,
                line: 0,
                is_at_end: false,
            }),
            Err(error) => Err(fault(&path, 0, &error.to_string(), "readable data")),
        }
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Number of the line handed out last, from 1.
    pub(crate) const fn line(&self) -> u64 {
        self.line
    }

    pub(crate) const fn is_gzip(&self) -> bool {
        self.text.is_gzip()
    }

    /// Place in the buffer of the next line without its line feed, or `None` at the end; see [`Lines::get`].
    #[inline]
    pub(crate) fn next(&mut self) -> Result<Option<Line>, SourceError> {
        let mut searched = self.start;
        loop {
            let fresh = self.buffer.get(searched..self.end).unwrap_or_default();
            if let Some(at) = memchr(b'\n', fresh) {
                let end = searched.saturating_add(at);
                return Ok(Some(self.hand_out(end, end.saturating_add(1))));
            }
            if self.is_at_end {
                // The last line needs no line feed.
                return Ok((self.start < self.end).then(|| self.hand_out(self.end, self.end)));
            }
            let pending = self.end.saturating_sub(self.start);
            self.read_more()?;
            searched = self.start.saturating_add(pending);
        }
    }

    /// The text of a line, valid until the next one is asked for.
    #[inline]
    pub(crate) fn get(&self, line: &Line) -> &[u8] {
        self.buffer.get(line.start..line.end).unwrap_or_default()
    }

    #[inline]
    const fn hand_out(&mut self, end: usize, next: usize) -> Line {
        let line = Line { start: self.start, end };
        self.start = next;
        self.line = self.line.saturating_add(1);
        line
    }

    #[cold]
    fn read_more(&mut self) -> Result<(), SourceError> {
        let pending = self.end.saturating_sub(self.start);
        if pending >= LINE_BYTES_MAX {
            let line = self.line.saturating_add(1);
            let found = format!("a line of more than {LINE_BYTES_MAX} bytes");
            return Err(fault(&self.path, line, &found, "lines of comma-separated text"));
        }
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, pending);
        let room = self.buffer.get_mut(pending..).unwrap_or_default();
        let count = loop {
            match self.text.read(room) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.read_fault(&error)),
                Ok(count) => break count,
            }
        };
        self.is_at_end = count == 0;
        self.end = pending.saturating_add(count);
        Ok(())
    }

    fn read_fault(&self, error: &io::Error) -> SourceError {
        let line = self.line.saturating_add(1);
        match (self.is_gzip(), error.kind()) {
            (true, io::ErrorKind::UnexpectedEof) => {
                fault(&self.path, line, "gzip data that ends too early", "a complete gzip file")
            }
            (true, io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => {
                fault(&self.path, line, &format!("damaged gzip data ({error})"), "a sound gzip file")
            }
            _ => fault(&self.path, line, &error.to_string(), "readable data"),
        }
    }
}

/// Place of a line in the buffer of [`Lines`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line {
    start: usize,
    end: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives out its bytes a few at a time.
    struct Dribble(Vec<u8>, usize);

    impl Read for Dribble {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(self.0.len()).min(buffer.len());
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0.drain(..count);
            Ok(count)
        }
    }

    fn lines(text: &[u8], step: usize) -> Result<Vec<String>, SourceError> {
        let mut lines = Lines::new("text".to_owned(), Dribble(text.to_vec(), step))?;
        let mut seen = Vec::new();
        while let Some(line) = lines.next()? {
            seen.push(String::from_utf8_lossy(lines.get(&line)).into_owned());
        }
        assert_eq!(lines.line(), seen.len() as u64);
        assert_eq!(lines.next()?.map(|_| ()), None);
        Ok(seen)
    }

    #[test]
    fn lines_come_out_whole_however_they_arrive() {
        for step in [1, 2, 3, 7, 1_000] {
            assert_eq!(lines(b"one\ntwo\r\n\nfour", step).unwrap(), ["one", "two\r", "", "four"]);
            assert_eq!(lines(b"one\n", step).unwrap(), ["one"]);
            assert_eq!(lines(b"", step).unwrap(), [""; 0]);
        }
    }

    #[test]
    fn many_lines_pass_through_the_same_buffer() {
        let expected: Vec<String> = (0..100_000).map(|number| format!("line {number}")).collect();
        assert!(lines(expected.join("\n").as_bytes(), 5_000).unwrap() == expected);
    }

    #[test]
    fn a_line_without_end_is_refused_in_bounded_memory() {
        let error = lines(&vec![b'x'; 10 * LINE_BYTES_MAX], 4_096).unwrap_err();
        assert_eq!(
            error.to_string(),
            "text: line 1: found a line of more than 65536 bytes; expected lines of comma-separated text"
        );
    }

    #[test]
    fn a_read_that_fails_names_the_line_it_was_to_give() {
        struct Broken(usize);
        impl Read for Broken {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.0 += 1;
                match self.0 {
                    1 => Err(io::ErrorKind::Interrupted.into()),
                    2 => {
                        buffer[..2].copy_from_slice(b"a\n");
                        Ok(2)
                    }
                    _ => Err(io::Error::other("disk on fire")),
                }
            }
        }
        let mut lines = Lines::new("text".to_owned(), Broken(0)).unwrap();
        assert!(lines.next().unwrap().is_some());
        let error = lines.next().map(|_| ()).unwrap_err();
        assert_eq!(error.to_string(), "text: line 2: found disk on fire; expected readable data");
    }
}
