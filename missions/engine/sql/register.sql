-- A worker makes itself known; its lane holds the lock of this id already, so it can not be taken for dead.
insert into missions_worker (id, host, boot_id, pid, pid_started, backend_pid, heartbeat_at)
values ($1::int8, $2::text, $3::text, $4::int4, $5::int8, $6::int4, clock_timestamp())
