-- Give back the dead worker's lock once its missions are free.
select pg_advisory_unlock($1::int8)
