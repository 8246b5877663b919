-- A payload over the inline limit, durable in the same transaction as the entry that names it; equal bodies are kept once.
-- An old one is marked as wanted again, so that a collection that is just looking at it leaves it.
insert into missions_payload (digest, body) values ($1::bytea, $2::bytea)
on conflict (digest) do update set stored_at = missions_now()
where missions_payload.stored_at < missions_now() - interval '10 minutes'
