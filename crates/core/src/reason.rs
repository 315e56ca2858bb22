//! The stable reason codes, in one table: what is recorded, what the caller is told and with which status.

use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How a refusal is answered over HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The bytes of the request are wrong (400).
    Request,
    /// The body is larger than the gate accepts (413).
    TooLarge,
    /// The request did not arrive in time (408).
    Timeout,
    /// The request target is longer than the gate accepts (414).
    TargetTooLong,
    /// The header fields are more than the gate accepts (431).
    HeadersTooLarge,
    /// The request asks for something the gate does not do (501).
    NotSupported,
    /// The credential or proof did not hold (401).
    Credential,
    /// Policy refuses (403).
    Policy,
    /// A person has to approve first (403 with the step-up problem type).
    StepUp,
    /// Too many requests (429).
    Rate,
    /// It contradicts an earlier request (409).
    Conflict,
    /// Passgate cannot decide and therefore refuses (503).
    Fault,
    /// The request was allowed and carried out, and its response does not go back (502).
    Withheld,
}

impl Class {
    /// The HTTP status of this class.
    pub const fn status(self) -> u16 {
        match self {
            Self::Request => 400,
            Self::TooLarge => 413,
            Self::Timeout => 408,
            Self::TargetTooLong => 414,
            Self::HeadersTooLarge => 431,
            Self::NotSupported => 501,
            Self::Credential => 401,
            Self::Policy | Self::StepUp => 403,
            Self::Rate => 429,
            Self::Conflict => 409,
            Self::Fault => 503,
            Self::Withheld => 502,
        }
    }
}

macro_rules! reasons {
    ($($name:ident $code:literal $class:ident $public:literal $title:literal;)*) => {
        /// Why a request was not simply allowed. The codes are stable: they stand in attestations for ever.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Reason {
            $(#[doc = $title] $name,)*
        }

        impl Reason {
            /// Every reason there is, in table order.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The stable code written into attestations and logs.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// The code the caller is told. Coarser than [`Reason::code`] where the difference would help an attacker.
            pub const fn public_code(self) -> &'static str {
                match self { $(Self::$name => $public,)* }
            }

            /// How the refusal is answered.
            pub const fn class(self) -> Class {
                match self { $(Self::$name => Class::$class,)* }
            }

            /// One sentence for people.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }
        }
    };
}

