-- Take over from a dead worker, whose lock we hold: mark it, free its missions, and record each takeover once.
-- Dead workers are marked and kept, since journals name them. `attempt` rises, which fences what it left behind.
with dead as (
    update missions_worker set dead_at = clock_timestamp() where id = $1::int8 and dead_at is null
),
freed as (
    update missions_mission
    set owner = null, attempt = attempt + 1, state = 'ready', wake_at = missions_now()
    where owner = $1::int8
    returning id, attempt
)
insert into missions_takeover (mission_id, attempt, lost_worker, freed_by)
select id, attempt - 1, $1::int8, $2::int8 from freed
returning mission_id
