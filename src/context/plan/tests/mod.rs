//! What is promised of a plan, over conversations made up from seeds.

mod examples;
mod questions;
mod rules;
mod shortening;
mod steady;
mod talk;
mod together;

use std::{collections::HashSet, ops::Range};

use serde_json::Value;
use talk::{COURSES, Course, DIALECTS, Talk};

use super::{Budget, Plan, Verdict, Weights, plan};
use crate::wire::{Dialect, Item, Outline, Piece, PieceKind, Role, apply};

/// A tokenizer that is quick and nearly as additive as a real one: four bytes are a token.
fn count(text: &[u8]) -> u64 {
    super::wide(text.len().div_ceil(4))
}

fn weigh_piece(body: &[u8], piece: &Piece) -> u64 {
    if piece.kind == PieceKind::Image { 85 } else { count(&body[piece.at.clone()]) }
}

fn weigh(body: &[u8], outline: &Outline) -> Weights {
    let pieces: Vec<Vec<u64>> = outline.items.iter().map(|item| item.pieces.iter().map(|piece| weigh_piece(body, piece)).collect()).collect();
    let items = pieces.iter().map(|pieces| 4 + pieces.iter().sum::<u64>()).collect();
    Weights { items, pieces, beside: 3 + outline.beside.iter().map(|piece| weigh_piece(body, piece)).sum::<u64>() }
}

fn total(weights: &Weights) -> u64 {
    weights.items.iter().sum::<u64>() + weights.beside
}

fn read(dialect: Dialect, path: &str, body: &[u8]) -> (Outline, Weights) {
    let outline = Outline::read(dialect, path, body).unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(body)));
    let weights = weigh(body, &outline);
    (outline, weights)
}

/// A request that is to fit.
struct Case<'a> {
    dialect: Dialect,
    path: &'a str,
    body: Vec<u8>,
    outline: Outline,
    weights: Weights,
    budget: Budget,
}

impl<'a> Case<'a> {
    fn new(talk: &'a Talk, items: usize, budget: Budget) -> Self {
        let body = talk.body(items);
        let (outline, weights) = read(talk.dialect, talk.path(), &body);
        Self { dialect: talk.dialect, path: talk.path(), body, outline, weights, budget }
    }

    fn plan(&self) -> Verdict {
        plan(&self.body, &self.outline, &self.weights, self.budget, &mut |text| count(text))
    }

    fn text(&self, at: &Range<usize>) -> &str {
        std::str::from_utf8(&self.body[at.clone()]).unwrap()
    }

    fn says(&self) -> Vec<usize> {
        let says = |item: &Item| item.role == Role::User && (item.speaks || item.results.is_empty());
        self.outline.items.iter().enumerate().filter(|(_, item)| says(item)).map(|(at, _)| at).collect()
    }

    /// Checks all that holds of any plan, and gives the body that it makes.
    fn check(&self, plan: &Plan) -> Vec<u8> {
        let after = Case { body: apply(&self.body, &plan.edits), ..self.empty() };
        let (outline, weights) = read(self.dialect, self.path, &after.body);
        let after = Case { outline, weights, ..after };
        assert_eq!(self.body[..self.outline.list.start], after.body[..after.outline.list.start]);
        assert_eq!(self.body[self.outline.list.end..], after.body[after.outline.list.end..]);
        assert_eq!(plan.tokens.0, total(&self.weights));
        // A text of Gemini's results that has become short is counted together with what surrounds it.
        let seams = if self.dialect == Dialect::Gemini { 2 * plan.shortened } else { 0 };
        let left = total(&after.weights);
        assert!(left <= plan.tokens.1 && plan.tokens.1 <= left + seams, "{:?}, not {left}", plan.tokens);
        assert!(plan.tokens.1 <= self.budget.most, "{:?} {:?}", plan.tokens, self.budget);
        assert_eq!(after.plan(), Verdict::Fits);
        assert_eq!(self.plan(), Verdict::Trim(plan.clone()));
        let new = &rules::faults(self.dialect, &after.body) - &rules::faults(self.dialect, &self.body);
        assert!(new.is_empty(), "{new:?}\n{}\n{}", String::from_utf8_lossy(&self.body), String::from_utf8_lossy(&after.body));
        let kept = self.kept(&after);
        assert_eq!(super::wide(self.outline.items.len() - kept.len()), plan.dropped);
        let different: HashSet<&str> = self.outline.items.iter().map(|item| self.text(&item.at)).collect();
        // Where some are alike, nobody can say which of them was kept.
        if different.len() == self.outline.items.len() {
            self.check_what_stays(&kept);
        }
        after.body
    }