// Unknown issuer, bad signature, revoked and suspended look the same from outside: an attacker must not be able to tell
// them apart.
reasons! {
    PathNotCanonical "path_not_canonical" Request "path_not_canonical" "The request target is not in canonical form.";
    HostMismatch "host_mismatch" Request "host_mismatch" "The Host of the request is not this gate.";
    HeaderInvalid "header_invalid" Request "header_invalid" "A header field is not acceptable.";
    MethodOverride "method_override" Request "method_override" "The request tries to override its method.";
    RequestMalformed "request_malformed" Request "request_malformed" "The request is malformed.";
    BodyTooLarge "body_too_large" TooLarge "body_too_large" "The body is larger than this gate accepts.";
    BodyTimeout "body_timeout" Timeout "body_timeout" "The body did not arrive in time.";
    TargetTooLong "target_too_long" TargetTooLong "target_too_long" "The request target is longer than this gate accepts.";
    HeadersTooLarge "headers_too_large" HeadersTooLarge "headers_too_large" "The header fields are more than this gate accepts.";
    MethodUnsupported "method_not_supported" NotSupported "method_not_supported" "The method is not supported.";
    UpgradeUnsupported "upgrade_not_supported" NotSupported "upgrade_not_supported" "Protocol upgrades are not supported.";
    TransferEncodingUnsupported "transfer_encoding_not_supported" NotSupported "transfer_encoding_not_supported" "The transfer coding is not supported.";
    PassportMissing "passport_missing" Credential "credential_missing" "The request carries no passport.";
    PassportMalformed "passport_malformed" Credential "credential_rejected" "The passport is malformed.";
    PassportSignatureInvalid "passport_signature_invalid" Credential "credential_rejected" "The passport's signature does not verify.";
    PassportExpired "passport_expired" Credential "credential_rejected" "The passport has expired.";
    PassportNotYetValid "passport_not_yet_valid" Credential "credential_rejected" "The passport is not valid yet.";
    PassportLifetimeExceeded "passport_lifetime_exceeded" Credential "credential_rejected" "The passport lives longer than its issuer may grant.";
    IssuerUnknown "issuer_unknown" Credential "credential_rejected" "The passport's issuer is not trusted here.";
    IssuerSuspended "issuer_suspended" Credential "credential_rejected" "The passport's issuer is suspended.";
    IssuerKeyUnknown "issuer_key_unknown" Credential "credential_rejected" "The passport is not signed by a current key of its issuer.";
    IssuerKeyCompromised "issuer_key_compromised" Credential "credential_rejected" "The passport is signed with a key of its issuer that was compromised by then.";
    TierMismatch "tier_mismatch" Credential "credential_rejected" "The passport claims a trust tier its issuer does not have.";
    TierInsufficient "tier_insufficient" Credential "credential_rejected" "The passport's trust tier is below what this gate requires.";
    AudienceMismatch "audience_mismatch" Credential "credential_rejected" "The passport is not meant for this gate.";
    DelegationRootMissing "delegation_root_missing" Credential "credential_rejected" "The passport was not handed on as it has to be.";
    DelegationMissing "delegation_missing" Credential "credential_rejected" "The passport was not handed on as it has to be.";
    DelegationDepth "delegation_depth" Credential "credential_rejected" "The passport has more than the one it was made from.";
    DelegationParentMismatch "delegation_parent_mismatch" Credential "credential_rejected" "The passport was not handed on as it has to be.";
    DelegationParentHashMismatch "delegation_parent_hash_mismatch" Credential "credential_rejected" "The passport was not handed on as it has to be.";
    DelegationRootMismatch "delegation_root_mismatch" Credential "credential_rejected" "The passport was not handed on as it has to be.";
    DelegationSpawnerMismatch "delegation_spawner_mismatch" Credential "credential_rejected" "The passport was not handed on as it has to be.";
    DelegationIssuerMismatch "delegation_issuer_mismatch" Credential "credential_rejected" "The passport was not handed on as it has to be.";
    DelegationKeyMismatch "delegation_key_mismatch" Credential "credential_rejected" "The passport was not handed on as it has to be.";
    DelegationSignatureInvalid "delegation_signature_invalid" Credential "credential_rejected" "The passport was not handed on as it has to be.";
    DelegationSelf "delegation_self" Credential "credential_rejected" "The passport was not handed on as it has to be.";
    DelegationIdReused "delegation_id_reused" Credential "credential_rejected" "The passport was not handed on as it has to be.";
    DelegationLifetime "delegation_lifetime" Credential "credential_rejected" "The passport was not handed on as it has to be.";
    DelegationOutlivesParent "delegation_outlives_parent" Credential "credential_rejected" "The passport has more than the one it was made from.";
    DelegationPredatesParent "delegation_predates_parent" Credential "credential_rejected" "The passport has more than the one it was made from.";
    DelegationStatus "delegation_status" Credential "credential_rejected" "The passport was not handed on as it has to be.";
    DelegationWidensScope "delegation_widens_scope" Credential "credential_rejected" "The passport has more than the one it was made from.";
    DelegationWidensAudience "delegation_widens_audience" Credential "credential_rejected" "The passport has more than the one it was made from.";
    DelegationWidensTier "delegation_widens_tier" Credential "credential_rejected" "The passport has more than the one it was made from.";
    DelegationWidensSpend "delegation_widens_spend" Credential "credential_rejected" "The passport has more than the one it was made from.";
    DelegationWidensRate "delegation_widens_rate" Credential "credential_rejected" "The passport has more than the one it was made from.";
    DelegationWidensDomains "delegation_widens_domains" Credential "credential_rejected" "The passport has more than the one it was made from.";
    DelegationWidensResources "delegation_widens_resources" Credential "credential_rejected" "The passport has more than the one it was made from.";
    DelegationWidensContext "delegation_widens_context" Credential "credential_rejected" "The passport has more than the one it was made from.";
    DelegationWidensMaxRecords "delegation_widens_max_records" Credential "credential_rejected" "The passport has more than the one it was made from.";
    DelegationChangesPurpose "delegation_changes_purpose" Credential "credential_rejected" "The passport has more than the one it was made from.";
    DelegationChangesTask "delegation_changes_task" Credential "credential_rejected" "The passport has more than the one it was made from.";
    DelegationDropsLabel "delegation_drops_label" Credential "credential_rejected" "The passport has more than the one it was made from.";
    ProofMissing "proof_missing" Credential "credential_missing" "The request carries no proof of possession.";
    ProofMalformed "proof_malformed" Credential "proof_malformed" "The proof of possession is malformed.";
    ProofCoverage "proof_coverage" Credential "proof_coverage" "The proof does not cover what it must cover.";
    ProofKeyMismatch "proof_key_mismatch" Credential "credential_rejected" "The proof is made with another key than the passport's.";
    ProofSignatureInvalid "proof_signature_invalid" Credential "credential_rejected" "The proof's signature does not verify.";
    ProofExpired "proof_expired" Credential "proof_expired" "The proof is older than the window of five minutes.";
    ProofInFuture "proof_in_future" Credential "proof_in_future" "The proof is dated in the future.";
    ProofAmbiguous "proof_ambiguous" Credential "proof_ambiguous" "The request has proofs of two forms.";
    ProofAlgorithm "proof_algorithm" Credential "proof_algorithm" "The proof is not signed with Ed25519.";
    ProofMethodMismatch "proof_method_mismatch" Credential "proof_method_mismatch" "The proof is for another method.";
    ProofTargetMismatch "proof_target_mismatch" Credential "proof_target_mismatch" "The proof is for another target.";
    ProofPassportMismatch "proof_passport_mismatch" Credential "proof_passport_mismatch" "The proof is for another passport.";
    ProofFieldMismatch "proof_field_mismatch" Credential "proof_field_mismatch" "The proof is for another value of a header field.";
    ProofAgentMismatch "proof_agent_mismatch" Credential "credential_rejected" "The signature names another agent than the one whose key made it.";
    ProofKeyUnknown "proof_key_unknown" Credential "credential_rejected" "The signature is not by a current key of an agent that this gate lists.";
    ProofNonceMissing "proof_nonce_missing" Credential "proof_nonce_missing" "The signature of a request that is not safe needs a nonce.";
    ProofNonceRequired "proof_nonce_required" Credential "proof_nonce_required" "The proof needs the nonce that this gate gives out.";
    ContentDigestMissing "content_digest_missing" Credential "content_digest_missing" "The body has no Content-Digest.";
    ContentDigestMismatch "content_digest_mismatch" Credential "content_digest_mismatch" "The Content-Digest is not the digest of the body.";
    Revoked "revoked" Credential "credential_rejected" "The passport, its agent, its key or its issuer has been revoked.";
    Suspended "suspended" Credential "credential_rejected" "The passport, its agent, its key or its issuer is suspended.";
    NonceReplayed "nonce_replayed" Credential "nonce_replayed" "This proof has been used before.";
    ReplayFence "replay_fence" Credential "replay_fence" "The proof is older than what this gate can still check for replay; sign again.";
    NonceQuotaExceeded "nonce_quota_exceeded" Rate "nonce_quota_exceeded" "Too many proofs of this key are still live.";
    ActionUnmapped "action_unmapped" Policy "action_unmapped" "No route of this gate maps the request to an action.";
    PermissionScopeMissing "permission_scope_missing" Policy "permission_scope_missing" "The passport does not permit this action.";
    ConstraintsUnsupported "constraints_unsupported" Policy "constraints_unsupported" "The passport limits something that this gate cannot tell of the action.";
    ResourceNotPermitted "resource_not_permitted" Policy "resource_not_permitted" "The passport does not permit this resource.";
    ContextNotPermitted "context_not_permitted" Policy "context_not_permitted" "The passport does not permit this context.";
    RecordsNotPermitted "records_not_permitted" Policy "records_not_permitted" "The request asks for more records than the passport permits, or does not say how many.";
    LabelRefused "label_refused" Policy "label_refused" "The action is refused to an agent with this label.";
    RateLimitExceeded "rate_limit_exceeded" Rate "rate_limit_exceeded" "A rate limit is exceeded.";
    BodyNotJson "body_not_json" Policy "body_not_json" "The route reads values from a JSON body, and this body is not strict JSON.";
    AmountMissing "amount_missing" Policy "amount_missing" "The route needs an amount and the request has none.";
    AmountInvalid "amount_invalid" Policy "amount_invalid" "The amount is not a plain non-negative number of the declared unit.";
    SpendTransactionExceeded "spend_per_transaction_exceeded" Policy "spend_per_transaction_exceeded" "The amount is above the cap for one transaction.";
    SpendDailyExceeded "spend_daily_exceeded" Policy "spend_daily_exceeded" "The daily spend cap would be exceeded.";
    SpendMonthlyExceeded "spend_monthly_exceeded" Policy "spend_monthly_exceeded" "The monthly spend cap would be exceeded.";
    SpendTotalExceeded "spend_total_exceeded" Policy "spend_total_exceeded" "The spend cap of the task or of the passport would be exceeded.";
    IdempotencyKeyInvalid "idempotency_key_invalid" Request "idempotency_key_invalid" "The idempotency key is not 1 to 255 visible ASCII characters in one line, or the proof does not cover it.";
    IdempotencyKeyReused "idempotency_key_reused" Conflict "idempotency_key_reused" "The idempotency key stands for another request.";
    SpendTaskMissing "spend_task_missing" Policy "spend_task_missing" "Spending needs a passport whose issuer names the task that it is for.";
    DomainMissing "domain_missing" Policy "domain_missing" "The route needs a target domain and the request has none.";
    DomainInvalid "domain_invalid" Policy "domain_invalid" "The target domain is not spelled canonically.";
    DomainNotAllowed "domain_not_allowed" Policy "domain_not_allowed" "The target domain is not on the allowlist.";
    PiiBlocked "pii_blocked" Policy "pii_blocked" "The request has personal data or a secret that does not pass this gate.";
    PiiUnredactable "pii_unredactable" Policy "pii_unredactable" "The request has personal data or a secret where it cannot be taken out.";
    PiiUnscannable "pii_unscannable" Policy "pii_unscannable" "The body cannot be searched for personal data: send text that is not coded.";
    ApprovalRequired "approval_required" StepUp "approval_required" "The action needs a person's approval.";
    ArgumentMissing "argument_missing" Policy "argument_missing" "The route needs an argument and the request has none.";
    ArgumentInvalid "argument_invalid" Policy "argument_invalid" "An argument is not of its kind, or not in its one spelling.";
    RuleMissing "rule_missing" Policy "rule_missing" "No rule of this gate allows the request.";
    RuleDenied "rule_denied" Policy "rule_denied" "A rule of this gate denies the request.";
    RuleUnmet "rule_unmet" Policy "rule_unmet" "The request does not meet what a rule of this gate requires.";
    RuleStepUp "rule_step_up" StepUp "rule_step_up" "A rule of this gate asks for a person's approval.";
    SessionScopeExceeded "session_scope_exceeded" Policy "session_scope_exceeded" "The action is outside of what the agent's session began with.";
    SessionAdminRefused "session_admin_refused" Policy "session_admin_refused" "No session is elevated to an action of the class admin.";
    SessionElevationRequired "session_elevation_required" StepUp "session_elevation_required" "The session is read-only: a person has to elevate it for this action.";
    RiskDenied "risk_denied" Policy "risk_denied" "The request is too unlike what its agent did before.";
    RiskStepUp "risk_step_up" StepUp "risk_step_up" "The request is unlike what its agent did before: a person has to approve it.";
    ReviewDenied "review_denied" Policy "review_denied" "The reviewer of this gate refuses the request.";
    GuardianUnavailable "guardian_unavailable" Fault "guardian_unavailable" "The action takes a review that cannot be had; the gate fails closed.";
    StoreUnavailable "store_unavailable" Fault "store_unavailable" "The state cannot be reached; the gate fails closed.";
    GateOverloaded "gate_overloaded" Fault "gate_overloaded" "The gate has as many requests as it takes at once; it fails closed.";
    InternalError "internal_error" Fault "internal_error" "The gate failed while deciding; it fails closed.";
    StatusMissing "status_missing" Credential "credential_rejected" "The passport names no status list, and its issuer's passports have to.";
    StatusRevoked "status_revoked" Credential "credential_rejected" "The status list of its issuer says that the passport is revoked.";
    StatusSuspended "status_suspended" Credential "credential_rejected" "The status list of its issuer says that the passport is suspended.";
    StatusUnknown "status_unknown" Credential "credential_rejected" "The status list of its issuer does not say that the passport is valid.";
    StatusListUnavailable "status_list_unavailable" Fault "status_list_unavailable" "The gate has no status list for the passport; it fails closed.";
    StatusListStale "status_list_stale" Fault "status_list_stale" "The status list for the passport is too old to rely on; the gate fails closed.";
    PolicyStale "policy_stale" Fault "policy_stale" "The gate's policy is too old to rely on; it fails closed.";
    PluginDenied "plugin_denied" Policy "plugin_denied" "A policy plugin of this gate denies the request.";
    PluginStepUp "plugin_step_up" StepUp "plugin_step_up" "A policy plugin of this gate asks for a person's approval.";
    PluginTrapped "plugin_trapped" Fault "plugin_trapped" "A policy plugin of this gate broke down; the gate fails closed.";
    PluginTimedOut "plugin_timed_out" Fault "plugin_timed_out" "A policy plugin of this gate did not answer in time; the gate fails closed.";
    PluginFuelExhausted "plugin_fuel_exhausted" Fault "plugin_fuel_exhausted" "A policy plugin of this gate used up what it may compute; the gate fails closed.";
    PluginLimitExceeded "plugin_limit_exceeded" Fault "plugin_limit_exceeded" "A policy plugin of this gate wanted more than it may have; the gate fails closed.";
    PluginAnswerInvalid "plugin_answer_invalid" Fault "plugin_answer_invalid" "A policy plugin of this gate gave an answer that is none; the gate fails closed.";
    PluginUnavailable "plugin_unavailable" Fault "plugin_unavailable" "A policy plugin of this gate cannot be asked; the gate fails closed.";
    ActionPassRefused "action_pass_refused" Policy "action_pass_refused" "This gate mints and redeems no one-action pass for such a request.";
    ActionPassMalformed "action_pass_malformed" Request "action_pass_malformed" "The one-action pass is malformed.";
    ActionPassKeyUnknown "action_pass_key_unknown" Policy "action_pass_key_unknown" "The one-action pass is not signed by a key of this gate.";
    ActionPassSignatureInvalid "action_pass_signature_invalid" Policy "action_pass_signature_invalid" "The signature of the one-action pass does not verify.";
    ActionPassAudienceMismatch "action_pass_audience_mismatch" Policy "action_pass_audience_mismatch" "The one-action pass is for another gate.";
    ActionPassIssuerMismatch "action_pass_issuer_mismatch" Policy "action_pass_issuer_mismatch" "The one-action pass was minted by another gate.";
    ActionPassLifetimeExceeded "action_pass_lifetime_exceeded" Policy "action_pass_lifetime_exceeded" "The one-action pass lives longer than any may.";
    ActionPassNotYetValid "action_pass_not_yet_valid" Policy "action_pass_not_yet_valid" "The one-action pass is not valid yet.";
    ActionPassExpired "action_pass_expired" Policy "action_pass_expired" "The one-action pass has expired.";
    ActionPassContentMismatch "action_pass_content_mismatch" Policy "action_pass_content_mismatch" "The one-action pass is for another action than the one in the request.";
    ActionPassKeyRequired "action_pass_key_required" Policy "action_pass_key_required" "This gate takes only one-action passes that are bound to a key.";
    ActionPassKeyMismatch "action_pass_key_mismatch" Policy "action_pass_key_mismatch" "The one-action pass is bound to another key.";
    ActionPassRedeemed "action_pass_redeemed" Policy "action_pass_redeemed" "The one-action pass has been redeemed before.";
    ActionPassFenced "action_pass_fenced" Policy "action_pass_fenced" "The one-action pass is older than what this gate can still check for redemption; ask for another.";
    ApprovalRefused "approval_refused" Policy "approval_refused" "This gate takes no approval for such a request.";
    ApprovalMalformed "approval_malformed" Request "approval_malformed" "An approval is malformed.";
    ApprovalKeyUnknown "approval_key_unknown" Policy "approval_key_unknown" "An approval is not signed by an approver of this gate.";
    ApprovalSignatureInvalid "approval_signature_invalid" Policy "approval_signature_invalid" "The signature of an approval does not verify.";
    ApprovalAudienceMismatch "approval_audience_mismatch" Policy "approval_audience_mismatch" "An approval is for another gate.";
    ApprovalIssuerMismatch "approval_issuer_mismatch" Policy "approval_issuer_mismatch" "An approval names another approver than the one whose key signed it.";
    ApprovalLifetimeExceeded "approval_lifetime_exceeded" Policy "approval_lifetime_exceeded" "An approval lives longer than any may.";
    ApprovalNotYetValid "approval_not_yet_valid" Policy "approval_not_yet_valid" "An approval is not valid yet.";
    ApprovalExpired "approval_expired" Policy "approval_expired" "An approval has expired.";
    ApprovalContentMismatch "approval_content_mismatch" Policy "approval_content_mismatch" "An approval is for something else than what the request would do now.";
    ApprovalAgentMismatch "approval_agent_mismatch" Policy "approval_agent_mismatch" "An approval is for another agent.";
    ApprovalOutOfBounds "approval_out_of_bounds" Policy "approval_out_of_bounds" "The request is outside of what an approval grants.";
    ApprovalSelf "approval_self" Policy "approval_self" "An agent approves neither its own requests nor those of agents that it has its authority from.";
    ApprovalUsed "approval_used" Policy "approval_used" "An approval has been used as often as it may be.";
    ApprovalRevoked "approval_revoked" Policy "approval_revoked" "An approval, or the key that signed it, has been taken back.";
    ApprovalFenced "approval_fenced" Policy "approval_fenced" "An approval is older than what this gate can still check for use; ask for another.";
    ResponsePiiBlocked "response_pii_blocked" Withheld "response_pii_blocked" "The action was carried out; its response is withheld because it holds personal data or a secret.";
    ResponsePiiUnredactable "response_pii_unredactable" Withheld "response_pii_unredactable" "The action was carried out; its response is withheld because personal data or a secret in it cannot be taken out.";
    ResponsePiiUnscannable "response_pii_unscannable" Withheld "response_pii_unscannable" "The action was carried out; its response is withheld because it cannot be looked at.";
    ResponseRecordsExceeded "response_records_exceeded" Withheld "response_records_exceeded" "The action was carried out; its response is withheld because it has more records than are permitted.";
    ResponseRecordsUnreadable "response_records_unreadable" Withheld "response_records_unreadable" "The action was carried out; its response is withheld because its records cannot be counted.";
}

