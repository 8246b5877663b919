-- Take back the strikes that a burial gave before it could be known that the process lives (survive.sql).
update missions_mission
set strikes = strikes - 1,
    state = case when reason = 'quarantined' and state = 'paused' then 'ready' else state end,
    wake_at = case when reason = 'quarantined' and state = 'paused' then missions_now() else wake_at end,
    reason = case when reason = 'quarantined' and state = 'paused' then '' else reason end
where strikes > 0
    and id in (select mission_id from missions_takeover where lost_worker = $1::int8 and strike)
