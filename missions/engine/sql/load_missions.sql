-- The missions that this very transaction claimed (their row version is ours), as of a snapshot after the lock.
select mission.id, mission.uid, mission.type, mission.version, mission.attempt, mission.timeline, mission.chapter,
    mission.replay_from, mission.inbox_seq, brief.title, coalesce(brief.started_by_id, 0)::int8,
    mission.suspect
from missions_mission as mission
join missions_brief as brief on brief.mission_id = mission.id
where mission.owner = $1::int8 and mission.xmin = pg_current_xact_id()::xid
order by mission.priority desc, mission.id
