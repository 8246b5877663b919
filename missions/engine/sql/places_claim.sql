-- claim.sql for types under limits: only as many as there are places left, of these types ($5) and of all missions
-- together ($6), each null where it has no limit. Counts with a snapshot of after places_lock.sql, and only if that got
-- the lock. What this transaction has claimed already counts as well, also against the room of the worker ($2).
-- Controls of others come by claim.sql.
with near as materialized (
    select oldest.id
    from missions_lanes($3::text[], $4::int4[], $7::bool) as lane
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
    where owner is null and wake_at <= missions_now() and strikes >= 2 and $7::bool
        and (type, version) in (select * from unnest($3::text[], $4::int4[]))
        and not exists (select from missions_freeze where thawed_at is null)
),
places as materialized (
    select greatest(0, least(
        $2::int4 - (select count(*) from missions_mission where owner = $1::int8 and xmin = pg_current_xact_id()::xid),
        $5::int4 - (select count(*) from missions_mission where owner is not null and type = any ($3::text[])),
        $6::int4 - (select count(*) from missions_mission where owner is not null)
    )) as free
    where exists (
        select from pg_locks
        where locktype = 'advisory' and classid = 7311 and objid = 1 and objsubid = 2 and pid = pg_backend_pid()
            and granted
    )
),
due as materialized (
    select id
    from missions_mission
    where id = any (array(select id from near)) and owner is null and wake_at <= missions_now() and (strikes > 1) = $7::bool
        and (type, version) in (select * from unnest($3::text[], $4::int4[]))
    order by priority desc, wake_at
    limit coalesce((select free from places), 0)
    for update skip locked
)
update missions_mission as mission
set owner = $1::int8, attempt = mission.attempt + 1, state = 'running', wake_at = null
where mission.id = any (array(select id from due))
returning mission.id
