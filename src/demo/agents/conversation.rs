//! The life of one agent: task after task, each a question, tool calls with their results if there are any, and an answer.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use fastrand::Rng;
use serde_json::{Value, json};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep, timeout},
};

use super::{
    AgentEvent, Answered, Cause, What,
    client::{Exchange, Question, exchange},
    habits::{Habit, TASKS, Tools, tools},
    reading::{Call, Reading},
};
use crate::{demo::model::sentences, wire::Dialect};

/// After so many rounds of tool calls a task is given up.
const ROUNDS_MAX: usize = 4;
/// Sentences of a page: some 1,400 tokens.
const PAGE: usize = 110;

/// Where an agent tells what it saw, and how it learns that it is to stop.
pub(super) type Ends = (mpsc::Sender<AgentEvent>, watch::Receiver<bool>);

struct Agent {
    habit: Habit,
    proxy: SocketAddr,
    events: mpsc::Sender<AgentEvent>,
    rng: Rng,
    messages: Vec<Value>,
    /// How many tasks it was given.
    given: u32,
}

/// Nobody listens any more.
struct Unheard;

/// Lives until it is told to stop, or nobody listens.
pub(super) async fn live(habit: Habit, proxy: SocketAddr, seed: u64, (events, mut stopped): Ends) {
    let mut agent = Agent { habit, proxy, events, rng: Rng::with_seed(seed), messages: Vec::new(), given: 0 };
    loop {
        let pause = Duration::from_millis(agent.rng.u64(agent.habit.pause.clone()));
        tokio::select! {
            () = sleep(pause) => {}
            _ = stopped.wait_for(|stopped| *stopped) => return,
        }
        if agent.task().await.is_err() {
            return;
        }
    }
}

impl Agent {
    /// One task, to its answer or its failure.
    async fn task(&mut self) -> Result<(), Unheard> {
        if self.messages.iter().filter(|message| message["role"] == "user").count() >= self.habit.tasks {
            self.messages.clear();
        }
        // None is like another: agents that are asked the very same thing at the same time are taken for one team's.
        self.given = self.given.saturating_add(1);
        let task = format!("{} (For the {}, number {}.)", self.rng.choice(TASKS).unwrap_or_default(), self.habit.name, self.given);
        self.messages.push(json!({"role": "user", "content": task}));
        for _ in 0..ROUNDS_MAX {
            let Some(reply) = self.ask().await? else {
                // It begins anew: a conversation that ends in an unanswered question is no good beginning.
                self.messages.clear();
                return Ok(());
            };
            let calls = reply.calls.clone();
            self.messages.push(own_turn(self.habit.dialect, &reply));
            if calls.is_empty() {
                return Ok(());
            }
            let results = self.use_tools(&calls).await;
            self.messages.extend(results);
        }
        self.messages.clear();
        Ok(())
    }

    /// One question; the reply if there was one.
    async fn ask(&mut self) -> Result<Option<Reading>, Unheard> {
        let Habit { model, stream, dialect, patience, timeout: limit, .. } = self.habit;
        self.tell(What::Asked { model, streamed: stream, messages: self.messages.len() }).await?;
        let asked = Instant::now();
        let mut reading = Reading::new(dialect, stream);
        let first_token = async || {
            // That nobody listens is noticed by the next event.
            let _ = self.tell(What::FirstToken(asked.elapsed())).await;
        };
        let exchange = timeout(patience.unwrap_or(limit), exchange(self.proxy, self.question(), &mut reading, first_token)).await;
        let after = asked.elapsed();
        if let Ok(Exchange { trimmed: Some(tokens), .. }) = &exchange {
            self.tell(What::Trimmed(*tokens)).await?;
        }
        let what = match exchange {
            Err(_) if patience.is_some() => What::HungUp(after),
            Err(_) => What::Failed { after, cause: Cause::TimedOut, attempts: 1 },
            Ok(Exchange { attempts, outcome: Err(cause), .. }) => What::Failed { after, cause, attempts },
            Ok(Exchange { attempts, outcome: Ok(()), .. }) => {
                let tools = reading.calls.iter().map(|call| call.name.clone()).collect();
                let (input_tokens, output_tokens) = (reading.input_tokens, reading.output_tokens);
                What::Answered(Answered { after, input_tokens, output_tokens, tools, attempts })
            }
        };
        let answered = matches!(what, What::Answered(_));
        self.tell(what).await?;
        Ok(answered.then_some(reading))
    }

