-- Under which version of an agent a mission works from here on: the index over `agent` entries, in the transaction of the
-- entry and fenced like it, so that pages find the missions of a version without reading journals.
insert into missions_engagement (mission_id, seq, agent, version, at)
select id, $3::int4, $4::text, $5::int4, missions_now()
from missions_mission
where id = $1::int8 and attempt = $2::int4
on conflict (mission_id, seq) do nothing
