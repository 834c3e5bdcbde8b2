use super::{Correction, Corrections, Key};
use crate::context::{
    Prompt,
    corpus::{Corpus, Mix, of_errors, weight},
    count::{Counting, Family, Tokens, Weighed},
    estimate::Learners,
    number,
    windows::Learnt,
};

fn key() -> Key {
    Learnt::default().key("upstream", "model")
}

fn corrected(correction: Correction, counted: Tokens) -> u64 {
    correction.apply(&Weighed { beside: counted, ..Weighed::default() }).beside
}

/// The 95th percentile and the mean of relative errors of estimates made before each of so many replies but the first 20, in thousandths: of what is counted
/// and corrected, and of the estimate by characters.
fn errors((vocabulary, model): (&str, &str), (mix, seed): (Mix, u64), replies: usize) -> [(u64, u64); 2] {
    let truth = tiktoken::get_encoding(vocabulary).unwrap();
    let (corrections, learners, family, key) = (Corrections::default(), Learners::default(), Family::of(model), key());
    let mut corpus = Corpus::new(seed);
    let mut all = [Vec::new(), Vec::new()];
    for reply in 0..replies + 20 {
        let messages = corpus.messages(mix, 1_000..30_000);
        let mut counting = Counting::new(family.tokenizer);
        let framed = |sum: Tokens, text: &String| sum.and(counting.text(text.as_bytes(), false)).and(Tokens::added(5));
        let counted = messages.iter().fold(Tokens::added(3), framed);
        let tokens: u64 = messages.iter().map(|text| u64::try_from(truth.count(text)).unwrap() + 4).sum::<u64>() + 12;
        let prompt = Prompt { weight: number(weight(&messages)), tools: 0.0 };
        let estimates = [corrected(corrections.of(key, family, counted, None), counted), learners.estimate(model, prompt, None)];
        for (errors, estimate) in all.iter_mut().zip(estimates).filter(|_| reply >= 20) {
            errors.push(estimate.abs_diff(tokens) * 1000 / tokens);
        }
        corrections.learn(key, family, counted, tokens);
        learners.learn(model, prompt, tokens);
    }
    all.map(of_errors)
}

const VOCABULARIES: [(&str, &str); 6] = [
    ("o200k_base", "gpt-4o"),
    ("cl100k_base", "mine"),
    ("llama3", "llama-3.1-8b"),
    ("qwen2", "qwen2.5:7b"),
    ("mistral_v3", "mistral-large"),
    ("deepseek_v3", "deepseek-chat"),
];

#[test]
fn after_twenty_replies_a_prompt_is_counted_within_three_percent() {
    for vocabulary in VOCABULARIES {
        let [(counted, mean), (estimated, _)] = errors(vocabulary, (Mix::Any, 11), 200);
        assert!(counted <= 30 && mean <= 15, "{vocabulary:?}: {counted} ‰ at the 95th percentile, {mean} ‰ in the mean");
        assert!(counted < estimated, "{vocabulary:?}: {estimated} ‰ by characters");
    }
}

#[test]
fn a_prompt_is_counted_within_three_percent_whatever_the_traffic() {
    // Those that are least like the nearest: one takes numbers apart, the other code.
    for vocabulary in [("mistral_v3", "mistral-large"), ("deepseek_v3", "deepseek-chat")] {
        for mix in [Mix::Any, Mix::Tables] {
            let mut all: Vec<u64> = (0..5).map(|seed| errors(vocabulary, (mix, seed), 60)[0].0).collect();
            all.sort_unstable();
            assert!(all[2] <= 30 && all[4] <= 50, "{vocabulary:?}, {mix:?}: {all:?} ‰ at the 95th percentile");
        }
    }
}

#[test]
fn a_public_tokenizer_is_trusted_until_it_is_well_off() {
    let (corrections, family, key) = (Corrections::default(), Family::of("gpt-4o"), key());
    let counted = Tokens::added(10_000);
    for tokens in [10_010, 10_200, 9_900, 10_100].repeat(10) {
        corrections.learn(key, family, counted, tokens);
        assert_eq!(corrections.of(key, family, counted, None), Correction::NONE);
    }
    for _ in 0..40 {
        corrections.learn(key, family, counted, 12_000);
    }
    let far = corrected(corrections.of(key, family, counted, None), counted);
    assert!(far.abs_diff(12_000) < 240, "{far}");
}

