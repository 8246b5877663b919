-- The lanes in which missions wait, of these types and versions: each (type, version, priority) that has one. Walks the
-- index `mission_due` from one lane to the next, so that neither the number of those that are due, nor that of unknown
-- types, nor sleepers of a higher priority cost anything. None where `closed`, or while the installation is frozen.
-- A plain SQL function, so that the planner sees through it: claims keep the plan that they had with this text inside.
create function missions_lanes(types text[], versions int4[], closed bool)
returns table (type varchar, version int4, priority int2)
language sql stable
as $$
    with recursive lane (type, version, priority) as (
        select known.type::varchar, known.version, head.priority
        from unnest(types, versions) as known (type, version)
        cross join lateral (
            select mission.priority
            from missions_mission as mission
            where mission.owner is null and mission.wake_at is not null
                and mission.type = known.type and mission.version = known.version
            order by mission.priority desc
            limit 1
        ) as head
        where not closed and not exists (select from missions_freeze where thawed_at is null)
        union all
        select lane.type, lane.version, next.priority
        from lane
        cross join lateral (
            select mission.priority
            from missions_mission as mission
            where mission.owner is null and mission.wake_at is not null
                and mission.type = lane.type and mission.version = lane.version and mission.priority < lane.priority
            order by mission.priority desc
            limit 1
        ) as next
    )
    select lane.type, lane.version, lane.priority from lane
$$;
