-- Put a signal into a mission's mailbox and make the mission due: one statement, since nothing is to hold the row's lock
-- between round trips. The lock comes first, and what it returns is the newest version of the row. Only the mailbox is
-- seen as of the statement's beginning; a signal of the same key that came while the lock was waited for is found by the
-- unique index, and nothing changes then. Without `seq` in the answer nothing was delivered, and `state` may say why.
-- A paused mission that waits for nobody takes its mail later.
with mission as materialized (
    select id, state, inbox_seq
    from missions_mission
    where id = $1::int8
    for update
),
sent as (
    insert into missions_signal (mission_id, seq, name, payload, key, sender)
    select id, inbox_seq + 1, $2::text, $3::bytea, $4::text, $5::text
    from mission
    where state not in ('completed', 'failed', 'cancelled', 'exported')
    on conflict (mission_id, key) do nothing
    returning mission_id, seq
),
due as (
    update missions_mission as mission
    set inbox_seq = sent.seq,
        wake_at = case
            when mission.state = 'paused' and mission.waits_for = '' then mission.wake_at
            else least(coalesce(mission.wake_at, missions_now()), missions_now())
        end
    from sent
    where mission.id = $1::int8
)
select mission.state, sent.seq,
    case when sent.seq is not null then pg_notify($6::text, 'm' || mission.id) end,
    case when sent.seq is not null then pg_notify($7::text, mission.id::text) end
from mission
left join sent on true
