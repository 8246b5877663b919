-- Mail that came for missions that this worker is running right now (`deliver` marks them with wake_at).
select signal.mission_id, signal.seq, signal.name, signal.payload, signal.sender
from missions_mission as mission
join missions_signal as signal on signal.mission_id = mission.id
where mission.owner = $1::int8 and mission.wake_at is not null
order by signal.mission_id, signal.seq
