//! That a text is cut only where it may be.

use fastrand::Rng;
use serde_json::Value;

use super::super::shorten::shorten;

fn decoded(raw: &[u8]) -> Vec<u16> {
    // Half a surrogate pair is no text to serde: escapes are read by hand.
    let raw = std::str::from_utf8(raw).unwrap();
    let mut units = Vec::new();
    let mut letters = raw.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            units.extend(letter.encode_utf16(&mut [0; 2]).iter());
            continue;
        }
        match letters.next().unwrap() {
            'u' => units.push(u16::from_str_radix(&letters.by_ref().take(4).collect::<String>(), 16).unwrap()),
            'n' => units.push(10),
            'r' => units.push(13),
            other @ ('"' | '\\' | '/' | 't') => units.push(u16::try_from(u32::from(other)).unwrap()),
            other => panic!("no escape: {other}"),
        }
    }
    units
}

fn check(raw: &str, keep: u64) -> Option<String> {
    let tokens = super::count(raw.as_bytes());
    let made = shorten(raw.as_bytes(), tokens, keep)?;
    let text = made.of(raw.as_bytes());
    assert!(text.len() < raw.len());
    let all = decoded(raw.as_bytes());
    assert!(all.starts_with(&decoded(&raw.as_bytes()[..made.cut.start])));
    assert!(all.ends_with(&decoded(&raw.as_bytes()[made.cut.end..])));
    let is_whole = |raw: &str| serde_json::from_str::<Value>(&format!("\"{raw}\"")).is_ok();
    let text = String::from_utf8(text).unwrap();
    assert!(is_whole(&text) || !is_whole(raw), "{text}");
    // Both ends are kept, about as much of them as was asked for.
    assert!(super::count(text.as_bytes()) <= keep + 16, "{keep}: {text}");
    assert!(super::super::wide(text.len()) + 8 >= keep * 2, "{keep}: {text}");
    Some(text)
}

#[test]
fn no_escape_pair_or_character_is_cut_in_two() {
    let parts =
        ["a", "é", "日", "🎉", r"\n", r"\\", r#"\""#, r"\u00e9", r"\ud83c\udf89", r"\r\n", r"\ud83c", r"\uDF89", "word ", r"\\n", r"\/", r"\\\\\\"];
    let mut random = Rng::with_seed(1);
    let mut made = 0;
    for round in 0..600 {
        // At first of one part alone, then of all.
        let few = if round < 160 { &parts[round / 10..=round / 10] } else { &parts[..] };
        let raw: String = (0..random.usize(1..400)).map(|_| few[random.usize(..few.len())]).collect();
        for keep in [0, 1, 7, 20, 33, 50, 80] {
            made += usize::from(check(&raw, keep).is_some());
        }
    }
    assert!(made > 2000, "{made}");
}

#[test]
fn a_text_is_cut_at_the_end_of_a_line_or_at_a_blank() {
    let lines = (100..200).fold(String::new(), |text, number| text + "line " + &number.to_string() + r"\r\n");
    assert_eq!(check(&lines, 20).unwrap(), r"line 100\r\nline 101\r\nline 102\r\n[… 282 tokens left out …]\nline 197\r\nline 198\r\nline 199\r\n");
    let words = (100..300).fold(String::new(), |text, number| text + "word" + &number.to_string() + " ");
    assert_eq!(check(&words, 16).unwrap(), r"word100 word101 word102 word103\n[… 386 tokens left out …]\nword297 word298 word299 ");
}

#[test]
fn a_text_without_ends_is_cut_all_the_same() {
    let blob = "QUJD".repeat(2000);
    let text = check(&blob, 50).unwrap();
    assert_eq!(text, format!(r"{}\n[… 1,950 tokens left out …]\n{}", "QUJD".repeat(25), "QUJD".repeat(25)));
}

#[test]
fn what_would_not_become_shorter_is_left() {
    for (raw, keep) in [("", 0), ("abc", 0), ("a few words of a text", 3), (r"\ud83c\udf89\ud83c\udf89\ud83c\udf89", 4), ("abcdefgh", 100)] {
        assert_eq!(check(raw, keep), None, "{raw}");
    }
    assert_eq!(shorten(b"abc", 0, 0), None);
    assert_eq!(shorten(&[b'a'; 100], 10, u64::MAX), None);
}