    fn empty(&self) -> Self {
        Self {
            dialect: self.dialect,
            path: self.path,
            body: Vec::new(),
            outline: Outline::default(),
            weights: Weights::default(),
            budget: self.budget,
        }
    }

    /// Whether texts of an item may be shortened, if they are no calls: of a system message only where it is itself the question.
    fn may_shorten(&self, at: usize) -> bool {
        let items = &self.outline.items;
        let is_alone =
            || items[..=at].iter().all(|item| item.role == Role::System) && items.get(at + 1).is_none_or(|next| next.role == Role::Assistant);
        matches!(items[at].role, Role::User | Role::Tool) || (items[at].role == Role::System && is_alone())
    }

    /// Which items the other has kept, in order: each byte for byte, or with texts shortened that may be.
    fn kept(&self, after: &Case<'_>) -> Vec<usize> {
        let mut items = self.outline.items.iter().enumerate();
        let kept = after.outline.items.iter().map(|item| {
            let text = after.text(&item.at);
            let value: Value = serde_json::from_str(text).unwrap();
            let is_it = |at: usize, original: &Item| {
                let original_text = self.text(&original.at);
                let may_shorten = self.may_shorten(at);
                let is_short = || rules::is_shortened(&serde_json::from_str(original_text).unwrap(), &value);
                original_text == text || (may_shorten && original_text.len() > text.len() && is_short())
            };
            items.find(|(at, original)| is_it(*at, original)).unwrap_or_else(|| panic!("no such item: {text}")).0
        });
        kept.collect()
    }

    fn check_what_stays(&self, kept: &[usize]) {
        let items = &self.outline.items;
        let says = self.says();
        let system = (0..items.len()).filter(|&at| items[at].role == Role::System);
        for at in system.chain(says.first().copied()).chain(says.last().copied()).chain([items.len() - 1]) {
            assert!(kept.contains(&at), "{at} of {kept:?}");
        }
        let last = says.last().copied().unwrap_or(0);
        let behind = kept.iter().filter(|&&at| at > last).count();
        let first = says.first().copied().unwrap_or(0);
        if behind < items.len() - last - 1 {
            // Steps of the task went: then nothing was left before it but what keeps roles alternating, or holds on to what stays.
            let between = kept.iter().filter(|&&at| at > first && at < last && items[at].role == Role::User && items[at].results.is_empty()).count();
            assert_eq!(between, 0, "{kept:?}");
        }
    }

    /// What has to be there if nothing more can be taken: at most so much.
    fn least(&self) -> u64 {
        let units = super::units::of(&self.outline.items);
        let says = self.says();
        let (first, last) = (says.first().copied().unwrap_or(0), says.last().copied().unwrap_or(0));
        let mut stay: Vec<usize> = (0..self.outline.items.len()).filter(|&at| self.outline.items[at].role == Role::System).collect();
        let mut add = |at: usize| units.iter().filter(|unit| unit.items.contains(&at)).for_each(|unit| stay.extend(unit.items.clone()));
        add(first);
        add(last);
        add(self.outline.items.len() - 1);
        let is_assistant = |at: &usize| self.outline.items[*at].role == Role::Assistant;
        // The one that keeps roles alternating, and the one whose reasoning opens an answer.
        (first..last).rev().find(is_assistant).into_iter().for_each(&mut add);
        (last..self.outline.items.len()).find(is_assistant).into_iter().for_each(&mut add);
        stay.sort_unstable();
        stay.dedup();
        self.weights.beside + stay.into_iter().map(|at| self.least_of(at)).sum::<u64>()
    }

