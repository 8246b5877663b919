-- Index what became of an effect (or that nobody knows), fenced like its entry. One that is undone keeps its outcome.
update missions_effect as effect
set state = $4::text, outcome_seq = case when $4::text = 'undone' then effect.outcome_seq else $5::int4 end
from missions_mission as mission
where effect.key = $3::text and mission.id = effect.mission_id and mission.id = $1::int8 and mission.attempt = $2::int4
