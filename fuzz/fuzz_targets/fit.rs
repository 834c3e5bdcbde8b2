//! A conversation that is too long is trimmed without a fault: what is left is JSON with fewer messages, each as it was but for texts that were shortened
//! in their middle, it fits or it is said that it cannot, it is not touched again, and no provider refuses it that would have taken the whole.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pillion::{
    context::{Asked, Budget, Fit, Models, Plan, Verdict, Weights, plan},
    demo::model::refused,
    wire::{Call, Dialect, Edit, Outline, Overflow, Piece, PieceKind, Role, apply},
};
use pillion_fuzz::talk;
use serde::de::IgnoredAny;
use tokio::time::Instant;

/// A tokenizer: four bytes are a token.
fn count(text: &[u8]) -> u64 {
    text.len().div_ceil(4).try_into().expect("a length")
}

fn weigh(body: &[u8], outline: &Outline) -> Weights {
    let weigh = |piece: &Piece| if piece.kind == PieceKind::Image { 85 } else { count(&body[piece.at.clone()]) };
    let pieces: Vec<Vec<u64>> = outline.items.iter().map(|item| item.pieces.iter().map(weigh).collect()).collect();
    let items = pieces.iter().map(|pieces| 4 + pieces.iter().sum::<u64>()).collect();
    Weights { items, pieces, beside: 3 + outline.beside.iter().map(weigh).sum::<u64>() }
}

fn total(weights: &Weights) -> u64 {
    weights.items.iter().sum::<u64>() + weights.beside
}

fn path(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Gemini => "/v1beta/models/m:generateContent",
        Dialect::Ollama => "/api/chat",
        Dialect::OpenaiResponses => "/v1/responses",
        Dialect::AnthropicMessages => "/v1/messages",
        _ => "/v1/chat/completions",
    }
}

fuzz_target!(|input: &[u8]| {
    let [first, low, high, rest @ ..] = input else { return };
    const DIALECTS: [Dialect; 5] = [Dialect::OpenaiChat, Dialect::OpenaiResponses, Dialect::AnthropicMessages, Dialect::Gemini, Dialect::Ollama];
    let dialect = DIALECTS[usize::from(first % 5)];
    let most = u64::from(*low) * 4 + u64::from(*high) * 64;
    let is_raw = first & 128 != 0;
    let body = if is_raw { rest.to_vec() } else { talk::body(dialect, rest) };
    let Some(outline) = Outline::read(dialect, path(dialect), &body) else {
        assert!(is_raw, "what is made is read: {}", String::from_utf8_lossy(&body));
        return;
    };
    let budget = Budget { most, step: 1 + most / [2, 3, 8, 64][usize::from(high % 4)] };
    planned(dialect, &body, &outline, budget);
    if first & 64 != 0 {
        fitted(dialect, body, most);
    }
});

fn planned(dialect: Dialect, body: &[u8], outline: &Outline, budget: Budget) {
    let weights = weigh(body, outline);
    let decide = |body: &[u8], outline: &Outline, weights: &Weights| plan(body, outline, weights, budget, &mut |text| count(text));
    let verdict = decide(body, outline, &weights);
    assert_eq!(verdict, decide(body, outline, &weights), "it is the same whoever decides");
    match verdict {
        Verdict::Fits => assert!(total(&weights) <= budget.most),
        Verdict::TooLarge(least) => assert!(least > budget.most && least <= total(&weights)),
        Verdict::Trim(plan) => {
            let after = apply(body, &plan.edits);
            let read = Outline::read(dialect, path(dialect), &after);
            let Some(left) = read else { panic!("not read: {}\nof {}", String::from_utf8_lossy(&after), String::from_utf8_lossy(body)) };
            assert!(serde_json::from_slice::<IgnoredAny>(&after).is_ok());
            compare((body, outline), (&after, &left), &plan);
            let weights_left = weigh(&after, &left);
            assert_eq!(plan.tokens.0, total(&weights));
            // Of Gemini's results what has become short is no longer counted apart from what surrounds it, which rounds less.
            let apart = plan.tokens.1.abs_diff(total(&weights_left));
            assert!(apart == 0 || dialect == Dialect::Gemini && apart <= 2 * plan.shortened && total(&weights_left) < plan.tokens.1);
            assert!(plan.tokens.1 <= budget.most);
            assert_eq!(decide(&after, &left, &weights_left), Verdict::Fits);
            stays_taken(dialect, body, &after);
        }
    }
}

