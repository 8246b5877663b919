-- One quarantine process a host. Locks of workers are single 64-bit keys; this one is of the other form, (class, host).
select pg_try_advisory_lock(1398096467, hashtext($1::text))
