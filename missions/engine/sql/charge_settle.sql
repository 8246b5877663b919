-- What became of what a call was charged for, in the transaction of the entry that tells it and fenced like it: spent,
-- or given back. Seconds are spent either way, as many as the call took where that is known. Touches the call's own
-- charges alone, never the account, which every worker locks: whoever locks it next counts them anew. Where others wait
-- for room, an alarm lets them look again.
with settled as (
    update missions_budgetcharge as charge
    set state = case when $4::bool or budget.counts = 'wall' then 'spent' else 'returned' end,
        due = case
            when budget.counts = 'wall' then coalesce($5::int8::numeric / 1000, charge.due)
            when $4::bool then charge.due
            else 0
        end
    from missions_periodbudget as budget, missions_mission as mission
    where charge.key = $3::text and charge.state = 'held' and budget.id = charge.budget_id
        and mission.id = $1::int8 and mission.attempt = $2::int4 and charge.mission_id = mission.id
    returning charge.budget_id, charge.due < charge.amount as freed
)
insert into missions_alarm (what, nominal_at)
select distinct 'budgets:' || budget_id, missions_now()
from settled
where freed and exists (select from missions_budgetwait as waits where waits.budget_id = settled.budget_id)
on conflict do nothing
