-- Take over from a dead worker, whose lock we hold: mark it, free its missions, and record each takeover once.
-- Dead workers are marked and kept, since journals name them. `attempt` rises, which fences what it left behind.
-- Each mission in its hands may be what took it down: a strike, unless the mission's journal has grown since the last
-- one, or a call of it has reported how far it has come. No strike where the process lives on (survive.sql), or the server itself ended after the last heartbeat, which
-- is on the real clock as the server's start is. The third strike in a row pauses the mission.
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
                select head.seq as head, struck.strikes, dead.counts and struck.strikes >= 3 as out
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
            ) as now
        )
    where owner = $1::int8
    returning id, attempt
)
insert into missions_takeover (mission_id, attempt, lost_worker, freed_by, strike)
select id, attempt - 1, $1::int8, $2::int8, coalesce((select counts from dead), false) from freed
returning mission_id
