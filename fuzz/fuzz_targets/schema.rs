//! Tools that anybody declares, called with any arguments: the check says yes, no or nothing, on the stack that its thread has.
#![no_main]

use std::{cell::OnceCell, sync::mpsc, thread};

use libfuzzer_sys::fuzz_target;
use pillion::telemetry::fuzzing::{STACK, check};

type Ask = (Vec<u8>, mpsc::SyncSender<()>);

thread_local! {
    static CHECKER: OnceCell<mpsc::SyncSender<Ask>> = const { OnceCell::new() };
}

fuzz_target!(|input: &[u8]| {
    CHECKER.with(|checker| {
        let asks = checker.get_or_init(|| {
            let (asks, asked) = mpsc::sync_channel::<Ask>(1);
            let work = move || {
                for (input, done) in asked {
                    one(&input);
                    drop(done);
                }
            };
            thread::Builder::new().stack_size(STACK).spawn(work).expect("a thread");
            asks
        });
        let (done, end) = mpsc::sync_channel(1);
        asks.send((input.to_vec(), done)).expect("the thread has not failed");
        let _ = end.recv();
    });
});

/// A schema, a line feed, and arguments.
fn one(input: &[u8]) {
    let at = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (schema, arguments) = input.split_at(at);
    let arguments = String::from_utf8_lossy(arguments.get(1..).unwrap_or_default());
    let tools = [b"[{\"name\":\"f\",\"input_schema\":", schema, b"}]"].concat();
    check(&tools, "f", &arguments);
}
