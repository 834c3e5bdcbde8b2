//! Which items are units, and how they are taken out of a list.

use super::super::{splice, units};
use crate::wire::{Item, Outline, Role, apply};

fn item(calls: &[Option<u64>], results: &[Option<u64>]) -> Item {
    let role = match (calls, results) {
        ([], []) => Role::User,
        ([], _) => Role::Tool,
        _ => Role::Assistant,
    };
    Item { role, calls: calls.to_vec(), results: results.to_vec(), ..Item::default() }
}

fn check(items: &[Item], expected: &[&[usize]]) {
    let units: Vec<Vec<usize>> = units::of(items).into_iter().map(|unit| unit.items.collect()).collect();
    assert_eq!(units, expected);
}

#[test]
fn calls_and_their_results_are_one() {
    let (user, a, b) = (item(&[], &[]), Some(1), Some(2));
    check(&[user.clone(), item(&[a], &[]), item(&[], &[a]), user.clone()], &[&[0], &[1, 2], &[3]]);
    check(&[item(&[a, b], &[]), item(&[], &[b]), item(&[], &[a]), user.clone()], &[&[0, 1, 2], &[3]]);
    check(&[item(&[a], &[]), item(&[b], &[]), item(&[], &[a]), item(&[], &[b])], &[&[0, 1, 2, 3]]);
    check(&[item(&[a], &[]), item(&[], &[a]), item(&[b], &[]), item(&[], &[b])], &[&[0, 1], &[2, 3]]);
    check(&[item(&[a], &[]), user.clone(), item(&[], &[a]), user], &[&[0, 1, 2], &[3]]);
}

#[test]
fn a_result_is_the_nearest_call_of_its_id() {
    let (user, a) = (item(&[], &[]), Some(1));
    check(&[item(&[a], &[]), item(&[], &[a]), item(&[a], &[]), item(&[], &[a])], &[&[0, 1], &[2, 3]]);
    // The first was interrupted.
    check(&[item(&[a], &[]), user, item(&[a], &[]), item(&[], &[a])], &[&[0], &[1], &[2, 3]]);
}

#[test]
fn without_ids_results_are_of_the_calls_directly_before_them() {
    let (user, system) = (item(&[], &[]), Item { role: Role::System, ..Item::default() });
    check(&[item(&[None, None], &[]), item(&[], &[None]), item(&[], &[None]), user.clone()], &[&[0, 1, 2], &[3]]);
    check(&[item(&[None], &[]), system, item(&[], &[None])], &[&[0, 1, 2]]);
    check(&[item(&[None], &[]), user.clone(), item(&[], &[None])], &[&[0], &[1], &[2]]);
    check(&[item(&[Some(1)], &[]), item(&[], &[Some(1)]), item(&[], &[Some(1)]), user], &[&[0, 1, 2], &[3]]);
    check(&[item(&[], &[None]), item(&[], &[Some(3)])], &[&[0], &[1]]);
}

#[test]
fn reasoning_stays_with_all_that_it_led_to() {
    let (user, call, result) = (item(&[], &[]), item(&[Some(1)], &[]), item(&[], &[Some(1)]));
    let reasoning = Item { leads: true, role: Role::Assistant, ..Item::default() };
    let says = Item { role: Role::Assistant, speaks: true, ..Item::default() };
    check(&[reasoning.clone(), call.clone(), result.clone(), says.clone(), user.clone()], &[&[0, 1, 2], &[3], &[4]]);
    check(&[reasoning.clone(), says.clone(), call.clone(), result.clone(), user.clone()], &[&[0, 1, 2, 3], &[4]]);
    check(&[reasoning.clone(), reasoning.clone(), says.clone(), user.clone()], &[&[0, 1, 2], &[3]]);
    check(&[reasoning.clone(), says, reasoning.clone(), call, result], &[&[0, 1], &[2, 3, 4]]);
    check(&[user, reasoning], &[&[0], &[1]]);
}

#[test]
fn a_list_stays_one_whatever_goes() {
    let body = "[ 10 , 11,\n 12 ,13\t]";
    let items: Vec<Item> =
        ["10", "11", "12", "13"].map(|text| body.find(text).unwrap()).map(|at| Item { at: at..at + 2, ..Item::default() }).to_vec();
    let outline = Outline { list: 1..body.len() - 1, items, ..Outline::default() };
    for (dropped, expected) in [
        ([false; 4], body),
        ([true; 4], "[ \t]"),
        ([true, false, false, false], "[ 11,\n 12 ,13\t]"),
        ([false, true, false, false], "[ 10,\n 12 ,13\t]"),
        ([false, true, true, false], "[ 10 ,13\t]"),
        ([false, false, false, true], "[ 10 , 11,\n 12\t]"),
        ([true, false, true, false], "[ 11 ,13\t]"),
        ([false, true, false, true], "[ 10,\n 12\t]"),
    ] {
        assert_eq!(String::from_utf8(apply(body.as_bytes(), &splice::drop(&outline, &dropped))).unwrap(), expected);
    }
}
