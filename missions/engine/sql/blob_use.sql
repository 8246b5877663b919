-- A mission needs these blobs from the entry on that is written in the same transaction; collection heeds that.
insert into missions_blobuse (digest, mission_id)
select wanted.digest, mission.id
from missions_mission as mission, unnest($3::bytea[]) as wanted (digest)
where mission.id = $1::int8 and mission.attempt = $2::int4
on conflict (digest, mission_id) do nothing
