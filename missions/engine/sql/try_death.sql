-- Whether a worker is dead already, without waiting.
select pg_try_advisory_lock($1::int8)
