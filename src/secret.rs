//! Values that must reach no log, span, metric or error: they print as `***`.

use std::fmt;

/// A credential. Only [`Secret::reveal`] gives it away.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a credential.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The credential itself, for the one place that must send or compare it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Compares in a time that depends on the lengths only.
    pub fn matches(&self, other: &str) -> bool {
        let (ours, theirs) = (self.0.as_bytes(), other.as_bytes());
        let mut difference = u8::from(ours.len() != theirs.len());
        for (i, byte) in theirs.iter().enumerate() {
            difference |= byte ^ ours.get(i % ours.len().max(1)).copied().unwrap_or(0);
        }
        difference == 0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn a_secret_prints_as_stars_and_matches_itself_alone() {
        let secret = Secret::new("sk-canary");
        assert_eq!(format!("{secret} {secret:?}"), "*** ***");
        assert!(secret.matches("sk-canary"));
        for other in ["", "sk-canar", "sk-canaryy", "sk-canarysk-canary", "SK-CANARY"] {
            assert!(!secret.matches(other), "{other}");
        }
    }
}
