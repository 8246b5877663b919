-- append.sql for a batch of one entry, as a lone mission writes them: half the server's time, the same fence.
insert into missions_journal
    (mission_id, attempt, seq, timeline, kind, path, input_hash, payload, stored, salt, digest, chain, recorded_at)
select id, attempt, $3::int4, $4::int4, $5::text, $6::text, $7::bytea, $8::bytea, $9::bytea, $10::bytea, $11::bytea,
    $12::bytea, $13::timestamptz
from missions_mission
where id = $1::int8 and attempt = $2::int4
