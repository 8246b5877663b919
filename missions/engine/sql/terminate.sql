-- End the session of a hung worker, which frees its lock.
select pg_terminate_backend($1::int4)
