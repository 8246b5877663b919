-- A mission has ended, or stopped for a person to look at it, and somebody wants to know. Its parent, its children that
-- end with it, and missions that wait for it hear by the alarm `mission.ended`; who listens from above (people who
-- started or follow it, webhooks) by `mission.outcome`, which no mission depends on. The alarms are written where this
-- very transaction has let go of the mission (as in outcome.sql), so no crash comes between. Whoever names it as awaited
-- locks its row first, which this release could not have got meanwhile.
insert into missions_alarm (what, nominal_at)
select told.what || mission.id, missions_now()
from missions_mission as mission
cross join lateral (
    select 'mission.ended:' as what
    where mission.state <> 'paused'
        and (
            mission.parent is not null
            or exists (select from missions_dependency where on_mission_id = mission.id and met_at is null)
            or exists (select from missions_child where parent_id = mission.id and on_parent_end = 'cancel')
        )
    union all
    select 'mission.outcome:'
    where exists (
        select from missions_listener
        where subject = any (array[
            'all', 'mission:' || mission.id,
            'person:' || (select started_by_id from missions_brief where mission_id = mission.id)
        ])
    )
) as told
where mission.id = $1::int8 and mission.attempt = $2::int4 and mission.xmin = pg_current_xact_id()::xid
on conflict do nothing
