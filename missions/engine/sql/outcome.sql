-- How a mission ended, for lists and for the outside; fenced like the entry that it repeats. Written once.
insert into missions_outcome (mission_id, verdict, summary, data, error, ended_at)
select id, $3::text, $4::text, $5::text::jsonb, $6::text, missions_now()
from missions_mission
where id = $1::int8 and attempt = $2::int4
on conflict (mission_id) do nothing
