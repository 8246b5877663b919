-- A clean exit: what is still owned goes back as due, with no takeover to tell of. `attempt` rises, which fences any
-- call that goes on in this process.
with me as (
    update missions_worker set dead_at = clock_timestamp() where id = $1::int8 and dead_at is null
)
update missions_mission
set owner = null, attempt = attempt + 1, state = 'ready', wake_at = missions_now()
where owner = $1::int8
