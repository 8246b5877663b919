-- Claim missions that are due: lock first, load afterwards with a new snapshot (load_*.sql, under the same Sync), since
-- one statement that did both would read history as of before the lock. Types unknown here are left for other workers.
with due as materialized (
    select id
    from missions_mission
    where owner is null and wake_at <= missions_now() and type = any ($3::text[])
        and (strikes > 1) = $4::bool -- those that took workers down run alone, in a quarantine process
        and not exists (select from missions_freeze where thawed_at is null)
    order by priority desc, wake_at
    limit $2::int4
    for update skip locked
)
update missions_mission as mission
set owner = $1::int8, attempt = mission.attempt + 1, state = 'running', wake_at = null
where mission.id = any (array(select id from due)) -- a join would tempt the planner to hash the whole table
returning mission.id