    async fn tell(&self, what: What) -> Result<(), Unheard> {
        let event = AgentEvent { agent: self.habit.name, at: Instant::now(), what };
        self.events.send(event).await.map_err(|_| Unheard)
    }

    /// The request, as the dialect's SDK would send it.
    fn question(&self) -> Question {
        let Habit { name, dialect, model, stream, prompt, timeout, .. } = &self.habit;
        let mut body = json!({"model": model, "stream": stream});
        if self.habit.tools.is_some() {
            body["tools"] = tools(*dialect);
        }
        let limit = timeout.as_secs().to_string();
        let (path, mut headers) = if *dialect == Dialect::AnthropicMessages {
            body["system"] = json!(prompt);
            body["max_tokens"] = json!(1024);
            body["messages"] = json!(self.messages);
            ("v1/messages", vec![("anthropic-version", "2023-06-01".to_owned()), ("x-api-key", "none".to_owned())])
        } else {
            let system = json!({"role": "system", "content": prompt});
            body["messages"] = std::iter::once(system).chain(self.messages.iter().cloned()).collect();
            ("v1/chat/completions", vec![("authorization", "Bearer none".to_owned())])
        };
        headers.push(("x-stainless-read-timeout", limit));
        Question { path: format!("/@{name}/{path}"), headers, body: Bytes::from(body.to_string()) }
    }

    /// Does what was called for, which takes its time and now and then fails; the messages that bring the results.
    async fn use_tools(&mut self, calls: &[Call]) -> Vec<Value> {
        sleep(Duration::from_millis(self.rng.u64(100..600))).await;
        let results: Vec<(&Call, String)> = calls.iter().map(|call| (call, self.found())).collect();
        if self.habit.dialect == Dialect::AnthropicMessages {
            let blocks: Vec<Value> =
                results.iter().map(|(call, text)| json!({"type": "tool_result", "tool_use_id": call.id, "content": text})).collect();
            return vec![json!({"role": "user", "content": blocks})];
        }
        results.iter().map(|(call, text)| json!({"role": "tool", "tool_call_id": call.id, "content": text})).collect()
    }

    /// What a tool brings.
    fn found(&mut self) -> String {
        match (self.rng.u8(..12), self.habit.tools) {
            (0, _) => "Error: no data".to_owned(),
            (1, _) => "TimeoutError: the library did not answer".to_owned(),
            (_, Some(Tools::Pages)) => sentences(PAGE, &mut self.rng),
            _ => "Found: three pages.".to_owned(),
        }
    }
}

/// The reply as it goes into the conversation.
fn own_turn(dialect: Dialect, reply: &Reading) -> Value {
    let calls = reply.calls.iter();
    if dialect == Dialect::AnthropicMessages {
        let text = (!reply.text.is_empty()).then(|| json!({"type": "text", "text": reply.text}));
        let uses = calls.map(|call| {
            let input = serde_json::from_str::<Value>(&call.arguments).unwrap_or_else(|_| json!({}));
            json!({"type": "tool_use", "id": call.id, "name": call.name, "input": input})
        });
        let blocks: Vec<Value> = text.into_iter().chain(uses).collect();
        return json!({"role": "assistant", "content": blocks});
    }
    let mut turn = json!({"role": "assistant", "content": reply.text});
    if !reply.calls.is_empty() {
        turn["tool_calls"] =
            calls.map(|call| json!({"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}})).collect();
    }
    turn
}
