-- How a mission ended, for lists and for the outside. Written once, and only where this very transaction has let go of
-- the mission: then we hold its row already, and the foreign key's check waits for nobody who delivers a signal.
insert into missions_outcome (mission_id, verdict, summary, data, error, ended_at)
select id, $3::text, $4::text, $5::text::jsonb, $6::text, missions_now()
from missions_mission
where id = $1::int8 and attempt = $2::int4 and xmin = pg_current_xact_id()::xid
on conflict (mission_id) do nothing
