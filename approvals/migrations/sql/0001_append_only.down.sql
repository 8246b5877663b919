drop trigger policy_version_kept on approvals_policyversion;
drop trigger policy_version_immutable on approvals_policyversion;
drop function approvals_refuse_new_rules();
drop trigger vote_append_only on approvals_vote;
drop function approvals_refuse_change();
