-- When the next mission or alarm is due, for the one timer of a worker; now comes with it, so that clocks need not agree.
-- The earliest of each lane (`missions_lanes`, as in claim.sql), and never past what is unknown here.
-- Missions in quarantine are due for quarantine processes only, and while the installation is frozen none is due at all.
select missions_now(), least(
    (
        select min(earliest.wake_at)
        from missions_lanes($1::text[], $2::int4[], $3::bool) as lane
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
