//! The terminal while `top` has it: the other screen, no cursor, keys that are not echoed. Whatever ends `top`, dropping this gives all of it back.

use std::{
    fmt::Write as _,
    fs::File,
    io::{self, Read as _, Write as _},
    thread,
};

use rustix::termios::{self, LocalModes, OptionalActions, SpecialCodeIndex, Termios};
use tokio::sync::oneshot;

use super::view::{Line, Room, View};

/// The other screen, without a cursor, and lines that end at the edge.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";
/// The same back.
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";
/// A window whose size is not known.
const USUAL: Room = Room { width: 80, height: 24 };

/// The terminal.
pub(super) struct Screen {
    colours: bool,
    /// Its keys, and how they were.
    before: Option<(File, Termios)>,
}

/// What is typed.
pub(super) struct Keys(Option<oneshot::Receiver<()>>);

impl Screen {
    /// Takes the terminal.
    pub(super) fn open(colours: bool) -> io::Result<Self> {
        let screen = Self { colours, before: quiet() };
        write(ENTER)?;
        Ok(screen)
    }

    /// What is typed there. Where keys cannot be read, signals still end it.
    pub(super) fn keys(&self) -> Keys {
        let (quit, asked) = oneshot::channel();
        let tty = self.before.as_ref().and_then(|(tty, _)| tty.try_clone().ok());
        // A thread of its own, for reading waits; it ends with the program.
        let reading = tty.map(|tty| thread::Builder::new().name("keys".to_owned()).spawn(move || read_keys(tty, quit)));
        Keys(reading.is_some_and(|reading| reading.is_ok()).then_some(asked))
    }

    /// Draws, over what was there.
    pub(super) fn show(&mut self, view: &View<'_>) -> io::Result<()> {
        let mut frame = String::from("\x1b[H");
        for (nth, Line { look, text }) in view.lines(room()).into_iter().enumerate() {
            // The line is cleared before it is written: behind one that fills it, its last character would go. Writing to a string cannot fail.
            let _ = write!(frame, "{}\x1b[K{}", if nth > 0 { "\r\n" } else { "" }, look.paint(&text, self.colours));
        }
        frame.push_str("\x1b[J");
        write(&frame)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing back.
        let _ = write(LEAVE);
        if let Some((tty, before)) = &self.before {
            let _ = termios::tcsetattr(tty, OptionalActions::Flush, before);
        }
    }
}

impl Keys {
    /// Waits for a `q`, or for the end of the terminal.
    pub(super) async fn quit(&mut self) {
        match &mut self.0 {
            // An error is the end of who reads them.
            Some(asked) => drop(asked.await),
            None => std::future::pending().await,
        }
    }
}

/// Until a `q` comes, or the terminal ends.
fn read_keys(mut tty: File, quit: oneshot::Sender<()>) {
    let mut typed = [0; 64];
    loop {
        match tty.read(&mut typed) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(count) if count > 0 && !typed.iter().take(count).any(|key| matches!(key, b'q' | b'Q')) => {}
            _ => break,
        }
    }
    // Nobody waits any more where it ends anyway.
    let _ = quit.send(());
}

/// How much fits the window.
pub(super) fn room() -> Room {
    match termios::tcgetwinsize(io::stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => Room { width: size.ws_col.into(), height: size.ws_row.into() },
        _ => USUAL,
    }
}

/// Keys come at once and unseen; Ctrl-C stays a signal, and Ctrl-Z, which would leave a shell on the other screen, does nothing.
fn quiet() -> Option<(File, Termios)> {
    let tty = File::open("/dev/tty").ok()?;
    let before = termios::tcgetattr(&tty).ok()?;
    let mut quiet = before.clone();
    quiet.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
    quiet.special_codes[SpecialCodeIndex::VSUSP] = 0;
    termios::tcsetattr(&tty, OptionalActions::Flush, &quiet).ok()?;
    Some((tty, before))
}

fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
