-- The last heartbeat of a call that is under way, fenced like an entry; one row a call, overwritten.
insert into missions_progress (mission_id, timeline, chapter, path, cursor, progress, workspace, attempt, reported_at)
select id, $3::int4, $4::int4, $5::text, $6::bytea, $7::bytea, $8::bytea, attempt, missions_now()
from missions_mission
where id = $1::int8 and attempt = $2::int4
on conflict (mission_id, timeline, chapter, path) do update
set cursor = excluded.cursor, progress = excluded.progress, workspace = excluded.workspace,
    attempt = excluded.attempt, reported_at = excluded.reported_at
