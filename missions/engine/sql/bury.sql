-- Take over from a dead worker, whose lock we hold: mark it, free its missions, and record each takeover once.
-- Dead workers are marked and kept, since journals name them. `attempt` rises, which fences what it left behind.
-- Each mission in its hands may be what took it down: a strike, unless the mission's journal has grown since the last
-- one, or a call of it has reported how far it has come. No strike where the process lives on (survive.sql), or the
-- server itself ended after the last heartbeat, which is on the real clock as the server's start is. The second strike
-- puts the mission into quarantine, where it runs alone, and the third in a row pauses it.
-- Workers that died within a minute without it speak for the mission: something else kills. It is not quarantined then
-- before its fifth death in a row without an entry, so that several missions that kill can not vouch for each other for
-- ever. A third strike does not count where a worker died since the second one that held other than quarantined
-- missions: what a quarantine process dies of in a storm is no evidence, and the mission harms nobody there.
with dead as (
    update missions_worker
    set dead_at = clock_timestamp()
    where id = $1::int8 and dead_at is null
    returning not survived and heartbeat_at > pg_postmaster_start_time() as counts
),
elsewhere as materialized (
    select other.id, other.lost_worker, held.strikes < 2 as ordinary
    from missions_takeover as other
    join missions_mission as held on held.id = other.mission_id
    where other.id > (select coalesce(max(id), 0) from missions_takeover) - 2000 and other.strike
        and other.lost_worker <> $1::int8 and other.freed_at > missions_now() - interval '1 minute'
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
                select head.seq as head, struck.strikes, struck.strikes >= 3 and dead.counts as out
                from (select coalesce((select counts from dead), false) as counts) as dead
                cross join lateral (
                    select seq, attempt from missions_journal where mission_id = mission.id order by seq desc limit 1
                ) as head
                cross join lateral (
                    select coalesce(max(id), 0) as last_id, array_agg(lost_worker) as workers,
                        count(*) filter (where strike and attempt > head.attempt) as in_a_row
                    from missions_takeover where mission_id = mission.id
                ) as lost
                cross join lateral (
                    select coalesce(bool_or(true), false) as rages,
                        coalesce(bool_or(ordinary and id > lost.last_id), false) as still_rages
                    from elsewhere where lost_worker <> all (coalesce(lost.workers, '{}'))
                ) as storm
                cross join lateral (
                    select case
                        when not dead.counts then mission.strikes
                        when head.seq > mission.strike_head then 1
                        when exists (
                            select from missions_progress as progress
                            where progress.mission_id = mission.id and progress.attempt = mission.attempt
                        ) then 1
                        when mission.strikes = 1 and storm.rages and lost.in_a_row < 4 then 1
                        when mission.strikes = 2 and storm.still_rages then 2
                        else mission.strikes + 1
                    end as strikes
                ) as struck
            ) as now
        )
    where owner = $1::int8
    returning id, attempt, state = 'paused' as out
),
told as ( -- whoever listens hears of it as of any mission that stops for a person (ended.sql)
    insert into missions_alarm (what, nominal_at)
    select 'mission.outcome:' || freed.id, missions_now()
    from freed
    where freed.out and exists (
        select from missions_listener
        where subject = any (array[
            'all', 'mission:' || freed.id,
            'person:' || (select started_by_id from missions_brief where mission_id = freed.id)
        ])
    )
    on conflict do nothing
)
insert into missions_takeover (mission_id, attempt, lost_worker, freed_by, strike)
select id, attempt - 1, $1::int8, $2::int8, coalesce((select counts from dead), false) from freed
returning mission_id
