-- What became of the effects of timelines that these missions have left: the last generation at each path.
-- One that stands is adopted or asked about, never done again unasked.
select distinct on (effect.mission_id, effect.chapter, effect.path)
    effect.mission_id, effect.chapter, effect.path, effect.generation, effect.timeline, effect.state, effect.key,
    effect.args_digest, coalesce(effect.outcome_seq, 0), effect.seq
from missions_effect as effect
where effect.mission_id = any ($1::int8[])
order by effect.mission_id, effect.chapter, effect.path, effect.generation desc
