-- When the next mission or alarm is due, for the one timer of a worker; now comes with it, so that clocks need not agree.
-- Walks the index as claim.sql does: the earliest of each (type, version, priority), and never past what is unknown here.
-- Missions in quarantine are due for quarantine processes only, and while the installation is frozen none is due at all.
with recursive lane (type, version, priority) as (
    select known.type, known.version, head.priority
    from unnest($1::text[], $2::int4[]) as known (type, version)
    cross join lateral (
        select priority
        from missions_mission
        where owner is null and wake_at is not null and type = known.type and version = known.version
        order by priority desc
        limit 1
    ) as head
    where not $3::bool and not exists (select from missions_freeze where thawed_at is null)
    union all
    select lane.type, lane.version, next.priority
    from lane
    cross join lateral (
        select priority
        from missions_mission
        where owner is null and wake_at is not null and type = lane.type and version = lane.version
            and priority < lane.priority
        order by priority desc
        limit 1
    ) as next
)
select missions_now(), least(
    (
        select min(earliest.wake_at)
        from lane
        cross join lateral (
            select wake_at
            from missions_mission
            where owner is null and wake_at is not null and type = lane.type and version = lane.version
                and priority = lane.priority and strikes < 2
            order by wake_at
            limit 1
        ) as earliest
    ),
    (
        select min(wake_at)
        from missions_mission
        where owner is null and wake_at is not null and strikes >= 2 and $3::bool
            and (type, version) in (select * from unnest($1::text[], $2::int4[]))
            and not exists (select from missions_freeze where thawed_at is null)
    ),
    (
        select min(wake_at)
        from missions_mission
        where owner is null and control_seq > control_done and wake_at is not null
            and (strikes > 1) = $3::bool and not exists (select from missions_freeze where thawed_at is null)
    ),
    (select min(nominal_at) from missions_alarm where rung_at is null)
)
