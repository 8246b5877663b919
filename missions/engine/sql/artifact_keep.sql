-- Index an artifact, fenced like the entry that it mirrors.
insert into missions_artifact (mission_id, seq, timeline, name, media_type, size, digest)
select id, $3::int4, $4::int4, $5::text, $6::text, $7::int8, $8::bytea
from missions_mission
where id = $1::int8 and attempt = $2::int4
on conflict (mission_id, seq) do nothing
