-- A mission has ended and somebody wants to know: its parent, its children that end with it, or missions that wait for
-- it. The alarm is written where this very transaction has let go of the mission (as in outcome.sql), so no crash comes
-- between. Whoever names it as awaited locks its row first, which this release could not have got meanwhile.
insert into missions_alarm (what, nominal_at)
select 'mission.ended:' || mission.id, missions_now()
from missions_mission as mission
where mission.id = $1::int8 and mission.attempt = $2::int4 and mission.xmin = pg_current_xact_id()::xid
    and (
        mission.parent is not null
        or exists (select from missions_dependency where on_mission_id = mission.id and met_at is null)
        or exists (select from missions_child where parent_id = mission.id and on_parent_end = 'cancel')
    )
on conflict do nothing
