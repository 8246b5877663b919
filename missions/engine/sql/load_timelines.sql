-- The seeds of all timelines of the missions just claimed, and what people said as they opened them; most missions have
-- never opened one.
select timeline.mission_id, timeline.number, timeline.seed, timeline.guidance
from missions_mission as mission
join missions_timeline as timeline on timeline.mission_id = mission.id
where mission.owner = $1::int8 and mission.xmin = pg_current_xact_id()::xid
