-- Take over from a dead worker, whose lock we hold: mark it, free its missions, and record each takeover once.
-- Dead workers are marked and kept, since journals name them. `attempt` rises, which fences what it left behind.
-- Each mission in its hands may be what took it down: a strike, unless the mission's journal has grown since the last
-- one, or a call of it has reported how far it has come. No strike where the process lives on (survive.sql), or the
-- server itself ended after the last heartbeat, which is on the real clock as the server's start is. The third strike in
-- a row pauses the mission, which ran alone then, unless workers have died meanwhile that had nothing to do with it:
-- then something else kills, and what a quarantine process dies of is no evidence. Only what had fewer than two strikes
-- tells of that, or two missions that kill, each in a quarantine of its own, would vouch for each other for ever.
with dead as (
    update missions_worker
    set dead_at = clock_timestamp()
    where id = $1::int8 and dead_at is null
    returning not survived and heartbeat_at > pg_postmaster_start_time() as counts
),
freed as (
    update missions_mission as mission
    set owner = null,
        attempt = attempt + 1,
        (strikes, strike_head, state, reason, wake_at) = (
            select now.strikes, now.head,
                case when now.out then 'paused' else 'ready' end,
                case when now.out then 'quarantined' else mission.reason end,
                case when now.out and control_seq <= control_done then null else missions_now() end
            from (
                select head.seq as head, case when storm.rages then 2 else struck.strikes end as strikes,
                    dead.counts and struck.strikes >= 3 and not storm.rages as out
                from (select coalesce((select counts from dead), false) as counts) as dead
                cross join (select max(seq) as seq from missions_journal where mission_id = mission.id) as head
                cross join lateral (
                    select case
                        when not dead.counts then mission.strikes
                        when head.seq > mission.strike_head then 1
                        when exists (
                            select from missions_progress as progress
                            where progress.mission_id = mission.id and progress.attempt = mission.attempt
                        ) then 1
                        else mission.strikes + 1
                    end as strikes
                ) as struck
                cross join lateral (
                    select struck.strikes >= 3 and exists (
                        select from missions_takeover as other
                        join missions_mission as held on held.id = other.mission_id
                        where other.id > (select max(id) from missions_takeover where mission_id = mission.id)
                            and other.strike and held.strikes < 2 and other.lost_worker <> $1::int8
                            and other.lost_worker not in (
                                select lost_worker from missions_takeover where mission_id = mission.id
                            )
                    ) as rages
                ) as storm
            ) as now
        )
    where owner = $1::int8
    returning id, attempt
)
insert into missions_takeover (mission_id, attempt, lost_worker, freed_by, strike)
select id, attempt - 1, $1::int8, $2::int8, coalesce((select counts from dead), false) from freed
returning mission_id
