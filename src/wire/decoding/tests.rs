use std::io::Write as _;

use super::*;

/// Pieces of an encoded body, each flushed so that all of it can be decoded at once.
fn encode(encoding: &str, pieces: &[&[u8]]) -> Vec<u8> {
    fn all(mut encoder: impl io::Write, pieces: &[&[u8]]) {
        for piece in pieces {
            encoder.write_all(piece).unwrap();
            encoder.flush().unwrap();
        }
    }
    let mut encoded = Vec::new();
    match encoding {
        "gzip" => all(flate2::write::GzEncoder::new(&mut encoded, flate2::Compression::default()), pieces),
        "deflate" => all(flate2::write::ZlibEncoder::new(&mut encoded, flate2::Compression::default()), pieces),
        "br" => all(brotli::CompressorWriter::new(&mut encoded, 4096, 5, 22), pieces),
        _ => all(zstd::Encoder::new(&mut encoded, 3).unwrap().auto_finish(), pieces),
    }
    encoded
}

const ENCODINGS: [&str; 4] = ["gzip", "deflate", "br", "zstd"];

/// Decodes it in pieces of at most `step` bytes: what came out, and how it ended.
fn decode(encoding: &str, encoded: &[u8], step: usize) -> (Vec<u8>, Result<bool, Undecodable>) {
    let mut decoding = Decoding::of(encoding).unwrap();
    let mut plain = Vec::new();
    for piece in encoded.chunks(step) {
        let fed = decoding.feed(piece, |decoded| {
            plain.extend_from_slice(decoded);
            true
        });
        if let Err(error) = fed {
            return (plain, Err(error));
        }
    }
    (plain, Ok(decoding.is_finished()))
}

fn prose(length: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(7);
    (0..length).map(|_| *random.choice(b"etaoin shrdlu\n").unwrap()).collect()
}

#[test]
fn every_coding_gives_back_what_was_encoded_however_it_is_split() {
    let texts = [Vec::new(), b"{}".to_vec(), prose(5_000), prose(3 << 20)];
    for (encoding, text) in ENCODINGS.iter().flat_map(|encoding| texts.iter().map(move |text| (encoding, text))) {
        let encoded = encode(encoding, &[text]);
        for step in [1, 7, 1000, 1 << 16, usize::MAX] {
            if step < 1000 && text.len() > 10_000 {
                continue;
            }
            let (plain, end) = decode(encoding, &encoded, step.min(encoded.len().max(1)));
            assert!(plain == *text && end == Ok(true), "{encoding} of {} in steps of {step}: {} {end:?}", text.len(), plain.len());
        }
    }
}

#[test]
fn two_bodies_in_one_are_read_as_one() {
    for encoding in ["gzip", "zstd"] {
        let twice = [encode(encoding, &[b"one, "]), encode(encoding, &[b"two"])].concat();
        for step in [1, 5, twice.len()] {
            assert_eq!(decode(encoding, &twice, step), (b"one, two".to_vec(), Ok(true)), "{encoding} {step}");
        }
    }
}

#[test]
fn what_was_flushed_comes_out_at_once_but_from_zstd() {
    for encoding in ENCODINGS {
        let (first, both) = (encode(encoding, &[b"data: 1\n\n"]), encode(encoding, &[b"data: 1\n\n", b"data: 2\n\n"]));
        let shared = first.iter().zip(&both).take_while(|(one, other)| one == other).count();
        let (plain, _) = decode(encoding, &both[..shared], shared);
        assert_eq!(plain == b"data: 1\n\n", !Decoding::of(encoding).unwrap().is_late(), "{encoding}: {plain:?}");
    }
}

#[test]
fn what_breaks_off_is_not_finished_and_what_is_something_else_is_broken() {
    for encoding in ENCODINGS {
        let encoded = encode(encoding, &[&prose(5_000)]);
        for length in [1, 4, encoded.len() / 2, encoded.len() - 1] {
            let (_, end) = decode(encoding, &encoded[..length], length);
            assert_eq!(end, Ok(false), "{encoding} of {length}");
        }
        let (plain, end) = decode(encoding, b"{\"choices\":[],\"usage\":{}} or anything else that was never encoded", 1000);
        assert!(end != Ok(true) && plain.len() < 200, "{encoding}: {end:?}");
    }
}

#[test]
fn a_bomb_is_given_up_after_a_megabyte() {
    let zeros = vec![b' '; 64 << 20];
    for encoding in ENCODINGS {
        let encoded = encode(encoding, &[&zeros]);
        let most = usize::try_from(RATIO_FREE).unwrap().max(encoded.len() * 100) + STEP * 3;
        let (plain, end) = decode(encoding, &encoded, 1 << 16);
        assert!(end == Err(Undecodable::Bomb) && plain.len() <= most, "{encoding}: {} of {}: {end:?}", plain.len(), encoded.len());
    }
}

#[test]
fn no_noise_does_more_than_end_the_reading() {
    let mut random = fastrand::Rng::with_seed(9);
    for encoding in ENCODINGS {
        let sound = encode(encoding, &[&prose(20_000)]);
        for _ in 0..300 {
            let mut noisy = sound.clone();
            for _ in 0..random.usize(1..6) {
                let at = random.usize(..noisy.len());
                noisy[at] = random.u8(..);
            }
            let (plain, _) = decode(encoding, &noisy, random.usize(1..=noisy.len()));
            assert!(plain.len() <= 4 << 20, "{encoding}: {}", plain.len());
        }
    }
}

#[test]
fn a_window_that_no_reader_of_http_must_have_is_refused() {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.set_parameter(zstd::zstd_safe::CParameter::WindowLog(27)).unwrap();
    encoder.write_all(&prose(1 << 20)).unwrap();
    assert_eq!(decode("zstd", &encoder.finish().unwrap(), 1 << 16).1, Err(Undecodable::Broken));
}

#[test]
fn other_codings_and_more_than_one_are_not_decoded() {
    for encoding in ["compress", "gzip, br", "", "identity"] {
        assert!(Decoding::of(encoding).is_none(), "{encoding}");
    }
    for encoding in ["GZIP", " x-gzip ", "Br", "zstd"] {
        assert!(Decoding::of(encoding).is_some(), "{encoding}");
    }
}
