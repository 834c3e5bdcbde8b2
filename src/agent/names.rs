//! Names of agents: which texts may be one, and how a framework writes one as the name of a tool.

use std::sync::Arc;

/// Characters of a name.
const NAME_MAX: usize = 64;

/// Names under which frameworks let people speak (`AutoGen`'s default source of a task, its proxies of users). What stands under one is no model's answer, even
/// if it repeats one word for word.
const PEOPLE: [&str; 6] = ["user", "human", "user_proxy", "userproxy", "user_proxy_agent", "admin"];

/// Whether this may name an agent: 1 to 64 letters, digits, spaces, `_`, `.`, `-`, and not only spaces.
pub fn is_agent_name(name: &str) -> bool {
    let fits = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '_' | '.' | '-');
    !name.trim().is_empty() && name.chars().all(fits) && name.chars().nth(NAME_MAX).is_none()
}

/// The name, if it may be one.
pub(super) fn named(name: &str) -> Option<Arc<str>> {
    let name = name.trim();
    is_agent_name(name).then(|| name.into())
}

/// Whether people speak under this name.
pub(super) fn is_person(name: &str) -> bool {
    PEOPLE.iter().any(|person| name.eq_ignore_ascii_case(person))
}

/// Whether a tool's name says that the conversation goes over to this agent: `transfer_to_billing_agent` and "Billing Agent".
pub(super) fn is_transfer_to(tool: &str, agent: &str) -> bool {
    let Some(target) = tool.strip_prefix("transfer_to_") else { return false };
    let plain = |c: char| if c.is_alphanumeric() { c } else { '_' };
    target.chars().map(plain).eq(agent.chars().flat_map(char::to_lowercase).map(plain)) || target == agent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_letters_digits_and_little_else() {
        for name in ["planner", "Billing Agent", "a.b-c_d", "ä", &"x".repeat(64)] {
            assert!(is_agent_name(name), "{name}");
        }
        for name in ["", " ", "a\n", "a/b", "{x}", &"x".repeat(65)] {
            assert!(!is_agent_name(name), "{name}");
        }
        assert_eq!(named(" planner\n").as_deref(), Some("planner"));
    }

    #[test]
    fn people_are_no_agents() {
        assert!(is_person("user") && is_person("User_Proxy") && !is_person("planner"));
    }

    #[test]
    fn a_tool_of_transfer_is_known_by_the_name_of_its_target() {
        assert!(is_transfer_to("transfer_to_billing_agent", "Billing Agent"));
        assert!(is_transfer_to("transfer_to_bob", "Bob") && is_transfer_to("transfer_to_bob", "bob"));
        assert!(!is_transfer_to("transfer_to_bob", "bobby") && !is_transfer_to("bob", "bob"));
    }
}
