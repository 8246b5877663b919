-- When the next mission or alarm is due, for the one timer of a worker; now comes with it, so that clocks need not agree.
-- Walks the index as claim.sql does: the earliest of each (type, version, priority), and never past what is unknown here.
with recursive lane (type, version, priority) as (
    select known.type, head.version, head.priority
    from unnest($1::text[]) as known (type)
    cross join lateral (
        select version, priority
        from missions_mission
        where owner is null and wake_at is not null and type = known.type
        order by version desc, priority desc
        limit 1
    ) as head
    union all
    select lane.type, next.version, next.priority
    from lane
    cross join lateral (
        select version, priority
        from missions_mission
        where owner is null and wake_at is not null and type = lane.type
            and row (version, priority) < row (lane.version, lane.priority)
        order by version desc, priority desc
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
                and priority = lane.priority
            order by wake_at
            limit 1
        ) as earliest
    ),
    (select min(nominal_at) from missions_alarm where rung_at is null)
)