impl Reason {
    /// Whether the refusal was decided: the gate worked, even where what it relies on is too old or a plugin of its
    /// operator failed. The other faults are the gate's own failures, of which nothing may be recorded.
    pub const fn is_decided(self) -> bool {
        !matches!(self, Self::StoreUnavailable | Self::GateOverloaded | Self::InternalError)
    }

    /// The reason with this code, if there is one.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|r| r.code() == code)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Reason {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = alloc::string::String::deserialize(deserializer)?;
        Self::from_code(&code).ok_or_else(|| serde::de::Error::custom("unknown reason code"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_round_trip() {
        for (i, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(Reason::from_code(reason.code()), Some(*reason));
            assert!(Reason::ALL[i + 1..].iter().all(|other| other.code() != reason.code()));
        }
    }

    #[test]
    fn every_failure_of_a_pass_and_of_an_approval_has_its_reason() {
        use passgate_passport::action_pass::ActionPassError;
        use passgate_passport::approval::ApprovalError;
        let mut codes = ActionPassError::CODES.iter().chain(&ApprovalError::CODES);
        assert!(codes.all(|code| Reason::from_code(code).is_some()));
    }

    #[test]
    fn unknown_issuer_bad_signature_revoked_and_suspended_look_alike() {
        let seen = [Reason::IssuerUnknown, Reason::PassportSignatureInvalid, Reason::Revoked, Reason::Suspended]
            .map(|r| (r.public_code(), r.class()));
        assert!(seen.windows(2).all(|pair| pair[0] == pair[1]));
    }
}