    fn least_of(&self, at: usize) -> u64 {
        let item = &self.outline.items[at];
        let may_shorten =
            |piece: &Piece| piece.is_quoted && (piece.kind == PieceKind::Result || (piece.kind == PieceKind::Text && self.may_shorten(at)));
        let spared =
            item.pieces.iter().zip(&self.weights.pieces[at]).filter(|(piece, _)| may_shorten(piece)).map(|(_, tokens)| tokens.saturating_sub(90));
        self.weights.items[at] - spared.sum::<u64>()
    }
}

fn budget(window: u64) -> Budget {
    Budget { most: window - window / 4, step: window * 3 / 10 }
}

/// Talks of every dialect and course, by seed.
fn talks(seeds: Range<u64>, turns: usize) -> impl Iterator<Item = (String, Talk)> {
    let kinds = DIALECTS.into_iter().flat_map(|dialect| COURSES.map(|course| (dialect, course)));
    kinds.flat_map(move |(dialect, course)| {
        seeds.clone().map(move |seed| (format!("{dialect:?} {course:?} {seed}"), Talk::new(dialect, course, turns, seed)))
    })
}

#[test]
fn a_plan_keeps_a_conversation_valid_and_what_it_keeps_as_it_was() {
    let (mut trimmed, mut refused) = (0, 0);
    for (name, talk) in talks(0..7, 12) {
        println!("{name}");
        let whole = Case::new(&talk, talk.len(), budget(1 << 20));
        let tokens = total(&whole.weights);
        for percent in [2, 10, 30, 60, 90] {
            let case = Case { budget: budget(tokens * percent / 100), ..Case::new(&talk, talk.len(), whole.budget) };
            match case.plan() {
                Verdict::Fits => assert!(tokens <= case.budget.most),
                Verdict::Trim(plan) => {
                    case.check(&plan);
                    trimmed += 1;
                }
                Verdict::TooLarge(least) => {
                    assert!(least > case.budget.most && least <= tokens);
                    assert!(least <= case.least(), "{name}: {least} of {tokens}, not {} for {:?}", case.least(), case.budget);
                    refused += 1;
                }
            }
        }
    }
    assert!(trimmed > 300 && refused > 20, "{trimmed} {refused}");
}

#[test]
fn captured_conversations_stay_valid_too() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/captures");
    let (mut trimmed, mut refused) = (0, 0);
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let capture: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        for request in capture["requests"].as_array().into_iter().flatten() {
            let (Some(target), Some(body)) = (request["target"].as_str(), request["body"].as_str()) else { continue };
            let Some(dialect) = Dialect::of_path(target) else { continue };
            let Some(outline) = Outline::read(dialect, target, body.as_bytes()) else { continue };
            if outline.list.is_empty() || outline.is_continued {
                continue;
            }
            let body = body.as_bytes().to_vec();
            let weights = weigh(&body, &outline);
            let tokens = total(&weights);
            let mut case = Case { dialect, path: target, body, outline, weights, budget: budget(tokens) };
            for percent in [40, 70, 95] {
                case.budget = Budget { most: tokens * percent / 100, step: tokens / 5 };
                match case.plan() {
                    Verdict::Fits => panic!("{}", path.display()),
                    Verdict::Trim(plan) => {
                        println!("{}: {:?}", path.display(), plan.tokens);
                        case.check(&plan);
                        trimmed += 1;
                    }
                    Verdict::TooLarge(least) => {
                        assert!(least <= case.least(), "{}: {least}, not {}", path.display(), case.least());
                        refused += 1;
                    }
                }
            }
        }
    }
    assert!(trimmed > 60 && refused > 300, "{trimmed} {refused}");
}
