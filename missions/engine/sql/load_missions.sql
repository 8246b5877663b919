-- The missions that this very transaction claimed (their row version is ours), as of a snapshot after the lock, each
-- with the end of its journal, from which its owner goes on; and what keeps one from beginning, in the order in which it
-- counts: a failure that ends it, what it waits for, a failure that holds it, and its time. A control or a signal may
-- have made it due before.
select mission.id, mission.uid, mission.type, mission.version, mission.attempt, mission.timeline, mission.chapter,
    mission.inbox_seq, mission.control_seq, mission.control_done, brief.title,
    coalesce(brief.started_by_id, 0)::int8, mission.effects_off, mission.suspect, last.seq, last.kind, last.chain,
    coalesce((
        select case when met_at is null then 'mission:' else policy || ':' || ended_as || ':' end || awaited.uid
        from missions_dependency as dependency
        join missions_mission as awaited on awaited.id = dependency.on_mission_id
        where dependency.mission_id = mission.id
            and (met_at is null or (policy <> 'start' and ended_as <> 'completed'))
        order by (met_at is not null and policy = 'fail') desc, met_at nulls first, dependency.on_mission_id
        limit 1
    ), ''),
    case when brief.start_at > missions_now() then brief.start_at end
from missions_mission as mission
join missions_brief as brief on brief.mission_id = mission.id
cross join lateral (
    select seq, kind, chain from missions_journal where mission_id = mission.id order by seq desc limit 1
) as last
where mission.owner = $1::int8 and mission.xmin = pg_current_xact_id()::xid
order by mission.priority desc, mission.id
