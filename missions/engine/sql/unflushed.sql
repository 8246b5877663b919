-- Lets the claim that follows under the same Sync return before its flush. Nothing is lost with a claim that a crash of
-- the server takes back: the mission is due again, its owner's session died with the server, and whatever an owner
-- commits, on any session, flushes all that was committed before, its claim included.
select set_config('synchronous_commit', 'off', true)
