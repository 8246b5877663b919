-- Let go of missions: park them, or end them. Never waits for a row lock: a row that somebody holds (a signal being
-- delivered) is skipped, not returned, and tried again. A signal that came since the claim makes the mission due at
-- once; inbox_seq is compared with what the locked claim returned, so that no wake-up is lost. One that has ended, or
-- is paused and waits for nobody, is woken by controls alone, and by what its owner says.
with row as (
    select *
    from unnest(
        $1::int8[], $2::int4[], $3::int4[], $4::text[], $5::text[], $6::timestamptz[], $7::text[], $8::text[], $9::int4[]
    ) as row (id, attempt, inbox_seq, state, reason, wake_at, waits_for, step, head_seq)
),
free as (
    select id from missions_mission where id = any ($1) order by id for update skip locked
)
update missions_mission as mission
set owner = null,
    state = row.state,
    reason = row.reason,
    wake_at = case
        when mission.control_seq > row.inbox_seq then missions_now()
        when row.state in ('completed', 'failed', 'cancelled') then row.wake_at
        when row.state = 'paused' and row.waits_for = '' then row.wake_at
        when mission.inbox_seq > row.inbox_seq then missions_now()
        else row.wake_at
    end,
    waits_since = case
        when row.waits_for = '' then null
        when mission.waits_for = row.waits_for then mission.waits_since
        else missions_now()
    end,
    waits_for = row.waits_for,
    step = row.step,
    strikes = case when row.head_seq > mission.strike_head then 0 else mission.strikes end, -- it got on (bury.sql)
    head_seq = row.head_seq
from row
join free on free.id = row.id
where mission.id = row.id and mission.attempt = row.attempt
returning mission.id, coalesce(mission.wake_at <= missions_now(), false)