#[test]
fn what_is_applied_moves_seldom() {
    let (corrections, family, key) = (Corrections::default(), Family::of("llama-4"), key());
    let mut random = fastrand::Rng::with_seed(5);
    let (mut moves, mut last) = (0, corrections.of(key, family, Tokens::added(1), None));
    for reply in 0..300_u32 {
        let counted = Tokens::added(random.u64(2_000..20_000));
        // A scatter of four percent around 1.07.
        let tokens = super::whole(number(counted.count) * (1.05 + 0.04 * random.f64()));
        corrections.learn(key, family, counted, tokens);
        let next = corrections.of(key, family, counted, None);
        moves += u32::from(reply >= 20 && next != last);
        last = next;
    }
    assert!(moves <= 8, "{moves}");
}

/// A conversation that grows, with as many figures for its tokens from turn to turn: how often what is applied to it moves, of 200 replies but the first 20.
fn moves_of_a_growing_prompt(model: &str, ratio: f64) -> u32 {
    let (corrections, family, key) = (Corrections::default(), Family::of(model), key());
    let mut random = fastrand::Rng::with_seed(8);
    let (mut moves, mut last, mut count) = (0, Correction::NONE, 1_000);
    for reply in 0..200_u32 {
        count += random.u64(50..300);
        let counted = Tokens { figures: count / 7 + random.u64(0..count / 50), ..Tokens::added(count) };
        let next = corrections.of(key, family, counted, None);
        moves += u32::from(reply >= 20 && next != last);
        last = next;
        corrections.learn(key, family, counted, super::whole(number(count) * (ratio + 0.02 * random.f64())));
    }
    moves
}

#[test]
fn what_is_applied_does_not_move_by_what_nothing_can_be_learnt_of() {
    assert_eq!(moves_of_a_growing_prompt("gpt-4o", 0.98), 0);
    let moves = moves_of_a_growing_prompt("llama-4", 1.02);
    assert!(moves <= 2, "{moves}");
}

#[test]
fn before_any_reply_a_model_begins_with_its_family_or_with_what_its_characters_have_taught() {
    let counted = Tokens::added(1000);
    let first = |model: &str, guess| corrected(Corrections::default().of(key(), Family::of(model), counted, guess), counted);
    assert_eq!([first("gpt-4o", None), first("claude-sonnet-4-5", None), first("llama-4", None)], [1000, 1200, 1100]);
    assert_eq!([first("llama-4", Some(1300)), first("llama-4", Some(90_000))], [1300, 2200]);
}

#[test]
fn a_prompt_is_stretched_to_what_it_was_said_to_be() {
    let uneven = Correction { ratio: 1_070_000, figure: 400_000, fixed: -32 };
    for (count, figures, to) in [(1000, 0, 1300), (7, 3, 1_000_000), (123_457, 8_000, 99_999)] {
        let counted = Tokens { figures, ..Tokens::added(count) };
        assert_eq!(corrected(uneven.stretched(counted, to), counted), to);
    }
}

#[test]
fn nothing_is_lost_by_rounding() {
    let mut random = fastrand::Rng::with_seed(9);
    let items: Vec<Tokens> = (0..500).map(|_| Tokens { figures: random.u64(..3), ..Tokens::added(random.u64(1..9)) }).collect();
    let weighed = Weighed { pieces: items.iter().map(|item| vec![*item]).collect(), items, beside: Tokens::added(7) };
    let correction = Correction { ratio: 1_060_000, figure: 300_000, fixed: 16 };
    let weights = correction.apply(&weighed);
    assert_eq!(weights.items.iter().sum::<u64>() + weights.beside, correction.total(weighed.total()));
    assert_eq!(Correction::NONE.apply(&weighed).items, weighed.items.iter().map(|item| item.count).collect::<Vec<_>>());
}
