-- Wait until a peer's session ends. Bounded by lock_timeout, since whoever waits holds back vacuum.
select pg_advisory_lock($1::int8)
