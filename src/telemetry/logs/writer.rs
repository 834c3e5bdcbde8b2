//! Writes lines to something that may refuse them, and knows exactly how many it lost.

use std::{
    io::{ErrorKind, Write},
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
    time::Duration,
};

/// How long to wait before asking again something that said it would block.
const PAUSE: Duration = Duration::from_millis(10);
/// How often to ask it.
const PAUSES_MAX: u32 = 100;

/// Gathers lines, then writes them at once.
pub(super) struct Writer {
    to: Box<dyn Write + Send>,
    text: String,
    /// Where each gathered line ends.
    ends: Vec<usize>,
    /// The last write broke off within a line.
    torn: bool,
}

impl Writer {
    pub(super) fn new(to: Box<dyn Write + Send>) -> Self {
        Self { to, text: String::new(), ends: Vec::new(), torn: false }
    }

    /// Gathers one line; `make` writes it without its end. `false` if it could not be made.
    pub(super) fn push(&mut self, make: impl FnOnce(&mut String)) -> bool {
        let before = self.text.len();
        if self.torn && self.ends.is_empty() {
            self.text.push('\n');
        }
        if catch_unwind(AssertUnwindSafe(|| make(&mut self.text))).is_err() {
            self.text.truncate(before);
            return false;
        }
        self.text.push('\n');
        self.ends.push(self.text.len());
        true
    }

    /// Writes what was gathered, and says how many lines did not get through whole.
    pub(super) fn flush(&mut self) -> usize {
        let written = self.write_all();
        let whole = self.ends.partition_point(|&end| end <= written);
        let lost = self.ends.len() - whole;
        if written > 0 {
            self.torn = self.text.as_bytes().get(written - 1) != Some(&b'\n');
        }
        self.text.clear();
        self.ends.clear();
        lost
    }

    /// How many bytes were taken before the first refusal.
    fn write_all(&mut self) -> usize {
        let bytes = self.text.as_bytes();
        let (mut written, mut pauses) = (0, 0);
        while written < bytes.len() {
            match self.to.write(&bytes[written..]) {
                Ok(0) => break,
                Ok(taken) => written += taken,
                Err(error) if error.kind() == ErrorKind::Interrupted => (),
                Err(error) if error.kind() == ErrorKind::WouldBlock && pauses < PAUSES_MAX => {
                    pauses += 1;
                    thread::sleep(PAUSE);
                }
                Err(_) => break,
            }
        }
        // Some of what was taken may still be lost here; it cannot be known which lines.
        let _ = self.to.flush();
        written
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, ErrorKind, Write},
        sync::{Arc, Mutex},
    };

    use super::Writer;

    /// Takes so many bytes at each call, or fails.
    struct Script(Vec<Result<usize, ErrorKind>>, Arc<Mutex<Vec<u8>>>);

    impl Write for Script {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let step = if self.0.is_empty() { Ok(usize::MAX) } else { self.0.remove(0) };
            let taken = step?.min(bytes.len());
            self.1.lock().unwrap().extend(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn check(script: Vec<Result<usize, ErrorKind>>, lost: [usize; 2], expected: &str) {
        let out = Arc::new(Mutex::new(Vec::new()));
        let mut writer = Writer::new(Box::new(Script(script, Arc::clone(&out))));
        let losses = [["one", "two"], ["three", "four"]].map(|lines| {
            for line in lines {
                assert!(writer.push(|out| out.push_str(line)));
            }
            writer.flush()
        });
        assert_eq!((losses, String::from_utf8(out.lock().unwrap().clone()).unwrap().as_str()), (lost, expected));
    }

    #[test]
    fn lines_get_through_however_they_are_taken() {
        check(vec![], [0, 0], "one\ntwo\nthree\nfour\n");
        check(vec![Ok(1), Ok(5), Err(ErrorKind::Interrupted), Ok(1), Err(ErrorKind::WouldBlock)], [0, 0], "one\ntwo\nthree\nfour\n");
    }

    #[test]
    fn a_line_that_cannot_be_made_leaves_no_trace() {
        let out = Arc::new(Mutex::new(Vec::new()));
        let mut writer = Writer::new(Box::new(Script(vec![], Arc::clone(&out))));
        let made = [true, false, true].map(|works| {
            writer.push(|out| {
                out.push('x');
                assert!(works, "as planned");
            })
        });
        assert_eq!((made, writer.flush()), ([true, false, true], 0));
        assert_eq!(*out.lock().unwrap(), b"x\nx\n");
    }

    #[test]
    fn lost_lines_are_counted_and_the_next_begin_afresh() {
        check(vec![Err(ErrorKind::StorageFull)], [2, 0], "three\nfour\n");
        check(vec![Ok(4), Err(ErrorKind::BrokenPipe)], [1, 0], "one\nthree\nfour\n");
        check(vec![Ok(5), Err(ErrorKind::BrokenPipe)], [1, 0], "one\nt\nthree\nfour\n");
        check(vec![Ok(0), Err(ErrorKind::BrokenPipe)], [2, 2], "");
    }
}
