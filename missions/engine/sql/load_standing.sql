-- What became of the effects of timelines that the missions just claimed have left: the last generation at each path.
-- One that stands is adopted or asked about, never done again unasked.
select distinct on (effect.mission_id, effect.chapter, effect.path)
    effect.mission_id, effect.chapter, effect.path, effect.generation, effect.timeline, effect.state, effect.key,
    effect.args_digest, coalesce(effect.outcome_seq, 0), effect.seq
from missions_mission as mission
join missions_effect as effect on effect.mission_id = mission.id
where mission.owner = $1::int8 and mission.xmin = pg_current_xact_id()::xid and mission.timeline > 1
order by effect.mission_id, effect.chapter, effect.path, effect.generation desc
