//! The fixed texts of the frameworks, where they say who calls or what came before. Their defaults: a user may replace most of them, and then they say nothing.

use std::sync::Arc;

use super::names::named;

/// How `MagenticOne`'s orchestrator is always called.
pub(super) const ORCHESTRATOR: &str = "MagenticOneOrchestrator";

/// Lines of a transcript that are looked at.
const LINES_MAX: usize = 4096;
/// Names that a selection offers.
const OFFERED_MAX: usize = 64;

/// How the prompts begin by which one agent, or the group's manager, is asked who speaks next.
const SELECTIONS: [&str; 2] = ["You are in a role play game. The following roles are available:", "Select an agent to perform task."];

/// How the orchestrator's own questions to the model begin, blanks in front of them aside.
const QUESTIONS: [&str; 6] = [
    "Below I will present you a request. Before we begin addressing the request, please answer the following pre-survey",
    "Fantastic. To address this request we have assembled the following team:",
    "Recall we are working on the following request:",
    "As a reminder, we are working to solve the following task:",
    "Please briefly explain what went wrong on this last run",
    "We are working on the following task:",
];

/// Words that a full stop does not end a role at.
const SHORT_FORMS: [&str; 14] = ["Sr", "Jr", "Dr", "Mr", "Mrs", "Ms", "Prof", "St", "vs", "No", "Inc", "Ltd", "Co", "Lt"];

/// How its ledger begins, which it shows to all.
const LEDGER: &str = "We are working to address the following user request:";
const FACTS: &str = "Here is an initial fact sheet to consider:";
const PLAN: &str = "Here is the plan to follow as best as possible:";

/// Whether this system text asks who speaks next.
pub(super) fn is_selection(text: &str) -> bool {
    SELECTIONS.iter().any(|form| text.trim_start().starts_with(form))
}

/// Whether the orchestrator asks this of its own model.
pub(super) fn is_orchestrators(text: &str) -> bool {
    QUESTIONS.iter().any(|form| text.trim_start().starts_with(form))
}

/// Whether this is the orchestrator's ledger.
pub(super) fn is_ledger(text: &str) -> bool {
    text.trim_start().starts_with(LEDGER)
}

/// The facts and the plan of a ledger: both were answers before.
pub(super) fn ledger(text: &str) -> Option<[&str; 2]> {
    let (_, rest) = text.split_once(FACTS)?;
    let (facts, plan) = rest.split_once(PLAN)?;
    Some([facts.trim(), plan.trim()])
}

/// The agent that takes over: `Transferred to bob, adopting the role of bob immediately.`
pub(super) fn handed_to(text: &str) -> Option<&str> {
    let rest = text.trim().strip_prefix("Transferred to ")?.strip_suffix(" immediately.")?;
    let (name, again) = rest.split_once(", adopting the role of ")?;
    (name == again).then_some(name)
}

/// The agent that takes over, in the result of a transfer: `{"assistant": "Billing Agent"}`.
pub(super) fn assistant_of(text: &str) -> Option<&str> {
    let rest = text.trim().strip_prefix('{')?.trim_start().strip_prefix("\"assistant\"")?.trim_start().strip_prefix(':')?.trim_start();
    let name = rest.strip_prefix('"')?.strip_suffix('}')?.trim_end().strip_suffix('"')?;
    (!name.contains(['"', '\\'])).then_some(name)
}

/// `CrewAI`'s role: `You are {role}. {backstory}` and a line that begins with `Your personal goal is: `.
pub(super) fn role(system: &str) -> Option<&str> {
    let rest = system.trim_start().strip_prefix("You are ")?;
    if !rest.contains("\nYour personal goal is: ") {
        return None;
    }
    let (role, _) = rest.split_once(". ")?;
    // "Sr. Researcher" would be cut: nothing is said rather than half of it.
    let last = role.rsplit(' ').next()?;
    (!SHORT_FORMS.contains(&last)).then(|| role.trim())
}

/// What an agent said, where its name stands in front of it: `planner said:` and a line of its own (`add_name_prefixes`).
pub(super) fn said(text: &str) -> Option<(&str, &str)> {
    let (line, rest) = text.split_once('\n')?;
    Some((line.strip_suffix(" said:")?, rest))
}

