//! Simulated agents: a handful of programs with the habits of real ones, good and bad, that talk OpenAI and Anthropic to a
//! proxy until they are told to stop. They know nothing of the proxy but its address and their names in its paths.

use std::{fmt, net::SocketAddr, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, timeout},
};

mod client;
mod conversation;
mod habits;
mod reading;

pub use habits::FAULTS;
use habits::Habit;

/// How long agents are given to finish the call that they are in when they are told to stop.
const FAREWELL: Duration = Duration::from_secs(3);

/// What an agent saw, as it saw it.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentEvent {
    /// The agent.
    pub agent: &'static str,
    /// When.
    pub at: Instant,
    /// What.
    pub what: What,
}

/// What happened to an agent.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// It asked.
    Asked {
        /// Of which model.
        model: &'static str,
        /// Whether as a stream.
        streamed: bool,
        /// How many messages the conversation has by now.
        messages: usize,
    },
    /// The first word of a stream came, so long after it asked.
    FirstToken(Duration),
    /// The proxy left so many tokens out of what it asked, by its own word.
    Trimmed(u64),
    /// All of the answer came.
    Answered(Answered),
    /// None did, or not all of it.
    Failed {
        /// How long after it asked.
        after: Duration,
        /// Why.
        cause: Cause,
        /// How often the proxy tried.
        attempts: u64,
    },
    /// It did not wait any longer.
    HungUp(Duration),
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Answered {
    /// How long after it was asked for.
    pub after: Duration,
    /// Tokens of the prompt, if that was said.
    pub input_tokens: Option<u64>,
    /// Tokens of the answer, if that was said.
    pub output_tokens: Option<u64>,
    /// The tools that it calls.
    pub tools: Vec<String>,
    /// How often the proxy tried, by its own word.
    pub attempts: u64,
}

/// Why there is no answer, as far as the agent can see.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// It was refused, with this status and code.
    Status(u16, String),
    /// The stream told an error, of this code or type.
    Told(String),
    /// The reply broke off.
    Cut,
    /// The proxy cannot be reached, or said nothing that makes sense.
    NoReply,
    /// Nothing came within the agent's own limit.
    TimedOut,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status, code) if code.is_empty() => write!(f, "{status}"),
            Self::Status(status, code) => write!(f, "{status} {code}"),
            Self::Told(code) => write!(f, "{code} in the stream"),
            Self::Cut => f.write_str("the reply broke off"),
            Self::NoReply => f.write_str("no reply"),
            Self::TimedOut => f.write_str("nothing in time"),
        }
    }
}

/// Runs all agents until `stop` is done and they have finished what they were at, or nobody listens to their events.
pub async fn run(proxy: SocketAddr, seed: u64, events: mpsc::Sender<AgentEvent>, stop: impl Future<Output = ()>) {
    run_all(habits::all(), (proxy, seed), events, stop).await;
}

async fn run_all(habits: Vec<Habit>, (proxy, seed): (SocketAddr, u64), events: mpsc::Sender<AgentEvent>, stop: impl Future<Output = ()>) {
    let (stopping, stopped) = watch::channel(false);
    let mut agents = JoinSet::new();
    for (index, habit) in habits.into_iter().enumerate() {
        let seed = u64::try_from(index).map_or(seed, |index| seed ^ (index + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        agents.spawn(conversation::live(habit, proxy, seed, (events.clone(), stopped.clone())));
    }
    drop(events);
    let all_gone = async { while agents.join_next().await.is_some() {} };
    tokio::select! {
        () = stop => {}
        () = all_gone => return,
    }
    stopping.send_replace(true);
    // Whoever is not done by then is dropped in the middle of its call, as a program that is ended would be.
    let _ = timeout(FAREWELL, async { while agents.join_next().await.is_some() {} }).await;
}

#[cfg(test)]
mod tests;
