-- A hint, in a transaction of its own: a notifying commit takes a database-wide lock, so it never shares the lane's.
select pg_notify($1::text, $2::text)