/// What is left are the same messages, less some whole ones and with some texts changed; what must stay has stayed.
fn compare((body, outline): (&[u8], &Outline), (after, left): (&[u8], &Outline), plan: &Plan) {
    assert!(plan.edits.windows(2).all(|pair| pair[0].at.end <= pair[1].at.start), "edits are in order");
    let (drops, changes): (Vec<&Edit>, Vec<&Edit>) = plan.edits.iter().partition(|edit| edit.with.is_empty());
    let mut expected = Vec::new();
    for item in &outline.items {
        if drops.iter().any(|drop| drop.at.start <= item.at.start && item.at.end <= drop.at.end) {
            assert!(item.role != Role::System);
            continue;
        }
        assert!(drops.iter().all(|drop| drop.at.end <= item.at.start || item.at.end <= drop.at.start), "whole messages go");
        let within: Vec<Edit> =
            changes.iter().filter(|edit| item.at.start < edit.at.start && edit.at.end < item.at.end).map(|edit| (*edit).clone()).collect();
        for edit in &within {
            let is_in = |piece: &&Piece| piece.at.start <= edit.at.start && edit.at.end <= piece.at.end;
            let piece = item.pieces.iter().find(is_in).expect("only texts are changed");
            assert!(
                piece.is_quoted
                    && matches!(piece.kind, PieceKind::Text | PieceKind::Result)
                    && matches!(item.role, Role::User | Role::Tool | Role::System)
            );
            assert!(edit.with.len() < edit.at.len() && edit.with.ends_with(b"]") || edit.with.ends_with(b"]\\n"));
        }
        let moved: Vec<Edit> =
            within.into_iter().map(|edit| Edit { at: edit.at.start - item.at.start..edit.at.end - item.at.start, with: edit.with }).collect();
        expected.push(apply(&body[item.at.clone()], &moved));
    }
    let kept: Vec<&[u8]> = left.items.iter().map(|item| &after[item.at.clone()]).collect();
    assert_eq!(kept, expected);
    let number = |count: usize| u64::try_from(count).expect("a length");
    assert_eq!((number(outline.items.len() - left.items.len()), number(changes.len())), (plan.dropped, plan.shortened));
    let says = |outline: &Outline| outline.items.iter().filter(|item| item.role == Role::User && (item.speaks || item.results.is_empty())).count();
    assert!(says(left) >= says(outline).min(2), "the first and the last thing said by a user stay");
}

/// Whatever the provider would have taken it still takes.
fn stays_taken(dialect: Dialect, body: &[u8], after: &[u8]) {
    if refused(dialect, body).is_none() {
        let said = refused(dialect, after);
        assert_eq!(said, None, "{}\nof {}", String::from_utf8_lossy(after), String::from_utf8_lossy(body));
    }
}

/// The same by real tokenizers, windows and corrections.
fn fitted(dialect: Dialect, body: Vec<u8>, window: u64) {
    let models = Models::default();
    let call = Call { model: Some(["gpt-4o", "claude-sonnet-4-5", "unheard-of"][body.len() % 3].to_owned()), ..Call::default() };
    let asked = Asked { dialect, path: path(dialect), provider: None, upstream: "u", call: &call };
    let (now, body) = (Instant::now(), bytes::Bytes::from(body));
    let after = (body.len() % 2 == 0).then_some(Overflow { window: Some(window), ..Overflow::default() });
    models.overflowed(asked, Overflow { window: Some(window), ..Overflow::default() }, now);
    let Some(known) = models.window(asked, now) else { return };
    let most = known.tokens - known.answer;
    match models.fit(asked, &body, 0.7, after, now) {
        Fit::Untouched(_) => {}
        Fit::TooLarge(large) => assert!(large.least <= large.tokens && large.tokens > most),
        Fit::Trimmed(trimmed) => {
            assert!(serde_json::from_slice::<IgnoredAny>(&trimmed.body).is_ok());
            let left = Outline::read(dialect, path(dialect), &trimmed.body).expect("what was read is read");
            assert_eq!(trimmed.list, left.list);
            stays_taken(dialect, &body, &trimmed.body);
            if after.is_none() && trimmed.left.tokens <= most {
                let again = models.fit(asked, &trimmed.body, 0.7, None, now);
                assert!(matches!(again, Fit::Untouched(_)), "{again:?}");
            }
        }
    }
}
