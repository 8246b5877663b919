-- Claim missions that are due: lock first, load afterwards with a new snapshot (load_*.sql, under the same Sync), since
-- one statement that did both would read history as of before the lock. Types and versions unknown here are left for
-- other workers; a control that was asked for is handled by any, and found by an index of its own.
-- `missions_lanes` (migration 0010) walks the index from one (type, version, priority) to the next, so that nothing costs
-- what is not claimed. Of each lane the 512 that are due longest are looked at, without locks; the locks are taken in the
-- order of priority and age, whatever the type.
-- Missions that took workers down run in quarantine processes ($5) alone; while the installation is frozen nothing does.
with near as materialized (
    select oldest.id
    from missions_lanes($3::text[], $4::int4[], $5::bool) as lane
    cross join lateral (
        select id
        from missions_mission
        where owner is null and wake_at <= missions_now() and type = lane.type and version = lane.version
            and priority = lane.priority and strikes < 2
        order by wake_at
        limit 512
    ) as oldest
    union all
    select id
    from missions_mission
    where owner is null and wake_at <= missions_now() and strikes >= 2 and $5::bool
        and (type, version) in (select * from unnest($3::text[], $4::int4[]))
        and not exists (select from missions_freeze where thawed_at is null)
    union all
    select id
    from (
        select id
        from missions_mission
        where owner is null and control_seq > control_done and wake_at <= missions_now()
            and (strikes > 1) = $5::bool
            and not exists (select from missions_freeze where thawed_at is null)
        order by wake_at
        limit 512
    ) as steered
),
due as materialized (
    select id
    from missions_mission
    where id = any (array(select id from near)) and owner is null and wake_at <= missions_now() and (strikes > 1) = $5::bool
        and (control_seq > control_done or (type, version) in (select * from unnest($3::text[], $4::int4[])))
    order by priority desc, wake_at
    limit $2::int4
    for update skip locked
)
update missions_mission as mission
set owner = $1::int8, attempt = mission.attempt + 1, state = 'running', wake_at = null
where mission.id = any (array(select id from due)) -- a join would tempt the planner to hash the whole table
returning mission.id
