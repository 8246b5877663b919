-- The mail that the missions just claimed may still take: what an earlier chapter took, and controls that were
-- handled, are left out. What this chapter took already is known from the journal.
select signal.mission_id, signal.seq, signal.name, signal.payload, signal.sender
from missions_mission as mission
join missions_signal as signal on signal.mission_id = mission.id and signal.seq > mission.mail_from
where mission.owner = $1::int8 and mission.xmin = pg_current_xact_id()::xid
    and (signal.name <> 'control' or signal.seq > mission.control_done)
order by signal.mission_id, signal.seq
