//! How fast an answer comes: the model's own pace or the step's, varied under the seed as the pace of real ones varies.

use std::time::Duration;

use fastrand::Rng;

use super::{
    Pace,
    answer::{Request, Talk},
};

/// The pace of one answer: the model's own or the step's, varied under the seed.
pub(super) struct Tempo {
    first_token: Duration,
    token: Duration,
    tokens: usize,
    varied: Rng,
}

impl Tempo {
    pub(super) fn of(request: &Request<'_>, talk: Option<Talk>) -> Self {
        let Some(talk) = talk else { return Self { first_token: Duration::ZERO, token: Duration::ZERO, tokens: 0, varied: Rng::with_seed(0) } };
        let Pace { first_token, tokens_per_second } = request.state.options.pace;
        let slow = request.step.slow.as_ref();
        let mut varied = Rng::with_seed(talk.seed);
        // Most answers begin a little early, some a good deal late: 0.7 to 1.9 times the usual, 1.1 on average.
        let share = varied.f64();
        let usual = first_token.mul_f64(0.7 + 1.2 * share * share);
        let rate = slow.and_then(|slow| slow.tokens_per_second).or(tokens_per_second);
        Self {
            first_token: slow.and_then(|slow| slow.first_token).unwrap_or(usual),
            token: rate.map_or(Duration::ZERO, |rate| Duration::from_secs_f64((1.0 / rate).min(3600.0))),
            tokens: talk.tokens,
            varied,
        }
    }

    /// What an answer that is streamed takes to its head.
    pub(super) fn before_head(&self) -> Duration {
        self.first_token / 2
    }

    /// The rest of the wait for the first token.
    pub(super) fn after_head(&self) -> Duration {
        self.first_token / 2
    }

    /// What a whole answer takes.
    pub(super) fn in_all(&self) -> Duration {
        self.first_token + self.token.saturating_mul(u32::try_from(self.tokens).unwrap_or(u32::MAX))
    }

    /// From one token to the next: 0.5 to 1.5 times the usual.
    pub(super) fn gap(&mut self) -> Duration {
        self.token.mul_f64(0.5 + self.varied.f64())
    }
}
