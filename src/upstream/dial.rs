//! Happy eyeballs (RFC 8305): the addresses of a name are tried in turn, families interleaved, each a little after the one before or as soon as
//! that has failed, all at the same time; the first connection wins and the others are given up.

use std::{future::Future, net::SocketAddr, pin::Pin, task::Poll, time::Duration};

use tokio::time::{Instant, Sleep, sleep};

/// Of one DNS answer, this many addresses are tried.
pub(super) const MAX_ADDRESSES: usize = 128;
/// The next address is tried after this (RFC 8305 §8) …
const STAGGER: Duration = Duration::from_millis(250);
/// … but sooner where there are many, so that all of them are tried well within `timeouts.connect`, …
const ALL_WITHIN: Duration = Duration::from_millis(2500);
/// … and never sooner than this.
const STAGGER_MIN: Duration = Duration::from_millis(10);

/// Addresses in the order in which they are tried: the first as the resolver says, then the families by turns.
pub(super) fn interleave(addresses: impl IntoIterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let addresses: Vec<_> = addresses.into_iter().take(MAX_ADDRESSES).collect();
    let leading = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (mut ours, mut others) = (addresses.iter().filter(|a| a.is_ipv6() == leading), addresses.iter().filter(|a| a.is_ipv6() != leading));
    let mut ordered = Vec::with_capacity(addresses.len());
    while ordered.len() < addresses.len() {
        ordered.extend(ours.next());
        ordered.extend(others.next());
    }
    ordered
}

/// The first connection that is made, and to whom; else the last failure. `None` without an address.
pub(super) async fn race<S, E, F>(addresses: &[SocketAddr], dial: impl Fn(SocketAddr) -> F) -> Option<Result<(S, SocketAddr), (E, SocketAddr)>>
where
    F: Future<Output = Result<S, E>>,
{
    let many = u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
    let stagger = (ALL_WITHIN / many).clamp(STAGGER_MIN, STAGGER);
    let mut waiting = addresses.iter().copied();
    let mut running: Vec<(SocketAddr, Pin<Box<F>>)> = Vec::new();
    let mut timer: Pin<Box<Sleep>> = Box::pin(sleep(Duration::ZERO));
    let mut failed = None;
    std::future::poll_fn(|cx| {
        loop {
            let mut ended = None;
            for (at, (address, dialing)) in running.iter_mut().enumerate() {
                match dialing.as_mut().poll(cx) {
                    Poll::Ready(Ok(stream)) => return Poll::Ready(Some(Ok((stream, *address)))),
                    Poll::Ready(Err(error)) => {
                        (failed, ended) = (Some((error, *address)), Some(at));
                        break;
                    }
                    Poll::Pending => {}
                }
            }
            if let Some(at) = ended {
                drop(running.remove(at));
            }
            let due = ended.is_some() || running.is_empty() || timer.as_mut().poll(cx).is_ready();
            match if due { waiting.next() } else { None } {
                Some(address) => {
                    running.push((address, Box::pin(dial(address))));
                    timer.as_mut().reset(Instant::now() + stagger);
                }
                None if ended.is_some() => {}
                None if running.is_empty() => return Poll::Ready(failed.take().map(Err)),
                None => return Poll::Pending,
            }
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::{future::pending, sync::Mutex};

    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn numbered(many: u8) -> Vec<SocketAddr> {
        (1..=many).map(|n| SocketAddr::from(([192, 0, 2, n], 443))).collect()
    }

    #[test]
    fn families_take_turns_and_the_resolvers_first_comes_first() {
        let [v4, v4b, v4c] = ["192.0.2.1:1", "192.0.2.2:1", "192.0.2.3:1"].map(address);
        let [v6, v6b] = ["[2001:db8::1]:1", "[2001:db8::2]:1"].map(address);
        assert_eq!(interleave([v6, v6b, v4, v4b, v4c]), [v6, v4, v6b, v4b, v4c]);
        assert_eq!(interleave([v4, v4b, v6]), [v4, v6, v4b]);
        assert_eq!(interleave([]), []);
        assert_eq!(interleave(vec![v4; 4000]).len(), MAX_ADDRESSES);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_address_holds_the_next_one_up_for_a_quarter_of_a_second() {
        let begun = Instant::now();
        let addresses = numbered(3);
        let dial = |address: SocketAddr| async move { if address.to_string().starts_with("192.0.2.3") { Ok::<_, ()>(()) } else { pending().await } };
        assert_eq!(race(&addresses, dial).await, Some(Ok(((), addresses[2]))));
        assert_eq!(begun.elapsed(), Duration::from_millis(500));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_address_holds_nothing_up_and_the_last_refusal_is_told() {
        let begun = Instant::now();
        let addresses = numbered(5);
        let tried = Mutex::new(Vec::new());
        let dial = |address: SocketAddr| {
            tried.lock().unwrap().push(address);
            async move { Err::<(), _>(address.ip()) }
        };
        assert_eq!(race(&addresses, dial).await, Some(Err((addresses[4].ip(), addresses[4]))));
        assert_eq!((tried.into_inner().unwrap(), begun.elapsed()), (addresses, Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn the_hundredth_address_is_reached_within_the_connect_timeout() {
        let begun = Instant::now();
        let addresses = numbered(100);
        let dial =
            |address: SocketAddr| async move { if address.to_string().starts_with("192.0.2.100:") { Ok::<_, ()>(()) } else { pending().await } };
        assert_eq!(race(&addresses, dial).await, Some(Ok(((), addresses[99]))));
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_first_address_may_still_win() {
        let addresses = numbered(2);
        let dial = |address: SocketAddr| async move {
            sleep(if address.to_string().starts_with("192.0.2.1:") { Duration::from_millis(300) } else { Duration::from_secs(1) }).await;
            Ok::<_, ()>(())
        };
        assert_eq!(race(&addresses, dial).await, Some(Ok(((), addresses[0]))));
    }

    #[tokio::test(start_paused = true)]
    async fn no_address_is_no_race() {
        assert_eq!(race(&[], |_| async { Ok::<(), ()>(()) }).await, None);
    }
}
