-- The hung worker's process and its own session, as long as that holds the lock of its id. A worker holds it shared,
-- those who wait for its death exclusively: a peer that is just burying it must not be taken for it.
select worker.host, worker.boot_id, worker.pid, worker.pid_started, lock.pid
from missions_worker as worker
join pg_locks as lock
    on lock.locktype = 'advisory' and lock.objsubid = 1 and lock.granted and lock.mode = 'ShareLock'
    and lock.classid::int8 = (worker.id >> 32) and lock.objid::int8 = (worker.id & 4294967295)
where worker.id = $1::int8
