//! Names of agents: who is none though it speaks under a name, and how a framework writes one as the name of a tool.

use std::sync::Arc;

use crate::config::is_agent_name;

/// Names under which frameworks let people speak (`AutoGen`'s default source of a task, its proxies of users). What stands under one is no model's answer, even
/// if it repeats one word for word.
const PEOPLE: [&str; 6] = ["user", "human", "user_proxy", "userproxy", "user_proxy_agent", "admin"];

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
    fn blanks_around_a_name_are_none_of_it() {
        assert_eq!(named(" planner\n").as_deref(), Some("planner"));
        assert_eq!(named("{x}"), None);
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
