-- Where a call that was cut off goes on. Cursors of other timelines and chapters are of other calls.
select cursor, workspace
from missions_progress
where mission_id = $1::int8 and timeline = $2::int4 and chapter = $3::int4 and path = $4::text
