//! That the cut keeps still: turns share what a prompt begins with until the conversation has grown by a step.

use super::{Case, Course, DIALECTS, Talk, Verdict, apply, budget, talks, total};

const WINDOW: u64 = 3000;

fn shared(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}

/// What became of a conversation from turn to turn.
#[derive(Debug, Default)]
struct Run {
    /// How often the cut was not that of the turn before.
    cuts: u64,
    /// Tokens by which the conversation grew beyond its room.
    growth: u64,
    /// Bytes of prompts, and those that a cache would have served.
    bytes: usize,
    cached: usize,
}

fn run(talk: &Talk, window: u64) -> Run {
    let mut run = Run::default();
    let (mut edits, mut before) = (Vec::new(), Vec::new());
    for &items in &talk.sent {
        let case = Case::new(talk, items, budget(window));
        let plan = match case.plan() {
            Verdict::Fits => continue,
            Verdict::Trim(plan) => plan,
            Verdict::TooLarge(least) => panic!("{least} at {items}"),
        };
        run.growth = total(&case.weights) - case.budget.most;
        let body = apply(&case.body, &plan.edits);
        if edits == plan.edits {
            // All but the end of the body before, which the list's bracket begins.
            let tail = case.body.len() - case.outline.list.end;
            assert!(shared(&before, &body) >= before.len() - tail - 4, "{}", String::from_utf8_lossy(&body));
        } else {
            run.cuts += 1;
            assert!(serde_json::from_slice::<serde_json::Value>(&body).is_ok());
        }
        run.bytes += body.len();
        run.cached += shared(&before, &body);
        (edits, before) = (plan.edits, body);
    }
    run
}

fn check(name: &str, talk: &Talk) {
    let run = run(talk, WINDOW);
    println!("{name}: {run:?}");
    let step = budget(WINDOW).step;
    assert!(run.growth > 2 * step, "{name}: {run:?}");
    assert!(run.cuts <= run.growth / step + 1, "{name}: {run:?}");
    assert!(run.cached * 10 >= run.bytes * 8, "{name}: {run:?}");
}

#[test]
fn the_cut_moves_once_a_step_and_a_cache_serves_the_rest() {
    for (name, talk) in talks(0..1, 50).filter(|(_, talk)| talk.course != Course::Task) {
        check(&name, &talk);
    }
}

#[test]
fn of_a_task_of_200_steps_the_cut_moves_as_seldom() {
    for dialect in DIALECTS {
        check(dialect.name(), &Talk::new(dialect, Course::Task, 200, 7));
    }
}
