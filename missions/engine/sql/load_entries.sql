-- The first portion of the history that replay needs of the missions just claimed, in order: that of the mission's
-- timeline, from its chapter's start. What follows is fetched when replay comes to it (more_entries.sql).
select mission.id, entry.seq, entry.timeline, entry.kind, entry.path, entry.input_hash,
    coalesce(entry.payload, payload.body), entry.recorded_at
from missions_mission as mission
left join missions_timeline as timeline on timeline.mission_id = mission.id and timeline.number = mission.timeline
cross join lateral (
    select *
    from missions_journal
    where mission_id = mission.id and seq >= mission.replay_from
        and (timeline.kept is null or seq <@ any (timeline.kept))
    order by seq
    limit $2::int4
) as entry
left join missions_payload as payload on payload.digest = entry.stored
where mission.owner = $1::int8 and mission.xmin = pg_current_xact_id()::xid
order by mission.id, entry.seq
