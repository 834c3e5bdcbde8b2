//! `top`: what a running Pillion's agents do, in a terminal and as it goes: totals, agents, the last failures, tools that run. It reads the admin port
//! and changes nothing; where the port is gone it says so and keeps trying.

use std::{
    io::{self, IsTerminal as _, Write},
    process::ExitCode,
    time::Duration,
};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{Instant, MissedTickBehavior, interval},
};

mod causes;
mod client;
mod screen;
mod seen;
mod view;

use client::{Client, Unseen};
use screen::{Keys, Screen};
use seen::Seen;
use view::{Line, Room, View};

use super::run::say;
use crate::config::Environment;

/// Where the admin port is, where nobody says.
const ADMIN: &str = "127.0.0.1:4101";
/// Its address by the environment, as `run` reads it.
const ADMIN_VARIABLE: &str = "PILLION_SERVER__ADMIN";
/// Its token by the environment, as `run` reads it.
pub(super) const TOKEN_VARIABLE: &str = "PILLION_SERVER__ADMIN_TOKEN";
/// Looks are no closer together.
const INTERVAL_MIN: Duration = Duration::from_millis(100);
/// What is printed where there is no window: all columns, and all that is worth a line.
const PAGE: Room = Room { width: 160, height: 200 };

/// What somebody who looks may do.
enum Event {
    Quit,
    Resized,
}

/// What happens beside the looking.
struct Events {
    stops: [Signal; 3],
    resized: Signal,
    keys: Keys,
}

/// Shows it until it is told to stop; once, where that is asked for or no terminal is there.
pub(super) async fn run(verb: super::Top, environment: &Environment) -> anyhow::Result<ExitCode> {
    let super::Top { admin, token, interval, once } = verb;
    let admin = admin.as_deref().or_else(|| environment.of(ADMIN_VARIABLE)).unwrap_or(ADMIN);
    let token = token.as_ref().map(crate::secret::Secret::reveal).or_else(|| environment.of(TOKEN_VARIABLE));
    let client = match Client::new(admin, token) {
        Ok(client) => client,
        Err(error) => {
            say(&format!("pillion: {error}"));
            return Ok(ExitCode::from(super::USAGE));
        }
    };
    let is_terminal = io::stdout().is_terminal() && environment.of("TERM") != Some("dumb");
    let colours = is_terminal && environment.of("NO_COLOR").is_none();
    if once || !is_terminal {
        let room = if is_terminal { Room { height: PAGE.height, ..screen::room() } } else { PAGE };
        return print(&client, room, colours).await;
    }
    watch(&client, interval.max(INTERVAL_MIN), colours).await?;
    Ok(ExitCode::SUCCESS)
}

/// One look, printed.
async fn print(client: &Client, room: Room, colours: bool) -> anyhow::Result<ExitCode> {
    let mut view = View::new(client.url(), None);
    match client.look().await {
        Ok(seen) => view.take(seen),
        Err(unseen) => {
            say(&format!("pillion: the admin port at {} {unseen}", client.url()));
            return Ok(ExitCode::FAILURE);
        }
    }
    let mut out = io::stdout().lock();
    for Line { look, text } in view.lines(room) {
        match writeln!(out, "{}", look.paint(&text, colours)) {
            // Whoever reads has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break,
            written => written?,
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Look after look, until it is told to stop.
async fn watch(client: &Client, every: Duration, colours: bool) -> io::Result<()> {
    let mut screen = Screen::open(colours)?;
    let mut events = Events::new(screen.keys())?;
    let mut view = View::new(client.url(), Some(every));
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        if events.during(ticks.tick(), &mut screen, &view).await?.is_none() {
            return Ok(());
        }
        let looked: Result<Seen, Unseen> = match events.during(client.look(), &mut screen, &view).await? {
            Some(looked) => looked,
            None => return Ok(()),
        };
        match looked {
            Ok(seen) => view.take(seen),
            Err(unseen) => view.miss(&unseen),
        }
        screen.show(&view)?;
    }
}

impl Events {
    fn new(keys: Keys) -> io::Result<Self> {
        let stops = [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?];
        Ok(Self { stops, resized: signal(SignalKind::window_change())?, keys })
    }

    async fn next(&mut self) -> Event {
        let [interrupt, terminate, hangup] = &mut self.stops;
        tokio::select! {
            _ = interrupt.recv() => Event::Quit,
            _ = terminate.recv() => Event::Quit,
            _ = hangup.recv() => Event::Quit,
            _ = self.resized.recv() => Event::Resized,
            () = self.keys.quit() => Event::Quit,
        }
    }

    /// What `work` comes to; `None` where somebody quits before that. Meanwhile the picture keeps to the window.
    async fn during<T>(&mut self, work: impl Future<Output = T>, screen: &mut Screen, view: &View<'_>) -> io::Result<Option<T>> {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Ok(Some(done)),
                event = self.next() => match event {
                    Event::Quit => return Ok(None),
                    Event::Resized => screen.show(view)?,
                },
            }
        }
    }
}

/// How long ago something was.
fn ago(since: Instant) -> Duration {
    Duration::from_secs(since.elapsed().as_secs())
}
