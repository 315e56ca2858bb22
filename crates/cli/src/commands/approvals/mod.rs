//! `approvals list|show|approve|deny|withdraw`: what the gate holds back until people answer.

mod answer;
mod approve;
mod grant;
mod list;
mod show;
mod shown;

use clap::Subcommand;
use passgate_core::approval::Need;
use passgate_core::reason::Reason;
use passgate_host::control::{AccessError, ApprovalDoc};
use passgate_passport::approval::ApprovalError;
use passgate_passport::claims::is_plain_text;

use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};

/// Verbs of `approvals`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the requests for approval
    List(list::Args),
    /// Show everything an approver needs to know about one of them
    Show(show::Args),
    /// Approve one, once or for more actions like it, with the approver's own key
    Approve(Box<approve::Args>),
    /// Deny one: whoever asks for the same is denied until it expires
    Deny(answer::DenyArgs),
    /// Take one back, and every approval of it, at once and for good
    Withdraw(answer::WithdrawArgs),
}

pub(crate) async fn run(command: &Command, context: &Context) -> Outcome {
    match command {
        Command::List(args) => list::run(args, context).await,
        Command::Show(args) => show::run(args, context).await,
        Command::Approve(args) => approve::run(args, context).await,
        Command::Deny(args) => answer::deny(args, context).await,
        Command::Withdraw(args) => answer::withdraw(args, context).await,
    }
}

/// An answer that was not taken in, with the gate's code. What is wrong with the approval, or with whose key signed it, is
/// invalid.
fn refused(error: AccessError) -> Failure {
    let Some(code) = error.refused_answer().and_then(known_code) else { return error.into() };
    let of_approver = [Reason::ApprovalSelf.code(), Reason::Revoked.code(), ROLE_MISSING];
    let is_invalid = ApprovalError::CODES.contains(&code) || of_approver.contains(&code);
    let exit = if is_invalid { Exit::Invalid } else { Exit::Unexpected };
    let failure = Failure::new(exit, code, &error);
    match code {
        NOT_FOUND => failure.hint("`passgate approvals list` shows those that wait"),
        "approval_key_unknown" => failure.hint("the gate's policy lists its approvers under `approvals.approvers`"),
        "approval_issuer_mismatch" => failure.hint("give the name of the gate's policy with --as"),
        _ => failure,
    }
}

const NOT_FOUND: &str = "not_found";
const ROLE_MISSING: &str = "approval_role_missing";

/// The code as this program knows it.
fn known_code(code: &str) -> Option<&'static str> {
    const OTHERS: [&str; 7] = [
        NOT_FOUND,
        ROLE_MISSING,
        "approval_request_changed",
        "approval_request_closed",
        "approval_request_expired",
        "approval_request_full",
        "approval_twice",
    ];
    let other = || OTHERS.into_iter().find(|other| *other == code);
    Reason::from_code(code).map(Reason::code).or_else(other)
}

/// A note as the gate takes one.
fn checked(note: Option<&str>) -> Result<(), Failure> {
    match note.is_none_or(is_plain_text) {
        true => Ok(()),
        false => Err(Failure::usage("the note is not 1 to 256 characters without control characters")
            .hint("shorten it to one line")),
    }
}

/// Who has to approve, in words: `2 of finance`.
fn people(needs: &[Need]) -> String {
    let words = needs.iter().map(|need| match (need.count, need.roles.as_slice()) {
        (1, []) => "1 approver".to_owned(),
        (count, []) => format!("{count} approvers"),
        (count, roles) => format!("{count} of {}", roles.join(" or ")),
    });
    words.collect::<Vec<_>>().join(" and ")
}

/// How it stands, in words.
fn standing(doc: &ApprovalDoc) -> String {
    match doc.approved {
        count if doc.state == "pending" && count > 0 => format!("pending, {count} approved"),
        _ => doc.state.clone(),
    }
}

fn times(count: u64) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needs_in_words() {
        let need = |count, roles: &[&str]| Need {
            count,
            name: None,
            reason_code: Reason::RuleStepUp,
            roles: roles.iter().map(ToString::to_string).collect(),
            said: None,
        };
        assert_eq!(people(&[need(2, &["finance"])]), "2 of finance");
        assert_eq!(people(&[need(1, &[]), need(3, &["finance", "legal"])]), "1 approver and 3 of finance or legal");
        assert_eq!(people(&[need(2, &[])]), "2 approvers");
    }

    #[test]
    fn every_code_of_a_refused_answer_is_known() {
        use passgate_core::approval::RefusedAnswer;
        let refusals = [
            RefusedAnswer::NotFound,
            RefusedAnswer::Changed,
            RefusedAnswer::Closed("used"),
            RefusedAnswer::Expired(0),
            RefusedAnswer::NoApprovers,
            RefusedAnswer::Approval(ApprovalError::KeyUnknown),
            RefusedAnswer::OtherRequest,
            RefusedAnswer::OtherAgent,
            RefusedAnswer::OutOfBounds,
            RefusedAnswer::OtherPolicy,
            RefusedAnswer::Full,
            RefusedAnswer::OwnKey,
            RefusedAnswer::RoleMissing(String::new()),
            RefusedAnswer::Twice(String::new()),
            RefusedAnswer::Denied(String::new()),
        ];
        for refusal in refusals {
            assert_eq!(known_code(refusal.code()), Some(refusal.code()));
        }
        assert_eq!(known_code("else"), None);
    }
}
