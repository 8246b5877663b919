-- What the ORM can not say: votes are never changed or forgotten, and what a policy version said stays as it was said.
create function approvals_refuse_change() returns trigger
language plpgsql
as $$
begin
    raise exception '% is append-only: % refused', tg_table_name, lower(tg_op)
        using errcode = 'restrict_violation';
end
$$;

create trigger vote_append_only before update or delete on approvals_vote
    for each row execute function approvals_refuse_change();

create function approvals_refuse_new_rules() returns trigger
language plpgsql
as $$
begin
    raise exception 'a policy version never changes: make a new one'
        using errcode = 'restrict_violation';
end
$$;

create trigger policy_version_immutable before update on approvals_policyversion
    for each row
    when (
        old.policy_id is distinct from new.policy_id or old.number is distinct from new.number
        or old.rules is distinct from new.rules or old.digest is distinct from new.digest
    )
    execute function approvals_refuse_new_rules();
create trigger policy_version_kept before delete on approvals_policyversion
    for each row execute function approvals_refuse_change();
