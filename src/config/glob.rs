//! Patterns of routes: `*` stands for any run of characters (`/` too), `?` for exactly one, everything else for itself.
//! Case matters. Time is at most pattern × text, and patterns are bounded, so a hostile path costs no more than its length.

/// Longest pattern that the config takes, in characters.
pub(super) const LONGEST: usize = 256;

/// Whether all of `text` is what `pattern` describes.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut text) = (pattern.chars(), text.chars());
    // Where to go on when what follows the last `*` does not fit: the pattern after it, and the text it has not swallowed yet.
    let mut star = None;
    loop {
        let (wanted, found) = (pattern.clone().next(), text.clone().next());
        match (wanted, found) {
            (Some('*'), _) => {
                pattern.next();
                star = Some((pattern.clone(), text.clone()));
            }
            (Some(wanted), Some(found)) if wanted == '?' || wanted == found => {
                pattern.next();
                text.next();
            }
            (None, None) => return true,
            (_, None) => return false,
            (_, Some(_)) => {
                let Some((after, rest)) = &mut star else { return false };
                rest.next();
                (pattern, text) = (after.clone(), rest.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_pattern_matches_the_whole_text_or_nothing() {
        let table = [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "anything/at all", true),
            ("?", "", false),
            ("?", "é", true),
            ("??", "é", false),
            ("gpt-4*", "gpt-4o-mini", true),
            ("gpt-4*", "gpt-4", true),
            ("gpt-4*", "GPT-4", false),
            ("gpt-4*", "my-gpt-4", false),
            ("*mini", "gpt-4o-mini-mini", true),
            ("*mini", "mini-x", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("/v1/*/completions", "/v1/chat/completions", true),
            ("/v1/chat", "/v1/chat/", false),
            ("a.b", "axb", false),
            ("[a]", "a", false),
            ("**", "x", true),
            ("x?*", "x", false),
        ];
        for (pattern, text, expected) in table {
            assert_eq!(matches(pattern, text), expected, "{pattern:?} on {text:?}");
        }
    }

    #[test]
    fn many_stars_on_a_long_text_do_not_explode() {
        let (pattern, text) = ("*a".repeat(128) + "b", "a".repeat(64 << 10));
        assert!(!matches(&pattern, &text));
    }
}
