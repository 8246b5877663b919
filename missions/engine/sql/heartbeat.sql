-- Say that this worker lives, and learn in the same statement when something is due, whose heart has stopped, whether a
-- mission waits for a quarantine process that does not run on this host yet, whether the installation is frozen, and
-- which place this worker has among how many (`missions.engine.hearing`).
-- What is due is looked for as in next_due.sql. No row comes back to a worker that was declared dead.
-- Heartbeats are on the real clock, which no test moves.
update missions_worker as me
set heartbeat_at = clock_timestamp()
where me.id = $1::int8 and me.dead_at is null
returning
    missions_now(),
    least(
        (
            select min(earliest.wake_at)
            from missions_lanes($2::text[], $4::int4[], $5::bool) as lane
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
            where owner is null and wake_at is not null and strikes >= 2 and $5::bool
                and (type, version) in (select * from unnest($2::text[], $4::int4[]))
                and not exists (select from missions_freeze where thawed_at is null)
        ),
        (
            select min(wake_at)
            from missions_mission
            where owner is null and control_seq > control_done and wake_at is not null
                and (strikes > 1) = $5::bool and not exists (select from missions_freeze where thawed_at is null)
        ),
        (select min(nominal_at) from missions_alarm where rung_at is null)
    ),
    (
        select array_agg(peer.id)
        from missions_worker as peer
        where peer.dead_at is null and peer.id <> $1::int8
            and peer.heartbeat_at < clock_timestamp() - $3::int8 * interval '1 microsecond'
    ),
    (
        select peer.id
        from missions_worker as peer
        where peer.dead_at is null and peer.id <> $1::int8
        order by (peer.id < $1::int8), peer.id
        limit 1
    ),
    case
        when exists ( -- an index of its own, which is empty nearly always
            select from missions_mission
            where owner is null and wake_at <= missions_now() and strikes >= 2
                and (control_seq > control_done or (type, version) in (select * from unnest($2::text[], $4::int4[])))
        ) then not exists ( -- the lock of quarantine_lock.sql
            select from pg_locks
            where locktype = 'advisory' and objsubid = 2 and classid = 1398096467 and granted
                and objid = hashtext(me.host)::oid
        )
        else false
    end,
    exists (select from missions_freeze where thawed_at is null),
    (
        select array[count(*) filter (where alive.id < $1::int8), count(*)]
        from missions_worker as alive
        where alive.dead_at is null
    )
