-- The call has ended with the entry that is written in the same transaction: its heartbeats are of no more use.
delete from missions_progress as progress
using missions_mission as mission
where mission.id = $1::int8 and mission.attempt = $2::int4 and progress.mission_id = mission.id
    and progress.timeline = $3::int4 and progress.chapter = $4::int4 and progress.path = $5::text
