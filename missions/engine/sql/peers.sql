-- The other workers that are not known to be dead, in ring order after this one.
select id from missions_worker where dead_at is null and id <> $1::int8 order by (id < $1::int8), id