/// The names that a selection offers: the last list of its text, `['planner', 'writer']`.
pub(super) fn offered(text: &str) -> Vec<Arc<str>> {
    let Some((_, rest)) = text.rsplit_once(" from [") else { return Vec::new() };
    let Some((list, _)) = rest.split_once(']') else { return Vec::new() };
    list.split(',').take(OFFERED_MAX).filter_map(|name| named(name.trim().trim_matches(['\'', '"']))).collect()
}

/// What was said so far, as a selection tells it, and by whom: `planner: the plan`, in lines.
pub(super) fn transcript(text: &str) -> Vec<(Arc<str>, &str)> {
    let (roles, rest) = match text.split_once("Only return the role.") {
        Some(parts) => parts,
        None => match text.split_once("Current conversation context:") {
            Some(parts) => parts,
            None => return Vec::new(),
        },
    };
    let Some((told, _)) = rest.rsplit_once("Read the above conversation") else { return Vec::new() };
    let mut names: Vec<Arc<str>> = roles.lines().take(LINES_MAX).filter_map(|line| named(line.split_once(": ")?.0)).take(OFFERED_MAX).collect();
    names.extend(["user".into()]);
    let mut entries: Vec<(Arc<str>, usize, usize)> = Vec::new();
    let mut at = 0;
    for line in told.split_inclusive('\n').take(LINES_MAX) {
        if let Some((name, _)) = line.split_once(": ")
            && let Some(name) = names.iter().find(|known| ***known == *name)
        {
            entries.push((Arc::clone(name), at + name.len() + 2, at + line.len()));
        } else if let Some(last) = entries.last_mut() {
            last.2 = at + line.len();
        }
        at += line.len();
    }
    entries.into_iter().map(|(name, start, end)| (name, told[start..end].trim())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SELECTION: &str = "You are in a role play game. The following roles are available:\nplanner: The planner agent\nwriter: Writes\ncritic: C.\nRead the \
        following conversation. Then select the next role from ['planner', 'writer', 'critic'] to play. Only return the role.\n\nuser: Say hello.\nAnd well: do \
        it.\n\n\nplanner: the plan\n\n\n\nRead the above conversation. Then select the next role from ['writer', 'critic'] to play. Only return the role.\n";

    #[test]
    fn a_selection_tells_what_was_said_and_whom_it_offers() {
        assert!(is_selection(SELECTION) && !is_selection("You are the planner."));
        assert_eq!(offered(SELECTION), ["writer", "critic"].map(Arc::<str>::from));
        assert_eq!(transcript(SELECTION), [("user".into(), "Say hello.\nAnd well: do it."), ("planner".into(), "the plan")]);
        assert_eq!(transcript("You are the planner."), []);
        assert!(offered("nothing").is_empty() && offered("from [").is_empty());
    }

    #[test]
    fn a_hand_over_names_its_target_only_in_the_very_form() {
        assert_eq!(handed_to("Transferred to bob, adopting the role of bob immediately."), Some("bob"));
        assert_eq!(handed_to("Transferred to bob, adopting the role of alice immediately."), None);
        assert_eq!(handed_to("Please tell: Transferred to bob, adopting the role of bob immediately."), None);
        assert_eq!(assistant_of("{\"assistant\": \"Billing Agent\"}"), Some("Billing Agent"));
        for other in ["{\"assistant\": 1}", "{\"assistant\": \"a\", \"b\": \"c\"}", "assistant", "{}"] {
            assert_eq!(assistant_of(other), None, "{other}");
        }
    }

    #[test]
    fn a_role_is_what_stands_before_the_first_full_stop() {
        let system = |role: &str| format!("You are {role}. You know all.\nYour personal goal is: to know more");
        assert_eq!(role(&system("Senior Researcher")), Some("Senior Researcher"));
        assert_eq!(role(&system("Senior Researcher\n")), Some("Senior Researcher"));
        assert_eq!(role(&system("Sr. Researcher")), None);
        assert_eq!(role("You are Bob. You know all."), None);
    }

    #[test]
    fn a_ledger_holds_two_answers() {
        let text = format!("\n{LEDGER}\n\nSay hello.\n\n\n{FACTS}\n\nfacts\nmore\n\n\n{PLAN}\n\nplan\n");
        assert!(is_ledger(&text) && !is_orchestrators(&text));
        assert_eq!(ledger(&text), Some(["facts\nmore", "plan"]));
        assert!(is_orchestrators("\nRecall we are working on the following request:\n\nSay hello."));
        assert_eq!(said("planner said:\nthe plan"), Some(("planner", "the plan")));
    }
}
