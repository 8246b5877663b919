-- A mission that had ended goes on: how it ended is told by its journal, and no longer by its row.
delete from missions_outcome
using missions_mission as mission
where missions_outcome.mission_id = mission.id and mission.id = $1::int8 and mission.attempt = $2::int4
