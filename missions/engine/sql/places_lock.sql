-- Before claims under limits on types: one worker at a time counts and claims, or two would both take the last place.
-- Never waits: whoever does not get the lock claims nothing of limited types this time. The lock ends with the Sync.
select pg_try_advisory_xact_lock(7311, 1)
