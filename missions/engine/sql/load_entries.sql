-- The history that replay needs of the missions just claimed, in order.
select entry.mission_id, entry.seq, entry.timeline, entry.kind, entry.path, entry.input_hash,
    coalesce(entry.payload, payload.body), entry.chain, entry.recorded_at
from missions_mission as mission
join missions_journal as entry on entry.mission_id = mission.id and entry.seq >= mission.replay_from
left join missions_payload as payload on payload.digest = entry.stored
where mission.owner = $1::int8 and mission.xmin = pg_current_xact_id()::xid
order by entry.mission_id, entry.seq
