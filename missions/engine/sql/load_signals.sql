-- All mail of the missions just claimed; what was taken already is known from the journal.
select signal.mission_id, signal.seq, signal.name, signal.payload, signal.sender
from missions_mission as mission
join missions_signal as signal on signal.mission_id = mission.id
where mission.owner = $1::int8 and mission.xmin = pg_current_xact_id()::xid
order by signal.mission_id, signal.seq
