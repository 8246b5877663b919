-- Index a new intent, fenced like its entry.
insert into missions_effect
    (id, mission_id, seq, timeline, chapter, path, generation, tool, key, args_digest, effect_class, retry_safety,
     compensate, state, deadline_at)
select $3::uuid, id, $4::int4, $5::int4, $6::int4, $7::text, $8::int4, $9::text, $10::text, $11::text, $12::text,
    $13::text, $14::text, 'intended', $15::timestamptz
from missions_mission
where id = $1::int8 and attempt = $2::int4
on conflict (key) do nothing
