-- One quarantine process a host, and one worker that starts it (hosts.py says which class is whose). Locks of workers are
-- single 64-bit keys; these are of the other form, (class, host).
select pg_try_advisory_lock($1::int4, hashtext($2::text))
