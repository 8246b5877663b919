-- A payload over the inline limit, durable in the same transaction as the entry that names it; equal bodies are kept once.
insert into missions_payload (digest, body) values ($1::bytea, $2::bytea) on conflict (digest) do nothing
