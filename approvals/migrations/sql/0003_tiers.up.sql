-- Tiers that are there get their seats, for queues are asked by them; and what was done with a delegation stays.
update approvals_tier as tier
set name = tier."group", stage = tier."order", apart = array(
    select other."order" from approvals_tier as other
    where other.decision_id = tier.decision_id and other.id <> tier.id
    order by other."order"
);

insert into approvals_tierapprover (tier_id, decision_id, position, spec, "group", resolved, open)
select id, decision_id, 0, jsonb_build_object('group', "group"), "group", '[]', state = 'open'
from approvals_tier;

create trigger delegation_fact_append_only before update or delete on approvals_delegationfact
    for each row execute function approvals_refuse_change();
