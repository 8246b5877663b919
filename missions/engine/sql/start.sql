-- A new mission in one statement: its row, its brief, its first entry, and the hints to watchers and workers. Each round
-- trip saved is one less for the caller to wait for. The time is the database's, and so the link of the first entry is
-- made here: $19 and $20 are what it hashes before and after the eight bytes of the time (`missions.engine.chain`).
-- No row comes back, and nothing is written, where the key was used before, for a mission that is here or archived, or
-- where the deadline has passed; whoever asked finds out which. A start with the same key that is under way is waited for.
-- A payload over the inline limit is stored as in payload_store.sql.
with clock as materialized (
    select missions_now() as now
),
mission as (
    insert into missions_mission (
        uid, type, version, idempotency_key, priority, parent, deadline_at, state, waits_for, waits_since, wake_at,
        head_seq, reason, step, attempt, timeline, chapter, replay_from, inbox_seq, mail_from, control_seq,
        control_done, effects_off, strikes, strike_head, suspect
    )
    select $1::uuid, $2::text, $3::int4, $4::text, $5::int4, $6::int8, $7::timestamptz,
        case when $8::text = '' then 'ready' else 'waiting' end, $8::text, case when $8::text <> '' then now end,
        case when $8::text = '' then greatest($9::timestamptz, now) end,
        1, '', '', 0, 1, 1, 1, 0, 0, 0, 0, $23::bool, 0, 0, false
    from clock
    where not exists (select from missions_archive where idempotency_key = $4::text)
        and ($7::timestamptz is null or $7::timestamptz > now)
    on conflict (idempotency_key) do nothing
    returning id
),
brief as (
    insert into missions_brief (mission_id, title, started_by_id, started_via, started_at, start_at)
    select id, $10::text, $11::int8, $12::text, now, $9::timestamptz
    from mission, clock
),
stored as (
    insert into missions_payload (digest, body)
    select $13::bytea, $14::bytea
    from mission
    where $13::bytea is not null
    on conflict (digest) do update set stored_at = missions_now()
    where missions_payload.stored_at < missions_now() - interval '10 minutes'
),
entry as (
    insert into missions_journal
        (mission_id, attempt, seq, timeline, kind, path, input_hash, payload, stored, salt, digest, chain, recorded_at)
    select id, 0, 1, 1, $15::text, '', $16::bytea, case when $13::bytea is null then $14::bytea end, $13::bytea,
        $17::bytea, $18::bytea, sha256($19::bytea || timestamptz_send(now) || $20::bytea), now
    from mission, clock
)
select id, now, pg_notify($21::text, 'm' || id), pg_notify($22::text, id::text)
from mission, clock
