-- Say that this worker lives, and learn in the same statement when something is due and whose heart has stopped.
-- No row comes back to a worker that was declared dead. Heartbeats are on the real clock, which no test moves.
update missions_worker as me
set heartbeat_at = clock_timestamp()
where me.id = $1::int8 and me.dead_at is null
returning
    missions_now(),
    least(
        (
            select min(wake_at)
            from missions_mission
            where owner is null and wake_at is not null
                and (control_seq > control_done or (type, version) in (select * from unnest($2::text[], $4::int4[])))
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
    )
