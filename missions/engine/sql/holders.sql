-- The hung worker's process and the session that still holds its lock.
select worker.host, worker.boot_id, worker.pid, worker.pid_started, lock.pid
from missions_worker as worker
left join pg_locks as lock
    on lock.locktype = 'advisory' and lock.objsubid = 1 and lock.granted
    and lock.classid::int8 = (worker.id >> 32) and lock.objid::int8 = (worker.id & 4294967295)
where worker.id = $1::int8
