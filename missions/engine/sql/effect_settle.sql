-- Index what became of an effect (or that nobody knows), fenced like its entry.
update missions_effect as effect
set state = $4::text, outcome_seq = $5::int4
from missions_mission as mission
where effect.key = $3::text and mission.id = effect.mission_id and mission.id = $1::int8 and mission.attempt = $2::int4
