-- What the ORM can not say: the trail of a policy is never changed or forgotten.
create trigger policy_event_append_only before update or delete on approvals_policyevent
    for each row execute function approvals_refuse_change();
