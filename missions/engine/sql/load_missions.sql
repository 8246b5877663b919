-- The missions that this very transaction claimed (their row version is ours), as of a snapshot after the lock, each
-- with the end of its journal, from which its owner goes on.
select mission.id, mission.uid, mission.type, mission.version, mission.attempt, mission.timeline, mission.chapter,
    mission.inbox_seq, mission.control_seq, mission.control_done, brief.title,
    coalesce(brief.started_by_id, 0)::int8, mission.effects_off, mission.suspect, last.seq, last.kind, last.chain
from missions_mission as mission
join missions_brief as brief on brief.mission_id = mission.id
cross join lateral (
    select seq, kind, chain from missions_journal where mission_id = mission.id order by seq desc limit 1
) as last
where mission.owner = $1::int8 and mission.xmin = pg_current_xact_id()::xid
order by mission.priority desc, mission.id
