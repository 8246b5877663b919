-- Append a batch of entries of many missions, fenced: a row is written only while its mission still has the attempt.
-- The fence is a join on (id, attempt) through id = any($1): a predicate on owner or state would lure the planner into
-- the partial index of owned missions, which claims bloat. It takes no lock; the lane's advisory lock makes it safe.
-- Fewer rows written than sent means that a mission was fenced.
with row as (
    select *
    from unnest(
        $1::int8[], $2::int4[], $3::int4[], $4::int4[], $5::text[], $6::text[], $7::bytea[], $8::bytea[], $9::bytea[],
        $10::bytea[], $11::bytea[], $12::bytea[]
    ) as row (mission_id, attempt, seq, timeline, kind, path, input_hash, payload, stored, salt, digest, chain)
)
insert into missions_journal
    (mission_id, attempt, seq, timeline, kind, path, input_hash, payload, stored, salt, digest, chain, recorded_at)
select row.*, $13::timestamptz
from row
join (select id, attempt from missions_mission where id = any ($1)) as mission
    on mission.id = row.mission_id and mission.attempt = row.attempt
